"""The line contract: Parquet files with one row for each text line.

Rows are streamed; an image stays encoded until its pixels are asked for.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple, TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from ...runtime.errors import HtrjandError, UsageError
from .row import LineRow as LineRow

SCHEMA = pa.schema(
    [(name, pa.string()) for name in ("id", "dataset", "doc", "page", "split", "lang", "text")]
    + [("image", pa.binary()), ("width", pa.int32()), ("height", pa.int32())]
)
SPLITS = ("train", "val", "test")
Row = TypeVar("Row")
ROW_GROUP = 256  # lines in a row group, which is what a run with `data.stream` reads at a time


class Place(NamedTuple):
    """Where the image of a line is stored: file, row group, and row within the group."""

    path: Path
    group: int
    row: int


def data_dir() -> Path:
    """The folder named by the environment variable HTRJAND_DATA, in which recipes look for lines, pages and texts."""
    named = os.environ.get("HTRJAND_DATA")
    if not named or not Path(named).is_dir():
        found = f"HTRJAND_DATA: {named}: no such folder" if named else "HTRJAND_DATA is not set"
        raise UsageError(f"{found}; set it to the folder that holds lines/*.parquet")
    return Path(named)


def read_lines(
    paths: str | Path | Iterable[str | Path],
    split: str | None = None,
    *,
    core: bool = False,
    whole: Iterable[str] = (),
    exclude: Iterable[str] = (),
    limit: int | None = None,
) -> Iterator[LineRow]:
    """Streams the lines of Parquet files, a row group at a time; no image is decoded.

    Args:
        paths: one file or several, or folders of them.
        split: train, val or test; None for all.
        core: only rows whose `core` column is true; a file without that column counts as core.
        whole: datasets exempt from `core`.
        exclude: datasets to leave out.
        limit: stop after so many lines.

    Raises:
        HtrjandError: a file is missing, cut short, or lacks a column.
        UsageError: the split has another name.
    """
    for row, _ in placed_lines(paths, split, core=core, whole=whole, exclude=exclude, limit=limit):
        yield row


def placed_lines(
    paths: str | Path | Iterable[str | Path],
    split: str | None = None,
    *,
    core: bool = False,
    whole: Iterable[str] = (),
    exclude: Iterable[str] = (),
    limit: int | None = None,
    images: bool = True,
) -> Iterator[tuple[LineRow, Place]]:
    """As `read_lines`, each with the place of its image; without `images` they are not read and `image` is empty."""
    if split not in (None, *SPLITS):
        raise UsageError(f"split {split!r}: it is one of {', '.join(SPLITS)}")
    exempt, excluded = set(whole), set(exclude)
    count = 0
    for path in parquet_files(paths):
        for group, first, batch in record_batches(path, core, images):
            for number, row in enumerate(batch.to_pylist(), first):
                if None in row.values() or min(row["width"], row["height"]) < 1:
                    raise HtrjandError(f"{path}: line {row['id']} lacks a value or has no size; write the file again")
                wanted = row.pop("core", True) or row["dataset"] in exempt
                if wanted and split in (None, row["split"]) and row["dataset"] not in excluded:
                    yield LineRow(**{"image": b""} | row), Place(path, group, number)
                    count += 1
                    if count == limit:
                        return


def read_images(path: Path, group: int) -> list[bytes]:
    """The encoded images of one row group, in the order of its rows."""
    with opened(path) as file:
        images: list[bytes] = file.read_row_group(group, columns=["image"]).column("image").to_pylist()
        return images


def spread(rows: Iterable[Row], count: int, seed: int = 0) -> list[Row]:
    """A uniform random sample of `count` rows of any kind, the same for a seed: one pass, reservoir sampling."""
    rng = np.random.default_rng(seed)
    chosen: list[Row] = []
    for seen, row in enumerate(rows):
        if seen < count:
            chosen.append(row)
        elif (place := int(rng.integers(seen + 1))) < count:
            chosen[place] = row
    return chosen


def neighbours(rows: Sequence[LineRow], texts: Sequence[str]) -> list[tuple[str, str]]:
    """The texts before and after each line on its page, of rows in reading order; "" where there is nothing."""
    pages = [(row.dataset, row.doc, row.page) for row in rows]

    def text(place: int, other: int) -> str:
        return texts[other] if 0 <= other < len(rows) and pages[other] == pages[place] else ""

    return [(text(place, place - 1), text(place, place + 1)) for place in range(len(rows))]


def write_lines(path: Path, rows: Iterable[LineRow]) -> None:
    """Writes rows to one Parquet file (not atomic: call it within `atomic_path`)."""
    pq.write_table(to_table(rows), path, row_group_size=ROW_GROUP)


def to_table(rows: Iterable[LineRow]) -> pa.Table:
    """Rows as a table of the line contract."""
    return pa.Table.from_pylist([{name: getattr(row, name) for name in SCHEMA.names} for row in rows], schema=SCHEMA)


def parquet_files(paths: str | Path | Iterable[str | Path]) -> list[Path]:
    """Every Parquet file among the paths and in the folders among them, in order of name."""
    found: list[Path] = []
    for path in [paths] if isinstance(paths, str | Path) else paths:
        path = Path(path)
        inside = sorted(path.glob("*.parquet")) if path.is_dir() else [path]
        if not inside:
            raise HtrjandError(f"{path}: no *.parquet file in this folder; name the folder that holds the lines")
        found += inside
    return found


def record_batches(path: Path, core: bool, images: bool) -> Iterator[tuple[int, int, pa.RecordBatch]]:
    """Yields (row group, number of the batch's first row in it, batch of rows).

    The columns are those of the contract, and `core` where it is asked for and the file has it.
    """
    with opened(path) as file:
        missing = [name for name in SCHEMA.names if name not in file.schema_arrow.names]
        if missing:
            raise HtrjandError(f"{path}: no column {', '.join(missing)}; a line file has {', '.join(SCHEMA.names)}")
        extra = ["core"] if core and "core" in file.schema_arrow.names else []
        columns = [name for name in SCHEMA.names if images or name != "image"] + extra
        for group in range(file.num_row_groups):
            first = 0
            for batch in file.iter_batches(ROW_GROUP, row_groups=[group], columns=columns):
                yield group, first, batch
                first += batch.num_rows


@contextmanager
def opened(path: Path) -> Iterator[pq.ParquetFile]:
    """A Parquet file; an HtrjandError names it where it is missing or cannot be read."""
    try:
        with pq.ParquetFile(path) as file:
            yield file
    except FileNotFoundError as error:
        raise HtrjandError(f"{path}: no such file; check the path") from error
    except (pa.ArrowException, OSError) as error:
        raise HtrjandError(f"{path}: not a readable Parquet file ({error}); write or copy it again") from error
