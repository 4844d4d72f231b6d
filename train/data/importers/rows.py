"""Shared by the importers: a row from an image and a text, or the reason why the line is skipped."""

from __future__ import annotations

import io
import re
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from PIL import Image

from ....runtime.errors import HtrjandError
from ....runtime.image import SUFFIXES, Grey, LineSource, load_line, open_image, to_grey
from ....runtime.text import normalize
from ..row import LineRow
from . import EMPTY, Found, Skipped, Source

IMAGE_MISSING = "image is missing"
IMAGE_BROKEN = "image cannot be read"
IMAGE_WIDE = "image is too wide for one line"
IMAGE_BLANK = "image is blank"
TEXT_MISSING = "text is missing"
TEXT_ENCODING = "text is not UTF-8"
NO_SPLIT = "line is in none of the split files"

BLANK = 8  # least grey levels between the darkest and the brightest pixel; faint pencil has 20 and more
LAST_NUMBER = re.compile(r"(.+?)[-_.]+[a-z]{0,4}\d+")


def read_grey(path: Path, prefix: str = "") -> Grey | Skipped:
    """The grey pixels [H, W] of a page's image, or why it cannot be read; `prefix` precedes the error's message."""
    try:
        return np.asarray(to_grey(open_image(path, str(path)), str(path)), dtype=np.uint8)
    except HtrjandError as error:
        return Skipped(f"{prefix}{error}", IMAGE_BROKEN)


def make_row(
    source: Source,
    image: LineSource | None,
    text: str | None,
    *,
    id: str,
    doc: str,
    page: str,
    split: str = "",
    lang: str = "",
    dataset: str = "",
) -> Found:
    """One line as a row with an image 64 pixels high, or why it cannot be used.

    Args:
        source: the settings of the import.
        image: anything `load_line` takes; None where it was not found.
        text: None where it was not found.
        split: empty where the layout gives none.
        lang: replaces that of the source, unless empty.
        dataset: replaces that of the source, unless empty.
    """
    where = f"{image}: {id}" if isinstance(image, Path) else id
    if image is None:
        return Skipped(id, IMAGE_MISSING)
    if text is None:
        return Skipped(where, TEXT_MISSING)
    if "\ufffd" in text:
        return Skipped(where, TEXT_ENCODING)
    if not normalize(text):
        return Skipped(where, EMPTY)
    try:
        grey = load_line(image)
    except HtrjandError as error:
        return Skipped(f"{id}: {error}", IMAGE_WIDE if "too wide" in str(error) else IMAGE_BROKEN)
    if int(grey.max()) - int(grey.min()) < BLANK:
        return Skipped(where, IMAGE_BLANK)
    height, width = grey.shape
    return LineRow(
        id, dataset or source.dataset, doc, page, split, lang or source.lang, text, encode(grey), width, height
    )


def encode(grey: Grey) -> bytes:
    """A line [64, W] as PNG: as small as lossless WebP on real lines, and four times as fast to write."""
    stream = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(grey)).save(stream, "PNG")
    return stream.getvalue()


def read_text(path: Path) -> str | None:
    """The content of a text file, or None; bytes that are not UTF-8 become U+FFFD, which `make_row` refuses."""
    try:
        return path.read_bytes().decode("utf-8-sig", errors="replace")
    except OSError:
        return None


def find_image(folders: Iterable[Path], name: str) -> Path | None:
    """The first file of that name, with or without the suffix of an image, in the folders."""
    names = [name, *(name + suffix for suffix in sorted(SUFFIXES))] if name else []
    try:
        return next((path for folder in folders for each in names if (path := folder / each).is_file()), None)
    except (OSError, ValueError):  # a name that is too long for the file system, or holds a zero byte
        return None


def page_of(stem: str, otherwise: str) -> str:
    """The page in a line's name: `p3_l07` is of `p3`. A name with a single number has none: `otherwise`."""
    match = LAST_NUMBER.fullmatch(stem)
    return match[1] if match and any(char.isdigit() for char in match[1]) else otherwise


def folder_of(path: Path, layout: str) -> Path:
    """Returns the folder, or raises an HtrjandError that says what it should hold."""
    if not path.is_dir():
        raise HtrjandError(f"{path}: no such folder; name the folder that holds the {layout}")
    return path
