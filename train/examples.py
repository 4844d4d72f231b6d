"""Lines ready to be trained on: texts encoded as classes, unusable lines left out and counted."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np

from ..runtime.errors import HtrjandError, UsageError
from ..runtime.image import HEIGHT, WIDTH_MULTIPLE
from .data.charset import check_frames, encode
from .data.lines import LineRow, Place
from .data.marks import without_marks


@dataclass(frozen=True)
class Example:
    """A line to train on: its row, its classes int64 [L], and where its image is stored if the row has none."""

    row: LineRow
    classes: np.ndarray
    place: Place | None = None

    @property
    def columns(self) -> int:
        """Columns of the image at 64 rows."""
        return max(1, round(self.row.width * HEIGHT / self.row.height))

    @property
    def width(self) -> int:
        """The same, padded."""
        return padded(self.columns)


def padded(width: float) -> int:
    """The next multiple of 16."""
    return -(-round(width) // WIDTH_MULTIPLE) * WIDTH_MULTIPLE


def examples(
    rows: Iterable[tuple[LineRow, Place]], charset: tuple[str, ...], too_narrow: str, marks: str = "keep"
) -> tuple[list[Example], dict[str, int]]:
    """Encodes the texts of rows; returns the usable lines, and how many were left out for each reason.

    Args:
        rows: with the place of each image, which a row without its image keeps.
        charset: the blank and the characters that can be encoded.
        too_narrow: what to do with a line whose text needs more frames than its image has: error or skip.
        marks: keep, or strip to take editorial marks off the texts.

    Raises:
        UsageError: `too_narrow` is neither.
        HtrjandError: a line is too narrow, and that is to be an error.
    """
    if too_narrow not in ("error", "skip"):
        raise UsageError(f"data.too_narrow: error or skip, not {too_narrow!r}")
    kept: list[Example] = []
    skipped = {
        "no text, or a character outside the charset": 0,
        "more text than frames": 0,
        "marked as struck, illegible or doubtful": 0,
    }
    for row, place in rows:
        if marks == "strip":
            text = without_marks(row.text)
            if text is None:
                skipped["marked as struck, illegible or doubtful"] += 1
                continue
            row = row if text == row.text else replace(row, text=text)
        classes = encode(row.text, charset)
        if classes is None:
            skipped["no text, or a character outside the charset"] += 1
            continue
        example = Example(row, classes, None if row.image else place)
        try:
            check_frames(row, classes, example.width)
        except HtrjandError:
            if too_narrow == "error":
                raise
            skipped["more text than frames"] += 1
            continue
        kept.append(example)
    return kept, skipped
