"""What the outputs in XML share: elements, points, text that XML may hold, and what read the page."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import PurePath
from typing import BinaryIO
from xml.etree import ElementTree

from .... import __version__
from ...errors import UsageError
from ..cut import Point
from ..page import Page

Element = ElementTree.Element
SOFTWARE = "htrjand"
VERSION = __version__
# Everything but these characters, section 2.2 of XML 1.0, may not stand in a document, not even escaped; nor, by us, do
# the control characters from 7F to 9F, which that section advises against and a terminal obeys.
ILLEGAL = re.compile("[^\t\n\r\x20-\x7e\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def clean(text: str) -> str:
    """The text with each character that XML may not hold replaced: white space by a space, others by U+FFFD."""
    return ILLEGAL.sub(lambda found: " " if found[0].isspace() else "\ufffd", text)


def child(parent: Element, tag: str, text: str | None = None, /, **attributes: object) -> Element:
    """A new element under another, with cleaned text and attributes."""
    element = ElementTree.SubElement(parent, tag, {key: clean(str(value)) for key, value in attributes.items()})
    element.text = None if text is None else clean(text)
    return element


def point_list(points: Sequence[Point]) -> str:
    """Points as `x,y x,y`, in whole pixels."""
    return " ".join(f"{round(x)},{round(y)}" for x, y in points)


def file_name(page: Page) -> str:
    """The image's name without its folders, as the formats ask for it."""
    return PurePath(page.path).name


def settings(page: Page) -> str:
    """The model and its languages, for a header: `model htrjand-student 0.3; languages fr, en`."""
    parts = [f"model {page.model}"] if page.model else []
    if page.languages:
        parts.append(f"languages {', '.join(page.languages)}")
    return "; ".join(parts)


def only(pages: Iterable[Page], form: str) -> Page:
    """The one page there is; a UsageError where there are none or more."""
    found = list(pages)
    if len(found) != 1:
        raise UsageError(f"a file of {form} holds one page, not {len(found)}; write a file for each page")
    return found[0]


def write_document(root: Element, stream: BinaryIO) -> None:
    """Writes an XML document, indented, UTF-8."""
    ElementTree.indent(root)
    stream.write(b'<?xml version="1.0" encoding="UTF-8"?>\n')
    stream.write(ElementTree.tostring(root, encoding="utf-8", xml_declaration=False))
    stream.write(b"\n")
