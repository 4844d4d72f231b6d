"""Scores of baselines, counted by hand."""

from __future__ import annotations

import numpy as np
import pytest

from htrjand.train.page.baseline_score import BaselineScore, mean_score, score_baselines, tolerances


def level(x0: float, x1: float, y: float) -> np.ndarray:
    return np.array([[x0, y], [x1, y]], dtype=float)


def lowered(line: np.ndarray, by: float) -> np.ndarray:
    return np.asarray(line + np.array([0, by]))


TRUE = [level(0, 400, y) for y in (100, 140, 180)]  # 40 pixels apart: a tolerance of 10


def test_the_tolerance_is_a_quarter_of_the_line_spacing():
    assert tolerances(TRUE) == pytest.approx([10, 10, 10])
    # The third line is 100 from its neighbour; the mean of 40, 40 and 100 is 60.
    assert tolerances([TRUE[0], TRUE[1], level(0, 400, 240)]) == pytest.approx([10, 10, 15])
    beside = level(500, 900, 110)  # has no line above or below it: the mean
    assert tolerances([*TRUE, beside]) == pytest.approx([10, 10, 10, 10])


def test_within_the_tolerance_all_is_found():
    assert score_baselines(TRUE, [lowered(line, 9.5) for line in TRUE]) == BaselineScore(1, 1)


def test_between_one_and_three_tolerances_the_score_falls():
    score = score_baselines([TRUE[0], TRUE[2]], [level(0, 400, 100), level(0, 400, 220)])  # 80 apart: tolerance 20
    assert score == BaselineScore(pytest.approx((1 + 0.5) / 2), pytest.approx((1 + 0.5) / 2))  # 40 off: (60 - 40) / 40


def test_a_line_in_two_pieces_costs_precision_alone():
    score = score_baselines(TRUE, [*TRUE[:2], level(0, 198, 180), level(202, 400, 180)])
    assert score.recall == pytest.approx(1) and score.precision == pytest.approx(3 / 4)
    assert score.f1 == pytest.approx(6 / 7)


def test_half_a_line_costs_recall_alone():
    score = score_baselines([TRUE[0], TRUE[1]], [TRUE[0], level(0, 200, 140)])
    assert score.precision == 1
    # Of the other half the 10 pixels next to what was found count whole, the next 20 by half.
    assert score.recall == pytest.approx((1 + (200 + 10 + 10) / 400) / 2, abs=0.01)


def test_lines_found_twice_or_falsely_cost_precision():
    assert score_baselines(TRUE, [*TRUE, TRUE[0]]) == BaselineScore(1, 0.75)
    assert score_baselines(TRUE, [*TRUE, level(0, 400, 600)]) == BaselineScore(1, 0.75)


def test_what_is_spared_counts_only_where_it_touches_a_line():
    away = level(0, 400, 600)
    assert score_baselines(TRUE, [*TRUE, away], [False, False, False, True]) == BaselineScore(1, 1)
    assert score_baselines(TRUE, [*TRUE, TRUE[0]], [False, False, False, True]).precision == 0.75


def test_distances_are_counted_along_the_axes():
    """As the competition's program does: a point 6 to the right and 6 below is 12 away, not 8.5."""
    ends = level(0, 400, 100), level(0, 400, 140)  # a tolerance of 10
    score = score_baselines(ends, [ends[0], level(406, 800, 146)])
    assert score.precision == pytest.approx(0.5 + 0.5 * sum((30 - 12 - 5 * k) / 20 for k in range(4)) / 79, abs=0.002)


def test_a_page_on_its_side_scores_the_same():
    turn = np.array([[0.0, -1.0], [1.0, 0.0]])
    found = [level(0, 400, 100 + 15), level(30, 400, 140), level(0, 380, 180)]
    plain = score_baselines(TRUE, found)
    turned = score_baselines([line @ turn.T for line in TRUE], [line @ turn.T for line in found])
    assert turned.recall == pytest.approx(plain.recall, abs=0.005)
    assert turned.precision == pytest.approx(plain.precision, abs=0.005)


def test_nothing_there_or_nothing_found():
    assert score_baselines([], []) == BaselineScore(1, 1)
    assert score_baselines([], TRUE) == BaselineScore(1, 0)
    assert score_baselines(TRUE, []) == BaselineScore(0, 1)


def test_the_f1_of_pages_is_that_of_the_means():
    score = mean_score([BaselineScore(1, 0.5), BaselineScore(0.5, 1)])
    assert score == BaselineScore(0.75, 0.75) and score.f1 == 0.75
