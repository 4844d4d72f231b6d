"""Whether an image is a page or one line of text."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from .detect import DetectedLine

LONG = 16  # times its height that an image is wide which is surely a line: half of it has some hundred characters
LOW = 48  # pixels: two lines in so few rows cannot be read
PAGE_SIDE = 700  # pixels that both sides of a page have at least: with fewer its lines are hardly read
PAGE_LONG = 3  # times its height that a page is wide at most: a spread is 1.4 to 2
FILLED = 0.4  # share of an image's height that its only line has at least; else the line stands on a page


def kind_by_shape(width: int, height: int) -> str | None:
    """ "line" or "page" where the size in pixels tells, else None; see `is_page`."""
    if width >= LONG * height or height <= LOW:
        return "line"
    if min(width, height) >= PAGE_SIDE and width <= PAGE_LONG * height:
        return "page"
    return None


def is_page(width: int, height: int, find_lines: Callable[[], Sequence[DetectedLine]]) -> bool:
    """Whether an image is a page of lines, and not one line.

    1. By its shape, in pixels: a line is 16 times as wide as it is high, or more; or at most 48 pixels high. A page has
       700 pixels or more on both sides, and is at most 3 times as wide as it is high, whatever is on it.
    2. What is neither (a word, a number, a strip, a small page) is looked at by the detector, `find_lines`. It is a
       page if two lines or more are found in it that lie one below the other, or one that has less than two fifths of
       its height. Else it is a line: words beside each other are, and so is an image in which none is found.
    """
    kind = kind_by_shape(width, height)
    if kind is not None:
        return kind == "page"
    found = find_lines()
    if len(found) == 1:
        return bool(heights(found)[0] < FILLED * height)
    return are_below(found)


def heights(lines: Sequence[DetectedLine]) -> list[float]:
    """How high lines are, in the pixels they are given in."""
    return [float(np.ptp(line.polygon[:, 1])) for line in lines]


def are_below(lines: Sequence[DetectedLine]) -> bool:
    """Whether two of the lines lie one below the other: their middles are further apart than half the higher one."""
    middles = [float(line.polygon[:, 1].mean()) for line in lines]
    highs = heights(lines)
    return any(
        abs(middles[one] - middles[other]) > max(highs[one], highs[other]) / 2
        for one in range(len(lines))
        for other in range(one)
    )
