"""Hugging Face datasets: by name (needs a network), or from a folder.

    set/dataset_dict.json | set/state.json          written by `save_to_disk`
    set/train/metadata.csv | metadata.jsonl         an image folder: `file_name,text` (file_name beside it)
    set/data/train-00000-of-00001.parquet           Parquet with an `image` and a `text` column

The image column is the first of type image, or one with a usual name; the text column has a usual name. Splits are the
dataset's own; if there is only one, splits are assigned by document. Columns `id`, `doc`, `page` and `lang` are used
where they exist; without `doc`, a line's document is its image's folder.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

from ....runtime.errors import HtrjandError, UsageError
from . import Found, Source
from .rows import make_row, page_of
from .splits import split_named
from .table import COLUMNS, IMAGE_NAMES, TEXT_NAMES

Row = Mapping[str, Any]


def read(source: Source) -> Iterator[Found]:
    """The lines of every split, streamed.

    Raises:
        HtrjandError: `datasets` is not installed, or it cannot load the dataset.
        UsageError: no image or no text column.
    """
    try:
        datasets: Any = import_module("datasets")
    except ModuleNotFoundError as error:
        raise HtrjandError(f"{error.name} is not installed, and -f hf needs it: pip install datasets") from error
    splits = load(datasets, source.path)
    for name, rows in splits.items():
        image, text = columns_of(source, rows.features or first_row(rows))
        rows = rows.cast_column(image, datasets.Image(decode=False)) if rows.features else rows
        split = split_named(name) if len(splits) > 1 else ""
        for number, row in enumerate(rows):
            yield line_of(source, row, image, text, split, f"{name}-{number:06}")


def load(datasets: Any, path: Path) -> dict[str, Any]:
    """Split → rows."""
    local = path.exists()
    try:
        if (path / "dataset_dict.json").is_file() or (path / "state.json").is_file():
            loaded = datasets.load_from_disk(str(path))
        elif path.is_file():
            loaded = datasets.load_dataset("parquet", data_files=str(path), streaming=True)
        else:
            loaded = datasets.load_dataset(str(path) if local else path.as_posix(), streaming=True)
    except (OSError, ValueError, RuntimeError) as error:  # which one depends on the file system and the network
        hint = "check the folder" if local else "no such folder; for a dataset by name, check it and the network"
        raise HtrjandError(f"{path}: cannot be loaded as a Hugging Face dataset ({error}); {hint}") from error
    return dict(loaded) if isinstance(loaded, dict) else {"train": loaded}


def first_row(rows: Iterable[Row]) -> Row:
    """The first row, for the names of its columns where the dataset does not list them."""
    return next(iter(rows), {})


def columns_of(source: Source, features: Mapping[str, Any]) -> tuple[str, str]:
    """The names of the image and of the text column."""
    typed = [name for name, kind in features.items() if type(kind).__name__ == "Image"]
    image = source.image_column or next((name for name in [*typed, *IMAGE_NAMES] if name in features), "")
    text = source.text_column or next((name for name in TEXT_NAMES if name in features), "")
    for column, option in ((image, "image"), (text, "text")):
        if column not in features:
            raise UsageError(
                f"{source.path}: no {column or option} column among {', '.join(features)}; name it by --{option}-column"
            )
    return image, text


def line_of(source: Source, row: Row, image: str, text: str, split: str, name: str) -> Found:
    """The line of one row."""
    cells = {
        column: str(value)
        for column, names in COLUMNS.items()
        if (value := next((row[each] for each in names if row.get(each) is not None), None)) is not None
    }
    pixels, path = pixels_of(row[image])
    place = Path(path.replace("\\", "/"))
    doc = cells.get("doc") or place.parent.name or source.dataset
    transcription = row[text]
    return make_row(
        source,
        pixels,
        transcription if isinstance(transcription, str) else None,
        id=cells.get("id") or name,
        doc=doc,
        page=cells.get("page") or page_of(place.stem, doc),
        split=split,
        lang=cells.get("lang", ""),
    )


def pixels_of(value: Any) -> tuple[Any, str]:
    """The image as `load_line` takes it (None where it is missing), and its path."""
    if isinstance(value, Mapping):
        path = value.get("path") or ""
        encoded = value.get("bytes") or (Path(path) if path and os.path.exists(path) else None)
        return encoded, path
    return value, ""
