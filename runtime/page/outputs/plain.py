"""Pages as plain text, as JSON, and as a table with Tesseract's columns."""

from __future__ import annotations

from collections.abc import Iterable
from typing import BinaryIO

from ...text import json_text
from ..page import Box, Page
from .xml import clean

COLUMNS = (
    "level", "page_num", "block_num", "par_num", "line_num", "word_num", "left", "top", "width", "height", "conf",
    "text",
)  # fmt: skip


def write_text(pages: Iterable[Page], stream: BinaryIO) -> None:
    """A line of text for each line of a page, as `Page.text`; UTF-8. Between pages stands a form feed."""
    for index, page in enumerate(pages):
        text = "".join(one_line(line.text) + "\n" for line in page.lines)
        stream.write((("\f" if index else "") + text).encode())


def write_json(pages: Iterable[Page], stream: BinaryIO) -> None:
    """A page a line, each a JSON object as `Page.to_dict` describes it; UTF-8."""
    for page in pages:
        stream.write(json_line(page.to_dict()))


def json_line(values: object) -> bytes:
    """Values as a line of JSON, UTF-8."""
    return f"{json_text(values, separators=(',', ':'))}\n".encode()


def write_tsv(pages: Iterable[Page], stream: BinaryIO) -> None:
    """Tesseract's table: a row for each page (level 1), block, paragraph, line, and word (5); UTF-8, not quoted.

    Boxes are in pixels; `conf` is a word's confidence in percent, and -1 in the other rows. Pages are counted from 1 in
    the order they come; a block has one paragraph.
    """
    stream.write(("\t".join(COLUMNS) + "\n").encode())
    for number, page in enumerate(pages, 1):
        rows = [row((1, number, 0, 0, 0, 0), (0, 0, page.width, page.height))]
        for b, block in enumerate(page.blocks, 1):
            rows.append(row((2, number, b, 0, 0, 0), block.box))
            rows.append(row((3, number, b, 1, 0, 0), block.box))
            for n, line in enumerate(block.lines, 1):
                rows.append(row((4, number, b, 1, n, 0), line.box))
                for w, word in enumerate(line.words, 1):
                    rows.append(row((5, number, b, 1, n, w), word.box, f"{100 * word.confidence:.2f}", word.text))
        stream.write("".join(rows).encode())


def row(place: tuple[int, ...], box: Box, confidence: str = "-1", text: str = "") -> str:
    left, top, right, bottom = box
    values = (*place, left, top, right - left, bottom - top, confidence, one_line(text))
    return "\t".join(map(str, values)) + "\n"


def one_line(text: str) -> str:
    """The text without characters that would end a line, a column or a page, or that no text file holds."""
    return clean(" ".join(text.splitlines())).replace("\t", " ")
