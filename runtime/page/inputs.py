"""What pages can be read from: images, TIFF files of many pages, and PDF."""

from __future__ import annotations

import io
import math
import re
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from struct import calcsize, unpack, unpack_from
from struct import error as struct_error
from typing import Any, BinaryIO

import numpy as np
from PIL import Image

from ..decoding import BYTES, MAX_BYTES, check_memory, check_pixels, memory, open_file, opening, orientation, upright
from ..errors import HtrjandError, UsageError
from ..image import Grey, LineSource, array_image, readable, source_name, to_grey, to_rgb

MAX_PIXELS = 200_000_000  # of a page: 36 by 26 cm at 1,000 dpi
READ_PIXELS = 40_000_000  # a larger page is halved until it has no more: A4 at 600 dpi has 35 million, at 300 dpi 9
COLOUR_PIXELS = 20_000_000  # of a PDF's page in colour, which is in memory three times
DPI = 300  # that pages of a PDF are rendered with, fewer where that would give more than READ_PIXELS
SUFFIXES = {".pdf"}  # of files with pages, beside those of images: `runtime.image.SUFFIXES`
PDF_HEAD = 1024  # bytes among which a PDF says what it is: some begin with other bytes
COLOUR = 4  # bytes of a pixel in memory
REDUCED = 1  # of a TIFF frame's NewSubfileType: a small copy of another frame, no page of its own
NEW_SUBFILE_TYPE = 254
REDUCIBLE = {"L", "RGB", "CMYK", "YCbCr"}  # modes whose mean over pixels is what it looks like
LYING = range(5, 9)  # EXIF orientations that turn an image by 90 or 270 degrees

_pdfium = threading.RLock()  # PDFium may be in one thread at a time


@dataclass(frozen=True, slots=True)
class PageImage:
    """The pixels of a page. Times `scale`, a place in `grey` is a place in the image as it was given."""

    grey: Grey  # H, W: upright by its EXIF orientation, 0 = black, perhaps reduced
    width: int  # of the image as it was given, upright
    height: int
    scale: float


@dataclass(frozen=True, slots=True)
class PageSource:
    """A page that can be read. Nothing is decoded before `load` or `picture`."""

    path: Path
    number: int = 1  # in the file, from 1
    total: int = 1  # pages that the file has

    def __str__(self) -> str:
        return f"{self.path}, page {self.number}" if max(self.number, self.total) > 1 else str(self.path)

    def size(self) -> tuple[int, int]:
        """Width and height in pixels as `PageImage` has them, without decoding the page.

        Raises:
            HtrjandError: as `load` does, as far as it shows without decoding.
        """
        if is_pdf(self.path):
            with pdf(self.path) as document:
                page = pdf_page(document, self.number, str(self))
                scale = pdf_scale(page)
                return math.ceil(page.get_width() * scale), math.ceil(page.get_height() * scale)
        with readable(str(self)), opened(self.path, self.number, str(self)) as image:
            lying = orientation(image) in LYING
            return (image.height, image.width) if lying else (image.width, image.height)

    def load(self) -> PageImage:
        """The page in grey.

        Raises:
            HtrjandError: it cannot be read; the message names file and page.
        """
        if is_pdf(self.path):
            pixels = np.asarray(rendered(self.path, self.number, str(self), grey=True))
            return PageImage(pixels, pixels.shape[1], pixels.shape[0], 1.0)
        with readable(str(self)), opened(self.path, self.number, str(self)) as image:
            return page_image(image, str(self))

    def picture(self) -> Image.Image:
        """The page as it looks, for a file that shows it: mode "1", "L" or "RGB", upright, no larger than as loaded.

        Raises:
            HtrjandError: as `load` does.
        """
        if is_pdf(self.path):
            return rendered(self.path, self.number, str(self), grey=False)
        with readable(str(self)), opened(self.path, self.number, str(self)) as image:
            dpi = image.info.get("dpi")
            shown = upright(coloured(image, str(self), decoded(image, "RGB", str(self))), orientation(image))
            shown.info = {} if dpi is None else {"dpi": dpi}
            return shown


def pages_of(path: str | Path, selection: Sequence[range] | None = None) -> Iterator[PageSource]:
    """The pages of a file, in order; each is decoded when it is asked to, so that one bad page does not stop the rest.

    Args:
        path: an image, a TIFF file (each frame is a page, but for reduced copies of others), or a PDF (with pypdfium2).
        selection: numbers of the pages wanted, see `page_numbers`; None: all.

    Raises:
        HtrjandError: the file cannot be opened, is an animation, or has none of the pages wanted.
    """
    path = Path(path).expanduser()
    total = page_count(path)
    numbers = [n for n in range(1, total + 1) if selection is None or any(n in part for part in selection)]
    if not numbers:
        raise HtrjandError(f"{path}: has {total} page{'s' * (total != 1)}, and none of those asked for")
    return (PageSource(path, number, total) for number in numbers)


