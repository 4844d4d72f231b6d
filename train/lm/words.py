"""Words of a list, put into prose in the place of others that look like them: texts for who has words and no texts."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from itertools import cycle
from pathlib import Path

import numpy as np

from ...runtime.errors import HtrjandError
from .texts import prose

WORD = re.compile(r"[^\W\d_]+(?:-[^\W\d_]+)*")
SHORTEST = 3  # letters of a word that is taken away or put in
ENDINGS = (3, 2, 0)  # letters that a word in small letters shares with the one in whose place it comes, if it can
NAME_ENDINGS = (1, 0)  # the same of a name
FEWEST = 20  # words that must end alike; else a shorter ending does
DRAWN = 20_000  # words of an ending that are drawn at once, and then taken by turns


class Words:
    """A list of words, to be drawn from.

    Args:
        path: a word a line, written as in a text (names with a capital), and its frequency behind a space or a tab,
            where it has one. Lines that are no single word of three letters are passed over, and counted.
        flat: the power of the frequencies that words are drawn with: 1 as often as they are, 0 all alike.
        random: that they are drawn with.

    Raises:
        HtrjandError: there is no such file, it holds no word, or a frequency is no number.
    """

    def __init__(self, path: Path, flat: float, random: np.random.Generator) -> None:
        self.path, self.passed = path, 0
        pools: dict[tuple[bool, str], dict[str, float]] = {}
        for number, line in enumerate(prose(path, 0), 1):
            word, frequency = parted(line, path, number)
            if len(word) < SHORTEST or not WORD.fullmatch(word):
                self.passed += bool(word)
                continue
            name = not word.islower()
            for letters in NAME_ENDINGS if name else ENDINGS:
                pools.setdefault((name, ending(word, letters)), {})[word] = frequency**flat
        if not pools:
            raise HtrjandError(f"{path}: no word of {SHORTEST} letters; it must hold a word a line")
        self.count = len({word for words in pools.values() for word in words})
        self.drawn: dict[tuple[bool, str], Iterator[str]] = {}
        for key, words in pools.items():
            if len(words) < FEWEST and key[1]:
                continue
            chances = np.array(list(words.values()))
            chosen = random.choice(len(words), DRAWN, p=chances / chances.sum())
            self.drawn[key] = cycle(np.array(list(words))[chosen].tolist())

    def like(self, word: str, name: bool) -> str:
        """A word to stand where `word` does; itself, where the list has none like it."""
        for letters in NAME_ENDINGS if name else ENDINGS:
            if found := self.drawn.get((name, ending(word, letters))):
                return next(found)
        return word


def with_words(
    path: Path, words: Words, share: float, keep: int, random: np.random.Generator
) -> Iterator[str]:  # fmt: skip
    """The lines of prose with words of a list in the place of some of its own.

    A word is replaced by one of the same case that ends alike, so that what stands before and behind still fits.

    Args:
        path: prose, as `htrjand lm build` takes it.
        words: the list.
        share: of the words that may be replaced, those that are.
        keep: so many of the commonest words stay.
        random: chooses which.
    """
    counts = Counter(word for line in prose(path, 0) for word in WORD.findall(line))
    kept = {word for word, _ in counts.most_common(keep)}

    def other(match: re.Match[str]) -> str:
        word = match.group()
        if len(word) < SHORTEST or word in kept or word.isupper() or random.random() >= share:
            return word
        if word.islower():
            return words.like(word, name=False)
        if counts[word.lower()] > counts[word]:  # at the beginning of a sentence
            found = words.like(word.lower(), name=False)
            return found[0].upper() + found[1:]
        return words.like(word, name=True)

    for line in prose(path, 0):
        yield WORD.sub(other, line)


def ending(word: str, letters: int) -> str:
    return word[-letters:].lower() if letters else ""


def parted(line: str, path: Path, number: int) -> tuple[str, float]:
    """A word and its frequency; none given: 1."""
    word, _, last = line.rpartition(" ")
    try:
        frequency = float(last)
    except ValueError:
        return line, 1.0
    if not 0 < frequency < float("inf"):
        raise HtrjandError(f"{path}, line {number}: {last} is no frequency; give a number above 0, or none")
    return word, frequency
