"""Pieces of a line are put together where no end is marked between them, and only there."""

from __future__ import annotations

import numpy as np
import pytest

from htrjand.runtime.page.detect import STRIDE, FloatMap, find_lines

HEIGHT = 6  # of a line, in pixels of the maps


def maps(cores: list[tuple[int, int, int]], ends: list[tuple[int, int, int]] = []) -> FloatMap:  # noqa: B006
    """Maps [4, 60, 120] with cores and marks of ends at (row, first column, last column), 3 pixels high."""
    drawn = np.zeros((4, 60, 120), dtype=np.float32)
    for channel, bars in enumerate((cores, ends)):
        for row, first, last in bars:
            drawn[channel, row - 1 : row + 2, first:last] = 0.9
    drawn[2:] = np.log(HEIGHT * STRIDE / 2)
    return drawn


def spans(drawn: FloatMap) -> list[tuple[int, int]]:
    """First and last column of each line, in pixels of the maps."""
    return [tuple((line.baseline[[0, -1], 0] / STRIDE).round().astype(int)) for line in find_lines(drawn)]


def test_a_wide_space_does_not_end_a_line():
    whole = spans(maps([(20, 10, 90)]))
    assert len(whole) == 1
    assert spans(maps([(20, 10, 40), (20, 48, 90)])) == whole


def test_of_three_pieces_one_line_comes_whatever_their_order():
    assert spans(maps([(21, 30, 50), (20, 10, 26), (20, 56, 90)])) == spans(maps([(20, 10, 90)]))


@pytest.mark.parametrize(
    ("cores", "ends"),
    [
        ([(20, 10, 40), (20, 48, 90)], [(20, 43, 45)]),  # a cell ends there
        ([(20, 10, 40), (20, 58, 90)], []),  # too far
        ([(20, 10, 40), (25, 48, 90)], []),  # the next line
        ([(20, 10, 90), (26, 10, 90)], []),  # one above the other
        ([(20, 10, 14), (20, 16, 20)], [(20, 14, 16)]),
    ],
)
def test_other_neighbours_stay_two(cores: list[tuple[int, int, int]], ends: list[tuple[int, int, int]]):
    assert len(spans(maps(cores, ends))) == 2


def test_upright_lines_of_a_page_on_its_side_stay_apart():
    turned = maps([(20, 10, 55), (28, 10, 55), (36, 10, 55)]).swapaxes(1, 2)
    assert len(find_lines(np.ascontiguousarray(turned))) == 3


def test_no_speck_is_lost():
    rng = np.random.default_rng(1)
    drawn = maps([])
    drawn[0] = rng.random(drawn[0].shape) < 0.25
    lines = find_lines(drawn)
    assert len(lines) > 10
    for line in lines:
        assert np.isfinite(line.polygon).all()
    found = np.zeros(drawn[0].shape, dtype=bool)
    for line in lines:
        left, top = np.floor(line.polygon.min(0) / STRIDE).astype(int)
        right, foot = np.ceil(line.polygon.max(0) / STRIDE).astype(int)
        found[max(top, 0) : foot, max(left, 0) : right] = True
    assert found[drawn[0] > 0].mean() > 0.95
