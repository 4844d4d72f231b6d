"""Cutting lines out of pages with black bars for words, whose right places in the line are known."""

from __future__ import annotations

import math

import numpy as np
import pytest
from PIL import Image, ImageDraw

from htrjand.runtime.page.cut import CutError, band, cut_line, is_thin_band, line_spacing

PAPER, INK = 200, 20


def page_with(*polygons: list[tuple[float, float]], size: tuple[int, int] = (1000, 600)) -> np.ndarray:
    image = Image.new("L", size, PAPER)
    for polygon in polygons:
        ImageDraw.Draw(image).polygon(polygon, fill=INK)
    return np.asarray(image)


def box(x0: float, y0: float, x1: float, y1: float) -> list[tuple[float, float]]:
    return [(x0, y0), (x1, y0), (x1, y1), (x0, y1)]


def turned(points: list[tuple[float, float]], degrees: float) -> list[tuple[float, float]]:
    c, s = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    return [(500 + c * (x - 500) - s * (y - 300), 300 + s * (x - 500) + c * (y - 300)) for x, y in points]


def ink_rows(line: np.ndarray) -> np.ndarray:
    """The middle row of the ink in each column that has any, without the first and last three."""
    dark = line < 110
    rows = np.arange(64)
    return np.array([rows[column].mean() for column in dark.T if column.any()])[3:-3]


def test_a_box_is_cut_as_it_stands() -> None:
    page = np.random.default_rng(0).integers(0, 256, (600, 1000)).astype(np.uint8)
    line = cut_line(page, box(100, 200, 420, 264), [(100, 250), (420, 250)])
    assert line.dtype == np.uint8
    np.testing.assert_array_equal(line, page[200:264, 100:420])


@pytest.mark.parametrize("factor", [0.5, 3, 5])
def test_the_aspect_is_kept_at_any_size(factor: float) -> None:
    wide, high = 160 * factor, 40 * factor
    line = cut_line(page_with(size=(1000, 600)), box(10, 10, 10 + wide, 10 + high), None)
    assert line.shape == (64, 256)
    assert (line == PAPER).all()


@pytest.mark.parametrize(
    ("degrees", "with_baseline"),
    [*((degrees, True) for degrees in (-12, -3, 3, 12, 90, -90)), *((degrees, False) for degrees in (-12, -3, 3, 12))],
)
def test_a_slope_is_turned_level(degrees: float, with_baseline: bool) -> None:
    bar, outline = box(260, 290, 740, 300), box(250, 260, 750, 320)
    page = page_with(turned(bar, degrees))
    baseline = turned([(260, 300), (740, 300)], degrees) if with_baseline else None
    line = cut_line(page, turned(outline, degrees), baseline)
    assert line.shape[1] == pytest.approx(64 * 500 / 60, rel=0.03)
    middle = ink_rows(line)
    assert len(middle) + 6 == pytest.approx(64 * 480 / 60, rel=0.03)
    assert np.ptp(middle) < 2.5
    assert middle.mean() == pytest.approx(64 * 35 / 60, abs=2)  # the right way up: nearer to the feet


def test_a_baseline_drawn_backwards_does_not_turn_the_text_over() -> None:
    page = page_with(box(260, 300, 740, 310))
    outline, baseline = box(250, 260, 750, 320), [(260.0, 310.0), (740.0, 310.0)]
    np.testing.assert_array_equal(cut_line(page, outline, baseline), cut_line(page, outline, baseline[::-1]))


def test_the_baseline_of_one_letter_does_not_turn_it() -> None:
    page = page_with(box(100, 100, 120, 140))
    np.testing.assert_array_equal(
        cut_line(page, box(95, 95, 125, 145), [(100, 140), (120, 134)]), cut_line(page, box(95, 95, 125, 145), None)
    )


def test_a_bent_baseline_is_straightened() -> None:
    x = np.arange(100, 901, 10.0)
    y = 300 + 25 * np.sin((x - 100) / 800 * 2 * np.pi)
    over, under = list(zip(x, y - 10, strict=True)), list(zip(x, y, strict=True))
    page = page_with(over + under[::-1])
    outline = list(zip(x, y - 45, strict=True)) + list(zip(x, y + 20, strict=True))[::-1]
    straight = ink_rows(cut_line(page, outline, under[::4]))
    assert np.ptp(ink_rows(cut_line(page, outline, None))) > 10
    assert np.ptp(straight) < 3
    assert len(straight) > 700


