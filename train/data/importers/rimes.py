"""RIMES-2011, its lines, in either of two layouts.

As A2iA published it, one paragraph for each page, with the boxes of its lines:

    rimes/
      training_2011.xml             (or training_2011.patched.xml, which takes precedence)
      eval_2011_annotated.xml       <SinglePage FileName="images_gray/eval2011-0.png"><Paragraph>
      images_gray/*.png               <Line Value="Paris, le 3" Left="…" Top="…" Right="…" Bottom="…"/>

Cut into lines:

    RIMES-2011-Lines/
      Images/train2011-0-01.jpg
      Transcriptions/train2011-0-01.txt
      Sets/TrainLines.txt, ValidationLines.txt, TestLines.txt

A document is a page: a letter. In the first layout, eval is test; of the training pages, the last hundred
(from `train2011-1400`) are val, as in most papers.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from xml.etree.ElementTree import Element

from ....runtime.errors import HtrjandError
from ....runtime.image import Grey
from . import Found, Skipped, Source
from .bentham import read_parts
from .rows import IMAGE_MISSING, find_image, folder_of, make_row, read_grey
from .xml import XmlError, local, parse_xml

FIRST_VAL = 1400  # of 1,500 training pages
TRAIN_FILES = ("training_2011.patched.xml", "training_2011.xml")
TEST_FILES = ("eval_2011_annotated.xml",)
BAD_BOX = "box of the line holds nothing"


def read(source: Source) -> Iterator[Found]:
    """The lines of the training pages, then of the test pages."""
    root = folder_of(source.path, "RIMES files")
    if (root / "Transcriptions").is_dir():
        yield from read_parts(source, root, ("Images", "Images/Lines"), "Sets", page_of, html.unescape)
        return
    found = False
    for names in (TRAIN_FILES, TEST_FILES):
        path = next((root / name for name in names if (root / name).is_file()), None)
        if path:
            found = True
            yield from read_xml(source, path, test=names is TEST_FILES)
    if not found:
        raise HtrjandError(f"{root}: no {TRAIN_FILES[-1]}, {TEST_FILES[0]} or Transcriptions here; check the path")


def read_xml(source: Source, path: Path, test: bool) -> Iterator[Found]:
    """The lines of one XML file, a page at a time."""
    try:
        pages = descendants(parse_xml(path), "SinglePage")
    except XmlError as error:
        yield Skipped(str(path), str(error))
        return
    for page in pages:
        name = PurePosixPath(page.get("FileName", "").replace("\\", "/"))
        split = "test" if test else "val" if number_of(name.stem) >= FIRST_VAL else "train"
        yield from read_page(source, path, page, name, split)


def read_page(source: Source, path: Path, page: Element, name: PurePosixPath, split: str) -> Iterator[Found]:
    """The lines of one page, cut out of its image."""
    root = path.parent
    base = [source.images] if source.images else [root, root / path.stem.split(".")[0], root / "images_gray"]
    inside = Path() if name.is_absolute() or ".." in name.parts else Path(name.parent)
    file = find_image([folder for place in base for folder in (place / inside, place)], name.name)
    if file is None:
        yield Skipped(f"{path}: {name}", IMAGE_MISSING)
        return
    pixels = read_grey(file)
    if isinstance(pixels, Skipped):
        yield pixels
        return
    for count, line in enumerate(descendants(page, "Line")):
        cut = box(pixels, line)
        if cut is None:
            yield Skipped(f"{path}: {name.stem}-{count:02}", BAD_BOX)
            continue
        text = html.unescape(line.get("Value", ""))  # some entities are escaped twice
        yield make_row(source, cut, text, id=f"{name.stem}-{count:02}", doc=name.stem, page=name.stem, split=split)


def descendants(element: Element, name: str) -> list[Element]:
    """All descendants of this name, in document order."""
    return [found for found in element.iter() if local(found) == name]


def box(pixels: Grey, line: Element) -> Grey | None:
    """The part of the page in a line's box. Some boxes begin a few pixels outside the page."""
    try:
        left, top, right, bottom = (max(0, int(line.get(side, ""))) for side in ("Left", "Top", "Right", "Bottom"))
    except ValueError:
        return None
    cut = pixels[top:bottom, left:right]
    return cut if cut.size else None


def number_of(name: str) -> int:
    """The last number in a name of several numbers, else -1."""
    numbers = re.findall(r"\d+", name)
    return int(numbers[-1]) if len(numbers) > 1 else -1


def page_of(name: str) -> str:
    """`train2011-0-01` is of page `train2011-0`."""
    return name.rpartition("-")[0] or name
