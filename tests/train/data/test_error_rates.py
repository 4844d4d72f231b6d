from __future__ import annotations

import numpy as np
import pytest
from rapidfuzz.distance import Levenshtein

from htrjand.runtime.errors import HtrjandError
from htrjand.train.data.error_rates import (
    bit_distance,
    cer,
    cer_interval,
    character_errors,
    compare,
    difference_interval,
    summary,
    wer,
)


def test_rates_are_edits_over_reference_lengths() -> None:
    lines = [compare("abcd efgh", "abxd efg"), compare("a", "a")]
    assert cer(lines) == pytest.approx(100 * 2 / 10)
    assert wer(lines) == pytest.approx(100 * 2 / 3)


def test_long_lines_weigh_more_than_short_ones() -> None:
    lines = [compare("a", "b"), compare("a" * 99, "a" * 99)]
    assert cer(lines) == pytest.approx(1.0)


def test_an_insertion_can_exceed_the_reference() -> None:
    assert cer([compare("a", "abcd")]) == pytest.approx(300.0)


def test_both_sides_are_normalised() -> None:
    errors = compare("l’e\u0301té  — fin", "l'\u00e9t\u00e9 - fin ")
    assert (errors.character_edits, errors.word_edits) == (0, 0)


def test_one_count_of_characters_for_all() -> None:
    assert character_errors("l’e\u0301té  — fin", "l'été - fon ") == (1, 11)
    errors = compare("l’e\u0301té  — fin", "l'été - fon ")
    assert (errors.character_edits, errors.characters) == (1, 11)


def test_a_reference_without_text_is_an_error() -> None:
    with pytest.raises(HtrjandError, match="no text"):
        cer([compare("", "read")])


def test_interval_holds_the_rate_and_is_repeatable() -> None:
    lines = [compare("abcdefghij", "abcdefghi" + ("j" if i % 3 else "x")) for i in range(60)]
    low, high = cer_interval(lines)
    assert low < cer(lines) < high
    assert (low, high) == cer_interval(lines)
    assert cer_interval(lines[:6])[1] - cer_interval(lines[:6])[0] > high - low


def test_summary_says_over_how_much_it_counted() -> None:
    found = summary([compare("ab cd", "ab cd"), compare("ef", "eg")])
    assert (found["lines"], found["characters"], found["words"]) == (2, 7, 3)
    assert found["cer"] == pytest.approx(100 / 7, abs=1e-3)


def test_the_interval_of_a_difference_is_of_the_same_lines() -> None:
    before = [compare("abcdefghij", "abcdefghij"[:cut]) for cut in (10, 9, 5, 2, 0)] * 20
    after = [compare("abcdefghij", "x" + "abcdefghij"[:cut]) for cut in (10, 9, 5, 2, 0)] * 20
    low, high = difference_interval(before, after)
    assert low <= cer(after) - cer(before) <= high
    assert high - low < 3 < cer_interval(before)[1] - cer_interval(before)[0], "lines differ more than readings of one"
    assert difference_interval(before, before) == (0.0, 0.0)


def test_the_distance_of_a_device_without_rapidfuzz_is_rapidfuzzs() -> None:
    random = np.random.default_rng(0)
    for _ in range(400):
        one, other = ("".join(random.choice(list("abcé "), size)) for size in random.integers(0, 90, 2))
        assert bit_distance(one, other) == Levenshtein.distance(one, other), (one, other)
        words = one.split(), other.split()
        assert bit_distance(*words) == Levenshtein.distance(*words)
