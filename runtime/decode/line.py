"""What a decoder makes of the logits of a line: text, confidences, and places in the image."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Character:
    """A character read, how sure it is (0 to 1), and where it stands: pixels of the image as it was given."""

    char: str
    confidence: float
    x0: float
    x1: float


@dataclass(frozen=True, slots=True)
class Word:
    """Characters between spaces: `confidence` is the product of theirs."""

    text: str
    confidence: float
    x0: float
    x1: float


@dataclass(frozen=True, slots=True)
class Line:
    """A line read. `text` is its characters joined; `confidence` the chance that all of it is right (0 to 1).

    How far confidences are chances stands in docs/language.md; of models that were not fitted (`htrjand lm fit`) they
    are not calibrated.

    Where a corrector changed the text, `read` is what was read, and `confidence` that of the reading.
    """

    text: str
    confidence: float
    characters: tuple[Character, ...]
    read: str | None = None

    @property
    def words(self) -> tuple[Word, ...]:
        """The words of the text, in order."""
        found: list[list[Character]] = [[]]
        for item in self.characters:
            if item.char.isspace():
                found.append([])
            else:
                found[-1].append(item)
        return tuple(
            Word(
                "".join(item.char for item in word),
                math.prod(item.confidence for item in word),
                word[0].x0,
                word[-1].x1,
            )
            for word in found
            if word
        )

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON: confidences with four decimals, places with two."""
        return {
            "text": self.text,
            **({} if self.read is None else {"read": self.read}),
            "confidence": round(self.confidence, 4),
            "characters": [
                {
                    "char": item.char,
                    "confidence": round(item.confidence, 4),
                    "x0": round(item.x0, 2),
                    "x1": round(item.x1, 2),
                }
                for item in self.characters
            ],
        }
