"""What is to be read: files of a folder or store, or images in a Parquet file."""

from __future__ import annotations

import re
import zlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any

from ..errors import HtrjandError
from ..page.jobs import READ
from .store import Entry, Store

NAMES = ("path", "name", "id")  # columns that may name the images of a Parquet file; the first that is there does


@dataclass
class Source:
    """A folder or store of images, TIFF files and PDFs; or a Parquet file with a column `image` of encoded images."""

    store: Store
    held: tuple[int, list[bytes]] = field(default=(-1, []), repr=False)  # a row group's images, in memory

    @property
    def is_parquet(self) -> bool:
        return self.store.shown().endswith(".parquet")

    def entries(self) -> list[Entry]:
        """All that is to be read: files sorted by their paths, images as they stand.

        Raises:
            HtrjandError: nothing is there, or two images have the same name.
        """
        shown = self.store.shown()
        if self.is_parquet:
            return self.images()
        kind = self.store.kind()
        if kind == "nothing":
            raise HtrjandError(f"{shown}: nothing is there, or it may not be seen; check the address")
        if kind == "file":
            raise HtrjandError(f"{shown}: is one file; name its folder, or read it by htrjand read")
        found = [entry for entry in self.store.entries() if is_page(entry.path)]
        if not found:
            raise HtrjandError(f"{shown}: no image and no PDF is there; check the address, or name another folder")
        return found

    def images(self) -> list[Entry]:
        """The images of a Parquet file."""
        shown = self.store.shown()
        columns: list[str] = self.store.parquet(lambda file: file.schema_arrow.names)
        name = next((column for column in NAMES if column in columns), "")
        if not name or "image" not in columns:
            raise HtrjandError(
                f"{shown}: needs a column `image` of encoded images and one of {', '.join(NAMES)} that names them; it "
                f"has {', '.join(columns)}"
            )

        def listed(file: Any) -> list[Entry]:
            entries = []
            for group in range(file.num_row_groups):
                table = file.read_row_group(group, columns=[name, "image"])
                for row, (label, image) in enumerate(zip(table[name], table["image"], strict=True)):
                    if not label.is_valid:
                        raise HtrjandError(f"{shown}: row {row} of row group {group} has no {name}; give it one")
                    data = self.encoded(image.as_py())
                    entries.append(Entry(str(label), len(data), zlib.crc32(data), group, row))
            return entries

        found = self.store.parquet(listed)
        if not found:
            raise HtrjandError(f"{shown}: has no rows; name another file")
        twice = [label for label, count in Counter(entry.path for entry in found).items() if count > 1]
        if twice:
            raise HtrjandError(
                f"{shown}: {len(twice)} names stand more than once in column {name}, the first is {twice[0]}; give "
                "each image its own"
            )
        return found

    def encoded(self, image: Any) -> bytes:
        """The bytes of an image as a column holds it; in those of `datasets` they stand beside a path."""
        image = image.get("bytes") if isinstance(image, dict) else image
        if not isinstance(image, bytes | None):
            raise HtrjandError(f"{self.store.shown()}: column image holds no encoded images but {type(image).__name__}")
        return image or b""

    def data(self, entry: Entry) -> bytes:
        """The encoded image, or the file.

        Raises:
            HtrjandError: it cannot be had, or is no longer what was listed.
        """
        if entry.group < 0:
            return self.store.read(entry.path)
        if self.held[0] != entry.group:
            self.held = entry.group, self.store.parquet(
                lambda file: [self.encoded(image) for image in
                              file.read_row_group(entry.group, columns=["image"])["image"].to_pylist()]
            )  # fmt: skip
        data = self.held[1][entry.row] if entry.row < len(self.held[1]) else b""
        if (len(data), zlib.crc32(data)) != (entry.size, entry.modified):
            raise HtrjandError(f"{self.store.shown()}: image {entry.path} has changed since it was listed; run again")
        return data


def is_page(path: str) -> bool:
    """Whether a file of a folder is read: an image or a PDF, and not hidden."""
    parts = PurePosixPath(path)
    return parts.suffix.lower() in READ and not any(part.startswith(".") for part in parts.parts)


def holds_many(path: str) -> bool:
    """Whether a file may have more than a page."""
    return PurePosixPath(path).suffix.lower() in (".pdf", ".tif", ".tiff")


def check_names(entries: Sequence[Entry]) -> None:
    """Raises an HtrjandError where what is written of two entries would have one name, or lie elsewhere."""
    known: dict[str, str] = {}
    for entry in entries:
        name = output_name(entry.path)
        if name.startswith("/") or ".." in PurePosixPath(name).parts:
            raise HtrjandError(f"{entry.path}: its output would lie outside the results; rename it, or leave out -f")
        if name in known:
            raise HtrjandError(
                f"{entry.path}: its output would be that of {known[name]}; rename one of the two, or leave out -f"
            )
        known[name] = entry.path
    for name, path in known.items():
        if (other := re.sub(r"\.\d{4,}$", "", name)) != name and other in known:
            raise HtrjandError(
                f"{path}: its output might be that of a page of {known[other]}; rename one of the two, or leave out -f"
            )


def output_name(path: str) -> str:
    """`box/scan.jpg` to `box/scan`."""
    return str(PurePosixPath(path).with_suffix("")) if is_page(path) else path
