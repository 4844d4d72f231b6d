"""Where words lie on a page: black bars are cut out as lines are, found in the cut, and placed back on the page."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from pages_made import MAKERS, line
from PIL import Image, ImageDraw

from htrjand.runtime import Recognizer
from htrjand.runtime.decode import Character, Line
from htrjand.runtime.decode.greedy import REACH
from htrjand.runtime.page.cut import cut_line
from htrjand.runtime.page.page import Page, place_line

SIZE = (1000, 600)
BARS = [(220, 280), (330, 460), (500, 540), (600, 760)]  # x from, to; y is 285 to 315
OUTLINE = [(x, 265) for x in range(200, 801, 50)] + [(x, 335) for x in range(800, 199, -50)]
BASELINE = [(x, 315) for x in range(200, 801, 50)]


def sloped(points, degrees):
    c, s = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    return [(500 + c * (x - 500) - s * (y - 300), 300 + s * (x - 500) + c * (y - 300)) for x, y in points]


def curved(points):
    return [(x, y + 40 * math.sin((x - 200) / 600 * math.pi)) for x, y in points]


def bars_on(bend):
    """A white page with the bars, bent as `bend` bends points, and each bar's polygon."""
    image = Image.new("L", SIZE, 255)
    shapes = []
    for x0, x1 in BARS:
        shape = bend([(x, 285) for x in range(x0, x1 + 1, 5)] + [(x, 315) for x in range(x1, x0 - 1, -5)])
        ImageDraw.Draw(image).polygon(shape, fill=0)
        shapes.append(np.array(shape))
    return np.asarray(image), shapes


def read_bars(cut):
    """A reader of bars: each run of dark columns is a word."""
    dark = (cut[24:40] < 128).any(0).astype(int)
    starts, ends = np.flatnonzero(np.diff(dark, prepend=0) == 1), np.flatnonzero(np.diff(dark, append=0) == -1) + 1
    assert len(starts) == len(BARS)
    characters = []
    for start, end in zip(starts.tolist(), ends.tolist(), strict=True):
        characters += [Character("w", 0.9, start, end), Character(" ", 1.0, end, end)]
    return Line("w " * len(BARS), 0.5, tuple(characters))


@pytest.mark.parametrize(
    "bend",
    [lambda points: points, curved, *(lambda points, d=d: sloped(points, d) for d in (-10, 3, 20, 90, -90))],
    ids=["level", "curved", "-10", "3", "20", "90", "-90"],
)
def test_words_lie_where_their_ink_is(bend):
    page, shapes = bars_on(bend)
    outline, baseline = bend(OUTLINE), bend(BASELINE)
    cut = cut_line(page, outline, baseline)
    placed = place_line(read_bars(cut), cut.shape[1], outline, baseline, SIZE)
    outer = np.array(placed.polygon)
    for word, shape, (x0, x1) in zip(placed.words, shapes, BARS, strict=True):
        along = np.array(placed.along)
        s, wanted = np.array(word.polygon) @ along, shape @ along
        assert abs(s.min() - wanted.min()) < 3 and abs(s.max() - wanted.max()) < 3
        left, top, right, bottom = word.box
        (inner_left, inner_top), (inner_right, inner_bottom) = shape.min(0), shape.max(0)
        assert left <= inner_left + 3 and top <= inner_top + 3
        assert right >= inner_right - 3 and bottom >= inner_bottom - 3
        assert outer[:, 0].min() - 1 <= left and right <= outer[:, 0].max() + 1
        foot = bend([((x0 + x1) / 2, 315)])[0]
        np.testing.assert_allclose(placed.baseline_at(float(np.dot(foot, along))), foot, atol=2)


