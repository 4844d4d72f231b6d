"""Words of a list, put into prose in the place of others that look like them: so a list becomes text."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ...runtime.errors import HtrjandError
from .texts import prose

WORD = re.compile(r"[^\W\d_]+(?:-[^\W\d_]+)*")
VOWELS = "aeiouyhàâäæéèêëîïôöœùûü"  # and h, before which French may elide
SHORTEST = 3  # letters of a word that is taken away or put in
ENDINGS = (3, 2, 0)  # letters that a word in small letters shares with the one in whose place it comes, if it can
NAME_ENDINGS = (1, 0)  # the same of a name
FEWEST = 20  # words that must end alike; else a shorter ending does
DRAWN = 1000  # words that are drawn at once


class Kind(NamedTuple):
    """What words have in common that may stand for each other."""

    name: bool  # it has a capital of its own
    vowel: bool  # it begins with one: l'homme, le cheval; an owl, a cat
    ending: str


class Words:
    """A list of words, to be drawn from.

    Args:
        path: a word a line, written as in a text (names with a capital), and its frequency behind a space or a tab,
            where it has one. Lines that are no single word of at least three letters are passed over, and counted.
        power: of the frequencies that words are drawn with: 1 as often as the list says, 0 all alike.
        random: that they are drawn with.

    Raises:
        HtrjandError: there is no such file, it holds no word, or a frequency is no number above 0.
    """

    def __init__(self, path: Path, power: float, random: np.random.Generator) -> None:
        self.passed = 0
        frequencies: dict[str, float] = {}
        for number, line in enumerate(prose(path, 0), 1):
            word, frequency = parted(line, path, number)
            if len(word) >= SHORTEST and WORD.fullmatch(word):
                frequencies[word] = frequencies.get(word, 0.0) + frequency
            else:
                self.passed += bool(line)
        if not frequencies:
            raise HtrjandError(f"{path}: no word of at least {SHORTEST} letters; it must hold a word a line")
        self.count, most = len(frequencies), max(frequencies.values())
        pools: dict[Kind, tuple[list[str], list[float]]] = {}
        for word, frequency in frequencies.items():
            for kind in kinds(word, not word.islower()):
                words, chances = pools.setdefault(kind, ([], []))
                words.append(word)
                chances.append((frequency / most) ** power)
        self.drawn = {
            kind: drawn(words, chances, random)
            for kind, (words, chances) in pools.items() if len(words) >= FEWEST or not kind.ending
        }  # fmt: skip

    def like(self, word: str, name: bool) -> str:
        """A word to stand where `word` does; itself, where the list has none like it."""
        return next((next(self.drawn[kind]) for kind in kinds(word, name) if kind in self.drawn), word)


def with_words(
    paths: Sequence[Path], words: Words, share: float, keep: int, random: np.random.Generator
) -> Iterator[str]:
    """The lines of prose with words of a list in the place of some of its own.

    A word is replaced by one of the same case that ends alike, and begins with a vowel where that one does, so that
    what stands before and behind mostly fits.

    Args:
        paths: prose, as `htrjand lm build` takes it.
        words: the list.
        share: of the words that may be replaced, those that are.
        keep: so many of the commonest words of all texts together stay.
        random: chooses which.

    Raises:
        HtrjandError: there is no text.
    """
    lines = [line for path in paths for line in prose(path, 0)]
    counts = Counter(word for line in lines for word in WORD.findall(line))
    if not counts:
        raise HtrjandError(f"{', '.join(map(str, paths))}: no text; name another file")
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

    for line in lines:
        yield WORD.sub(other, line)


def kinds(word: str, name: bool) -> Iterator[Kind]:
    """The kinds that a word is of, the closest first."""
    for letters in NAME_ENDINGS if name else ENDINGS:
        yield Kind(name, word[0].lower() in VOWELS, word[-letters:].lower() if letters else "")


def drawn(words: Sequence[str], chances: Sequence[float], random: np.random.Generator) -> Iterator[str]:
    """Words without end, in proportion to their chances."""
    bounds = np.cumsum(chances)
    while True:
        places = np.searchsorted(bounds, random.random(DRAWN) * bounds[-1], side="right")
        for place in np.minimum(places, len(words) - 1).tolist():
            yield words[place]


def parted(line: str, path: Path, number: int) -> tuple[str, float]:
    """A word and its frequency; none given: 1."""
    word, space, last = line.rpartition(" ")
    try:
        frequency = float(last) if space else 1.0
    except ValueError:
        return line, 1.0
    if not 0 < frequency < 1e300:
        raise HtrjandError(f"{path}, line {number}: {last} is no frequency; give a number above 0, or none")
    return (word, frequency) if space else (line, frequency)
