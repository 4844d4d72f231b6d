"""Pieces of one line put together: where a core fades at a wide space, but no end is marked in between."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from .instances import Pixels

# In heights of the lines: the gap between two pieces (a core is a little shorter than its line, so there is one), and
# how far the second begins above or below the end of the first.
NEAREST, FARTHEST = -0.2, 2.5
RISE = 0.5
RATIO = 1.6  # of the heights of two pieces, at most
ENDED = 0.45  # probability of an end, from which on a line ends there
LONG = 0.5  # heights of the line that a piece of one that runs upwards is long at least
TIP = 3  # columns that tell at which row a piece begins or ends

FloatMap = npt.NDArray[np.float32]


def joined(ends: FloatMap, pieces: Sequence[Pixels], heights: npt.NDArray[np.float64]) -> list[Pixels]:
    """The pixels of each line.

    Args:
        ends: probability of the end of a line [H, W].
        pieces: the pixels of each piece of a line's core.
        heights: of each piece's line, in pixels of the map.
    """
    upright = [is_upright(piece, height) for piece, height in zip(pieces, heights, strict=True)]
    level = [k for k, on_side in enumerate(upright) if not on_side]
    on_side = [k for k in range(len(pieces)) if upright[k]]
    across = joined_across(ends, [pieces[k] for k in level], heights[level])
    upwards = joined_across(ends.T, [pieces[k][::-1] for k in on_side], heights[on_side])
    return across + [line[::-1] for line in upwards]


def is_upright(piece: Pixels, height: float) -> bool:
    """Whether a piece is of a line that runs up or down: a single figure is higher than wide, too, but not long."""
    rows, columns = piece
    return bool(np.ptp(rows) > np.ptp(columns) and np.ptp(rows) > LONG * height)


def joined_across(ends: FloatMap, pieces: Sequence[Pixels], heights: npt.NDArray[np.float64]) -> list[Pixels]:
    """As `joined`, of lines that run across."""
    if len(pieces) < 2:
        return list(pieces)
    level = np.array([np.ptp(columns) >= np.ptp(rows) for rows, columns in pieces], dtype=bool)
    begins, finishes = (np.array([tip(piece, last) for piece in pieces]) for last in (False, True))  # N, 2: row, column
    near: list[tuple[float, int, int]] = []
    for one in np.flatnonzero(level).tolist():
        height = (heights + heights[one]) / 2
        rise, gap = np.abs(begins[:, 0] - finishes[one, 0]) / height, (begins[:, 1] - finishes[one, 1]) / height
        alike = np.maximum(heights, heights[one]) < RATIO * np.minimum(heights, heights[one])
        later = begins[:, 1] > begins[one, 1]  # so that no chain bites its tail
        follows = level & later & alike & (gap > NEAREST) & (gap < FARTHEST) & (rise < RISE)
        near += [
            (float(gap[other] + 2 * rise[other]), one, other)
            for other in np.flatnonzero(follows).tolist()
            if greatest_between(ends, finishes[one], begins[other]) < ENDED
        ]
    after: dict[int, int] = {}
    taken: set[int] = set()
    for _, one, other in sorted(near):
        if one not in after and other not in taken:
            after[one] = other
            taken.add(other)
    lines = [[first] for first in range(len(pieces)) if first not in taken]
    for line in lines:
        while line[-1] in after:
            line.append(after[line[-1]])
    return [together([pieces[k] for k in line]) for line in lines]


def together(pieces: Sequence[Pixels]) -> Pixels:
    rows, columns = zip(*pieces, strict=True)
    return np.concatenate(rows), np.concatenate(columns)


def tip(piece: Pixels, last: bool) -> tuple[float, float]:
    """Row and column where a piece begins, or where it ends."""
    rows, columns = piece
    column = int(columns.max() if last else columns.min())
    return float(rows[np.abs(columns - column) < TIP].mean()), float(column)


def greatest_between(ends: FloatMap, one: npt.NDArray[np.float64], other: npt.NDArray[np.float64]) -> float:
    """The greatest value of a map on the way from one place (row, column) to another, a pixel to each side included."""
    steps = int(abs(other[1] - one[1])) + 3
    rows = np.linspace(one[0], other[0], steps).round().astype(int) + np.array([[-1], [0], [1]])
    columns = np.linspace(one[1] - 1, other[1] + 1, steps).round().astype(int)
    height, width = ends.shape
    return float(ends[rows.clip(0, height - 1), columns.clip(0, width - 1)].max())
