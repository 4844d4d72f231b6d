"""Bentham R0, the data of the ICFHR 2014 competition, in the layout of its two archives put together.

    BenthamDatasetR0-GT/                       the folder itself or the one above it
      Images/Lines/002_080_001_01_01.png
      Transcriptions/002_080_001_01_01.txt     may hold entities and tags: `the <gap/> of &amp;c`
      Partitions/TrainLines.lst, ValidationLines.lst, TestLines.lst       ids, one a line

A document is a page image (`002_080_001`: box, folio, page), the unit the partitions were drawn in. Tags such as
`<gap/>` and `<sic>` are removed and the text in them kept. A line in no partition is left out.
"""

from __future__ import annotations

import html
import re
from collections.abc import Callable, Iterator
from pathlib import Path

from ....runtime.errors import HtrjandError
from . import Found, Skipped, Source
from .rows import NO_SPLIT, find_image, folder_of, make_row, read_text
from .splits import read_split_files

TAG = re.compile(r"</?[A-Za-z][^<>]*>")


def read(source: Source) -> Iterator[Found]:
    """The lines in order of id."""
    root = folder_of(source.path, "Bentham files")
    below = root / "BenthamDatasetR0-GT"
    if below.is_dir() and not (root / "Transcriptions").is_dir():
        root = below
    return read_parts(source, root, ("Images/Lines", "Images"), "Partitions", page_of, plain)


def read_parts(
    source: Source,
    root: Path,
    images: tuple[str, ...],
    partitions: str,
    page_of: Callable[[str], str],
    plain: Callable[[str], str],
) -> Iterator[Found]:
    """The lines of a folder with images, Transcriptions/*.txt and split files; a document is a page."""
    texts = sorted((root / "Transcriptions").glob("*.txt"))
    if not texts:
        raise HtrjandError(f"{root}: no Transcriptions/*.txt here; check the path and the format")
    splits = {} if source.split else read_split_files([root / partitions])
    folders = [root / folder for folder in images] + ([source.images] if source.images else [])
    for path in texts:
        if splits and path.stem not in splits:
            yield Skipped(path.stem, NO_SPLIT)
            continue
        text, page = read_text(path), page_of(path.stem)
        yield make_row(
            source,
            find_image(folders, path.stem),
            None if text is None else plain(text),
            id=path.stem,
            doc=page,
            page=page,
            split=splits.get(path.stem, ""),
        )
    for name in sorted(splits.keys() - {path.stem for path in texts}):
        yield Skipped(name, "text is missing")


def page_of(name: str) -> str:
    """`002_080_001_01_01` is of page `002_080_001`."""
    return "_".join(name.split("_")[:3])


def plain(text: str) -> str:
    """Text without its tags. Entities are decoded first: some tags are written `&lt;gap/&gt;`."""
    return TAG.sub("", html.unescape(text))
