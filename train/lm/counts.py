"""Counts n-grams of characters, a part of the text at a time: what is held is the n-grams, not the text."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

CHUNK = 1 << 22  # characters counted at a time
LINE, OTHER = 0, 255  # codes: the beginning of a line, and a character that is not counted

Keys = npt.NDArray[np.uint64]  # n-grams: the codes of their characters, eight bits each, the first one highest
Values = npt.NDArray[np.float64]


@dataclass
class Counts:
    """N-grams of each length, sorted, and how often each occurs. Length n stands at place n; place 0 is empty.

    An n-gram may begin with the beginning of a line, and holds none else where.
    """

    order: int
    keys: list[Keys] = field(default_factory=list)
    values: list[Values] = field(default_factory=list)

    def __post_init__(self) -> None:
        if not self.keys:
            self.keys = [np.zeros(0, np.uint64) for _ in range(self.order + 1)]
            self.values = [np.zeros(0) for _ in range(self.order + 1)]

    def add(self, codes: npt.NDArray[np.uint8], weight: float = 1.0) -> None:
        """Adds the n-grams of some text, whose lines each begin with the code `LINE`."""
        wide = codes.astype(np.uint64)
        keys = np.zeros(len(wide), np.uint64)  # of the n-grams that begin at each place
        good = np.ones(len(wide), bool)
        for length in range(1, self.order + 1):
            last = codes[length - 1 :]
            keys = (keys[: len(last)] << np.uint64(8)) | wide[length - 1 :]
            good = good[: len(last)] & (last != OTHER) & ((last != LINE) | (length == 1))
            found, times = np.unique(keys[good], return_counts=True)
            self.merge(length, found, times.astype(np.float64) * weight)

    def merge(self, length: int, keys: Keys, values: Values) -> None:
        """Adds counts of n-grams of one length."""
        both, places = np.unique(np.concatenate((self.keys[length], keys)), return_inverse=True)
        sums: Values = np.bincount(places, np.concatenate((self.values[length], values))).astype(np.float64)
        self.values[length] = sums
        self.keys[length] = both


def encoded(lines: Iterable[str], codes: dict[str, int]) -> Iterator[npt.NDArray[np.uint8]]:
    """Lines as codes, each behind the code of its beginning, some millions of characters at a time."""
    table = np.full(0x110000, OTHER, np.uint8)
    for char, code in codes.items():
        if char:
            table[ord(char)] = code
    held: list[str] = []
    size = 0
    for line in lines:
        held.append(line)
        size += len(line) + 1
        if size >= CHUNK:
            yield joined(held, table)
            held, size = [], 0
    if held:
        yield joined(held, table)


def joined(lines: list[str], table: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """Lines as codes. A line feed, which no normalised line holds, stands for the beginning of one."""
    points = np.frombuffer(("\n" + "\n".join(lines)).encode("utf-32-le", "surrogatepass"), np.uint32)
    codes = table[points]
    codes[points == ord("\n")] = LINE
    return codes
