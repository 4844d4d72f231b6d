"""ALTO XML, versions 2 to 4, as eScriptorium, kraken, Transkribus and OCR engines write it."""

from __future__ import annotations

from collections.abc import Iterator
from xml.etree.ElementTree import Element

from ....runtime.page.cut import Point
from . import Found, Source
from .xml import XmlError, child, children, local
from .xml_pages import Page, PageLine, coordinates, lines_below, number, read_pages

SOFT_HYPHEN = "\u00ad"


def read(source: Source) -> Iterator[Found]:
    """The text lines of one ALTO file, or of those in a folder and the folders below it."""
    return read_pages(source, "alto", "ALTO XML", page_of)


def page_of(root: Element) -> Page:
    """A parsed file as a page."""
    pages = [page for layout in children(root, "Layout") for page in children(layout, "Page")]
    if len(pages) != 1:
        raise XmlError("XML holds several pages" if pages else "XML holds no page")
    page = pages[0]
    name = child(root, "Description", "sourceImageInformation", "fileName")
    unit = child(root, "Description", "MeasurementUnit")
    return Page(
        image=((name.text if name is not None else None) or "").strip(),
        width=number(page.get("WIDTH")),
        height=number(page.get("HEIGHT")),
        lines=[line_of(line, lang, count) for count, (line, lang) in enumerate(lines_below(page, "LANG", "language"))],
        pixels=unit is None or (unit.text or "pixel").strip().lower() == "pixel",
    )


def line_of(line: Element, lang: str, count: int) -> PageLine:
    """A `TextLine` as a line."""
    polygon = child(line, "Shape", "Polygon")
    outline = coordinates(polygon.get("POINTS")) if polygon is not None else []
    box = box_of(line)
    baseline = baseline_of(line, box)
    if not outline and box and not is_box_of(baseline, box):
        outline = box
    return PageLine(line.get("ID") or f"line-{count}", text_of(line), outline or None, baseline or None, lang)


def text_of(line: Element) -> str:
    """The text of a line: `SP` is a space, `HYP` a hyphen; the attributes with the whole of a divided word are ignored.

    Some programs write no `SP` at all: strings are then joined by spaces.
    """
    spaced = child(line, "SP") is not None
    text = ""
    for part in line:
        kind, content = local(part), part.get("CONTENT", "")
        if kind == "String":
            text += content if spaced or not text else f" {content}"
        elif kind == "SP":
            text += " "
        elif kind == "HYP":
            hyphen = content.replace(SOFT_HYPHEN, "-") or "-"  # on paper a soft hyphen at the end of a line is a hyphen
            text += "" if text.endswith((hyphen, SOFT_HYPHEN)) else hyphen
    return text


def box_of(line: Element) -> list[Point]:
    """The corners of the line's box, or nothing."""
    sizes = [line.get(name) for name in ("HPOS", "VPOS", "WIDTH", "HEIGHT")]
    if None in sizes:
        return []
    corner, *rest = coordinates(" ".join(map(str, sizes)))
    if not rest:
        return [corner]  # unreadable numbers: refused when the line is cut
    (x, y), (width, height) = corner, rest[0]
    return [(x, y), (x + width, y), (x + width, y + height), (x, y + height)]


def baseline_of(line: Element, box: list[Point]) -> list[Point]:
    """The baseline: points in version 4; in earlier ones a single y, for the width of the box."""
    text = line.get("BASELINE", "").strip()
    if not text or "," in text or " " in text:
        return coordinates(text)
    y = coordinates(f"0 {text}")[-1][1]
    return [(box[0][0], y), (box[1][0], y)] if len(box) == 4 else []


def is_box_of(baseline: list[Point], box: list[Point]) -> bool:
    """Whether the box bounds only the baseline, as some programs write it for a line without outline."""
    heights = [y for _, y in baseline]
    ends = [y for _, y in box]
    return len(set(baseline)) > 1 and max(abs(min(heights) - min(ends)), abs(max(heights) - max(ends))) <= 2
