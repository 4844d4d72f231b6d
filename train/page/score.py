"""How well lines are found: recall and precision at an overlap (IoU) of one half, a line matched with one line."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw

from ...runtime.page.cut import Points

MATCH = 0.5  # IoU from which on a line counts as found
IGNORED = 0.5  # share of a line's area in boxes of unlabelled ink, from which on it is not counted as false


@dataclass(frozen=True)
class Found:
    """Counts of lines: those labelled, those predicted (without the ignored ones), those that match."""

    true: int = 0
    predicted: int = 0
    matched: int = 0

    def __add__(self, other: Found) -> Found:
        return Found(self.true + other.true, self.predicted + other.predicted, self.matched + other.matched)

    @property
    def recall(self) -> float:
        """Percent of the labelled lines that were found."""
        return 100 * self.matched / max(self.true, 1)

    @property
    def precision(self) -> float:
        """Percent of the predicted lines that are labelled."""
        return 100 * self.matched / max(self.predicted, 1)


def score_lines(
    true: Sequence[Points], predicted: Sequence[Points], ignore: Sequence[tuple[float, float, float, float]] = ()
) -> Found:
    """Counts for one page.

    Args:
        true, predicted: polygons [N, 2] in the same pixels.
        ignore: boxes x0, y0, x1, y1; a predicted line that matches none and lies in them by half is not counted.
    """
    overlap = overlaps(true, predicted)
    pairs = match(overlap)
    unmatched = set(range(len(predicted))) - {j for _, j in pairs}
    ignored = sum(share_in_boxes(predicted[j], ignore) >= IGNORED for j in unmatched) if ignore else 0
    return Found(len(true), len(predicted) - ignored, len(pairs))


def match(overlap: npt.NDArray[np.float64]) -> list[tuple[int, int]]:
    """Pairs of true and predicted lines, the greatest overlap first, each line in one pair at most."""
    pairs: list[tuple[int, int]] = []
    rows, columns = np.nonzero(overlap >= MATCH)
    used: tuple[set[int], set[int]] = set(), set()
    for k in np.argsort(-overlap[rows, columns], kind="stable"):
        i, j = int(rows[k]), int(columns[k])
        if i not in used[0] and j not in used[1]:
            pairs.append((i, j))
            used[0].add(i)
            used[1].add(j)
    return pairs


def overlaps(first: Sequence[Points], second: Sequence[Points]) -> npt.NDArray[np.float64]:
    """Intersection over union of every pair of polygons: [N, M]."""
    shared, mine, others = shared_areas(first, second)
    union = mine[:, None] + others[None] - shared
    return np.asarray(shared / np.maximum(union, 1))


def shared_areas(
    first: Sequence[Points], second: Sequence[Points]
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Pixels that every pair of polygons has in common [N, M], and those of each polygon: [N], [M]."""
    masks = [[(box(polygon), drawn(polygon)) for polygon in polygons] for polygons in (first, second)]
    shared = np.zeros((len(first), len(second)))
    for i, ((x0, y0, x1, y1), here) in enumerate(masks[0]):
        for j, ((a0, b0, a1, b1), there) in enumerate(masks[1]):
            left, top, right, bottom = max(x0, a0), max(y0, b0), min(x1, a1), min(y1, b1)
            if right > left and bottom > top:
                both = here[top - y0 : bottom - y0, left - x0 : right - x0]
                shared[i, j] = np.count_nonzero(both & there[top - b0 : bottom - b0, left - a0 : right - a0])
    mine, others = (np.array([float(np.count_nonzero(mask)) for _, mask in side]) for side in masks)
    return shared, mine, others


def drawn(polygon: Points) -> npt.NDArray[np.bool_]:
    """The polygon's pixels in the box around it."""
    x0, y0, x1, y1 = box(polygon)
    return filled(polygon, (x0, y0), (x1 - x0, y1 - y0))


def share_in_boxes(polygon: Points, boxes: Sequence[tuple[float, float, float, float]]) -> float:
    """Share of a polygon's area that lies in any of the boxes."""
    x0, y0, x1, y1 = box(polygon)
    inside = filled(polygon, (x0, y0), (x1 - x0, y1 - y0))
    covered = np.zeros_like(inside)
    for a0, b0, a1, b1 in boxes:
        left, top = max(0, round(a0) - x0), max(0, round(b0) - y0)
        covered[top : max(top, round(b1) - y0), left : max(left, round(a1) - x0)] = True
    return float((inside & covered).sum() / max(int(inside.sum()), 1))


def box(polygon: Points) -> tuple[int, int, int, int]:
    """The whole pixels around a polygon: x0, y0, x1, y1."""
    (x0, y0), (x1, y1) = np.floor(polygon.min(0)).astype(int), np.ceil(polygon.max(0)).astype(int) + 1
    return int(x0), int(y0), int(x1), int(y1)


def filled(polygon: Points, corner: tuple[int, int], size: tuple[int, int]) -> npt.NDArray[np.bool_]:
    """The polygon's pixels in a window [height, width] of the page."""
    image = Image.new("1", size)
    ImageDraw.Draw(image).polygon([(float(x), float(y)) for x, y in polygon - corner], fill=1)
    return np.asarray(image)
