"""A worker of an archive run: one reader, one thread; it reads blocks of files and writes what it read."""

from __future__ import annotations

import hashlib
import json
import tempfile
import time
import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import astuple, dataclass, replace
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import HtrjandError
from ..page.batch import How, read_source
from ..page.inputs import PageSource, pages_of
from ..page.outputs import as_bytes, output_of
from ..page.page import Page
from ..page.run import Models
from ..recognizer import Recognizer
from ..text import json_text
from .results import CRASH, IMAGE, STORE, Results, table_of
from .source import Source, output_name
from .store import Entry, Store

if TYPE_CHECKING:
    import pyarrow as pa

TIMES = 2  # processes that a file may end, after one that read it among others


@dataclass(frozen=True)
class Task:
    """All that a worker needs to know; it is sent to other machines."""

    source: str
    target: str
    models: Models
    how: How
    form: str | None = None  # alto or page: written beside the results
    run: str = ""  # names the run, so that what another one left behind is not taken for its own


def block_of(entries: Sequence[Entry]) -> dict[str, Any]:
    """A block as Ray hands it out: `block`, a name that its files decide, and `files`, which `files_of` reads.

    Compressed, since those of a million files pass through the driver's memory.
    """
    files = json_text([astuple(entry) for entry in entries]).encode()
    return {"block": hashlib.sha256(files).hexdigest()[:20], "files": zlib.compress(files)}


def files_of(files: bytes) -> list[Entry]:
    """The files of a block."""
    return [Entry(*values) for values in json.loads(zlib.decompress(files))]


