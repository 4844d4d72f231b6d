"""One line of the contract, apart from its files: a device measures lines without the library that reads Parquet."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ...runtime.errors import HtrjandError
from ...runtime.image import load_line


@dataclass(frozen=True)
class LineRow:
    """One text line: its origin, its text (NFC), and its encoded image."""

    id: str
    dataset: str
    doc: str
    page: str
    split: str
    lang: str
    text: str
    image: bytes
    width: int
    height: int

    def pixels(self) -> np.ndarray:
        """The image as uint8 [64, W]; an HtrjandError names the line where it cannot be decoded."""
        try:
            return load_line(self.image)
        except HtrjandError as error:
            raise HtrjandError(f"line {self.id} of {self.dataset}: {error}") from error
