"""Character and word error rates, with the interval that the number of lines allows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from rapidfuzz.distance import Levenshtein

from ...runtime.errors import HtrjandError
from ...runtime.text import normalize

RESAMPLES = 1000  # of a bootstrap: the ends of a 95 % interval then settle to about a tenth of its width


@dataclass(frozen=True)
class LineErrors:
    """What one line adds to the sums: edits (insert, delete, replace, each 1) and the length of its reference."""

    characters: int
    character_edits: int
    words: int
    word_edits: int


def compare(reference: str, hypothesis: str) -> LineErrors:
    """Counts the errors of one line, both sides spelt by `normalize`."""
    wanted, read = normalize(reference), normalize(hypothesis)
    return LineErrors(
        len(wanted),
        Levenshtein.distance(wanted, read),
        len(wanted.split()),
        Levenshtein.distance(wanted.split(), read.split()),
    )


def cer(lines: Sequence[LineErrors]) -> float:
    """Character error rate in percent: all edits over all reference characters (micro average)."""
    return percent([line.character_edits for line in lines], [line.characters for line in lines])


def wer(lines: Sequence[LineErrors]) -> float:
    """Word error rate in percent: all edits over all reference words (micro average)."""
    return percent([line.word_edits for line in lines], [line.words for line in lines])


def cer_interval(lines: Sequence[LineErrors], seed: int = 0) -> tuple[float, float]:
    """The 95 % interval of the CER, in percent: lines drawn anew with replacement, 1000 times.

    Lines of one writer are not independent, so the true interval is somewhat wider.
    """
    edits = np.array([line.character_edits for line in lines])
    lengths = np.array([line.characters for line in lines])
    random = np.random.default_rng(seed)
    rates = []
    for _ in range(RESAMPLES):
        drawn = random.integers(len(lines), size=len(lines))
        rates.append(100 * edits[drawn].sum() / max(1, lengths[drawn].sum()))
    low, high = np.percentile(rates, [2.5, 97.5])
    return float(low), float(high)


def summary(lines: Sequence[LineErrors]) -> dict[str, float]:
    """CER with its interval and WER, in percent, and what they were counted over."""
    low, high = cer_interval(lines)
    return {
        "cer": round(cer(lines), 3),
        "cer_low": round(low, 3),
        "cer_high": round(high, 3),
        "wer": round(wer(lines), 3),
        "lines": len(lines),
        "characters": sum(line.characters for line in lines),
        "words": sum(line.words for line in lines),
    }


def percent(edits: Sequence[int], lengths: Sequence[int]) -> float:
    """100 · Σ edits / Σ lengths."""
    if not sum(lengths):
        raise HtrjandError("the lines hold no text to compare with; give lines with a transcription")
    return 100 * sum(edits) / sum(lengths)
