"""Whether confidences are chances: which words are right, and how far their confidences are from how often they are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from rapidfuzz.distance import Levenshtein

from ...runtime.decode import Line
from ...runtime.text import normalize

BINS = 10
SMALLEST = 1e-6  # of a chance whose logarithm is taken


@dataclass(frozen=True)
class Judged:
    """Confidences, and whether what they are of is right; both [K]."""

    confidences: npt.NDArray[np.float64]
    right: npt.NDArray[np.bool_]

    def error(self, bins: int = BINS) -> float:
        """The expected calibration error (Guo 2017): over bins of equal width, the mean distance between the mean
        confidence and the share that is right, weighted by how many there are."""
        if not len(self.right):
            return 0.0
        place = np.minimum((self.confidences * bins).astype(np.intp), bins - 1)
        counts = np.bincount(place, minlength=bins)
        sure, right = (np.bincount(place, values, bins) for values in (self.confidences, self.right))
        return float(np.abs(sure - right).sum() / counts.sum())

    def loss(self) -> float:
        """Mean negative ln of the chance given to what is the case: what a temperature is fitted by."""
        chances = np.clip(self.confidences, SMALLEST, 1 - SMALLEST)
        return float(-np.log(np.where(self.right, chances, 1 - chances)).mean())

    def ranking(self) -> float:
        """The chance that something right has a higher confidence than something wrong (area under the ROC curve)."""
        order = np.argsort(np.argsort(self.confidences, kind="stable"), kind="stable") + 1.0
        _, group = np.unique(self.confidences, return_inverse=True)
        ranks = (np.bincount(group, order) / np.bincount(group))[group]  # those of equal ones are shared
        right, wrong = int(self.right.sum()), int((~self.right).sum())
        if not right or not wrong:
            return float("nan")
        return float((ranks[self.right].sum() - right * (right + 1) / 2) / (right * wrong))


def judge_words(references: Sequence[str], lines: Sequence[Line]) -> Judged:
    """The words of some lines; right are those that an alignment of words leaves alone."""
    confidences, right = [], []
    for reference, line in zip(references, lines, strict=True):
        words = line.words
        found = [False] * len(words)
        for part in Levenshtein.opcodes(normalize(reference).split(), [normalize(word.text) for word in words]):
            if part.tag == "equal":
                found[part.dest_start : part.dest_end] = [True] * (part.dest_end - part.dest_start)
        confidences += [word.confidence for word in words]
        right += found
    return Judged(np.array(confidences, float), np.array(right, bool))


def judge_lines(references: Sequence[str], lines: Sequence[Line]) -> Judged:
    """Whole lines; right are those without any error."""
    right = [normalize(reference) == normalize(line.text) for reference, line in zip(references, lines, strict=True)]
    return Judged(np.array([line.confidence for line in lines], float), np.array(right, bool))
