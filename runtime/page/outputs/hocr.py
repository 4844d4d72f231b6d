"""Pages as hOCR: http://kba.github.io/hocr-spec/1.2/"""

from __future__ import annotations

import math
from collections.abc import Iterable
from html import escape
from itertools import chain
from typing import BinaryIO
from xml.etree import ElementTree

from ..page import Box, Page, PageLine
from .xml import SOFTWARE, VERSION, Element, child, clean, file_name, settings

CAPABILITIES = "ocr_page ocr_carea ocr_par ocr_line ocrx_word"
UPRIGHT = math.radians(45)  # a line that slopes more has no baseline that hOCR can say: its slope is one of y on x


def write_hocr(pages: Iterable[Page], stream: BinaryIO) -> None:
    """hOCR of any number of pages, as XHTML: lines, and words with their confidence in percent (`x_wconf`).

    The header takes model and languages from the first page. The format has no place for the confidence of a line.
    """
    rest = iter(pages)
    first = next(rest, None)
    stream.write(head(first).encode())
    for number, page in enumerate(chain([] if first is None else [first], rest), 1):
        element = page_element(page, number)
        ElementTree.indent(element)
        stream.write(ElementTree.tostring(element, encoding="utf-8", xml_declaration=False) + b"\n")
    stream.write(b" </body>\n</html>\n")


def head(page: Page | None) -> str:
    """The document up to its first page."""
    languages = page.languages if page else ()
    lang = f' xml:lang="{escape(languages[0])}" lang="{escape(languages[0])}"' if len(languages) == 1 else ""
    about = [("ocr-system", f"{SOFTWARE} {VERSION}"), ("ocr-capabilities", CAPABILITIES)]
    if languages:
        about.append(("ocr-langs", " ".join(languages)))
    if page and settings(page):
        about.append(("description", settings(page)))
    metas = "".join(f'  <meta name="{name}" content="{escape(clean(content))}"/>\n' for name, content in about)
    title = escape(clean(file_name(page))) if page else ""
    return (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        '<!DOCTYPE html PUBLIC "-//W3C//DTD XHTML 1.0 Transitional//EN" '
        '"http://www.w3.org/TR/xhtml1/DTD/xhtml1-transitional.dtd">\n'
        f'<html xmlns="http://www.w3.org/1999/xhtml"{lang}>\n <head>\n  <title>{title}</title>\n'
        f'  <meta http-equiv="Content-Type" content="text/html;charset=utf-8"/>\n{metas} </head>\n <body>\n'
    )


def page_element(page: Page, number: int) -> Element:
    image = file_name(page).replace('"', "%22")
    title = f'image "{image}"; {bbox((0, 0, page.width, page.height))}; ppageno {page.number - 1}'
    root = Element("div", {"class": "ocr_page", "id": f"page_{number}", "title": clean(title)})
    count = 0
    for index, block in enumerate(page.blocks, 1):
        name = f"{number}_{index}"
        area = add(root, "div", "ocr_carea", f"block_{name}", bbox(block.box))
        paragraph = add(area, "p", "ocr_par", f"par_{name}", bbox(block.box))
        for line in block.lines:
            count += 1
            add_line(paragraph, line, f"{number}_{count}")
    return root


def add_line(paragraph: Element, line: PageLine, name: str) -> None:
    element = add(paragraph, "span", "ocr_line", f"line_{name}", f"{bbox(line.box)}; {direction(line)}")
    for index, word in enumerate(line.words, 1):
        title = f"{bbox(word.box)}; x_wconf {round(100 * word.confidence)}"
        add(element, "span", "ocrx_word", f"word_{name}_{index}", title).text = clean(word.text)


def direction(line: PageLine) -> str:
    """`baseline slope offset`, from the lower left corner of the line's box; or `textangle degrees`, anticlockwise."""
    x, y = line.along
    if abs(math.atan2(y, x)) > UPRIGHT:
        return f"textangle {round(-math.degrees(math.atan2(y, x))) % 360}"
    (x0, y0), (x1, y1) = line.baseline[0], line.baseline[-1]
    slope = (y1 - y0) / (x1 - x0) if x1 - x0 >= 1 else y / x
    left, _, _, bottom = line.box
    return f"baseline {slope:.4f} {y0 + slope * (left - x0) - bottom:.1f}"


def add(parent: Element, tag: str, kind: str, name: str, title: str) -> Element:
    element = child(parent, tag, id=name, title=title)
    element.set("class", kind)
    return element


def bbox(box: Box) -> str:
    return "bbox " + " ".join(map(str, box))
