"""Pages are found, turned, read and put in order, by the bundled models."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from rapidfuzz.distance import Levenshtein

from htrjand.runtime import HtrjandError, Recognizer
from htrjand.runtime.page.cut import cut_line
from htrjand.runtime.page.detect import DetectedLine
from htrjand.runtime.page.inputs import load_page, pages_of
from htrjand.runtime.page.page import Page
from htrjand.runtime.page.read import cut_out

SAMPLE = Path(__file__).parents[3] / "benchmarks" / "sample"
PAGE = SAMPLE / "page.png"
LINES = [path.read_text(encoding="utf-8").strip() for path in sorted(SAMPLE.glob("lines/*.gt.txt"))]


@pytest.fixture(scope="module")
def reader() -> Recognizer:
    return Recognizer(threads=1)


@pytest.fixture(scope="module")
def page(reader: Recognizer) -> Page:
    return reader.read_page(PAGE)


def cer(page: Page) -> float:
    """The share of wrong characters, line by line in reading order."""
    assert len(page.lines) == len(LINES)
    pairs = zip(page.lines, LINES, strict=True)
    return sum(Levenshtein.distance(line.text, truth) for line, truth in pairs) / sum(map(len, LINES))


def sheet() -> Image.Image:
    with Image.open(PAGE) as image:
        return image.convert("L")


def test_every_line_is_read_in_order(page: Page) -> None:
    assert cer(page) < 0.1
    assert page.path == str(PAGE) and (page.width, page.height) == sheet().size and page.turned == 0
    assert page.languages[:2] == ("fr", "en") and page.model


def test_places_are_those_of_the_text(page: Page) -> None:
    ink = np.asarray(sheet()) < 140
    for line in page.lines:
        left, top, right, bottom = line.box
        assert ink[top:bottom, left:right].any()
        first, last = line.words[0], line.words[-1]
        assert left <= first.box[0] < first.box[2] <= last.box[0] + 1 and last.box[2] <= right + 1
        assert top < line.baseline[0][1] < bottom and 0 < line.line.confidence <= 1
    tops = [line.box[1] for line in page.lines]
    assert tops == sorted(tops)


@pytest.mark.parametrize("turned", [90, 180, 270])
def test_a_page_is_turned(reader: Recognizer, page: Page, turned: int) -> None:
    """Places are those on the image as it was given, so the outlines lie where the lines' ink is."""
    given = np.ascontiguousarray(np.rot90(np.asarray(sheet()), turned // 90))  # counterclockwise
    found = reader.read_page(given)
    assert found.turned == turned and cer(found) < 0.1
    assert (found.width, found.height) == given.shape[::-1]
    for line, upright in zip(found.lines, page.lines, strict=True):
        x, y = np.mean(upright.polygon, axis=0)
        expected = {90: (y, page.width - x), 180: (page.width - x, page.height - y), 270: (page.height - y, x)}[turned]
        assert np.allclose(np.mean(line.polygon, axis=0), expected, atol=12)


@pytest.mark.parametrize("turned", [0, 2])
def test_a_negative_is_read_as_its_positive(reader: Recognizer, turned: int) -> None:
    found = reader.read_page(np.ascontiguousarray(np.rot90(255 - np.asarray(sheet()), turned)))
    assert found.turned == 90 * turned and cer(found) < 0.1


@pytest.mark.parametrize("angle", [-12, 8])
def test_a_skewed_page_is_levelled(reader: Recognizer, angle: int) -> None:
    skewed = sheet().rotate(angle, Image.Resampling.BICUBIC, expand=True, fillcolor=235)
    found = reader.read_page(skewed)
    assert found.turned == 0 and cer(found) < 0.12
    assert (found.width, found.height) == skewed.size
    slopes = [np.arctan2(*(np.subtract(line.baseline[-1], line.baseline[0])[::-1])) for line in found.lines]
    assert np.degrees(np.median(slopes)) == pytest.approx(-angle, abs=1)


@pytest.mark.parametrize("angle", [90, -90])
def test_a_line_on_the_margin_is_read_whichever_way_it_runs(reader: Recognizer, angle: int) -> None:
    with Image.open(SAMPLE / "lines" / "01.png") as image:
        line = image.convert("L").rotate(angle, expand=True)
    text, page = LINES[0], sheet()
    wide = Image.new("L", (page.width + 160, max(page.height, line.height + 100)), 235)
    wide.paste(page, (0, 0))
    wide.paste(line, (page.width + 40, 60))
    (margin,) = [line for line in reader.read_page(wide).lines if line.box[0] > page.width]
    assert Levenshtein.distance(margin.text, text) < 0.2 * len(text)
    assert margin.along[1] == pytest.approx(-1 if angle == 90 else 1, abs=0.05)
    left, _, right, _ = margin.box  # the feet of letters that are read upwards are on the right
    assert (margin.baseline[0][0] > (left + right) / 2) == (angle == 90)


def test_two_columns_are_read_one_after_the_other(reader: Recognizer) -> None:
    half = sheet().resize((1078, 781), Image.Resampling.LANCZOS)
    spread = Image.new("L", (2 * 1078 + 40, 781), 235)
    spread.paste(half, (0, 0))
    spread.paste(half, (1078 + 40, 0))
    found = reader.read_page(spread)
    assert len(found.lines) == 2 * len(LINES) and len({line.region for line in found.lines}) >= 2
    assert all(line.box[2] < 1118 for line in found.lines[: len(LINES)])
    assert all(line.box[0] > 1078 for line in found.lines[len(LINES) :])


def test_a_large_scan_is_read_reduced(reader: Recognizer) -> None:
    large = sheet().resize((9702, 7032), Image.Resampling.BILINEAR)  # 68 million pixels
    stream = io.BytesIO()
    large.save(stream, "JPEG", quality=80)
    found = reader.read_page(stream.getvalue())
    assert (found.width, found.height) == large.size and cer(found) < 0.1
    assert max(line.box[2] for line in found.lines) > 8000  # in pixels of the image as it was given


@pytest.mark.parametrize("grey", [0, 128, 255])
def test_blank_paper_is_a_page_without_lines(reader: Recognizer, grey: int) -> None:
    assert reader.read_page(np.full((1400, 1000), grey, np.uint8)).lines == ()


@pytest.mark.parametrize("size", [(1, 1), (3, 2000), (2000, 3), (20, 20)])
def test_the_smallest_images_are_pages_too(reader: Recognizer, size: tuple[int, int]) -> None:
    assert reader.read_page(np.full(size, 240, np.uint8)).lines == ()


def test_noise_breaks_nothing(reader: Recognizer) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (900, 700), dtype=np.uint8)
    Page.from_dict(reader.read_page(noise).to_dict())


def test_sources(reader: Recognizer, page: Page) -> None:
    (source,) = pages_of(PAGE)
    for given in (PAGE.read_bytes(), np.asarray(sheet()), sheet(), source, load_page(PAGE)):
        found = reader.read_page(given)
        assert found.text == page.text
    with pytest.raises(HtrjandError, match="no such file"):
        reader.read_page("missing.png")


def test_threads_and_batches_change_nothing(page: Page) -> None:
    for batch_size in (1, 5):
        assert Recognizer(threads=2).read_page(PAGE, batch_size).text == page.text


def test_a_line_whose_outline_fails_is_read_by_its_rectangle() -> None:
    grey = np.asarray(sheet())
    crossed = np.array([[50.0, 40], [1250, 110], [1250, 40], [50, 110]])  # an outline whose two halves cancel
    (cut,) = cut_out(grey, crossed, np.array([[50.0, 95], [1250, 95]]), 4096)
    assert cut.baseline is None and cut.image is not None
    assert cut.image.shape == (64, round(1200 * 64 / 70))


def test_a_line_too_long_for_the_model_is_read_in_parts() -> None:
    grey = np.full((100, 9000), 230, np.uint8)
    box = np.array([[0.0, 20.0], [9000.0, 20.0], [9000.0, 60.0], [0.0, 60.0]])
    base = np.array([[0.0, 50.0], [9000.0, 50.0]])
    cuts = cut_out(grey, box, base, 4096)
    assert len(cuts) == 4 and all(cut.image is not None and cut.image.shape[1] <= 4096 for cut in cuts)
    assert [cut.polygon[:, 0].min() for cut in cuts] == [0, 2250, 4500, 6750]


class Everywhere:
    """A detector that finds outlines of which some cannot be cut."""

    def detect(self, page: np.ndarray) -> list[DetectedLine]:
        width = page.shape[1]
        outside = np.array([[width + 50.0, 10], [width + 90, 10], [width + 90, 40], [width + 50, 40]])
        inside = np.array([[40.0, 40], [1250, 40], [1250, 110], [40, 110]])
        base = np.array([[40.0, 95], [1250, 95]])
        return [DetectedLine(base, inside, 0.9), DetectedLine(outside[2:], outside, 0.9)]


def test_no_line_is_dropped_in_silence() -> None:
    reader = Recognizer(threads=1, detector=Everywhere())  # type: ignore[arg-type]
    found = reader.read_page(PAGE)
    assert len(found.lines) == 2 and sorted(bool(line.text) for line in found.lines) == [False, True]
    assert Page.from_dict(found.to_dict()).lines[1].text == found.lines[1].text


def test_lines_are_cut_as_training_cut_them(reader: Recognizer, page: Page) -> None:
    """What a page gives for a line is what the line reader gives for its cut."""
    grey = np.asarray(sheet())
    cuts = [cut_line(grey, line.polygon, line.baseline) for line in page.lines]
    again = reader.read_lines(cuts)
    same = sum(a.text == b.text for a, b in zip(again, page.lines, strict=True))
    assert same >= len(LINES) - 2  # points on the page are cut to its edge
