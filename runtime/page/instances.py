"""Which pixels of the map of cores are one line's: connected ones, parted where two lines hang together.

A low threshold keeps the words of a line together; where it joins lines that stand one above the other, as a word
between two lines does, higher ones part them.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import numpy.typing as npt

LEVELS = (0.45, 0.6, 0.75, 0.85, 0.92)  # of a core's probability, at which lines that hang together may part
MIN_PART = 8  # pixels of each of them at least
STACKED = 0.5  # share of the shorter one's columns that two parts have in common, from which on they are two lines
STEP = 4  # rows that a line rises or falls at most between two of its parts

FloatMap = npt.NDArray[np.float32]
Ints = npt.NDArray[np.intp]
Pixels = tuple[Ints, Ints]  # rows, columns


def parted(mark: FloatMap, pixels: Pixels, levels: Sequence[float] = LEVELS) -> list[Pixels]:
    """The pixels of each of the lines that hang together in a component of a map [H, W]; often but one."""
    rows, columns = pixels
    top, left = int(rows.min()), int(columns.min())
    values = np.zeros((int(rows.max()) - top + 1, int(columns.max()) - left + 1), dtype=np.float32)
    values[rows - top, columns - left] = mark[rows, columns]
    for number, level in enumerate(levels):
        mask = values > level
        begins = mask[1:] & ~mask[:-1]
        if (begins.sum(0) + mask[0]).max() < 2:
            continue  # no column has one thing above another
        parts = sorted((part for part in groups(mask) if len(part[0]) >= MIN_PART), key=lambda part: -len(part[0]))
        lines: list[list[Pixels]] = []
        for part in parts:
            near = sorted((min(gap(part, other) for other in line), k) for k, line in enumerate(lines))
            for _, k in near:
                if not any(stacked(part, other) for other in lines[k]):
                    lines[k].append(part)
                    break
            else:
                lines.append([part])
        if len(lines) > 1:
            return [
                again
                for line in lines
                for again in parted(
                    mark,
                    (
                        np.concatenate([part[0] for part in line]) + top,
                        np.concatenate([part[1] for part in line]) + left,
                    ),
                    levels[number + 1 :],
                )
            ]
    return [pixels]


def stacked(one: Pixels, other: Pixels) -> bool:
    """Whether two parts stand one above the other."""
    first, second = np.unique(one[1]), np.unique(other[1])
    shared = np.intersect1d(first, second, assume_unique=True)
    return len(shared) >= STACKED * min(len(first), len(second))


def gap(one: Pixels, other: Pixels) -> float:
    """How far two parts are from continuing each other: columns between them, and thrice the rows at the joint."""
    if one[1].mean() > other[1].mean():
        one, other = other, one
    end, begin = one[1] >= one[1].max() - STEP, other[1] <= other[1].min() + STEP
    rise = abs(float(one[0][end].mean() - other[0][begin].mean()))
    return max(0, int(other[1].min() - one[1].max())) + 3 * rise


def groups(mask: npt.NDArray[np.bool_]) -> list[Pixels]:
    """The pixels of each component of a mask."""
    labels, count = components(mask)
    rows, columns = np.nonzero(labels)
    owner = labels[rows, columns]
    order = np.argsort(owner, kind="stable")
    cuts = np.searchsorted(owner[order], np.arange(1, count + 2))
    return [(rows[order[start:end]], columns[order[start:end]]) for start, end in pairwise(cuts)]


def components(mask: npt.NDArray[np.bool_]) -> tuple[Ints, int]:
    """Labels [H, W] of the 8-connected components of a mask, from 1, 0 outside; and their number.

    Runs of pixels in a row are joined with those that they touch in the row above.
    """
    height, width = mask.shape
    padded = np.zeros((height, width + 2), dtype=np.int8)
    padded[:, 1:-1] = mask
    steps = np.diff(padded, axis=1)
    row, start = np.nonzero(steps == 1)
    _, end = np.nonzero(steps == -1)  # exclusive
    labels = np.zeros(mask.shape, dtype=np.intp)
    if not len(row):
        return labels, 0
    # A run touches those of the row above that begin at most at its end and end at least at its start. Runs are in
    # order of their row and place, so these are neighbours in the list: `low` to `high`.
    line = width + 2
    low = np.searchsorted(row * line + end, (row - 1) * line + start, side="left")
    high = np.searchsorted(row * line + start, (row - 1) * line + end, side="right")
    parent = list(range(len(row)))
    for run, (first, last) in enumerate(zip(low.tolist(), high.tolist(), strict=True)):
        for other in range(first, last):
            a, b = root(parent, run), root(parent, other)
            parent[max(a, b)] = min(a, b)
    roots = np.array([root(parent, run) for run in range(len(row))])
    names, number = np.unique(roots, return_inverse=True)
    lengths = end - start
    flat = np.repeat(row * width + start - np.concatenate([[0], np.cumsum(lengths)[:-1]]), lengths)
    labels.ravel()[flat + np.arange(len(flat))] = np.repeat(number + 1, lengths)
    return labels, len(names)


def root(parent: list[int], run: int) -> int:
    while parent[run] != run:
        parent[run] = parent[parent[run]]
        run = parent[run]
    return run