@pytest.mark.parametrize("turned", [0, 90, 180, 270])
@pytest.mark.parametrize("degrees", [0, 4])
def test_a_page_that_was_turned_to_be_read_is_described_as_it_was_given(turned, degrees):
    upright, _ = bars_on(lambda points: sloped(points, degrees))
    given = np.rot90(upright, turned // 90)  # anticlockwise: turned back clockwise, it is upright again
    outline, baseline = sloped(OUTLINE, degrees), sloped(BASELINE, degrees)
    cut = cut_line(upright, outline, baseline)
    size = (given.shape[1], given.shape[0])
    placed = place_line(read_bars(cut), cut.shape[1], outline, baseline, size, turned)
    ink = np.argwhere(given < 128)[:, ::-1]  # N, (x, y)
    held = 0
    for word in placed.words:
        left, top, right, bottom = word.box
        inside = (ink >= [left - 2, top - 2]).all(1) & (ink < [right + 2, bottom + 2]).all(1)
        s = ink[inside] @ np.array(placed.along)
        edges = np.array(word.polygon) @ np.array(placed.along)
        if degrees == 0:
            assert abs(s.min() - edges.min()) < 4 and abs(s.max() - edges.max()) < 4
        held += inside.sum()
    assert held >= len(ink)
    expected = {0: (1, 0), 90: (0, -1), 180: (-1, 0), 270: (0, 1)}[turned]
    assert np.dot(placed.along, expected) > 0.99
    run = np.subtract(placed.baseline[-1], placed.baseline[0])
    assert run @ expected > 500


def test_what_a_model_read_is_placed(tiny_model, draw):
    text = "ab ca"
    ink = draw(text, 32)  # 32 rows: characters are 8 columns apart and wide, from column 32 on
    page = np.full((300, 400), 255, np.uint8)
    page[100:132, 50 : 50 + ink.shape[1]] = ink
    box = [(50, 100), (50 + ink.shape[1], 100), (50 + ink.shape[1], 132), (50, 132)]
    baseline = [(50, 128), (50 + ink.shape[1], 128)]
    cut = cut_line(page, box, baseline)
    read = Recognizer(tiny_model).read_line(cut)
    placed = place_line(read, cut.shape[1], box, baseline, (400, 300))
    assert placed.text == text
    for word, first, last in zip(placed.words, (0, 3), (1, 4), strict=True):
        before, behind = 50 + 32 + 16 * first - word.box[0], word.box[2] - (50 + 32 + 16 * last + 8)
        assert 0 <= before <= REACH / 2 + 2 and 0 <= behind <= REACH / 2 + 2  # at half the scale
        assert word.box[1::2] == (100, 132)


def test_words_stay_inside_a_page_and_have_a_pixel_at_least():
    box = [(-50.0, -20.0), (150.0, -20.0), (150.0, 40.0), (-50.0, 40.0)]
    read = Line("a b", 0.5, (Character("a", 1, -9, -9), Character(" ", 1, 0, 0), Character("b", 1, 640, 700)))
    words = place_line(read, 640, box, [(-50.0, 30.0), (150.0, 30.0)], (100, 30)).words
    assert [word.text for word in words] == ["a", "b"]
    assert words[0].box == (0, 0, 1, 30) and words[1].box == (99, 0, 100, 30)


def test_a_line_without_a_baseline_gets_a_straight_one():
    placed = place_line(Line("", 1, ()), 100, [(10.0, 10.0), (210.0, 10.0), (210.0, 50.0), (10.0, 50.0)], None, SIZE)
    assert placed.baseline == ((10.0, 38.0), (210.0, 38.0)) and placed.along == (1.0, 0.0)


def test_a_line_that_runs_from_right_to_left_in_the_drawing_is_reversed():
    box = [(10.0, 10.0), (210.0, 10.0), (210.0, 50.0), (10.0, 50.0)]
    placed = place_line(Line("", 1, ()), 100, box, [(210.0, 40.0), (10.0, 40.0)], SIZE)
    assert placed.baseline == ((10.0, 40.0), (210.0, 40.0))


def test_text_has_a_line_for_each_line():
    page = MAKERS["unread_line"]("")
    assert page.text == "\nlu"
    assert MAKERS["empty"]("").text == ""


def test_blocks_keep_the_reading_order_and_hold_their_lines():
    lines = [line("x", 100, 100 * i, 300, 100 * i + 50, (1000, 1000), region=region) for i, region in enumerate("0010")]
    page = Page("", 1000, 1000, tuple(lines), regions=None)
    assert [[lines.index(one) for one in block.lines] for block in page.blocks] == [[0, 1], [2], [3]]
    assert [block.box for block in page.blocks] == [(100, 0, 300, 150), (100, 200, 300, 250), (100, 300, 300, 350)]
    assert next(iter(MAKERS["plain"]("").blocks)).box == (50, 70, 570, 260)  # its region is larger than its lines


@pytest.mark.parametrize("name", MAKERS)
def test_a_page_comes_back_from_its_values(name):
    page = MAKERS[name]("scan.png")
    values = json.loads(json.dumps(page.to_dict()))
    again = Page.from_dict(values)
    assert again.to_dict() == values
    assert (again.text, again.width, again.turned, again.created) == (page.text, page.width, page.turned, page.created)
    for old, new in zip(page.lines, again.lines, strict=True):
        np.testing.assert_allclose(new.polygon, old.polygon, atol=0.051)
        for one, other in zip(old.words, new.words, strict=True):
            assert one.text == other.text
            np.testing.assert_allclose(other.box, one.box, atol=1)
