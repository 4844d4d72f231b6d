"""What an archive run keeps in its folder or store.

| file | holds |
|---|---|
| `archive.json` | what was read, and with what: a run with other files or options goes elsewhere |
| `pages/BLOCK.parquet` | a row a page, see `schema`; each is written once its block is read |
| `tries/BLOCK.json` | that a block is begun, and how far it is where a process ended over it |
| `alto/…`, `page/…` | the pages as XML, if asked for |
"""

from __future__ import annotations

import io
import json
import re
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from ..errors import HtrjandError, UsageError
from ..text import json_text
from .store import Entry, Store

if TYPE_CHECKING:
    import pyarrow as pa

FORMAT = "htrjand-archive-1"
MANIFEST, PAGES, TRIES = "archive.json", "pages", "tries"
# Why a page could not be read: the image is broken or no page; the store did not give it; it ended its process.
IMAGE, STORE, CRASH = "image", "store", "crash"
AGAIN = (STORE, CRASH)  # what failed so is tried again by the next run
KNOWN = ("path", "size", "modified", "kind", "created", "block")
READERS = 16  # files of results that are read at a time


def schema() -> pa.Schema:
    """The columns of the results: a row a page, or a file that could not be opened."""
    import pyarrow as pa

    points = pa.list_(pa.list_(pa.float32(), 2))
    line = pa.struct([
        ("text", pa.string()), ("confidence", pa.float32()), ("polygon", points), ("baseline", points),
    ])  # fmt: skip
    return pa.schema([
        ("path", pa.string()),  # below the source's address
        ("page", pa.int32()),  # of the file, from 1
        ("size", pa.int64()),  # of the file, bytes
        ("modified", pa.int64()),  # nanoseconds since 1970; of an image of a Parquet file its CRC-32
        ("sha256", pa.string()),  # of the file
        ("width", pa.int32()),  # pixels, as all coordinates
        ("height", pa.int32()),
        ("turned", pa.int32()),  # degrees clockwise, by which the page was turned to be read
        ("text", pa.string()),  # a line of text a line
        ("confidence", pa.float32()),  # mean of the lines'; null where there is none
        ("lines", pa.list_(line)),  # in reading order
        ("error", pa.string()),  # null where it was read
        ("kind", pa.string()),  # of the error: image, store or crash
        ("seconds", pa.float32()),  # from the first byte to the text
        ("created", pa.string()),  # when it was read, UTC
        ("block", pa.string()),
    ])  # fmt: skip


def table_of(rows: Sequence[dict[str, Any]]) -> pa.Table:
    """Rows in a fraction of the memory that they take as dictionaries."""
    import pyarrow as pa

    return pa.Table.from_pylist(list(rows), schema())


