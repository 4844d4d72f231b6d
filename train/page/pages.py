"""Pages with their lines, read from Parquet files: the ground truth of the detector."""

from __future__ import annotations

import io
import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
from PIL import Image

from ...runtime.errors import HtrjandError
from ...runtime.image import Grey
from ...runtime.page.cut import Points
from .targets import LineShape, line_shape

COLUMNS = ["id", "dataset", "doc", "split", "image", "lines", "ignore"]


@dataclass(frozen=True)
class Page:
    """A page and its lines; coordinates in pixels of its image."""

    id: str
    dataset: str
    doc: str
    image: Grey
    polygons: tuple[Points, ...]  # of every line
    shapes: tuple[LineShape, ...]  # of the lines that have one
    ignore: tuple[tuple[float, float, float, float], ...]  # boxes x0, y0, x1, y1 of ink that is not labelled


def load_pages(files: Iterable[Path], split: str, no_ignore: Iterable[str] = ()) -> list[Page]:
    """The pages of a split.

    Args:
        files: Parquet files, a row a page: id, dataset, doc, split, image (encoded), lines (JSON: a list with `polygon`
            and `baseline`), ignore (JSON: boxes).
        split: train, val or test.
        no_ignore: datasets whose boxes are not to be ignored, since they mark what is no text.
    """
    spared = set(no_ignore)
    pages = []
    for path in files:
        try:
            table = pq.read_table(path, columns=COLUMNS, filters=[("split", "=", split)])
        except (OSError, ValueError, KeyError) as error:
            raise HtrjandError(f"{path}: not a Parquet file of pages ({error})") from error
        pages += [page_of(row, row["dataset"] in spared) for row in table.to_pylist()]
    return pages


def page_of(row: dict[str, Any], no_ignore: bool) -> Page:
    """A page from its row."""
    with Image.open(io.BytesIO(row["image"])) as image:
        grey = np.asarray(image.convert("L"))
    lines = json.loads(row["lines"])
    shapes = (line_shape(line["polygon"], line["baseline"]) for line in lines)
    boxes = [] if no_ignore else json.loads(row["ignore"] or "[]")
    return Page(
        row["id"], row["dataset"], row["doc"], grey,
        tuple(np.asarray(line["polygon"], dtype=np.float64) for line in lines),
        tuple(shape for shape in shapes if shape is not None),
        tuple((float(a), float(b), float(c), float(d)) for a, b, c, d in boxes),
    )  # fmt: skip
