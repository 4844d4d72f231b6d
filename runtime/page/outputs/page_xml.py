"""A page as PAGE XML, edition 2019-07-15: https://github.com/PRImA-Research-Lab/PAGE-XML"""

from __future__ import annotations

from collections.abc import Iterable
from typing import BinaryIO

from ..page import Page, PageLine
from .xml import SOFTWARE, VERSION, Element, child, file_name, only, point_list, write_document

NAMESPACE = "http://schema.primaresearch.org/PAGE/gts/pagecontent/2019-07-15"


def write_page_xml(pages: Iterable[Page], stream: BinaryIO) -> None:
    """PAGE XML of exactly one page: reading order, lines with baselines, words; lines and words with confidences."""
    page = only(pages, "PAGE XML")
    root = Element(
        "PcGts",
        {
            "xmlns": NAMESPACE,
            "xmlns:xsi": "http://www.w3.org/2001/XMLSchema-instance",
            "xsi:schemaLocation": f"{NAMESPACE} {NAMESPACE}/pagecontent.xsd",
        },
    )
    metadata = child(root, "Metadata")
    child(metadata, "Creator", f"{SOFTWARE} {VERSION}")
    child(metadata, "Created", page.created)
    child(metadata, "LastChange", page.created)
    item = child(metadata, "MetadataItem", type="processingStep", name="recognition", value=f"{SOFTWARE} {VERSION}")
    labels = child(item, "Labels")
    if page.model:
        child(labels, "Label", type="model", value=page.model)
    for language in page.languages:
        child(labels, "Label", type="language", value=language)
    child(metadata, "MetadataItem", type="imageProperties", name="page", value=page.number)

    sheet = child(
        root, "Page", imageFilename=file_name(page), imageWidth=page.width, imageHeight=page.height,
        orientation=page.turned if page.turned <= 180 else page.turned - 360,
    )  # fmt: skip
    blocks = list(page.blocks)
    if blocks:
        order = child(child(sheet, "ReadingOrder"), "OrderedGroup", id="reading_order")
        for index in range(len(blocks)):
            child(order, "RegionRefIndexed", index=index, regionRef=f"region_{index + 1}")
    number = 0
    for index, block in enumerate(blocks, 1):
        region = child(sheet, "TextRegion", id=f"region_{index}")
        left, top, right, bottom = block.box
        child(region, "Coords", points=f"{left},{top} {right},{top} {right},{bottom} {left},{bottom}")
        for line in block.lines:
            number += 1
            add_line(region, line, f"line_{number}")
        add_text(region, "\n".join(line.text for line in block.lines))
    write_document(root, stream)


def add_line(region: Element, line: PageLine, name: str) -> None:
    text_line = child(region, "TextLine", id=name)
    child(text_line, "Coords", points=point_list(line.polygon))
    child(text_line, "Baseline", points=point_list(line.baseline))
    for index, word in enumerate(line.words, 1):
        element = child(text_line, "Word", id=f"{name}_word_{index}")
        child(element, "Coords", points=point_list(word.polygon))
        add_text(element, word.text, word.confidence)
    read = line.line.read
    if read is None:
        add_text(text_line, line.text, line.line.confidence)
    else:  # a corrected text, and what was read
        add_text(text_line, line.text, line.line.confidence, index=0)
        add_text(text_line, read, line.line.confidence, index=1)


def add_text(element: Element, text: str, confidence: float | None = None, index: int | None = None) -> None:
    place = {} if index is None else {"index": index}
    sure = {} if confidence is None else {"conf": f"{confidence:.4f}"}
    child(child(element, "TextEquiv", **place, **sure), "Unicode", text)
