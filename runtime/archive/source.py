"""What is to be read: files of a folder or store, or images in a Parquet file."""

from __future__ import annotations

import zlib
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath

from ..errors import HtrjandError
from ..page.jobs import READ
from .store import Entry, Store

NAMES = ("path", "name", "id")  # columns that may name the images of a Parquet file; the first that is there does


@dataclass
class Source:
    """A folder or store of images, TIFF files and PDFs; or a Parquet file with a column `image` of encoded images."""

    store: Store
    held: tuple[int, list[bytes | None]] = field(default=(-1, []), repr=False)  # a row group's images, in memory

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
        shown, file = self.store.shown(), self.store.parquet()
        columns = file.schema_arrow.names
        name = next((column for column in NAMES if column in columns), "")
        if not name or "image" not in columns:
            raise HtrjandError(
                f"{shown}: needs a column `image` of encoded images and one of {', '.join(NAMES)} that names them; it "
                f"has {', '.join(columns)}"
            )
        found = []
        for group in range(file.num_row_groups):
            table = file.read_row_group(group, columns=[name, "image"])
            for row in range(table.num_rows):
                data = table["image"][row].as_py() or b""
                found.append(Entry(str(table[name][row]), len(data), zlib.crc32(data), group, row))
        twice = [label for label, count in Counter(entry.path for entry in found).items() if count > 1]
        if twice:
            raise HtrjandError(
                f"{shown}: {len(twice)} names stand more than once in column {name}, the first is {twice[0]}; give "
                "each image its own"
            )
        return found

    def data(self, entry: Entry) -> bytes:
        """The encoded image, or the file."""
        if entry.group < 0:
            return self.store.read(entry.path)
        if self.held[0] != entry.group:
            table = self.store.parquet().read_row_group(entry.group, columns=["image"])
            self.held = entry.group, table["image"].to_pylist()
        return self.held[1][entry.row] or b""


def is_page(path: str) -> bool:
    """Whether a file of a folder is read: an image or a PDF, and not hidden."""
    parts = PurePosixPath(path)
    return parts.suffix.lower() in READ and not any(part.startswith(".") for part in parts.parts)


def output_names(entries: Sequence[Entry]) -> Iterator[tuple[Entry, str]]:
    """Each entry with the name of what is written beside the results of it, without a suffix; pages add a number.

    Raises:
        HtrjandError: two entries would have the same.
    """
    known: dict[str, str] = {}
    for entry in entries:
        name = output_name(entry.path)
        if name in known:
            raise HtrjandError(
                f"{entry.path}: its output would be that of {known[name]}; rename one of the two, or leave out -f"
            )
        known[name] = entry.path
        yield entry, name


def output_name(path: str) -> str:
    """`box/scan.jpg` to `box/scan`."""
    return str(PurePosixPath(path).with_suffix("")) if is_page(path) else path
