"""A table of image paths and texts.

    lines.csv | lines.tsv        UTF-8, with or without a byte order mark
      image,text,doc,split       names in the first row: an image and a text column, and any of
      img/1.png,"Paris, le 3",…  id, doc, page, split, lang, dataset
    train.tsv                    or two columns without names: path, text (as TrOCR's lists)
      img/1.png<tab>Paris, le 3

A folder stands for the tables in it; tables called train, val and test are the splits. Paths are relative to the table
or to `--images`. A .csv file is quoted as RFC 4180 says. In a .tsv file with names, quotes around a whole field are
removed; in one without names, quotes are part of the text.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path

from ....runtime.errors import HtrjandError, UsageError
from . import Found, Skipped, Source
from .rows import find_image, make_row, page_of
from .splits import split_named

IMAGE_NAMES = ("image", "image_path", "img", "img_path", "path", "file", "file_name", "filename", "file_path")
TEXT_NAMES = ("text", "transcription", "transcript", "ground_truth", "gt", "label", "sentence")
COLUMNS = {"id": ("id", "line_id"), "doc": ("doc", "document", "writer"), "page": ("page",), "split": ("split", "set")}
COLUMNS |= {"lang": ("lang", "language"), "dataset": ("dataset",)}
BAD_ROW = "row has other columns than the first one"
BAD_SPLIT = "split is not train, val or test"
MAX_FIELD = 1 << 20  # characters: the limit of the csv module is global, and other code may have lowered it


def read(source: Source) -> Iterator[Found]:
    """The lines of a .csv file, or of those in a folder."""
    return read_tables(source, ",")


def read_tsv(source: Source) -> Iterator[Found]:
    """The same of .tsv files (or, where there are none, of .txt files with tabs)."""
    return read_tables(source, "\t")


def read_tables(source: Source, delimiter: str) -> Iterator[Found]:
    """The lines of every table."""
    tables = table_files(source.path, delimiter)
    for table in tables:
        yield from read_table(source, table, delimiter, split_named(table.stem) if len(tables) > 1 else "")


def table_files(path: Path, delimiter: str) -> list[Path]:
    """The file itself, or the tables in a folder."""
    if path.is_file():
        return [path]
    if not path.is_dir():
        raise HtrjandError(f"{path}: no such file or folder; check the path")
    for ending in (".csv",) if delimiter == "," else (".tsv", ".txt"):
        files = sorted(file for file in path.iterdir() if file.suffix.lower() == ending and file.is_file())
        if files:
            return files
    raise HtrjandError(f"{path}: no *{'.csv' if delimiter == ',' else '.tsv'} file in this folder; name the table")


def read_table(source: Source, table: Path, delimiter: str, split: str) -> Iterator[Found]:
    """The lines of one table; `split` is that of its name, or empty."""
    with table.open(encoding="utf-8-sig", errors="replace", newline="") as stream:
        rows = fields(stream, delimiter)
        _, first = next(rows, (0, None))
        if first is None:
            raise HtrjandError(f"{table}: not a table in UTF-8, or an empty one; save it as .csv or .tsv in UTF-8")
        places = columns_of(first, source)
        if places is None:
            if len(first) != 2 or source.image_column or source.text_column:
                raise HtrjandError(
                    f"{table}: its first row ({', '.join(first)[:80]}) names no image and text column; "
                    "name two by --image-column and --text-column"
                )
            places = {"image": 0, "text": 1}
            named = False
            yield line_of(source, table, 1, first, places, split)
        else:
            named = True
        for number, row in rows:
            if row is None or len(row) != len(first):
                yield Skipped(f"{table}: row {number}", BAD_ROW)
                continue
            if named and delimiter == "\t":
                row = [unquoted(field) for field in row]
            yield line_of(source, table, number, row, places, split)


def fields(stream: Iterator[str], delimiter: str) -> Iterator[tuple[int, list[str] | None]]:
    """Row number (from 1) and fields; None where a row cannot be read. Empty rows are left out."""
    csv.field_size_limit(MAX_FIELD)
    reader = csv.reader(stream, delimiter=delimiter, quoting=csv.QUOTE_NONE if delimiter == "\t" else csv.QUOTE_MINIMAL)
    number = 0
    while True:
        number += 1
        try:
            row = next(reader)
        except StopIteration:
            return
        except csv.Error:
            yield number, None
            continue
        if row:
            yield number, row


def columns_of(first: list[str], source: Source) -> dict[str, int] | None:
    """Column → index, or None where the first row holds no column names."""
    names = [unquoted(name).strip().lower() for name in first]

    def place(wanted: tuple[str, ...]) -> int | None:
        return next((names.index(name) for name in wanted if name in names), None)

    image = place((source.image_column.lower(),) if source.image_column else IMAGE_NAMES)
    text = place((source.text_column.lower(),) if source.text_column else TEXT_NAMES)
    for wanted, index in ((source.image_column, image), (source.text_column, text)):
        if wanted and index is None:
            raise UsageError(f"{source.path}: no column {wanted}; it has {', '.join(names)}")
    if image is None or text is None:
        return None
    others = {name: found for name, wanted in COLUMNS.items() if (found := place(wanted)) is not None}
    return {"image": image, "text": text} | others


def unquoted(field: str) -> str:
    """A field without the quotes around it, if it is quoted as a whole."""
    inner = field[1:-1]
    whole = len(field) > 1 and field[0] == field[-1] == '"' and '"' not in inner.replace('""', "")
    return inner.replace('""', '"') if whole else field


def line_of(source: Source, table: Path, number: int, row: list[str], places: dict[str, int], split: str) -> Found:
    """The line of one row."""
    cells = {name: row[place].strip() for name, place in places.items()}
    name = cells["image"].replace("\\", "/")
    if cells.get("split"):
        split = split_named(cells["split"])
    if not split and "split" in places and not source.split:
        return Skipped(f"{table}: row {number}", BAD_SPLIT)
    path = Path(name)
    doc = cells.get("doc") or (path.parent.name if path.parent.name not in ("", "..") else table.stem)
    return make_row(
        source,
        find_image([table.parent, *([source.images] if source.images else [])], name),
        cells["text"],
        id=cells.get("id") or (path.with_suffix("").as_posix() if name else f"{table.stem}-{number}"),
        doc=doc,
        page=cells.get("page") or page_of(path.stem, doc),
        split=split,
        lang=cells.get("lang", ""),
        dataset=cells.get("dataset", ""),
    )
