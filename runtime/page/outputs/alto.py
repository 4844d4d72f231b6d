"""A page as ALTO 4: https://www.loc.gov/standards/alto/"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from difflib import SequenceMatcher
from typing import BinaryIO

from ..page import Box, Page, PageLine
from .xml import SOFTWARE, VERSION, Element, child, file_name, only, point_list, settings, write_document

NAMESPACE = "http://www.loc.gov/standards/alto/ns-v4#"
# The first edition with baselines of many points. The later ones, 4.3 and 4.4, add to it what we do not write, so that
# a file is valid in them too.
EDITION = "4.2"
SCHEMA = "http://www.loc.gov/standards/alto/v4/alto-4-2.xsd"


def write_alto(pages: Iterable[Page], stream: BinaryIO) -> None:
    """ALTO of exactly one page: lines with baselines, words with their confidence (`WC`); the format has none of lines.

    A line in which nothing was read has one empty `String`, since the schema asks for one.
    """
    page = only(pages, "ALTO")
    root = Element(
        "alto",
        {
            "xmlns": NAMESPACE,
            "xmlns:xsi": "http://www.w3.org/2001/XMLSchema-instance",
            "xsi:schemaLocation": f"{NAMESPACE} {SCHEMA}",
            "SCHEMAVERSION": EDITION,
        },
    )
    description = child(root, "Description")
    child(description, "MeasurementUnit", "pixel")
    child(child(description, "sourceImageInformation"), "fileName", file_name(page))
    processing = child(description, "Processing", ID="processing_1")
    child(processing, "processingCategory", "contentGeneration")
    child(processing, "processingDateTime", page.created)
    if settings(page):
        child(processing, "processingStepSettings", settings(page))
    software = child(processing, "processingSoftware")
    child(software, "softwareName", SOFTWARE)
    child(software, "softwareVersion", VERSION)

    whole: Box = (0, 0, page.width, page.height)
    sheet = child(
        child(root, "Layout"), "Page", ID="page_1", PHYSICAL_IMG_NR=page.number, WIDTH=page.width, HEIGHT=page.height,
        PROCESSINGREFS="processing_1",
    )  # fmt: skip
    space = child(sheet, "PrintSpace", **place(whole))
    language = {"LANG": page.languages[0]} if len(page.languages) == 1 else {}
    number = 0
    for index, block in enumerate(page.blocks, 1):
        text_block = child(space, "TextBlock", ID=f"block_{index}", **place(block.box), **language)
        for line in block.lines:
            number += 1
            add_line(text_block, line, f"line_{number}")
    write_document(root, stream)


def add_line(block: Element, line: PageLine, name: str) -> None:
    text_line = child(block, "TextLine", ID=name, **place(line.box), BASELINE=point_list(line.baseline))
    add_shape(text_line, line.polygon)
    before: Box | None = None
    read = {} if line.line.read is None else alternatives(line.line.read.split(), line.line.text.split())
    for index, word in enumerate(line.words, 1):
        if before is not None:
            child(text_line, "SP", **place(gap(before, word.box)))
        string = child(
            text_line, "String", ID=f"{name}_word_{index}", CONTENT=word.text, **place(word.box),
            WC=f"{word.confidence:.4f}",
        )  # fmt: skip
        add_shape(string, word.polygon)
        if index - 1 in read:
            child(string, "ALTERNATIVE", read[index - 1])
        before = word.box
    if before is None:
        child(text_line, "String", ID=f"{name}_word_1", CONTENT="", **place(line.box))


def alternatives(read: Sequence[str], words: Sequence[str]) -> dict[int, str]:
    """What was read in the place of words that a corrector changed, by their number; of several words, at the first."""
    found: dict[int, str] = {}
    for tag, a, b, c, d in SequenceMatcher(None, read, words, autojunk=False).get_opcodes():
        if tag == "replace" and b - a == d - c:
            found |= {c + place: read[a + place] for place in range(b - a)}
        elif tag != "equal" and b > a and words:
            found[min(c, len(words) - 1)] = " ".join(read[a:b])
    return found


def add_shape(element: Element, polygon: tuple[tuple[float, float], ...]) -> None:
    child(child(element, "Shape"), "Polygon", POINTS=point_list(polygon))


def gap(before: Box, after: Box) -> Box:
    """The box between two words' boxes in a line; where the text is not horizontal, or they touch, of no width."""
    left, right = before[2], max(before[2], after[0])
    return left, min(before[1], after[1]), right, max(before[3], after[3])


def place(box: Box) -> dict[str, int]:
    left, top, right, bottom = box
    return {"HPOS": left, "VPOS": top, "WIDTH": right - left, "HEIGHT": bottom - top}
