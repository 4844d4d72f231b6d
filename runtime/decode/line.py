"""What a decoder makes of the logits of a line: text, confidences, and places in the image."""

from __future__ import annotations

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
class Line:
    """A line read. `text` is its characters joined; `confidence` how sure the whole text is (0 to 1).

    Both become chances of being right only once a model's `temperature` is calibrated.
    """

    text: str
    confidence: float
    characters: tuple[Character, ...]

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON: confidences with four decimals, places with two."""
        return {
            "text": self.text,
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
