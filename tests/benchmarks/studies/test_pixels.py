"""What other people's pixels cost: the ways lines are made, and the table."""

from __future__ import annotations

import io
import json
import re
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner
from generated import printed, printed_row
from PIL import Image

from htrjand.benchmarks.studies.pixels import (
    COARSE,
    GREY,
    PADDING,
    RESIZING,
    Line,
    coloured,
    cropped,
    main,
    masked_reader,
    mean_grey,
    opencv_recipe,
    page_lines,
    scanned,
    stretched,
)
from htrjand.runtime import HtrjandError, Recognizer, UsageError
from htrjand.runtime.image import load_line
from htrjand.train.data.lines import write_lines
from htrjand.train.reader import open_weights

ROOT = Path(__file__).resolve().parents[3]
RNG = np.random.default_rng(0)


def write_pages(path: Path) -> Path:
    """A page of the split val, with one line, its paper cream and its ink blue."""
    pixels = np.full((300, 400, 3), (230, 220, 200), np.uint8)
    pixels[80:100, 50:250] = (40, 60, 150)
    pixels[145:, :] = 0
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "PNG")
    lines = [
        {"text": "abc", "polygon": [[20, 40], [300, 40], [300, 140], [20, 140]]},
        {"text": "a <> b", "polygon": [[20, 40], [300, 40], [300, 140], [20, 140]]},
    ]
    row = {"split": ["val"], "image": [stream.getvalue()], "lines": [json.dumps(lines)]}
    pq.write_table(pa.table(row), path)
    return path


def test_a_resize_without_antialiasing_loses_what_lies_between_its_points_and_the_recipe_does_not() -> None:
    grey = np.full((384, 600), 255, np.uint8)
    grey[::3] = 0  # every third row
    wanted = load_line(grey).astype(int)
    ways = {name: way.prepare(grey, RNG).astype(int) for name, way in RESIZING.items()}
    far = {name: np.abs(found[:, :96] - wanted[:, :96]).mean() for name, found in ways.items()}
    assert far["OpenCV's `INTER_LINEAR`"] > 20 > 2 > far["the OpenCV recipe"]


def test_the_recipe_of_the_page_is_the_one_that_is_measured() -> None:
    cv2 = pytest.importorskip("cv2")
    (code,) = re.findall(r"```python\n(.*?)```", (ROOT / "docs/pixels.md").read_text(encoding="utf-8"), re.DOTALL)
    names = {"cv2": cv2}
    exec(code, names)
    for height, width in ((40, 333), (64, 320), (65, 7), (200, 3001)):
        grey = np.random.default_rng(height).integers(0, 256, (height, width), np.uint8)
        found = names["line_of"](grey)
        assert found.shape[0] == 64 and found.shape[1] % 16 == 0
        assert np.array_equal(found, opencv_recipe(grey, RNG))


def test_ways_of_grey_and_of_padding() -> None:
    blue = np.zeros((64, 100, 3), np.uint8)
    blue[..., 2] = 240
    assert (mean_grey(blue) == 80).all() and (GREY["grey as the brightest channel"].prepare(blue, RNG) == 240).all()
    line = printed("abc")
    for name, way in PADDING.items():
        found = way.prepare(line, RNG)
        assert found.shape[1] % 16 == 0
        if name.startswith("padded"):
            assert np.array_equal(found[:, : line.shape[1]], line)
        if "white by 512" in name:
            assert (found[:, line.shape[1] :] == 255).all() and found.shape[1] >= line.shape[1] + 512
    assert stretched(np.zeros((64, 39), np.uint8), RNG).shape == (64, 32)


def test_fewer_rows_leave_less_of_the_edges_and_a_small_file_less_than_that() -> None:
    line = printed("abc cab")
    edges = [np.abs(np.diff(way.prepare(line, RNG).astype(float))).max() for way in COARSE.values()]
    plain, packed = edges[:5], edges[5:]
    assert plain == sorted(plain, reverse=True) and plain[-1] < 0.5 * plain[0]
    assert COARSE["32 rows in the scan"].prepare(line, RNG).shape == line.shape
    assert packed[-1] <= plain[-1] + 10
    errors = [np.abs(COARSE[name].prepare(line, RNG).astype(float) - line).mean() for name in COARSE]
    assert all(more > less for less, more in zip(errors[:5], errors[5:], strict=True))


