"""How well baselines are found: recall and precision by the rule of the competition cBAD.

M. Diem, F. Kleber, S. Fiel, T. Grüning, B. Gatos: cBAD: ICDAR2017 Competition on Baseline Detection. The measure is
that of T. Grüning, R. Labahn, M. Diem, F. Kleber, S. Fiel: READ-BAD, a new dataset and evaluation scheme for baseline
detection in archival documents, DAS 2018 (arXiv 1705.03311). Distances are counted as the authors' program does
(TranskribusBaseLineEvaluationScheme 0.1.3): from point to point, in whole pixels, along the axes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ...runtime.page.cut import Points, direction, perpendicular

STEP = 5.0  # pixels between the points of a resampled baseline
LEAST_POINTS = 20  # of a resampled baseline, if it is as many pixels long
TOLERANCE = 0.25  # of the distance to the nearest line above or below
NONE_NEAR = 250.0  # pixels: a line further away tells no line spacing
LEAST = 1.0  # pixels of tolerance, where two baselines cross


@dataclass(frozen=True)
class BaselineScore:
    """Recall and precision of a page, or their means over pages; from 0 to 1."""

    recall: float
    precision: float

    @property
    def f1(self) -> float:
        """Their harmonic mean."""
        total = self.recall + self.precision
        return 2 * self.recall * self.precision / total if total else 0.0


def mean_score(pages: Sequence[BaselineScore]) -> BaselineScore:
    """The score of several pages: the mean of their recalls, and of their precisions; its F1 is that of the means."""
    return BaselineScore(*(float(np.mean([getattr(page, name) for page in pages])) for name in ("recall", "precision")))


def score_baselines(
    true: Sequence[Points], predicted: Sequence[Points], spared: Sequence[bool] | None = None
) -> BaselineScore:
    """The score of one page.

    Recall is the mean over true lines of the share that all predicted lines together cover: a line found in two pieces
    is found. Precision is the mean over predicted lines of the share that is covered by the true line each is paired
    with, the best covered pair first and each line in one pair at most: of two pieces of a line one counts.

    Args:
        true, predicted: baselines [N, 2] in the same pixels.
        spared: which of the predicted lines do not count where they touch no true one: those on unlabelled ink, say.
    """
    if not true:
        counted = len(predicted) - sum(spared or ())
        return BaselineScore(1.0, 0.0 if counted else 1.0)
    if not predicted:
        return BaselineScore(0.0, 1.0)
    points, found = ([resampled(line) for line in lines] for lines in (true, predicted))
    tolerance = tolerances(points)
    recall = np.mean([
        coverage(np.min([distances(mine, other, 3 * limit) for other in found], axis=0), limit)
        for mine, limit in zip(points, tolerance, strict=True)
    ])  # fmt: skip
    share = np.array([
        [coverage(distances(other, line, 3 * limit), limit) for line, limit in zip(points, tolerance, strict=True)]
        for other in found
    ])  # predicted, true  # fmt: skip
    counted = len(found)
    if spared is not None:
        counted -= int((np.asarray(spared) & ~share.any(1)).sum())
    return BaselineScore(float(recall), paired(share) / counted if counted else 1.0)


def paired(share: npt.NDArray[np.float64]) -> float:
    """The sum of shares [N, M] of pairs, the greatest first, each row and column in one pair at most."""
    left, total = share.copy(), 0.0
    for _ in range(min(left.shape)):
        row, column = np.unravel_index(int(left.argmax()), left.shape)
        if left[row, column] <= 0:
            break
        total += float(left[row, column])
        left[row], left[:, column] = 0, 0
    return total


def coverage(distance: npt.NDArray[np.float64], tolerance: float) -> float:
    """The mean over points: 1 up to the tolerance, falling to 0 at three times as much."""
    return float(np.clip((3 * tolerance - distance) / (2 * tolerance), 0, 1).mean())


def tolerances(lines: Sequence[Points]) -> list[float]:
    """For each true line a quarter of its smallest distance, across its direction, to another above or below it; of the
    mean of such distances on the page where that is smaller, or where there is none."""
    spacing = []
    everything = np.concatenate(lines)
    owner = np.repeat(np.arange(len(lines)), [len(line) for line in lines])
    for index, line in enumerate(lines):
        along = direction(line)
        frame = np.stack([along, perpendicular(along)], axis=1)
        mine, others = line @ frame, everything[owner != index] @ frame
        near = (others[:, 0] >= mine[:, 0].min()) & (others[:, 0] <= mine[:, 0].max())
        order = np.argsort(mine[:, 0], kind="stable")
        across = np.abs(others[near, 1] - np.interp(others[near, 0], mine[order, 0], mine[order, 1]))
        spacing.append(float(across.min(initial=np.inf)))
    known = [value for value in spacing if value < NONE_NEAR]
    usual = float(np.mean(known)) if known else NONE_NEAR
    return [max(LEAST, TOLERANCE * min(value, usual)) for value in spacing]


def resampled(polyline: Points) -> Points:
    """Whole pixels [N, 2] at equal distances of about `STEP` along a baseline, its two ends among them."""
    polyline = np.asarray(polyline, dtype=np.float64).round()
    lengths = np.abs(np.diff(polyline, axis=0)).max(1)  # as many pixels as a drawn line has
    along = np.concatenate([[0.0], np.cumsum(lengths)])
    count = min(max(LEAST_POINTS, int(along[-1] / STEP) + 1), int(along[-1]) + 1)
    places = np.linspace(0, along[-1], max(2, count))
    found = np.stack([np.interp(places, along, polyline[:, axis]) for axis in (0, 1)], axis=1)
    return np.asarray(np.rint(found), dtype=np.float64)


def distances(points: Points, line: Points, limit: float) -> npt.NDArray[np.float64]:
    """From each point [N, 2] to the nearest of others [M, 2]; infinite where all are further away than `limit`."""
    if (points.min(0) > line.max(0) + limit).any() or (points.max(0) < line.min(0) - limit).any():
        return np.full(len(points), np.inf)
    return np.asarray(np.abs(points[:, None] - line).sum(2).min(1))