def page_numbers(text: str) -> tuple[range, ...]:
    """The numbers that a text like `1-3,7` or `5-` names, from 1; a UsageError where it names none."""
    parts = []
    for part in text.split(","):
        found = re.fullmatch(r"\s*(\d+)\s*(?:(-)\s*(\d*)\s*)?", part)
        first = int(found[1]) if found else 0
        last = first if found is None or not found[2] else int(found[3]) if found[3] else sys.maxsize - 1
        if not 1 <= first <= last:
            raise UsageError(
                f"pages {text!r}: {part.strip() or 'nothing'!r} names no pages; give numbers from 1, as 1-3,7 or 5-"
            )
        parts.append(range(first, last + 1))
    return tuple(parts)


def load_page(source: LineSource) -> PageImage:
    """The one page that a source holds, in grey: a path, encoded bytes, an array (uint8 or uint16) or a PIL image.

    Raises:
        HtrjandError: it cannot be read, or holds several pages.
    """
    name = source_name(source)
    if isinstance(source, str | Path):
        path = Path(source).expanduser()
        total = page_count(path)
        if total != 1:
            raise HtrjandError(f"{name}: has {total} pages; read them one by one")
        return PageSource(path).load()
    if isinstance(source, np.ndarray):
        return page_image(array_image(source, name), name)
    with readable(name):
        if isinstance(source, Image.Image):
            return page_image(source, name)
        stream = io.BytesIO(source)
        with opening(stream, name) as image:
            if (total := frame_count(image, stream, name)) != 1:
                raise HtrjandError(f"{name}: has {total} pages; save it to a file and read them one by one")
            return page_image(image, name)


def page_count(path: Path) -> int:
    """How many pages a file has; of a damaged TIFF file, the last that can be told of is one that cannot be read."""
    if is_pdf(path):
        with pdf(path) as document:
            return len(document)
    with readable(str(path)), open_file(path) as stream, opening(stream, str(path)) as image:
        return frame_count(image, stream, str(path))


def frame_count(image: Image.Image, stream: BinaryIO, name: str) -> int:
    """How many frames of an image, opened from a stream, are pages; an HtrjandError for an animation."""
    if image.format == "TIFF":
        return len(tiff_pages(stream)[0])
    frames = getattr(image, "n_frames", 1)
    if frames > 1 and image.format != "MPO":  # a photograph and what the camera put behind it
        raise HtrjandError(f"{name}: an animation of {frames} pictures; save the one with the page as an image")
    return 1


def tiff_pages(stream: BinaryIO) -> tuple[list[int], bool]:
    """The frames of a TIFF file that are pages, and whether the last of them is damaged, so that no more can be found.

    Each frame has a directory of its own, which says where the next one is: TIFF 6.0, section 2. Pillow takes a chain
    that breaks off for the end of the file.
    """
    stream.seek(0)
    head = stream.read(16)
    order = "<" if head[:2] == b"II" else ">"
    # A directory: how many entries, entries of so many bytes, a pointer; BigTIFF has wider ones, and the version 43.
    length, entry, pointer, first = ("Q", 20, "Q", head[8:16]) if 43 in head[2:4] else ("H", 12, "I", head[4:8])
    pages: list[int] = []
    seen: set[int] = set()
    try:
        (place,) = unpack(order + pointer, first)
        while place and place not in seen:
            stream.seek(place)
            (count,) = unpack(order + length, stream.read(calcsize(order + length)))
            entries = stream.read(count * entry)
            (following,) = unpack(order + pointer, stream.read(calcsize(order + pointer)))
            if not is_reduced(entries, entry, order):
                pages.append(len(seen))
            seen.add(place)
            place = following
    except (struct_error, OverflowError):
        return [*pages, len(seen)], True
    return pages or [0], False


def is_reduced(entries: bytes, entry: int, order: str) -> bool:
    """Whether a TIFF directory says that its frame is a small copy of another; entries: tag, type, count, value."""
    value = 8 if entry == 12 else 12  # where the value begins
    for begin in range(0, len(entries), entry):
        (tag,) = unpack_from(order + "H", entries, begin)
        if tag == NEW_SUBFILE_TYPE:
            return bool(unpack_from(order + "I", entries, begin + value)[0] & REDUCED)
    return False


@contextmanager
def opened(path: Path, number: int, name: str) -> Iterator[Image.Image]:
    """A page of an image file, not yet decoded."""
    with open_file(path) as stream, opening(stream, str(path)) as image:
        if image.format == "TIFF":
            frames, damaged = tiff_pages(stream)
            if number > len(frames):
                raise HtrjandError(f"{name}: the file has {len(frames)} pages")
            if damaged and number == len(frames):
                raise HtrjandError(f"{name}: the file is cut short or damaged here; what comes behind cannot be found")
            image.seek(frames[number - 1])
        else:
            frame_count(image, stream, name)
        yield image


