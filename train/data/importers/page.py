"""PAGE XML, editions 2010 to 2019, as Transkribus, eScriptorium, kraken and OCR-D write it."""

from __future__ import annotations

import math
from collections.abc import Iterator
from xml.etree.ElementTree import Element

from ....runtime.page.cut import Point
from . import Found, Source
from .xml import XmlError, child, children
from .xml_pages import Page, PageLine, coordinates, lines_below, number, read_pages


def read(source: Source) -> Iterator[Found]:
    """The text lines of one PAGE file, or of those in a folder and the folders below it."""
    return read_pages(source, "PcGts", "PAGE XML", page_of)


def page_of(root: Element) -> Page:
    """A parsed file as a page."""
    page = child(root, "Page")
    if page is None:
        raise XmlError("XML holds no page")
    lines = [
        PageLine(
            id=line.get("id") or f"line-{count}",
            text=text_of(line),
            polygon=points_of(child(line, "Coords")),
            baseline=points_of(child(line, "Baseline")),
            lang=lang,
        )
        for count, (line, lang) in enumerate(lines_below(page, "primaryLanguage"))
    ]
    return Page(page.get("imageFilename", ""), number(page.get("imageWidth")), number(page.get("imageHeight")), lines)


def text_of(element: Element) -> str:
    """The text of a line: its `TextEquiv` of the lowest index; without one, its words or glyphs joined."""
    readings = sorted(children(element, "TextEquiv"), key=index_of)
    unicode = child(readings[0], "Unicode") if readings else None
    text = (unicode.text or "") if unicode is not None else ""
    if text.strip():
        return text
    for part, between in (("Word", " "), ("Glyph", "")):
        parts = [text_of(inner) for inner in children(element, part)]
        if parts:
            return between.join(parts)
    return text


def index_of(reading: Element) -> float:
    """The index of a `TextEquiv`: 0 without the attribute; infinite, so last, where it is negative."""
    index = number(reading.get("index"))
    return index if index >= 0 else math.inf


def points_of(element: Element | None) -> list[Point] | None:
    """Points in the attribute, or (before 2013) as child elements; None without any."""
    if element is None:
        return None
    text = element.get("points")
    if text is None:
        text = " ".join(f"{point.get('x')},{point.get('y')}" for point in children(element, "Point"))
    return coordinates(text) or None
