"""Errors like a reader's, for text that it never read: which pieces it takes for which others, and how often."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence

import numpy as np
from rapidfuzz.distance import Levenshtein

LONGEST = 3  # characters of a piece
LEAST = 2  # times that a confusion was seen


class Confusions:
    """What a reader makes of pieces of one to three characters, counted over aligned pairs of text and reading.

    A piece is replaced by what it was taken for, at the rate at which that was seen; characters that were read where
    there were none follow the one before them. How bad a line is is drawn from the lines that were seen: errors come
    together.

    Args:
        pairs: of the text and what was read.
    """

    def __init__(self, pairs: Iterable[tuple[str, str]]) -> None:
        seen: Counter[str] = Counter()
        wrong: dict[str, Counter[str]] = defaultdict(Counter)
        self.rates = []  # edits a character of each line
        for text, read in pairs:
            for length in range(1, LONGEST + 1):
                seen.update(text[at : at + length] for at in range(len(text) - length + 1))
            edits = 0
            for one in Levenshtein.opcodes(text, read):
                old, new = text[one.src_start : one.src_end], read[one.dest_start : one.dest_end]
                edits += max(len(old), len(new)) * (one.tag != "equal")
                if one.tag == "insert":
                    before = text[one.src_start - 1 : one.src_start]
                    wrong[before][before + new] += 1
                elif one.tag != "equal" and len(old) <= LONGEST and len(new) <= LONGEST + 1:
                    wrong[old][new] += 1
            if text:
                self.rates.append(edits / len(text))
        self.mean = max(1e-6, float(np.mean(self.rates))) if self.rates else 1e-6
        self.found: dict[str, tuple[float, list[str], np.ndarray]] = {}
        for piece, counter in wrong.items():
            kept = {other: count for other, count in counter.items() if count >= LEAST}
            total = sum(kept.values())
            if piece and total:
                shares = np.cumsum(list(kept.values())) / total
                self.found[piece] = (total / max(seen[piece], total), list(kept), shares)

    def spoil(self, text: str, random: np.random.Generator, rate: float | None = None) -> str:
        """The text with errors.

        Args:
            rate: edits a character, about; None: that of a line which was seen, drawn at random.
        """
        if rate is None:
            rate = self.rates[int(random.integers(len(self.rates)))] if self.rates else 0.0
        times, at, out = rate / self.mean, 0, []
        chances = random.random(LONGEST * len(text)) if text else np.zeros(0)
        while at < len(text):
            for length in range(min(LONGEST, len(text) - at), 0, -1):
                found = self.found.get(text[at : at + length])
                if found and chances[LONGEST * at + length - 1] < min(0.9, times * found[0]):
                    others, shares = found[1], found[2]
                    out.append(others[int(np.searchsorted(shares, random.random(), side="right")) % len(others)])
                    at += length
                    break
            else:
                out.append(text[at])
                at += 1
        return "".join(out)


def error_rate(pairs: Sequence[tuple[str, str]]) -> float:
    """Edits a hundred characters."""
    edits = sum(Levenshtein.distance(text, read) for text, read in pairs)
    return 100 * edits / max(1, sum(len(text) for text, _ in pairs))
