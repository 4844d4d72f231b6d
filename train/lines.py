"""The line contract: one Parquet row a text line, streamed, its image left encoded until it is asked for."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from ..runtime.errors import HtrjandError, UsageError
from ..runtime.image import load_line

SCHEMA = pa.schema(
    [(name, pa.string()) for name in ("id", "dataset", "doc", "page", "split", "lang", "text")]
    + [("image", pa.binary()), ("width", pa.int32()), ("height", pa.int32())]
)
SPLITS = ("train", "val", "test")


@dataclass(frozen=True)
class LineRow:
    """One text line: where it comes from, what it says (NFC), and its encoded image."""

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


def data_dir() -> Path:
    """The folder of the real lines: HTRJAND_DATA, or `shared/data` beside the repository where it exists."""
    named = os.environ.get("HTRJAND_DATA")
    path = Path(named) if named else Path(__file__).resolve().parents[2] / "shared" / "data"
    if not path.is_dir():
        found = f"HTRJAND_DATA: {path}: no such folder" if named else "HTRJAND_DATA is not set"
        raise UsageError(f"{found}; set it to the folder that holds lines/*.parquet")
    return path


def read_lines(
    paths: str | Path | Iterable[str | Path],
    split: str | None = None,
    *,
    core: bool = False,
    exclude: Iterable[str] = (),
    limit: int | None = None,
) -> Iterator[LineRow]:
    """Streams the lines of Parquet files, a row group at a time; no image is decoded.

    Args:
        paths: one file or several, or folders of them.
        split: train, val or test; None for all.
        core: only rows whose `core` column is true; a file without that column is taken whole.
        exclude: datasets to leave out.
        limit: how many lines at most.

    Raises:
        HtrjandError: a file is missing, cut short, or lacks a column.
        UsageError: the split has another name.
    """
    if split not in (None, *SPLITS):
        raise UsageError(f"split {split!r}: it is one of {', '.join(SPLITS)}")
    left_out = set(exclude)
    count = 0
    for path in parquet_files(paths):
        for batch in record_batches(path, core):
            for row in batch.to_pylist():
                if None in row.values() or min(row["width"], row["height"]) < 1:
                    raise HtrjandError(f"{path}: line {row['id']} lacks a value or has no size; write the file again")
                if row.pop("core", True) and split in (None, row["split"]) and row["dataset"] not in left_out:
                    yield LineRow(**row)
                    count += 1
                    if count == limit:
                        return


def spread(rows: Iterable[LineRow], count: int, seed: int = 0) -> list[LineRow]:
    """A random choice of `count` rows, the same for a seed, in one pass and without holding more than these."""
    rng = np.random.default_rng(seed)
    chosen: list[LineRow] = []
    for seen, row in enumerate(rows):
        if seen < count:
            chosen.append(row)
        elif (place := int(rng.integers(seen + 1))) < count:
            chosen[place] = row
    return chosen


def write_lines(path: Path, rows: Iterable[LineRow]) -> None:
    """Writes rows to one Parquet file (not atomic: hand it the path of `atomic_path`)."""
    columns = [{name: getattr(row, name) for name in SCHEMA.names} for row in rows]
    pq.write_table(pa.Table.from_pylist(columns, schema=SCHEMA), path)


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


def record_batches(path: Path, core: bool) -> Iterator[pa.RecordBatch]:
    """The batches of one file, with the contract's columns (and `core` where it is asked for and there)."""
    try:
        with pq.ParquetFile(path) as file:
            missing = [name for name in SCHEMA.names if name not in file.schema_arrow.names]
            if missing:
                raise HtrjandError(f"{path}: no column {', '.join(missing)}; a line file has {', '.join(SCHEMA.names)}")
            extra = ["core"] if core and "core" in file.schema_arrow.names else []
            yield from file.iter_batches(256, columns=[*SCHEMA.names, *extra])
    except FileNotFoundError as error:
        raise HtrjandError(f"{path}: no such file; check the path") from error
    except (pa.ArrowException, OSError) as error:
        raise HtrjandError(f"{path}: not a readable Parquet file ({error}); write or copy it again") from error