@dataclass(frozen=True)
class Results:
    """The folder or store that an archive's results are in."""

    store: Store

    def claim(self, values: dict[str, Any]) -> None:
        """Writes down what is read with what, or compares it with what stands there.

        Raises:
            UsageError: the place holds results of something else.
        """
        values = {"format": FORMAT, **values}
        shown = self.store.shown()
        claimed, read = self.store.kind(MANIFEST) != "nothing", bool(self.store.entries(PAGES))
        if read and not claimed:
            raise UsageError(f"{shown}: holds {PAGES}/ and no {MANIFEST}; name an empty folder")
        if not read:  # a claim of a run that read nothing binds nobody
            if claimed:
                self.manifest()
            self.store.write(MANIFEST, (json_text(values, indent=1) + "\n").encode())
            return
        there = self.manifest()
        told = [
            f"{key} was {there.get(key)!r} and is {values[key]!r}"
            for key in values if key != "models" and there.get(key) != values[key]
        ]  # fmt: skip
        known = there.get("models", {})
        now = values["models"]
        told += [f"{name} is not among its models" for name in now if known.get(name) != now[name]]
        told += [f"{name} is among its models" for name in known if name not in now]
        if told:
            raise UsageError(f"{shown}: holds the results of another run ({'; '.join(told)}); name another folder")

    def manifest(self) -> dict[str, Any]:
        """What `claim` wrote; an HtrjandError where it cannot be read."""
        if self.store.kind(MANIFEST) == "nothing":
            raise HtrjandError(f"{self.store.shown()}: no results of htrjand archive are here; name their folder")
        try:
            found = json.loads(self.store.read(MANIFEST))
            if not isinstance(found, dict) or found.get("format") != FORMAT:
                raise ValueError("of another format")
        except ValueError as error:
            raise HtrjandError(
                f"{self.store.shown(MANIFEST)}: not that of an archive ({error}); name its folder"
            ) from error
        return found

    def blocks(self) -> list[str]:
        """Names of the files of results."""
        return [entry.path for entry in self.store.entries(PAGES) if entry.path.endswith(".parquet")]

    def rows(self, columns: Sequence[str]) -> Iterator[dict[str, Any]]:
        """The newest row of each page that is there, in no order."""
        for table in self.newest(columns):
            yield from table.to_pylist()

    def newest(self, columns: Sequence[str]) -> Iterator[pa.Table]:
        """The newest rows of each file of results, with `path` and `block` besides the columns asked for."""
        import pyarrow as pa

        names = self.blocks()  # once: others may be written meanwhile
        newest: dict[str, tuple[str, str]] = {}
        for table in self.tables(("path", "created", "block"), names):
            for path, *made in zip(*table.to_pydict().values(), strict=True):
                newest[path] = max(newest.get(path, ("", "")), tuple(made))
        for table in self.tables([*dict.fromkeys([*columns, "path", "block"])], names):
            places = zip(table["path"].to_pylist(), table["block"].to_pylist(), strict=True)
            yield table.filter(pa.array([newest[path][1] == block for path, block in places], pa.bool_()))

    def tables(self, columns: Sequence[str], names: Sequence[str]) -> Iterator[pa.Table]:
        """Files of results; a few are read at a time, since a store takes its time for each."""
        with ThreadPoolExecutor(READERS) as pool:
            for begin in range(0, len(names), READERS):
                yield from pool.map(partial(self.table, columns=columns), names[begin : begin + READERS])

    def table(self, name: str, columns: Sequence[str]) -> pa.Table:
        """One file of results; of a nested column `lines.list.element.text` is a part."""
        asked = {column.partition(".")[0] for column in columns}

        def read(file: Any) -> pa.Table:
            if lacking := asked - set(file.schema_arrow.names):
                raise KeyError(f"it has no {', '.join(sorted(lacking))}")
            return file.read(columns=list(columns))

        return self.store.parquet(read, name)

    def done(self) -> dict[str, tuple[int, int]]:
        """Size and time of each file that was read, or never will be; what may be read the next time is left out."""
        found: dict[str, tuple[str, str, int, int]] = {}
        again: dict[str, str] = {}  # the newest block in which a file failed so that it is tried again
        for table in self.tables(KNOWN, self.blocks()):
            for path, size, modified, kind, created, block in zip(
                *(table[name].to_pylist() for name in KNOWN), strict=True
            ):
                known = created, block, size, modified
                found[path] = max(found.get(path, known), known)
                if kind in AGAIN and block == found[path][1]:
                    again[path] = block
        return {path: known[2:] for path, known in found.items() if again.get(path) != known[1]}

    def name(self, block: str) -> str:
        """Of the file that has a block's rows."""
        return f"{PAGES}/{block}.parquet"

    def commit(self, block: str, tables: Sequence[pa.Table]) -> None:
        """Writes the rows of a block, which `table_of` made, whole or not at all."""
        import pyarrow as pa
        from pyarrow import parquet as pq

        stream = io.BytesIO()
        table = pa.concat_tables(tables)
        place = table.schema.get_field_index("block")
        table = table.set_column(place, "block", pa.array([block] * len(table), pa.string()))
        pq.write_table(table, stream, compression="zstd")
        self.store.write(self.name(block), stream.getvalue())

    def tries(self, block: str, run: str) -> tuple[int, int] | None:
        """What `note` kept of a block in this run; None where it was not begun in it."""
        name = f"{TRIES}/{block}.json"
        if self.store.kind(name) == "nothing":
            return None
        try:
            noted, done, times = json.loads(self.store.read(name))
            return (int(done), int(times)) if noted == run else None
        except (ValueError, TypeError):  # of a disk that lost its power, or of another version: nothing is known
            return None

    def note(self, block: str, run: str, done: int = 0, times: int = 0) -> None:
        """Keeps that a block is begun in a run; where a process ended over it, how many of its files are written since,
        and how often the next one was begun."""
        self.store.write(f"{TRIES}/{block}.json", json_text([run, done, times]).encode())

    def forget(self, block: str) -> None:
        """Once the block is written."""
        self.store.remove(f"{TRIES}/{block}.json")

    def tidy(self) -> None:
        """Removes what is kept of blocks that will not come again, at the end of a run."""
        for entry in self.store.entries(TRIES):
            if re.fullmatch(rf"{TRIES}/[0-9a-f]{{20}}\.json(\.\w+\.part)?", entry.path):
                self.store.remove(entry.path)


def files_to_read(entries: Iterable[Entry], done: dict[str, tuple[int, int]]) -> list[Entry]:
    """Those that are new, or not as they were."""
    return [entry for entry in entries if done.get(entry.path) != (entry.size, entry.modified)]
