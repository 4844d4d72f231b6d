"""Opens image files with Pillow, within limits: of formats, of pixels, and of the memory that decoding takes."""

from __future__ import annotations

import threading
from pathlib import Path
from struct import unpack
from typing import BinaryIO

from PIL import ExifTags, Image

from .errors import HtrjandError

# What Pillow may open, whatever a file is called: no format that runs another program (EPS runs Ghostscript).
FORMATS = ("PNG", "JPEG", "TIFF", "WEBP", "BMP", "GIF", "JPEG2000", "PPM")
MAX_BYTES = 240_000_000  # that decoding an image may take; what is made of its pixels stays below 300 MB with them
BYTES = {"1": 1, "L": 1, "P": 1, "I;16": 2, "I;16L": 2, "I;16B": 2, "I;16N": 2}  # of a pixel in memory; others: 4
# Measured with Pillow 13: bytes of a pixel while a decoder runs, its own buffers among them.
WEBP_BYTES = 16
JPEG2000_BYTES = 5  # of each channel, and those of the pixel
COEFFICIENT = 2  # bytes; a progressive JPEG is in memory as coefficients, in full size, before it is an image
ROWS_PER_STRIP = 278  # the tag of a TIFF
MAX_TEXT = 32_000_000  # bytes of what a PNG holds beside its pixels
INFLATED = 1_000_000  # bytes that a compressed chunk of text may have: Pillow's limit
DEFLATE = 1032  # times that deflate makes a text smaller at most
TURNED = {
    2: Image.Transpose.FLIP_LEFT_RIGHT, 3: Image.Transpose.ROTATE_180, 4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE, 6: Image.Transpose.ROTATE_270, 7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}  # fmt: skip

_opening = threading.Lock()  # while Pillow's limit of pixels is ours


def open_file(path: Path) -> BinaryIO:
    """A file to be decoded; an HtrjandError for a pipe, a socket or a device, which may never end."""
    if path.exists() and not (path.is_file() or path.is_dir()):
        raise HtrjandError(f"{path}: is a pipe or a device; name an image or a PDF, or - for standard input")
    return path.open("rb")


def opening(stream: BinaryIO, name: str) -> Image.Image:
    """`Image.open` of the formats above, without Pillow's limit of pixels, which it keeps in a global variable."""
    check_text(stream, name)
    with _opening:
        limit, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
        try:
            return Image.open(stream, formats=FORMATS)
        finally:
            Image.MAX_IMAGE_PIXELS = limit


def check_text(stream: BinaryIO, name: str) -> None:
    """Raises an HtrjandError for a PNG with so much text or other data that reading them would fill the memory."""
    stream.seek(0)
    beside = 0
    if stream.read(8) == b"\x89PNG\r\n\x1a\n":
        while len(head := stream.read(8)) == 8:
            length, kind = unpack(">I4s", head)
            if kind not in (b"IDAT", b"fdAT"):
                beside += max(length, min(length * DEFLATE, INFLATED) if kind in (b"zTXt", b"iTXt") else 0)
            stream.seek(length + 4, 1)
    stream.seek(0)
    if beside > MAX_TEXT:
        raise HtrjandError(
            f"{name}: the PNG holds {beside // 10**6} MB of text beside its pixels; save it again without them"
        )


def check_pixels(image: Image.Image, name: str, most: int, what: str = "") -> None:
    """Raises an HtrjandError where an image has too many pixels."""
    width, height = image.size
    if width * height > most:
        raise HtrjandError(
            f"{name}: {width}×{height} pixels are too many{what} (at most {most:,}); scale the image down"
        )


def check_memory(image: Image.Image, name: str, given: tuple[int, int]) -> None:
    """Raises an HtrjandError where an opened image, perhaps drafted, of this size takes too much memory to decode."""
    if (needed := memory(image, given)) > MAX_BYTES:
        width, height = given
        raise HtrjandError(
            f"{name}: {width}×{height} pixels of mode {image.mode} take {needed // 10**6} MB to decode from "
            f"{image.format or 'this'} (at most {MAX_BYTES // 10**6}); scale the image down, or save it as a "
            "JPEG that is not progressive"
        )


def memory(image: Image.Image, given: tuple[int, int]) -> int:
    """Bytes that it takes, about, to decode an opened image, whose size was this before a draft made it smaller."""
    pixels, each = image.width * image.height, BYTES.get(image.mode, 4)
    if image.format == "WEBP":
        return pixels * WEBP_BYTES
    if image.format == "JPEG2000":
        return pixels * (JPEG2000_BYTES * len(image.getbands()) + each)
    if image.format in ("JPEG", "MPO") and "progressive" in image.info:
        layers = [(across, down) for _, across, down, _ in image.layer]  # type: ignore[attr-defined]
        most = max(across for across, _ in layers) * max(down for _, down in layers)
        share = sum(across * down for across, down in layers) / most
        return pixels * each + int(given[0] * given[1] * COEFFICIENT * share)
    if image.format == "TIFF":
        rows = min(image.height, number(image.tag_v2.get(ROWS_PER_STRIP, image.height)))  # type: ignore[attr-defined]
        turned = orientation(image) != 1
        return pixels * each * (1 + turned) + rows * image.width * min(each, len(image.getbands()))
    return pixels * each


def number(value: object) -> int:
    return value if isinstance(value, int) else 1 << 62


def orientation(image: Image.Image) -> int:
    """How an image is to be turned, by its EXIF: 1 to 8."""
    found = image.getexif().get(ExifTags.Base.Orientation, 1)
    return found if found in TURNED else 1


def upright(image: Image.Image, orientation: int) -> Image.Image:
    """An image turned as the EXIF of what it was made of says."""
    return image if orientation == 1 else image.transpose(TURNED[orientation])
