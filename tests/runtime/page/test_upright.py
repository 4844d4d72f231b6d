"""Lines that run up a page are taken from the page turned, and nothing else is."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from htrjand.runtime.page.detect import DetectedLine
from htrjand.runtime.page.detector import LineDetector
from htrjand.runtime.page.upright import with_upright

SIZE = (600, 800)  # of the page
SAMPLE = Path(__file__).resolve().parents[3] / "benchmarks" / "sample"


def across(left: float, top: float, right: float, foot: float, score: float = 0.9) -> DetectedLine:
    base = foot - (foot - top) / 4
    outline = [(left, top), (right, top), (right, foot), (left, foot)]
    return DetectedLine(np.array([(left, base), (right, base)]), np.array(outline), score)


def upright(left: float, top: float, right: float, foot: float, score: float = 0.9) -> DetectedLine:
    base = right - (right - left) / 4
    outline = [(left, foot), (left, top), (right, top), (right, foot)]
    return DetectedLine(np.array([(base, foot), (base, top)]), np.array(outline), score)


def turned(left: float, top: float, right: float, foot: float) -> DetectedLine:
    """A line across the page turned clockwise that covers a box of the page as it is."""
    return across(SIZE[1] - foot, left, SIZE[1] - top, right, score=0.8)


def boxes(lines: Sequence[DetectedLine]) -> list[list[float]]:
    return [[*line.polygon.min(0), *line.polygon.max(0)] for line in lines]


def test_the_line_of_the_turned_page_stands_for_its_pieces():
    text = [across(100, 100, 500, 130), across(100, 300, 500, 330)]
    pieces = [upright(30, 100, 60, 250), upright(30, 260, 60, 280), across(32, 300, 58, 350)]
    found = with_upright([*text, *pieces], SIZE, lambda: [turned(28, 90, 62, 360)])
    assert boxes(found) == [[100, 100, 500, 130], [28, 90, 62, 360], [100, 300, 500, 330]]
    line = found[1]
    assert line.score == 0.8
    assert line.baseline[0] == pytest.approx([62 - 34 / 4, 360]) and line.baseline[-1] == pytest.approx(
        [62 - 34 / 4, 90]
    )


def test_a_page_without_upright_lines_is_looked_at_once():
    lines = [across(100, 100, 500, 130), across(40, 300, 52, 340)]  # a line, and a figure that is higher than wide
    assert with_upright(lines, SIZE, lambda: pytest.fail("turned")) == lines


def test_what_is_seen_across_the_text_is_no_line():
    text = [across(100, top, 500, top + 30) for top in range(100, 500, 40)]
    margin = upright(30, 100, 60, 400)
    through = turned(200, 90, 230, 510)  # as spaces one above the other look like
    found = with_upright([*text, margin], SIZE, lambda: [through])
    assert sorted(boxes(found)) == sorted(boxes([*text, margin]))


def test_nothing_is_lost_where_the_turned_page_shows_nothing():
    lines = [upright(30, 100, 60, 400), across(40, 500, 52, 540), across(100, 600, 500, 630)]
    assert sorted(boxes(with_upright(lines, SIZE, list))) == sorted(boxes(lines))


@pytest.mark.parametrize("angle", [90, -90])
def test_a_line_on_the_margin_is_found_whole(angle: int):
    with Image.open(SAMPLE / "page.png") as image:
        page = image.convert("L")
    with Image.open(sorted((SAMPLE / "lines").glob("*.png"))[0]) as image:
        line = image.convert("L").resize((820, 44)).rotate(angle, expand=True)
    detector = LineDetector(threads=1)
    before = len(detector.detect(np.asarray(page)))
    wide = Image.new("L", (page.width + 120, page.height), int(np.percentile(np.asarray(page), 80)))
    wide.paste(page, (0, 0))
    wide.paste(line, (page.width + 30, 60))
    found = detector.detect(np.asarray(wide))
    assert len(found) == before + 1
    (margin,) = [line for line in found if line.polygon[:, 0].min() > page.width]
    assert margin.polygon[:, 1].min() < 80 and margin.polygon[:, 1].max() > 860
