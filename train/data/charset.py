"""Characters and classes: class 0 is the blank, class i the i-th character of a sorted set.

The set is that of the training lines, or one with a name: what a person types, whatever the lines hold.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from ...runtime.errors import HtrjandError
from ...runtime.text import normalize
from .lines import LineRow

BLANK = ""
FRAME_STRIDE = 4  # pixels of a line 64 high for each row of scores: the network's, here since this needs no torch

# French, English and German, with the letters of Spanish names that the lines hold: docs/charset.md has the counts.
LATIN = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
ACCENTED = "àâäçéèêëîïôöùûüÿœæßÀÂÄÇÉÈÊËÎÏÔÖÙÛÜŸŒÆáíóúñ"
SIGNS = " .,;:!?'\"()[]-/&%+=*#@_$€£§°«»"
WESTERN = (BLANK, *sorted(LATIN + ACCENTED + "0123456789" + SIGNS))
CHARSETS = {"western": WESTERN}


def build_charset(texts: Iterable[str], least: int = 1) -> tuple[str, ...]:
    """The blank, then every character that occurs at least `least` times in the normalised texts, sorted."""
    counts: dict[str, int] = {}
    for text in texts:
        for char in normalize(text):
            counts[char] = counts.get(char, 0) + 1
    return (BLANK, *sorted(char for char, count in counts.items() if count >= least))


def encode(text: str, charset: Sequence[str]) -> np.ndarray | None:
    """Classes of the normalised text, int64 [L]; None where it is empty or holds a character outside the charset."""
    index = {char: i for i, char in enumerate(charset)}
    classes = [index.get(char) for char in normalize(text)]
    return None if not classes or None in classes else np.array(classes, dtype=np.int64)


def frames_needed(classes: np.ndarray) -> int:
    """The fewest frames CTC can spell these classes in: one each, and a blank between two alike."""
    return len(classes) + int((classes[1:] == classes[:-1]).sum())


def check_frames(row: LineRow, classes: np.ndarray, width: int) -> None:
    """Raises an HtrjandError where the text of a line needs more frames than `width` pixels give."""
    needed, there = frames_needed(classes), width // FRAME_STRIDE
    if needed > there:
        raise HtrjandError(
            f"line {row.id} of {row.dataset}: {len(classes)} characters need {needed} frames and its {width} pixels "
            f"give {there}; check its crop and its text, or set data.too_narrow to skip"
        )
