"""Checks a collection of lines for faults, above all those that make test figures worthless.

One pass over the files; each image is decoded once. Only names and a few numbers of each line are kept.
"""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np

from ....runtime.errors import HtrjandError
from ....runtime.image import HEIGHT, load_line, open_image
from ....runtime.text import normalize
from ..charset import FRAME_STRIDE, frames_needed
from ..lines import SPLITS, parquet_files, record_batches
from . import near
from .findings import AuditedLine, Report, Tally, find


def audit(
    paths: Iterable[str | Path],
    *,
    core: bool = False,
    images: bool = True,
    step: Callable[[int], object] = lambda count: None,
) -> Report:
    """Audits the lines of Parquet files and folders.

    Args:
        paths: files and folders of the line contract.
        core: only rows whose `core` column is true.
        images: decode the images too, without which broken and near-identical ones are not found.
        step: called with the number of rows done since the last call.

    Returns:
        Plain values, ready for JSON (see `findings.find`). `voids` holds one sentence for each finding that makes an
        evaluation worthless; the lines are clean where it is empty.

    Raises:
        HtrjandError: a folder holds no Parquet file, or no line can be used.
    """
    collection = Collection(images)
    for path in parquet_files(list(paths)):
        try:
            for _, _, batch in record_batches(path, core, images):
                for row in batch.to_pylist():
                    if row.pop("core", True):
                        collection.add(row)
                step(batch.num_rows)
        except HtrjandError as error:
            collection.unreadable.append(str(error))
    if not collection.lines:
        raise HtrjandError("; ".join(collection.unreadable) or "these files hold no usable line; name others")
    return collection.report()


class Collection:
    """The lines audited so far."""

    def __init__(self, images: bool) -> None:
        self.images = images
        self.lines: list[AuditedLine] = []
        self.tallies: dict[tuple[str, str], Tally] = {}  # dataset, split
        self.text = near.SharedText()
        self.raw: Counter[str] = Counter()  # characters before quotes and dashes are folded
        self.unreadable: list[str] = []  # files, each with its reason
        self.faults: dict[str, list[dict[str, str]]] = {}  # one of few fixed reasons -> lines

    def add(self, row: dict[str, Any]) -> None:
        """Adds one row of a file."""
        line = AuditedLine(str(row["dataset"]), str(row["split"]), str(row["doc"]), str(row["id"]))
        if None in row.values() or min(row["width"], row["height"]) < 1:
            return self.fault("lacks a value or has no size", line)
        line.width = max(1, round(row["width"] * HEIGHT / row["height"]))
        if self.images:
            self.check_image(line, row["image"], (row["width"], row["height"]))
        text = self.check_text(line, row["text"])
        page = (line.dataset, line.doc, row["page"])

        tally = self.tallies.setdefault((line.dataset, line.split), Tally())
        tally.line_count += 1
        tally.docs.add(line.doc)
        tally.pages.add(page)
        tally.width += line.width
        tally.chars.update(text)
        if text:
            frames = line.width // FRAME_STRIDE
            tally.frames.append(frames / len(text))
            if frames_needed(np.array([ord(char) for char in text])) > frames:
                self.fault("more text than frames", line)
        self.text.add(len(self.lines), text, page, line.split == "train")
        self.lines.append(line)

    def check_image(self, line: AuditedLine, encoded: bytes, size: tuple[int, int]) -> None:
        """Decodes the image of a line, and sets the line's shape and width."""
        try:
            image = open_image(encoded, line.id)
            pixels = load_line(image)  # 64, W
        except HtrjandError:
            return self.fault("image does not decode", line)
        if image.size != size:
            self.fault("width or height is not the image's", line)
        line.width = pixels.shape[1]
        line.shape = near.shape(pixels)
        if not line.shape.any():
            self.fault("image shows nothing", line)

    def check_text(self, line: AuditedLine, text: str) -> str:
        """The normalised text of a line; notes faults of its encoding and of the line's split."""
        if line.split not in SPLITS:
            self.fault(f"split is none of {', '.join(SPLITS)}", line)
        composed = unicodedata.normalize("NFC", text)
        if composed != text:
            self.fault("text is not NFC", line)
        self.raw.update(composed)
        normal = normalize(text)
        if not normal:
            self.fault("no text", line)
        return normal

    def fault(self, reason: str, line: AuditedLine) -> None:
        """Notes a fault of a line."""
        self.faults.setdefault(reason, []).append(line.name())

    def report(self) -> Report:
        """All findings, as plain values."""
        grams, shared = self.text.count(len(self.lines))
        shapes = [(line, line.shape) for line in self.lines if line.shape is not None]
        groups = near.alike([shape for _, shape in shapes], [line.width for line, _ in shapes])
        return {"lines": len(self.lines), "images looked at": self.images, "unreadable files": self.unreadable} | find(
            self.lines, self.tallies, self.raw, self.faults, grams, shared,
            [[shapes[i][0] for i in group] for group in groups], len(self.unreadable),
        )  # fmt: skip
