"""Whether an image is a page or one line of text."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import combinations

from .detect import DetectedLine

LONG = 12  # times its height that an image is wide which is a line: two lines of that width have some 150 characters
LOW = 80  # pixels: two lines in so few rows are hardly read
PAGE_SIDE = 700  # pixels that both sides of a page have at least: with fewer its lines are hardly read
PAGE_LONG = 3  # times its height that a page is wide at most: a spread is 1.4 to 2
NARROW = 0.1  # of an image's width: what is found narrower is a dot or a stroke
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

    1. By its shape: a line is 12 times as wide as it is high, or more; or at most 80 pixels high. A page has 700 pixels
       or more on both sides, and is at most 3 times as wide as it is high, whatever is on it.
    2. What is neither (a word, a number, a strip, a small page) is looked at by the detector, `find_lines`. What is
       narrower than a tenth of the image does not count. It is a page if two lines lie one below the other, or if the
       only one has less than two fifths of its height. Else it is a line: words beside each other are, and so is an
       image in which nothing is found.
    """
    kind = kind_by_shape(width, height)
    if kind is not None:
        return kind == "page"
    boxes = [(line.polygon.min(0), line.polygon.max(0)) for line in find_lines()]  # in pixels of the image
    spans = [(low[1], high[1]) for low, high in boxes if high[0] - low[0] >= NARROW * width]
    if len(spans) == 1:
        return bool(spans[0][1] - spans[0][0] < FILLED * height)
    return any(are_below(*pair) for pair in combinations(spans, 2))


def are_below(one: tuple[float, float], other: tuple[float, float]) -> bool:
    """Whether two lines lie one below the other, by their top and foot: their middles are further apart than half the
    height of the higher one."""
    return abs(sum(one) - sum(other)) > max(one[1] - one[0], other[1] - other[0])
