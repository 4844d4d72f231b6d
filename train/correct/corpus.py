"""Pairs for a corrector, without end: lines that the reader read, and prose with errors like the reader's."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ...runtime.decode.corrector import ALONE, with_context
from ..lm.texts import prose
from .confusions import Confusions
from .pairs import Pair

POOL = 32  # batches whose pairs are sorted by length


@dataclass(frozen=True)
class Corpus:
    """Batches of (what was read, the text), the same for a seed from whichever step it starts.

    Args:
        pairs: of lines.
        books: prose, a string a language, its paragraphs apart by newlines.
        prose: share of pairs that are prose.
        clean: share without an error.
        size: pairs in a batch.
        context: what was read comes with its neighbours: those of pairs, or of prose, with errors like the reader's.
    """

    pairs: Sequence[Pair]
    books: Sequence[str]
    prose: float
    clean: float
    size: int
    seed: int
    context: bool = False

    def batches(self, start: int = 0) -> Iterator[list[tuple[str, str]]]:
        """The batches from step `start` on."""
        confusions = Confusions((pair.text, pair.read) for pair in self.pairs)
        lengths = np.array([len(pair.text) for pair in self.pairs])
        pool = start // POOL
        while True:
            random = np.random.default_rng((self.seed, pool))
            drawn = [self.draw(random, confusions, lengths) for _ in range(POOL * self.size)]
            drawn.sort(key=lambda pair: len(pair[1]))
            order = random.permutation(POOL)
            for place in range(start - pool * POOL, POOL):
                at = int(order[place]) * self.size
                yield drawn[at : at + self.size]
            pool += 1
            start = pool * POOL

    def draw(self, random: np.random.Generator, confusions: Confusions, lengths: np.ndarray) -> tuple[str, str]:
        """One pair."""
        clean = random.random() < self.clean
        if random.random() >= self.prose:
            pair = self.pairs[int(random.integers(len(self.pairs)))]
            read = pair.text if clean else pair.read
            return sourced(read, pair.around, self.context, confusions, random), pair.text
        text = ""
        while not text:
            book = self.books[int(random.integers(len(self.books)))]
            place, length = int(random.integers(len(book))), int(lengths[random.integers(len(lengths))])
            text = passage(book, place, length)
        around = ALONE
        if self.context:
            at = book.find(text, place)
            around = line_before(book, at, length), passage(book, at + len(text), length)
        read = text if clean else confusions.spoil(text, random)
        return sourced(read, around, self.context, confusions, random), text


def sourced(
    read: str, around: tuple[str, str], context: bool, confusions: Confusions, random: np.random.Generator
) -> str:
    """What the network is given: what was read and, where it has context, the texts around it with errors."""
    if not context:
        return read
    before, after = (confusions.spoil(text, random) for text in around)
    return with_context(read, (before, after))


def passage(book: str, place: int, length: int) -> str:
    """Whole words of a book from a place on, about so many characters, within one paragraph."""
    begin = book.find(" ", place) + 1 or place
    part = book[begin : begin + length + 12].partition("\n")[0]
    if len(part) > length:
        part = part[: max(part.rfind(" ", 0, length + 1), 0) or length]
    return part.strip()


def line_before(book: str, place: int, length: int) -> str:
    """Whole words of a book up to a place, at most so many characters, within one paragraph."""
    part = book[max(0, place - length - 1) : place].rpartition("\n")[2]
    return part.partition(" ")[2].strip() if len(part) > length else part.strip()


def books_of(paths: Sequence[Path], charset: Sequence[str]) -> list[str]:
    """The prose of each file, characters outside the charset taken out."""
    allowed = frozenset(charset)
    books = []
    for path in paths:
        paragraphs = ("".join(char for char in line if char in allowed) for line in prose(path, 0))
        books.append("\n".join(paragraph for paragraph in paragraphs if paragraph))
    return books
