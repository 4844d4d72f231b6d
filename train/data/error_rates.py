"""Character and word error rates, with the interval that the number of lines allows.

Every CER of this package is counted here: that of validation, of proofs, of searches and of benchmarks.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ...runtime.errors import HtrjandError
from ...runtime.text import normalize

try:
    from rapidfuzz.distance import Levenshtein
except ModuleNotFoundError:  # on a device, which measures with the base install alone
    Levenshtein = None  # type: ignore[assignment]

RESAMPLES = 1000  # of a bootstrap: the ends of a 95 % interval then settle to about a tenth of its width


@dataclass(frozen=True)
class LineErrors:
    """What one line adds to the sums: edits (insert, delete, replace, each 1) and the length of its reference."""

    characters: int
    character_edits: int
    words: int
    word_edits: int


def edit_distance(wanted: Sequence[Hashable], found: Sequence[Hashable]) -> int:
    """The least number of items to insert, delete or replace that makes one sequence of the other."""
    return Levenshtein.distance(wanted, found) if Levenshtein else bit_distance(wanted, found)


def bit_distance(wanted: Sequence[Hashable], found: Sequence[Hashable]) -> int:
    """`edit_distance` by bit vectors over a column of the table of distances (Myers 1999, as Hyyrö 2003 has it)."""
    if not wanted:
        return len(found)
    places: dict[Hashable, int] = defaultdict(int)
    for place, item in enumerate(wanted):
        places[item] |= 1 << place
    last, every, distance = 1 << (len(wanted) - 1), (1 << len(wanted)) - 1, len(wanted)
    more, less = every, 0  # bit i: the distance of i + 1 items is one more, or one less, than that of i
    for item in found:
        same = places.get(item, 0)
        diagonal = (((same & more) + more) ^ more) | same | less
        grown, shrunk = less | (every & ~(diagonal | more)), diagonal & more
        distance += bool(grown & last) - bool(shrunk & last)
        grown = (grown << 1) | 1
        more, less = every & ((shrunk << 1) | ~(diagonal | grown)), every & diagonal & grown
    return distance


def character_errors(reference: str, hypothesis: str) -> tuple[int, int]:
    """Edits between two texts, both spelt by `normalize`, and the characters of the reference."""
    wanted = normalize(reference)
    return edit_distance(wanted, normalize(hypothesis)), len(wanted)


def compare(reference: str, hypothesis: str) -> LineErrors:
    """Counts the errors of one line in characters and in words, both sides spelt by `normalize`."""
    edits, length = character_errors(reference, hypothesis)
    words = normalize(reference).split()
    return LineErrors(length, edits, len(words), edit_distance(words, normalize(hypothesis).split()))


def cer(errors: Sequence[LineErrors]) -> float:
    """Character error rate in percent: all edits over all reference characters (micro average)."""
    return percent([line.character_edits for line in errors], [line.characters for line in errors])


def wer(errors: Sequence[LineErrors]) -> float:
    """Word error rate in percent: all edits over all reference words (micro average)."""
    return percent([line.word_edits for line in errors], [line.words for line in errors])


def cer_interval(errors: Sequence[LineErrors], seed: int = 0) -> tuple[float, float]:
    """The 95 % interval of the CER, in percent: a bootstrap over lines, 1000 draws with replacement.

    Lines of one writer are not independent, so the true interval is somewhat wider.
    """
    edits = np.array([line.character_edits for line in errors])
    lengths = np.array([line.characters for line in errors])
    random = np.random.default_rng(seed)
    rates = []
    for _ in range(RESAMPLES):
        drawn = random.integers(len(errors), size=len(errors))
        rates.append(100 * edits[drawn].sum() / max(1, lengths[drawn].sum()))
    low, high = np.percentile(rates, [2.5, 97.5])
    return float(low), float(high)


def difference_interval(
    before: Sequence[LineErrors], after: Sequence[LineErrors], seed: int = 0
) -> tuple[float, float]:
    """The 95 % interval of what a second reading of the same lines adds to the CER, in points; as `cer_interval`."""
    more = np.array([line.character_edits for line in after]) - [line.character_edits for line in before]
    lengths = np.array([line.characters for line in before])
    drawn = np.random.default_rng(seed).integers(len(before), size=(RESAMPLES, len(before)))
    low, high = np.percentile(100 * more[drawn].sum(1) / np.maximum(1, lengths[drawn].sum(1)), [2.5, 97.5])
    return float(low), float(high)


def summary(errors: Sequence[LineErrors]) -> dict[str, float]:
    """CER with its interval and WER, in percent, and the numbers of lines, characters and words behind them."""
    low, high = cer_interval(errors)
    return {
        "cer": round(cer(errors), 3),
        "cer_low": round(low, 3),
        "cer_high": round(high, 3),
        "wer": round(wer(errors), 3),
        "lines": len(errors),
        "characters": sum(line.characters for line in errors),
        "words": sum(line.words for line in errors),
    }


def percent(edits: npt.ArrayLike, lengths: npt.ArrayLike) -> float:
    """100 · Σ edits / Σ lengths; an HtrjandError where the lengths sum to nothing."""
    total = float(np.sum(lengths))
    if not total:
        raise HtrjandError("the lines hold no text to compare with; give lines with a transcription")
    return 100 * float(np.sum(edits)) / total
