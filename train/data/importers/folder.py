"""Line images with their text beside them, as kraken, ocropus, Calamari and OCR4all hold them.

    book/
      0001/                    a document: any depth of folders
        010001.png             the image: .png, .bin.png, .nrm.png, .jpg, .tif, …
        010001.gt.txt          its text, UTF-8, one line
      0002/ …

A document is the folder that holds the lines; a page is the line's name without its last number (`p3_l07` is of `p3`).
Where the folders right below the source are called train, val and test, they are the splits.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from ....runtime.errors import HtrjandError
from ....runtime.image import SUFFIXES
from . import Found, Source
from .rows import folder_of, make_row, page_of, read_text
from .splits import split_named

ENDING = ".gt.txt"
VARIANTS = ("", ".bin", ".nrm", ".dew", ".raw")  # in order of preference: grey before binarised


def read(source: Source) -> Iterator[Found]:
    """The lines of every *.gt.txt in a folder and the folders below it, in order of path."""
    root = folder_of(source.path, "images and *.gt.txt files")
    found = False
    for folder, subfolders, names in os.walk(root):
        subfolders[:] = sorted(name for name in subfolders if not name.startswith("."))
        siblings = set(names)
        for name in sorted(siblings):
            if name.endswith(ENDING) and not name.startswith("."):
                found = True
                yield line_of(source, Path(folder), name, siblings)
    if not found:
        raise HtrjandError(f"{root}: no *{ENDING} file in this folder; check the path and the format")


def line_of(source: Source, folder: Path, name: str, siblings: set[str]) -> Found:
    """The line of one text file; `siblings`: the names of all files in its folder."""
    stem = name[: -len(ENDING)]
    inside = folder.relative_to(source.path)
    split = split_named(inside.parts[0]) if inside.parts else ""
    image = image_name(stem, siblings)
    if image is None and source.images:
        image_folder = source.images / inside
        image = image_name(stem, set(os.listdir(image_folder)) if image_folder.is_dir() else set())
    else:
        image_folder = folder
    doc = inside.as_posix() if inside.parts else source.path.resolve().name
    return make_row(
        source,
        image_folder / image if image else None,
        read_text(folder / name),
        id=(inside / stem).as_posix(),
        doc=doc,
        page=page_of(stem, doc),
        split=split,
    )


def image_name(stem: str, names: set[str]) -> str | None:
    """The image of a line among the files of a folder: `x.png` before `x.bin.png`."""
    endings = [ending for suffix in sorted(SUFFIXES) for ending in (suffix, suffix.upper())]
    wanted = (stem + variant + ending for variant in VARIANTS for ending in endings)
    return next((name for name in wanted if name in names), None)
