"""Parquet files of pages with their lines, as a line detector is trained on: a row a page.

Columns: id, doc, split, image (encoded), lines (JSON: a list with `text`, `polygon` and `baseline` in pixels).
Lines that are cut from pages look like those that a reader gets there: as coarse as the page, within its outlines.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import numpy as np

from ....runtime.errors import HtrjandError
from ....runtime.image import open_image, to_grey
from ....runtime.page.cut import CutError, cut_line
from ..lines import opened, parquet_files
from . import EMPTY, Found, Skipped, Source
from .rows import IMAGE_BROKEN, make_row

COLUMNS = ("id", "doc", "split", "image", "lines")
PAGES = 8  # decoded at a time from their file
LINES_BROKEN = "lines of the page cannot be read"


def read(source: Source) -> Iterator[Found]:
    """The lines of every page of a file, or of the files of a folder.

    Raises:
        HtrjandError: a file is missing, cut short, or lacks a column.
    """
    for path in parquet_files(source.path):
        with opened(path) as file:
            if missing := set(COLUMNS) - set(file.schema_arrow.names):
                raise HtrjandError(f"{path}: no column {', '.join(sorted(missing))}; a file of pages has them all")
            for batch in file.iter_batches(PAGES, columns=list(COLUMNS)):
                for page in batch.to_pylist():
                    yield from page_lines(source, f"{path}: {page['id']}", page)


def page_lines(source: Source, where: str, page: dict[str, Any]) -> Iterator[Found]:
    """The rows of one page, and its lines that cannot be used."""
    try:
        image = np.asarray(to_grey(open_image(page["image"], where), where), dtype=np.uint8)
    except HtrjandError as error:
        yield Skipped(str(error), IMAGE_BROKEN)
        return
    try:
        lines = [(line["text"], line["polygon"], line["baseline"]) for line in json.loads(page["lines"])]
    except (ValueError, TypeError, KeyError) as error:
        yield Skipped(f"{where}: {error!r}", LINES_BROKEN)
        return
    for number, (text, polygon, baseline) in enumerate(lines):
        if not text.strip():
            yield Skipped(f"{where}/{number}", EMPTY)
            continue
        try:
            grey = cut_line(image, polygon, baseline)
        except CutError as error:
            yield Skipped(f"{where}/{number}", str(error))
            continue
        yield make_row(
            source, grey, text, id=f"{page['id']}/{number}", doc=page["doc"], page=page["id"], split=page["split"]
        )
