"""The order in which lines are read: columns from left to right, in each the rows from top to bottom.

1. Lines are turned by their median slope, so that a skewed page is cut as a level one.
2. A gutter is a strip of white, as wide as a line is high or wider, with three lines or more on each side that stand
   beside each other. At most a quarter of the lines cross it; one that ends in it counts as six. Of several the
   widest is taken, less for lines that cross.
3. The lines that cross a gutter (headings, mostly) divide what it parts into bands. In each band all of the left side
   comes before the right one. Either side is cut again by the same rule: a spread falls into pages, these into columns.
4. What has no gutter is a region. Lines in it whose middles are nearer than half their height, and that stand side by
   side, are a row, from left to right. Words between two lines are rows of their own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from .cut import runs_upwards

Floats = npt.NDArray[np.float64]

GUTTER = 1.0  # width of a gutter at least, in heights of a line
BESIDE = 3  # lines on each side of it at least
CROSSED = 0.25  # share of the lines that may cross it
ENDING = 6  # times that a line which ends in it counts as one that crosses it
CROSSING = 20.0  # heights of a line that a gutter is narrower for all of the lines crossing it
ROW = 0.5  # heights that the middles of lines of one row are apart at most
OVERLAP = 0.3  # of the shorter one's width that two lines of one row may share


@dataclass(frozen=True)
class Spans:
    """Where lines are, turned level: left and right ends, middles, heights; each [N], in pixels."""

    left: Floats
    right: Floats
    middle: Floats
    height: Floats


def reading_order(baselines: Sequence[Floats], heights: Sequence[float]) -> list[list[int]]:
    """The indices of lines in the order in which they are read, by region.

    Args:
        baselines: of each line, points [K, 2] in reading direction, in pixels, y down.
        heights: of each line, in pixels.
    """
    margins = [i for i, line in enumerate(baselines) if runs_upwards(line)]
    across = [i for i in range(len(baselines)) if i not in margins]
    found: list[list[int]] = []
    if across:
        lines = level([baselines[i] for i in across], np.asarray(heights, np.float64)[across])
        cut = regions(lines, np.arange(len(across)), float(np.median(lines.height)))
        found = [[across[i] for i in region] for region in cut]
    return found + [[i] for i in sorted(margins, key=lambda i: float(baselines[i][:, 0].mean()))]


def level(baselines: Sequence[Floats], heights: Floats) -> Spans:
    """The lines, turned by their median slope."""
    ends = np.array([(line[0], line[-1]) for line in baselines], np.float64)  # N, 2, 2
    runs = ends[:, 1] - ends[:, 0]
    angle = float(np.median(np.arctan2(runs[:, 1], np.maximum(runs[:, 0], 1e-6))))
    cosine, sine = np.cos(angle), np.sin(angle)
    x, y = ([line[:, 0] * a + line[:, 1] * b for line in baselines] for a, b in ((cosine, sine), (-sine, cosine)))
    middle = np.array([float(line.mean()) for line in y]) - heights / 2
    return Spans(np.array([line.min() for line in x]), np.array([line.max() for line in x]), middle, heights)


def regions(lines: Spans, chosen: npt.NDArray[np.intp], height: float) -> list[list[int]]:
    """Some lines in order, by region; `height` is that of a line of the page."""
    parted = part(lines, chosen, height)
    if parted is None:
        return [rows(lines, chosen)]
    left, right = parted
    crossing = np.setdiff1d(chosen, np.concatenate(parted))
    found: list[list[int]] = []
    begin = -np.inf
    for line in [*crossing[np.argsort(lines.middle[crossing], kind="stable")].tolist(), None]:
        end = np.inf if line is None else lines.middle[line]
        for side in (left, right):
            inside = side[(lines.middle[side] >= begin) & (lines.middle[side] < end)]
            if len(inside):
                found += regions(lines, inside, height)
        if line is not None:
            found.append([line])
        begin = end
    return found


def part(
    lines: Spans, chosen: npt.NDArray[np.intp], height: float
) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]] | None:
    """The lines to the left and to the right of the best gutter; None where there is none."""
    left, right, middle = lines.left[chosen], lines.right[chosen], lines.middle[chosen]
    best, found = -np.inf, None
    ends, begins = np.unique(right), np.unique(left)
    for end in ends:
        before = right <= end
        if before.sum() < BESIDE:
            continue
        for begin in begins[begins > end + GUTTER * height]:
            behind = left >= begin
            others = ~(before | behind)
            ending = others & ((left >= end) | (right <= begin))
            crossing = others.mean() + (ENDING - 1) * ending.mean()
            if crossing > CROSSED or behind.sum() < BESIDE:
                break  # a wider gutter has more in it
            worth = (begin - end) / height - CROSSING * crossing
            beside = min(middle[before].max(), middle[behind].max()) - max(middle[before].min(), middle[behind].min())
            if worth > best and beside > height:
                best, found = worth, (chosen[before], chosen[behind])
    return found


def rows(lines: Spans, chosen: npt.NDArray[np.intp]) -> list[int]:
    """Lines from top to bottom, and those of a row from left to right."""
    waiting = chosen[np.argsort(lines.middle[chosen], kind="stable")].tolist()
    found: list[int] = []
    while waiting:
        row = [waiting[0]]
        for line in waiting[1:]:
            apart = lines.middle[line] - lines.middle[row[0]]
            if apart < ROW * min(lines.height[line], lines.height[row[0]]) and all(
                are_beside(lines, line, other) for other in row
            ):
                row.append(line)
        waiting = [line for line in waiting if line not in row]
        found += sorted(row, key=lambda line: float(lines.left[line]))
    return found


def are_beside(lines: Spans, one: int, other: int) -> bool:
    """Whether two lines share hardly any columns."""
    shared = min(lines.right[one], lines.right[other]) - max(lines.left[one], lines.left[other])
    return bool(shared < OVERLAP * min(lines.right[i] - lines.left[i] for i in (one, other)))
