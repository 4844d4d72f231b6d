"""Words of a line."""

from __future__ import annotations

import pytest

from htrjand.runtime import Character, Line, Word


def line(text: str) -> Line:
    characters = tuple(
        Character(char, 0.9 - index / 10, 10.0 * index, 10.0 * index + 8) for index, char in enumerate(text)
    )
    return Line(text, 0.5, characters)


def test_words_are_what_stands_between_spaces() -> None:
    assert line("ab  c").words == (
        Word("ab", pytest.approx(0.9 * 0.8), 0.0, 18.0),
        Word("c", pytest.approx(0.5), 40.0, 48.0),
    )


@pytest.mark.parametrize("text", ["", " ", "  "])
def test_a_line_without_ink_has_no_words(text: str) -> None:
    assert line(text).words == ()
