"""Texts of synthetic lines: own sentences, records with names and dates, words of a list, prose of a file."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Sequence
from functools import cache
from importlib.resources import files
from pathlib import Path

import numpy as np

from ....runtime.errors import UsageError
from .prose import Prose, read_text

LANGUAGES = ("fr", "en", "de")
SHORTEST, LONGEST = 5, 70  # characters in a line
LENGTH = (46.0, 15.0)  # mean and deviation of a line's length, as of real lines
FORMS = ("record", "chain", "sentence", "prose")
SHARES = (0.20, 0.35, 0.45)  # of records, chains and sentences where there is no prose
BESIDE = (0.50, 0.20, 0.30)  # of the same where there is prose, which has hardly any digits
PROSE = 0.7  # share of prose, where there is any
CAPITALS, PRINTED_CAPITALS = 0.03, 0.12  # shares of lines in capitals, written and printed: print has headings
SWAP = 0.3  # share of a sentence's longer words replaced by random ones, so that letters are learnt, not phrases
SLOT = re.compile(r"\{(\w+)\}")
BETWEEN = re.compile(r"(?<=\w)'(?=\w)")  # an apostrophe; elsewhere it may be a quotation mark


class Writer:
    """Makes up lines in a language; the same state of the generator gives the same line.

    Args:
        language: fr, en or de.
        sources: text files; one whose lines are single words is a list of words, any other is prose.
        prose: the share of lines that are prose, where there is any.

    Raises:
        HtrjandError: a file cannot be read, or holds neither words nor prose.
    """

    def __init__(self, language: str, sources: Iterable[Path] = (), prose: float = PROSE) -> None:
        self.parts = own_text(language)
        read = [read_text(path) for path in sources]
        self.prose = [source for source in read if isinstance(source, Prose)]
        self.words = [word for source in read if not isinstance(source, Prose) for word in source]
        if not self.words:
            found = {word for source in self.prose for word in source.words()}
            own = SLOT.sub(" ", " ".join(self.parts["sentences"]))
            self.words = sorted(found.union(re.findall(r"[^\W\d_]{4,}", own)))
        others = BESIDE if self.prose else SHARES
        share = prose if self.prose else 0.0
        self.shares = np.array([*((1 - share) * np.array(others)), share])

    def line(self, rng: np.random.Generator, share: float = CAPITALS) -> str:
        """One line of 5 to 70 characters; a share of all lines is in capitals."""
        form = FORMS[int(rng.choice(len(FORMS), p=self.shares))]
        length = float(np.clip(rng.normal(*LENGTH), 8, LONGEST))
        if form == "record":
            text = self.filled(pick(self.parts["records"], rng), rng)
        elif form == "prose":
            text = self.prose[int(rng.integers(len(self.prose)))].line(length, rng)
        else:
            text = cut((self.chain(rng) if form == "chain" else self.running(rng)).split(), length, rng)
        if rng.uniform() < share:
            text = capitals(text)
        text = text.replace("’", "'") if rng.uniform() < 0.5 else BETWEEN.sub("’", text)
        text = cut(unicodedata.normalize("NFC", text).split(), LONGEST, None)
        return text if len(text) >= SHORTEST else self.line(rng, share)

    def running(self, rng: np.random.Generator) -> str:
        """Three sentences in a row, long enough to cut a line out of their middle."""
        sentences = (self.filled(pick(self.parts["sentences"], rng), rng) for _ in range(3))
        return " ".join(self.swapped(sentence, rng) for sentence in sentences)

    def chain(self, rng: np.random.Generator) -> str:
        """Random words of the list mixed with small words, punctuation and some numbers."""
        small, result = self.parts["words"][0].split(), []
        for _ in range(14):
            word = pick(self.words, rng) if rng.uniform() < 0.6 else pick(small, rng)
            chance = rng.uniform()
            if chance < 0.12:
                word = word[:1].upper() + word[1:]
            elif chance < 0.17:
                word = number(rng)
            elif chance < 0.20:
                word = f"({word})" if rng.uniform() < 0.5 else f"{word}-{pick(small, rng)}"
            chance = rng.uniform()
            if chance < 0.14:
                word += pick([",", ",", ".", ";", ":", "!", "?", " –", "…"], rng)
            result.append(word)
        return " ".join(result)

    def swapped(self, sentence: str, rng: np.random.Generator) -> str:
        """A sentence with some of its longer words replaced by others, capitalised alike."""

        def other(match: re.Match[str]) -> str:
            word = match.group()
            if rng.uniform() >= SWAP:
                return word
            new = pick(self.words, rng)
            return new[:1].upper() + new[1:] if word[0].isupper() else new

        return re.sub(r"[^\W\d_]{5,}", other, sentence)

    def filled(self, template: str, rng: np.random.Generator) -> str:
        """A template with its {slots} filled."""

        def value(match: re.Match[str]) -> str:
            slot = match.group(1)
            if slot == "name":
                return f"{self.filled('{first}', rng)} {self.filled('{last}', rng)}"
            if slot == "word":
                return pick(self.words, rng)
            if slot in ("date", "price"):
                return self.filled(pick(self.parts[slot], rng), rng)
            if slot in self.parts:
                return pick(" ".join(self.parts[slot]).split(), rng).replace("_", " ")
            if slot in ("two", "three"):  # random digits with leading zeros
                return "".join(map(str, rng.integers(0, 10, 2 if slot == "two" else 3)))
            if slot == "minute":
                return f"{rng.integers(60):02}"
            spans = {"day": (1, 32), "hour": (1, 13), "year": (1780, 2025)}
            return str(rng.integers(*spans[slot])) if slot in spans else number(rng)

        return SLOT.sub(value, template)


def capitals(text: str) -> str:
    """A text in capitals."""
    return unicodedata.normalize("NFC", text.upper())


def number(rng: np.random.Generator) -> str:
    """A number of one to four digits, some with a decimal comma."""
    whole = str(int(10 ** rng.uniform(0, 4)))
    return whole if rng.uniform() < 0.85 else f"{whole[:3]},{int(rng.integers(100)):02}"


def pick(choices: Sequence[str], rng: np.random.Generator) -> str:
    """A random choice."""
    return choices[int(rng.integers(len(choices)))]


def cut(words: list[str], length: float, rng: np.random.Generator | None) -> str:
    """At most `length` characters of the words, from a random word on (without a generator: from the first)."""
    total = sum(len(word) + 1 for word in words) - 1
    start, left = 0, 0
    if rng is not None and total > length:
        skip = rng.uniform(0, total - length)
        while left < skip:
            left += len(words[start]) + 1
            start += 1
    text = ""
    for word in words[start:]:
        if text and len(text) + 1 + len(word) > length:
            break
        text = f"{text} {word}".strip()
    return text[:LONGEST]


@cache
def own_text(language: str) -> dict[str, list[str]]:
    """The sections of the language's file in `texts`: name -> entries."""
    if language not in LANGUAGES:
        raise UsageError(f"language {language!r}: it is one of {', '.join(LANGUAGES)}")
    sections: dict[str, list[str]] = {}
    text = (files(__package__) / "texts" / f"{language}.txt").read_text(encoding="utf-8")
    for line in filter(None, text.splitlines()):
        if line.startswith("["):
            section = sections.setdefault(line.strip("[]"), [])
        else:
            section.append(line)
    return sections
