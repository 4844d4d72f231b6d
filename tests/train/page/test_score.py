"""Scores, counted by hand."""

from __future__ import annotations

import numpy as np
import pytest

from htrjand.train.page.score import Found, match, overlaps, score_lines, share_in_boxes


def rectangle(x0: float, y0: float, x1: float, y1: float) -> np.ndarray:
    return np.array([[x0, y0], [x1, y0], [x1, y1], [x0, y1]], dtype=float)


def test_overlap_is_intersection_over_union():
    first, second = rectangle(0, 0, 99, 19), rectangle(0, 10, 99, 29)  # 100 by 20 pixels each, 100 by 10 in common
    assert overlaps([first], [second, first])[0] == pytest.approx([1 / 3, 1])
    assert overlaps([first], [rectangle(0, 40, 99, 59)])[0, 0] == 0


def test_a_page_is_counted():
    true = [rectangle(0, y, 99, y + 19) for y in (0, 40, 80)]
    predicted = [
        rectangle(0, 3, 99, 22),  # 17 of 23 rows in common: found
        rectangle(0, 52, 99, 71),  # 8 of 32 rows: not found
        rectangle(0, 80, 99, 99),
        rectangle(0, 200, 99, 219),  # nothing there
    ]
    found = score_lines(true, predicted)
    assert found == Found(true=3, predicted=4, matched=2)
    assert found.recall == pytest.approx(200 / 3) and found.precision == 50


def test_a_line_found_twice_counts_once():
    line = rectangle(0, 0, 99, 19)
    assert score_lines([line], [line, line]) == Found(1, 2, 1)
    assert score_lines([line, line], [line]) == Found(2, 1, 1)


def test_two_lines_found_as_one_are_not_found():
    true = [rectangle(0, 0, 99, 19), rectangle(0, 20, 99, 39)]
    assert score_lines(true, [rectangle(0, 0, 99, 39)]).matched == 1  # just half of one of them
    assert score_lines(true, [rectangle(0, 0, 99, 45)]).matched == 0


def test_the_best_overlap_is_matched_first():
    assert match(np.array([[0.6, 0.9], [0.0, 0.8]])) == [(0, 1)]
    assert sorted(match(np.array([[0.9, 0.6], [0.8, 0.7]]))) == [(0, 0), (1, 1)]


def test_a_line_on_unlabelled_ink_is_not_counted_as_false():
    true = [rectangle(0, 0, 99, 19)]
    stamp = rectangle(200, 0, 259, 19)
    assert score_lines(true, [*true, stamp]) == Found(1, 2, 1)
    assert score_lines(true, [*true, stamp], [(200, 0, 240, 30)]) == Found(1, 1, 1)
    assert score_lines(true, [*true, stamp], [(200, 0, 220, 30)]) == Found(1, 2, 1)
    assert score_lines(true, [*true], [(0, 0, 300, 30)]) == Found(1, 1, 1)  # a true line counts everywhere


def test_boxes_that_overlap_cover_once():
    square = rectangle(0, 0, 99, 99)
    assert share_in_boxes(square, [(0, 0, 50, 100), (0, 0, 50, 100)]) == pytest.approx(0.5)
    assert share_in_boxes(square, [(-50, -50, 200, 200)]) == 1


def test_nothing_predicted_or_nothing_labelled():
    line = rectangle(0, 0, 99, 19)
    assert score_lines([line], []) == Found(1, 0, 0)
    assert score_lines([], [line]) == Found(0, 1, 0)
    assert score_lines([], []).recall == score_lines([], []).precision == 0