def page_image(image: Image.Image, name: str) -> PageImage:
    width, height = image.size
    grey = upright(to_grey(image, name, decoded(image, "L", name)), orientation(image))
    if (grey.width > grey.height) != (width > height):  # turned by its EXIF orientation
        width, height = height, width
    return PageImage(np.asarray(grey, dtype=np.uint8), width, height, width / grey.width)


def decoded(image: Image.Image, mode: str, name: str) -> int:
    """Decodes an image, and returns what its sides are still to be divided by so that its pixels are few enough.

    A JPEG is decoded small, and in grey if that is the mode wanted, and so is a large JPEG 2000; other formats can only
    be decoded as they are.
    """
    width, height = image.size
    factor = 1
    while width * height > READ_PIXELS * factor**2:
        factor *= 2
    check_pixels(image, name, MAX_PIXELS, " for a page")
    if image.format in ("JPEG", "MPO"):
        image.draft(mode, (-(-width // factor), -(-height // factor)))
    halvings = 0
    while image.format == "JPEG2000" and memory(image, (width, height)) > MAX_BYTES * 4**halvings:
        halvings += 1
    if halvings:
        image.reduce = halvings  # type: ignore[method-assign, assignment]
    else:
        check_memory(image, name, (width, height))
    image.load()
    if halvings:
        image.reduce = 0  # type: ignore[method-assign, assignment]
    return max(1, round(factor * image.width / max(1, width)))  # 1 where the decoder takes it all


def coloured(image: Image.Image, name: str, factor: int) -> Image.Image:
    """A decoded image of any mode as "1", "L" or "RGB", white where transparent, each side divided by `factor`, or by
    more where the image and its copies would take too much memory."""
    opaque = "transparency" not in image.info
    plain = opaque and image.mode in ("1", "L", "RGB")
    pixels, copies = image.width * image.height, (not plain) + (orientation(image) != 1)
    while pixels * (BYTES.get(image.mode, COLOUR) + COLOUR * copies / factor**2) > MAX_BYTES:
        factor *= 2
    if factor == 1 and plain:
        return image
    if image.mode.startswith(("I", "F", "1", "LA", "La")):
        return to_grey(image, name, factor)
    if opaque and image.mode in REDUCIBLE:  # the mean of what it holds is the mean of what it shows
        small = image.reduce(factor)
        return small if plain else to_rgb(small, name)
    return to_rgb(image, name, factor)


def is_pdf(path: Path) -> bool:
    """Whether a file is a PDF, by its first bytes; one that cannot be read is none."""
    try:
        with open_file(path) as stream:
            return b"%PDF-" in stream.read(PDF_HEAD)
    except (OSError, ValueError, HtrjandError):
        return False


@contextmanager
def pdf(path: Path) -> Iterator[Any]:
    """A PDF, opened; PDFium is this thread's until it is closed."""
    try:
        import pypdfium2
    except ImportError as missing:
        raise HtrjandError(f"{path}: to read a PDF, pip install 'htrjand[pdf]' ({missing})") from missing
    with _pdfium:
        try:
            document = pypdfium2.PdfDocument(path)
        except pypdfium2.PdfiumError as error:
            raise HtrjandError(f"{path}: not a readable PDF ({error}); save it again, without a password") from error
        try:
            yield document
        except pypdfium2.PdfiumError as error:
            raise HtrjandError(f"{path}: a page cannot be rendered ({error}); save it again") from error
        finally:
            document.close()


def pdf_page(document: Any, number: int, name: str) -> Any:
    """A page of an open PDF, by its number from 1."""
    if number > len(document):
        raise HtrjandError(f"{name}: the file has {len(document)} pages")
    return document[number - 1]


def pdf_scale(page: Any, most: int = READ_PIXELS) -> float:
    """How many pixels a point of a PDF's page, 1/72 inch, is rendered with, so that there are at most so many."""
    points = page.get_width() * page.get_height()
    return float(min(DPI / 72, (most / max(points, 1)) ** 0.5))


def rendered(path: Path, number: int, name: str, grey: bool) -> Image.Image:
    """A page of a PDF as an image, "L" or "RGB", with its resolution in `info["dpi"]`."""
    with pdf(path) as document:
        page = pdf_page(document, number, name)
        scale = pdf_scale(page, READ_PIXELS if grey else COLOUR_PIXELS)
        bitmap = page.render(scale=scale, grayscale=grey)
        image: Image.Image = bitmap.to_pil().copy()  # to_pil's shares the bitmap's memory
        bitmap.close()
        page.close()
    image = image if image.mode in ("L", "RGB") else image.convert("RGB")
    image.info["dpi"] = (72 * scale, 72 * scale)
    return image
