"""A detector's file: opened, described, refused; and the lines that it finds."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from tiny_detector import HEIGHT, write_detector

from htrjand.runtime import HtrjandError, Recognizer, UsageError, bundled_models
from htrjand.runtime.info import size_of
from htrjand.runtime.kinds import info_of, open_model
from htrjand.runtime.page.detect import LONGER_SIDE, find_lines, prepare
from htrjand.runtime.page.detector import BUNDLED, LineDetector
from htrjand.runtime.page.detector_info import DetectorInfo


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return write_detector(tmp_path / "finds.onnx", found={"drawn": (99.5, 98.0)}, training_data=("drawn: 2 pages",))


@pytest.fixture
def page() -> np.ndarray:
    """Three bars where lines would be; the page has half the size that a detector sees."""
    page = np.full((LONGER_SIDE // 2, LONGER_SIDE // 4), 230, np.uint8)
    for top in (100, 220, 340):
        page[top : top + 6, 40:260] = 30
    return page


def test_lines_are_found_in_pixels_of_the_page(file: Path, page: np.ndarray) -> None:
    lines = LineDetector(file, threads=1).detect(page)
    assert [round(float(line.polygon[:, 1].mean())) for line in lines] == pytest.approx([103, 223, 343], abs=2)
    for line in lines:
        left, right = line.polygon[:, 0].min(), line.polygon[:, 0].max()
        assert left == pytest.approx(40, abs=8) and right == pytest.approx(260, abs=8)
        assert np.ptp(line.polygon[:, 1]) == pytest.approx(HEIGHT / 2, abs=2)
        assert line.baseline[0, 0] < line.baseline[-1, 0] and 0.55 < line.score <= 1.5


@pytest.mark.parametrize("height", [800, 1e30, -1e30])
def test_heights_beyond_all_pages_give_places_that_are_numbers(height: float) -> None:
    maps = np.zeros((4, 64, 64), np.float32)
    maps[0, 20:23, 4:60] = 1
    maps[2:] = height
    for line in find_lines(maps, 1.0):
        assert np.isfinite(line.polygon).all() and np.isfinite(line.baseline).all()
        assert np.ptp(line.polygon[:, 1]) <= 3 * LONGER_SIDE


def test_an_empty_page_has_no_lines(file: Path) -> None:
    assert LineDetector(file).detect(np.full((300, 200), 255, np.uint8)) == []


def test_it_says_what_it_is(file: Path) -> None:
    info = LineDetector(file).info
    assert (info.name, info.precision, info.training_data) == ("tiny-detector", "fp32", ("drawn: 2 pages",))
    assert info.found == {"drawn": (99.5, 98.0)} and info.longer_side == LONGER_SIDE
    assert DetectorInfo.from_metadata(info.to_metadata(), file) == info == info_of(file)


def test_a_file_of_the_other_kind_is_named_as_that(file: Path, tiny_model: Path) -> None:
    with pytest.raises(HtrjandError, match="finds.onnx: is a line detector, where a line reader is wanted"):
        Recognizer(file)
    with pytest.raises(HtrjandError, match="tiny.onnx: is a line reader, where a line detector is wanted"):
        LineDetector(tiny_model)
    assert isinstance(open_model(file), LineDetector)


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("stride", "8", "a stride of 8, where this edition makes"),
        ("longer_side", "640", "takes pages of 640 pixels"),
        ("longer_side", "0", "from 1 to"),
        ("multiple", "6", "multiple"),
        ("precision", "int4", "precision 'int4' is unknown"),
        ("weights_sha256", "abc", "64 hexadecimal digits"),
        ("found", '{"a": [101, 5]}', "recall and precision in percent"),
        ("found", '{"a": 5}', "cannot be used"),
        ("training_data", '"a"', "no JSON list"),
        ("format", "htrjand-detector/2", "this edition reads 'htrjand-detector/1'"),
        ("name", None, "metadata lack 'name'"),
    ],
)
def test_a_description_that_cannot_be_is_refused(tmp_path: Path, key: str, value: str | None, words: str) -> None:
    metadata = DetectorInfo(name="x", version="1").to_metadata() | ({key: value} if value is not None else {})
    if value is None:
        del metadata[key]
    with pytest.raises(HtrjandError, match=words) as caught:
        LineDetector(write_detector(tmp_path / "other.onnx", metadata))
    assert "other.onnx" in str(caught.value)


def test_foreign_and_damaged_files_are_refused(file: Path, tmp_path: Path) -> None:
    with pytest.raises(HtrjandError, match="its input is picture uint8 .* where a line detector has image uint8"):
        LineDetector(write_detector(tmp_path / "other.onnx", input_name="picture"))
    with pytest.raises(HtrjandError, match="its output is maps float32 .* where a line detector has maps"):
        LineDetector(write_detector(tmp_path / "three.onnx", maps=3))
    content = file.read_bytes()
    for name, changed in (("short.onnx", content[:-40]), ("other.onnx", content.replace(b"tiny-d", b"tidy-d"))):
        (tmp_path / name).write_bytes(changed)
        with pytest.raises(HtrjandError, match=f"{name}: cut short or changed|{name}: the file does not describe"):
            LineDetector(tmp_path / name)
    with pytest.raises(HtrjandError, match="no such model file"):
        LineDetector(tmp_path / "none.onnx")


@pytest.mark.parametrize("wrong", [np.zeros((4, 4, 3), np.uint8), np.zeros((4, 4)), np.zeros((0, 4), np.uint8), "x"])
def test_what_is_no_page_is_refused(file: Path, wrong: object) -> None:
    with pytest.raises(UsageError, match="a page is uint8"):
        LineDetector(file).detect(wrong)  # type: ignore[arg-type]


def test_bundled_files_of_every_format_find_the_same_lines(page: np.ndarray) -> None:
    files = [path for path in bundled_models() if path.stem == BUNDLED]
    assert {path.suffix for path in files} == {".onnx", ".tflite", ".xml"} and LineDetector().path in files
    image, _ = prepare(page)
    first, *others = [LineDetector(path, 1).run(image) for path in files]
    for other in others:  # each rounds in its own way
        assert np.mean(np.abs(other[:, :2] - first[:, :2])) < 0.02
    assert all(size_of(path) < 500_000 for path in files)
