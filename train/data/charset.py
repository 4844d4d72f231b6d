"""Charsets: class 0 is the CTC blank, class i the i-th character in sorted order.

A charset is collected from the training lines, or is one of the named ones below, which hold what a person would type.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from ...runtime.errors import HtrjandError
from ...runtime.text import normalize
from .lines import LineRow

BLANK = ""
FRAME_STRIDE = 4  # columns of a line 64 pixels high for each frame of the network; defined here, without torch

# French, English and German, and the letters of Spanish names in the data: docs/charset.md has the counts.
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
    """The fewest frames CTC needs for these classes: one each, and a blank between equal neighbours."""
    return len(classes) + int((classes[1:] == classes[:-1]).sum())


def check_frames(row: LineRow, classes: np.ndarray, width: int) -> None:
    """Raises an HtrjandError where the text of a line needs more frames than `width` pixels give."""
    needed, available = frames_needed(classes), width // FRAME_STRIDE
    if needed > available:
        raise HtrjandError(
            f"line {row.id} of {row.dataset}: {len(classes)} characters need {needed} frames and its {width} pixels "
            f"give {available}; check its crop and its text, or set data.too_narrow to skip"
        )
