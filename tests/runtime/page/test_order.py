"""Reading order, on pages drawn as boxes whose order a person would not doubt."""

from __future__ import annotations

import math

import numpy as np
import pytest

from htrjand.runtime.page.order import reading_order

HEIGHT = 30.0


def line(x0: float, x1: float, y: float, height: float = HEIGHT) -> tuple[np.ndarray, float]:
    """A level line, its baseline at y."""
    return np.array([[x0, y], [(x0 + x1) / 2, y], [x1, y]]), height


def column(x0: float, x1: float, top: float = 100, count: int = 6, step: float = 40) -> list[tuple[np.ndarray, float]]:
    return [line(x0, x1 - 7 * (i % 3), top + step * i) for i in range(count)]


def turned(lines: list[tuple[np.ndarray, float]], degrees: float) -> list[tuple[np.ndarray, float]]:
    angle = math.radians(degrees)
    turn = np.array([[math.cos(angle), math.sin(angle)], [-math.sin(angle), math.cos(angle)]])
    return [(baseline @ turn, height) for baseline, height in lines]


def order(lines: list[tuple[np.ndarray, float]], seed: int = 0) -> list[list[int]]:
    """The regions, given the lines in any order."""
    shuffled = np.random.default_rng(seed).permutation(len(lines))
    found = reading_order([lines[i][0] for i in shuffled], [lines[i][1] for i in shuffled])
    return [[int(shuffled[i]) for i in region] for region in found]


@pytest.mark.parametrize("degrees", [0, -5, 4])
def test_a_column_is_read_downwards(degrees: float) -> None:
    assert order(turned(column(100, 900, count=20), degrees)) == [list(range(20))]


@pytest.mark.parametrize("degrees", [0, -4, 5])
@pytest.mark.parametrize("shift", [0, 17])
def test_columns_are_read_one_after_the_other(degrees: float, shift: float) -> None:
    lines = column(100, 480) + column(520, 900, top=100 + shift) + column(940, 1300)
    assert order(turned(lines, degrees)) == [list(range(6)), list(range(6, 12)), list(range(12, 18))]


def test_headings_part_columns_into_bands() -> None:
    lines = [
        line(100, 900, 60), *column(100, 480), *column(520, 900),
        line(150, 850, 400), *column(100, 480, top=450), *column(520, 900, top=450),
    ]  # fmt: skip
    assert [index for region in order(lines) for index in region] == list(range(26))
    assert [len(region) for region in order(lines)] == [1, 6, 6, 1, 6, 6]


def test_a_spread_is_read_page_by_page() -> None:
    left = column(100, 480) + column(520, 900)
    right = column(1200, 1580) + column(1620, 2000)
    assert [index for region in order(left + right) for index in region] == list(range(24))


def test_a_margin_of_its_own_is_read_for_itself() -> None:
    lines = column(40, 160, top=150, count=3) + column(220, 900, count=12)
    assert order(lines) == [[0, 1, 2], list(range(3, 15))]
    few = [line(40, 160, 185), *column(220, 900, count=6)]  # too few to be a column: read at its height
    assert order(few) == [[1, 2, 3, 0, 4, 5, 6]] or order(few) == [[1, 2, 0, 3, 4, 5, 6]]


def test_words_between_lines_stand_between_them() -> None:
    lines = [line(100, 900, 100), line(400, 520, 122, 15), line(100, 900, 150), line(100, 900, 200)]
    assert order(lines) == [[0, 1, 2, 3]]


def test_pieces_of_a_row_are_read_from_left_to_right() -> None:
    lines = [line(100, 300, 104), line(320, 600, 98), line(640, 800, 102), line(100, 800, 150)]
    assert order(lines) == [[0, 1, 2, 3]]


def test_pages_of_little() -> None:
    assert reading_order([], []) == []
    assert order([line(10, 50, 10)]) == [[0]]
    assert order([line(10, 10.5, 10, 1.0), line(10, 10.5, 10, 1.0)]) in ([[0, 1]], [[1, 0]])


def test_no_line_is_lost() -> None:
    random = np.random.default_rng(5)
    for _ in range(30):
        count = int(random.integers(1, 120))
        lines = [
            line(x, x + random.uniform(5, 800), random.uniform(0, 1500), random.uniform(4, 60))
            for x in random.uniform(0, 1000, count)
        ]
        assert sorted(index for region in order(lines) for index in region) == list(range(count))


@pytest.mark.parametrize("upwards", [True, False])
def test_lines_up_and_down_the_margins_come_after_the_others(upwards: bool) -> None:
    lines = column(100, 480) + column(520, 900)
    margins = [(np.array([[x, 350.0], [x, 120.0]])[:: 1 if upwards else -1], HEIGHT) for x in (40.0, 75.0, 950.0)]
    assert order(lines + margins) == [list(range(6)), list(range(6, 12)), [12], [13], [14]]
    assert order(margins) == [[0], [1], [2]]