class Worker:
    """Reads blocks, one file after the other. Ray makes one for each core, and a new one where one ends.

    Args:
        task: what to read with.
        tally: is told of each file as (pages, pages that failed); None: nobody is.
    """

    def __init__(self, task: Task, tally: Any = None) -> None:
        self.task, self.tally = task, tally
        self.source, self.results = Source(Store(task.source)), Results(Store(task.target))

    @cached_property
    def reader(self) -> Recognizer:
        """Opened for the first block, which tells what is wrong: Ray would start a worker again that cannot be made."""
        return self.task.models.open(1)

    def __call__(self, batch: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Reads the blocks of a batch, whose columns are `block` and `files`; a row a block of what became of it.

        `error` is what ends the run: results that cannot be written, a model that cannot be opened.
        """
        told = []
        for block, files in zip(batch["block"], batch["files"], strict=True):
            try:
                told.append(self.read_block(str(block), files_of(files)) | {"error": ""})
            except HtrjandError as error:
                told.append({"pages": 0, "failed": 0, "error": str(error)})
            except Exception as error:  # a full disk, or a mistake of ours: Ray would not tell what it was
                why = f"a worker failed ({type(error).__name__}: {error}); the same command reads the rest"
                told.append({"pages": 0, "failed": 0, "error": why})
        return {key: np.array([one[key] for one in told]) for key in ("pages", "failed", "error")}

    def read_block(self, block: str, entries: Sequence[Entry]) -> dict[str, Any]:
        """Reads the files of a block, and commits their rows.

        That a block is begun is written down. Where this run began it before, a process ended over it: then each file
        is a block of its own, and one that ends two more processes is left out.
        """
        tries = self.results.tries(block, self.task.run)
        _ = self.reader
        if tries is not None:
            return self.read_one_by_one(block, entries, *tries)
        self.results.note(block, self.task.run)
        tables = [self.read_file(entry) for entry in entries]
        self.results.commit(block, tables)
        self.results.forget(block)
        return counts(tables)

    def read_one_by_one(self, block: str, entries: Sequence[Entry], done: int, times: int) -> dict[str, Any]:
        """Reads a block over which a process ended, of which so many files are done, the next one begun so often."""
        parts = [str(block_of([entry])["block"]) for entry in entries]
        for number in range(done, len(entries)):
            entry = entries[number]
            if times >= TIMES:
                error = f"{entry.path}: ended {times} processes that read it; look at the file by itself"
                table = table_of([failed_row(entry, 1, CRASH, error)])
            else:
                self.results.note(block, self.task.run, number, times + 1)
                table = self.read_file(entry)
            self.results.commit(parts[number], [table])
            self.results.note(block, self.task.run, number + 1)
            times = 0
        self.results.forget(block)
        return counts(self.results.tables(("error",), list(map(self.results.name, parts))))

    def read_file(self, entry: Entry) -> pa.Table:
        """The rows of a file; the tally is told of them."""
        table = table_of(list(self.rows_of(entry)))
        if self.tally is not None:
            self.tally.add.remote(**counts([table]))
        return table

    def rows_of(self, entry: Entry) -> Iterator[dict[str, Any]]:
        """The rows of a file: of each page, or of why it cannot be opened."""
        try:
            data = self.source.data(entry)
        except HtrjandError as error:
            yield failed_row(entry, 1, STORE, str(error))
            return
        except Exception as error:
            yield failed_row(entry, 1, STORE, f"{entry.path}: cannot be had ({type(error).__name__}: {error})")
            return
        digest = hashlib.sha256(data).hexdigest()
        with tempfile.TemporaryDirectory(prefix="htrjand-") as folder:
            path = Path(folder) / "page"  # what it is shows in its bytes
            path.write_bytes(data)
            del data
            shown = entry.path
            try:
                sources = list(pages_of(path))
            except Exception as error:
                yield failed_row(entry, 1, IMAGE, named(error, path, shown)) | {"sha256": digest}
                return
            for source in sources:
                yield self.read_page(entry, source, len(sources)) | {"sha256": digest}

    def read_page(self, entry: Entry, source: PageSource, total: int) -> dict[str, Any]:
        """The row of a page; its XML is written if that is asked for."""
        begun = time.monotonic()
        try:
            page = read_source(self.reader, source, self.task.how).page
        except Exception as error:  # a mistake of ours, or too little memory: what comes behind is read all the same
            return failed_row(entry, source.number, IMAGE, named(error, source.path, entry.path))
        row = row_of(entry, page, time.monotonic() - begun)
        if self.task.form:
            number = "" if total == 1 else f".{source.number:04}"
            name = f"{self.task.form}/{output_name(entry.path)}{number}{output_of(self.task.form).suffix}"
            self.results.store.write(name, as_bytes(replace(page, path=entry.path), self.task.form))
        return row


def counts(tables: Iterable[pa.Table]) -> dict[str, int]:
    """How many pages there are, and how many of them failed."""
    pages = failed = 0
    for table in tables:
        pages += len(table)
        failed += len(table) - table["error"].null_count
    return {"pages": pages, "failed": failed}


def row_of(entry: Entry, page: Page, seconds: float) -> dict[str, Any]:
    """The row of a page that was read."""
    sure = [line.line.confidence for line in page.lines]
    return base_row(entry, page.number) | {
        "width": page.width, "height": page.height, "turned": page.turned, "text": page.text,
        "confidence": float(np.mean(sure)) if sure else None,
        "lines": [
            {
                "text": line.text, "confidence": line.line.confidence, "polygon": list(map(list, line.polygon)),
                "baseline": list(map(list, line.baseline)),
            }
            for line in page.lines
        ],
        "seconds": seconds,
    }  # fmt: skip


def failed_row(entry: Entry, page: int, kind: str, error: str) -> dict[str, Any]:
    """The row of a page that could not be read, or of a file that could not be opened."""
    return base_row(entry, page) | {"error": error, "kind": kind}


def base_row(entry: Entry, page: int) -> dict[str, Any]:
    now = datetime.now(UTC).isoformat(timespec="microseconds")
    return {"path": entry.path, "page": page, "size": entry.size, "modified": entry.modified, "created": now,
            "error": None, "kind": None}  # fmt: skip


def named(error: Exception, path: Path, shown: str) -> str:
    """What went wrong, with the file's own name in the place of the copy's."""
    if isinstance(error, HtrjandError):
        return str(error).replace(str(path), shown)
    return f"{shown}: could not be read ({type(error).__name__}: {error}); please report it"