def test_what_lies_outside_the_outline_becomes_paper() -> None:
    page = page_with(box(100, 100, 300, 120), box(100, 150, 300, 170))  # the second bar is the next line's
    line = cut_line(page, [(90, 90), (310, 90), (310, 125), (200, 175), (190, 125), (90, 125)], None)
    assert (line[:, : int(190 / 220 * line.shape[1]) - 90] < 110).any()
    assert (line[45:, :60] == PAPER).all()


def test_without_an_outline_a_band_round_the_baseline_is_cut() -> None:
    line = cut_line(page_with(box(100, 285, 900, 300)), None, [(100, 300), (900, 300)])
    assert line.shape[0] == 64
    assert 20 < ink_rows(line).mean() < 50


def test_a_line_that_stands_out_of_the_page_is_clipped() -> None:
    line = cut_line(page_with(), box(-100, -30, 100, 32), None)
    assert line.shape == (64, 200)
    assert (line == PAPER).all()


NAN = float("nan")


@pytest.mark.parametrize(
    ("polygon", "baseline", "reason"),
    [
        (None, None, "no outline and no baseline"),
        (None, [(5, 5)], "no outline and no baseline"),
        ([], None, "no area"),
        ([(10, 10), (90, 10)], None, "no area"),
        ([(10, 10), (50, 50), (90, 90)], None, "no area"),
        (box(2000, 10, 2100, 50), None, "outside the page"),
        (box(-90, -90, -10, -10), [(-90, -20), (-10, -20)], "outside the page"),
        (None, [(2000, 2000), (2500, 2000)], "outside the page"),
        ([(NAN, 1), (2, 3), (4, 5)], None, "cannot be read"),
        (box(0, 0, float("inf"), 9), None, "cannot be read"),
        (box(0, 0, 50, 9), [(NAN, NAN)], "cannot be read"),
        (box(0, 0, 1e200, 9), None, "cannot be read"),
        (box(0, 10, 1000, 22), None, "too wide"),
    ],
)
def test_what_cannot_be_cut_has_a_fixed_reason(polygon: object, baseline: object, reason: str) -> None:
    with pytest.raises(CutError, match=reason):
        cut_line(page_with(), polygon, baseline)  # type: ignore[arg-type]


def test_any_sane_geometry_gives_a_line_or_a_reason() -> None:
    rng = np.random.default_rng(7)
    page = page_with()
    cut = 0
    for _ in range(60):
        polygon = rng.uniform(-200, 1200, (int(rng.integers(3, 9)), 2)).tolist()
        baseline = rng.uniform(-200, 1200, (int(rng.integers(1, 6)), 2)).tolist() if rng.random() < 0.7 else None
        try:
            line = cut_line(page, polygon, baseline)
        except CutError:
            continue
        assert line.shape[0] == 64
        assert line.shape[1] >= 1
        assert (line == PAPER).all()
        cut += 1
    assert cut > 40


def test_the_spacing_is_that_of_the_column_and_a_share_of_the_page_where_there_is_one_line() -> None:
    left = [[(0.0, y), (400.0, y)] for y in (100, 160, 220, 280)]
    right = [[(500.0, y), (900.0, y)] for y in (115, 175, 235)]
    assert line_spacing(left + right, 600) == 60
    assert line_spacing([*left, [(0.0, 390.0), (400.0, 390.0)]], 600) == 60  # a new paragraph
    assert line_spacing(left[:1], 600) == 20
    assert line_spacing([], 600) == 20
    assert line_spacing([*left, [(NAN, NAN)]], 600) == 60


def test_a_band_too_thin_for_letters_is_known_from_an_outline() -> None:
    baseline = [(100.0, 300.0), (500.0, 310.0), (900.0, 305.0)]
    assert is_thin_band(band(baseline, 20).tolist(), baseline, 60)
    assert not is_thin_band(band(baseline, 58).tolist(), baseline, 60)
    assert not is_thin_band([*box(100, 290, 900, 310), (90, 300), (95, 295)], baseline, 60)