def test_lines_are_cut_in_colour_with_their_paper_round_them(tmp_path: Path) -> None:
    (line,) = page_lines(write_pages(tmp_path / "pages.parquet"), "val")
    assert isinstance(line, Line) and line.text == "abc"
    assert line.pixels.shape == (101, 281, 3)
    assert (line.pixels[50, 100] == (40, 60, 150)).all()
    tilted = cropped(np.zeros((300, 400, 3), np.uint8) + 230, [(20, 40), (300, 90), (300, 190), (20, 140)])
    assert (tilted[-1, 0] == 230).all(), "outside the outline"
    assert scanned(line, RNG).pixels.shape == (404, 1124, 3)
    assert coloured(line, RNG).pixels.shape == line.pixels.shape
    assert not list(page_lines(tmp_path / "pages.parquet", "test"))
    (tmp_path / "none.parquet").write_text("none")
    with pytest.raises(HtrjandError, match="none.parquet: not a Parquet file of pages"):
        list(page_lines(tmp_path / "none.parquet", "val"))


def test_hidden_padding_changes_nothing() -> None:
    weights = ROOT / "train/weights/student.safetensors"
    plain = open_weights(weights, 1)
    hidden = masked_reader(weights, plain)
    line = printed("abc cab")
    line = line[:, : line.shape[1] // 16 * 16].copy()
    line[0, -1] = 0  # ink in its last column, so that it ends there
    (wanted,) = plain.logits([line])
    for grey in (0, 130, 255):
        padded = np.pad(line, ((0, 0), (0, 256)), constant_values=grey)
        (found,) = hidden.logits([padded])
        assert found[: len(wanted)] == pytest.approx(wanted, abs=1e-3)
        assert (found[len(wanted) :].argmax(1) == 0).all(), "blank behind the line"
        assert not np.allclose(plain.logits([padded])[0][: len(wanted)], wanted, atol=0.1), "or hiding were in vain"


def test_the_tables(tmp_path: Path) -> None:
    write_lines(tmp_path / "lines.parquet", [printed_row(text, text, "val") for text in ("abc cab", "bac", "a <> b")])
    pages = write_pages(tmp_path / "pages.parquet")
    command = ["-i", str(tmp_path / "lines.parquet"), "--pages", str(pages), "-o", str(tmp_path / "out.json")]
    done = CliRunner().invoke(main, command)
    assert done.exit_code == 0, done.output
    assert "| 2 stored lines | greedy | with the n-gram |" in done.output
    (found,) = json.loads((tmp_path / "out.json").read_text())
    first, large, colour, stored, coarse = found["kinds"].values()
    usual = "as the runtime reads them"
    assert [row["way"] for row in first["rows"]] == [row["way"] for row in large["rows"]] == [usual, *RESIZING]
    assert [row["way"] for row in colour["rows"]] == [usual, *GREY]
    assert [row["way"] for row in stored["rows"]] == [usual, *PADDING]
    assert [row["way"] for row in coarse["rows"]] == [usual, *COARSE]
    for row in stored["rows"]:
        for decoder in ("greedy", "n-gram"):
            assert row[decoder]["low"] <= row[decoder]["more"] <= row[decoder]["high"]
    assert isinstance(CliRunner().invoke(main, []).exception, UsageError)
    assert isinstance(CliRunner().invoke(main, [*command, "--masked"]).exception, UsageError)


def test_several_models_and_another_split(tmp_path: Path) -> None:
    said = (("abc cab", "val"), ("bac", "test"), ("cab", "test"))
    write_lines(tmp_path / "lines.parquet", [printed_row(text, text, split) for text, split in said])
    model = str(Recognizer().path)
    command = ["-i", str(tmp_path / "lines.parquet"), "-m", model, "-m", model, "--split", "test"]
    done = CliRunner().invoke(main, [*command, "-o", str(tmp_path / "out.json")])
    assert done.exit_code == 0, done.output
    found = json.loads((tmp_path / "out.json").read_text())
    assert [one["split"] for one in found] == ["test", "test"] and found[0] == found[1]
    assert found[0]["kinds"]["stored lines"]["lines"] == 2, "of that split alone"
