"""Calibration figures, against cases counted by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from htrjand.runtime import Character, Line
from htrjand.train.data.reliability import Judged, judge_lines, judge_words


def line(text: str, confidence: float) -> Line:
    return Line(text, confidence ** len(text), tuple(Character(char, confidence, 0, 1) for char in text))


def test_words_are_right_where_an_alignment_leaves_them() -> None:
    judged = judge_words(["le chat noir dort", "a b"], [line("le chaf noir dort la", 0.9), line("", 0.3)])
    assert judged.right.tolist() == [True, False, True, True, False]
    assert judged.confidences == pytest.approx([0.9**2, 0.9**4, 0.9**4, 0.9**4, 0.9**2])
    twisted = judge_words(["l’eau – là"], [line("l'eau - là", 1.0)])  # one spelling for both
    assert twisted.right.tolist() == [True] * 3


def test_lines_are_right_without_any_error() -> None:
    judged = judge_lines(["l’eau", "ab", ""], [line("l'eau", 0.8), line("aB", 0.7), Line("", 0.6, ())])
    assert judged.right.tolist() == [True, False, True] and judged.confidences[2] == 0.6


def test_the_calibration_error_is_the_distance_between_confidence_and_share() -> None:
    confidences = np.array([0.15] * 4 + [0.85] * 4)
    perfect = Judged(np.array([0.25] * 4 + [0.75] * 4), np.array([1, 0, 0, 0, 1, 1, 1, 0], bool))
    assert perfect.error() == pytest.approx(0)
    assert Judged(confidences, perfect.right).error() == pytest.approx(0.1)
    assert Judged(np.ones(4), np.array([1, 0, 0, 0], bool)).error() == pytest.approx(0.75)
    assert Judged(np.zeros(0), np.zeros(0, bool)).error() == 0


def test_the_loss_is_least_for_the_true_chance() -> None:
    right = np.array([1, 0, 0, 0], bool)
    losses = {chance: Judged(np.full(4, chance), right).loss() for chance in (0.1, 0.25, 0.5, 1.0)}
    assert min(losses, key=losses.__getitem__) == 0.25
    assert losses[0.25] == pytest.approx(-(math.log(0.25) + 3 * math.log(0.75)) / 4) and math.isfinite(losses[1.0])


def test_the_ranking_is_the_chance_that_right_stands_above_wrong() -> None:
    right = np.array([1, 1, 0, 0], bool)
    assert Judged(np.array([0.9, 0.8, 0.2, 0.1]), right).ranking() == 1
    assert Judged(np.array([0.9, 0.1, 0.5, 0.2]), right).ranking() == 0.5
    assert Judged(np.full(4, 0.5), right).ranking() == 0.5
    assert math.isnan(Judged(np.full(4, 0.5), np.ones(4, bool)).ranking())
