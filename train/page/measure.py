"""Pages chosen from files, and how well a detector of any kind, model file or weights, finds their lines."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from ...runtime.errors import HtrjandError, UsageError
from ...runtime.image import Grey
from ...runtime.page.detect import DetectedLine
from ..data.lines import SPLITS, opened, parquet_files, spread
from .pages import Page, load_pages
from .score import Found, score_lines

ALL = "all"  # what the sum over datasets is called


def chosen_pages(
    files: Iterable[Path], split: str, datasets: Iterable[str] = (), exclude: Iterable[str] = ()
) -> Iterator[Page]:
    """The pages of a split, a file after the other; of these datasets, if any is named, and of none of `exclude`.

    Raises:
        HtrjandError: a file is missing or cannot be read.
        UsageError: the split has another name.
    """
    if split not in SPLITS:
        raise UsageError(f"split {split!r}: it is one of {', '.join(SPLITS)}")
    wanted, excluded = set(datasets), set(exclude)
    for path in parquet_files(files):
        for page in load_pages([path], split):
            if page.dataset not in excluded and (not wanted or page.dataset in wanted):
                yield page


def page_images(
    files: Iterable[Path], split: str, count: int, datasets: Iterable[str] = (), exclude: Iterable[str] = ()
) -> list[Grey]:
    """Of so many pages, drawn at random, the images; these pages alone are decoded."""
    wanted, excluded = set(datasets), set(exclude)
    encoded = (
        row["image"]
        for path in parquet_files(files)
        for row in rows_of(path, split)
        if row["dataset"] not in excluded and (not wanted or row["dataset"] in wanted)
    )
    return [decoded(image) for image in spread(encoded, count)]


def rows_of(path: Path, split: str) -> list[dict[str, Any]]:
    """Dataset and encoded image of each page of a split."""
    with opened(path) as file:
        missing = {"dataset", "split", "image"} - set(file.schema_arrow.names)
        if missing:
            raise HtrjandError(f"{path}: no column {', '.join(sorted(missing))}; give a file of pages")
        rows: list[dict[str, Any]] = file.read(columns=["dataset", "split", "image"]).to_pylist()
    return [row for row in rows if row["split"] == split]


def decoded(image: bytes) -> Grey:
    with Image.open(io.BytesIO(image)) as opened_image:
        return np.asarray(opened_image.convert("L"))


def score_pages(detect: Callable[[Grey], Sequence[DetectedLine]], pages: Iterable[Page]) -> dict[str, Found]:
    """Counts of the lines that `detect` finds on pages [H, W], by dataset in order of name, and of `all`."""
    scores: dict[str, Found] = {}
    for page in pages:
        found = score_lines(page.polygons, [line.polygon for line in detect(page.image)], page.ignore)
        scores[page.dataset] = scores.get(page.dataset, Found()) + found
    return dict(sorted(scores.items())) | {ALL: sum(scores.values(), Found())}


def table(scores: dict[str, Found]) -> str:
    """Recall and precision of each dataset and of all, a line each."""
    return "\n".join(
        f"{name:24s} recall {found.recall:5.1f}  precision {found.precision:5.1f}  ({found.true} lines)"
        for name, found in scores.items()
    )
