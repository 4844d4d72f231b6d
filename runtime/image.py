"""From anything that holds a text line to the grey pixels a model file takes."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps, UnidentifiedImageError

from .errors import HtrjandError

HEIGHT = 64  # rows of every model's input
WIDTH_MULTIPLE = 16  # columns are padded to a multiple of this: the network's strides divide it
MAX_WIDTH = 4096  # columns after scaling to HEIGHT: about 200 characters, four times the longest line we know
MAX_PIXELS = 50_000_000  # of a source image: a decompression bomb ends here
SUFFIXES = {".png", ".jpg", ".jpeg", ".tif", ".tiff", ".webp", ".bmp", ".gif", ".jp2", ".pgm", ".ppm"}  # in folders
# What Pillow may open, whatever a file is called: no format that runs another program (EPS runs Ghostscript).
FORMATS = ("PNG", "JPEG", "TIFF", "WEBP", "BMP", "GIF", "JPEG2000", "PPM")

LineSource = str | Path | bytes | np.ndarray | Image.Image
Grey = npt.NDArray[np.uint8]


def load_line(source: LineSource) -> Grey:
    """Reads one text line as grey pixels.

    Args:
        source: a path, encoded bytes, an array ([H, W] or [H, W, 1|3|4]; uint8 or uint16), or a PIL image.

    Returns:
        uint8 [64, W], 0 = black, the aspect kept, not padded.

    Raises:
        HtrjandError: the source is no image, is cut short, is empty, or is wider than 4096 columns at this height.
    """
    return load_line_and_width(source)[0]


def load_line_and_width(source: LineSource) -> tuple[Grey, int]:
    """As `load_line`, and the width of the upright image before scaling, in which places are counted."""
    name = source_name(source)
    image = to_grey(open_image(source, name), name)
    width, height = image.size
    scaled = max(1, round(width * HEIGHT / height))
    if scaled > MAX_WIDTH:
        raise HtrjandError(
            f"{name}: {width}×{height} is too wide for one text line (at most {MAX_WIDTH // HEIGHT} times its height); "
            "cut it into shorter lines"
        )
    if (scaled, HEIGHT) != image.size:
        image = image.resize((scaled, HEIGHT), Image.Resampling.BILINEAR, reducing_gap=2.0)
    return np.asarray(image, dtype=np.uint8), width  # 64, W


def paper_grey(line: Grey) -> int:
    """The grey of the paper in a line [64, W]: the 80th percentile of its pixels, as `numpy.percentile` computes it."""
    place = 0.8 * (line.size - 1)
    below = int(place)
    upto = np.bincount(line.ravel(), minlength=256).cumsum()  # 256: a count is seven times faster than a partition
    low, high = np.searchsorted(upto, [below, min(below + 1, line.size - 1)], side="right").tolist()
    share: float = place - below
    return int(low + (high - low) * share if share < 0.5 else high - (high - low) * (1 - share))


def pad_line(line: Grey, width: int | None = None) -> Grey:
    """Pads a line [64, W] at the right with its paper's grey, to `width` or to the next multiple of 16."""
    target = width or -(-line.shape[1] // WIDTH_MULTIPLE) * WIDTH_MULTIPLE
    if target == line.shape[1]:
        return line
    return np.pad(line, ((0, 0), (0, target - line.shape[1])), constant_values=paper_grey(line))  # 64, W'


def source_name(source: object) -> str:
    """What an error calls a source: its path where it has one."""
    return str(source) if isinstance(source, str | Path) else "image"


def open_image(source: LineSource, name: str) -> Image.Image:
    """Opens any source as a fully decoded PIL image (an animation's first), turned as its EXIF orientation says."""
    if isinstance(source, np.ndarray):
        return array_image(source, name)
    with readable(name):
        if isinstance(source, Image.Image):
            return decode(source, name)
        if not isinstance(source, str | Path | bytes):
            kind = type(source).__name__
            raise HtrjandError(f"{name}: a {kind} is no image; give a path, bytes, an array or a PIL image")
        stream = io.BytesIO(source) if isinstance(source, bytes) else Path(source).expanduser().open("rb")
        with stream, Image.open(stream, formats=FORMATS) as image:
            return decode(image, name)


@contextmanager
def readable(name: str) -> Iterator[None]:
    """Around the opening and decoding of an image: whatever goes wrong becomes an HtrjandError with the remedy."""
    try:
        yield
    except HtrjandError:
        raise
    except FileNotFoundError as error:
        raise HtrjandError(f"{name}: no such file; check the path") from error
    except IsADirectoryError as error:
        raise HtrjandError(f"{name}: is a folder; name the image files in it") from error
    except PermissionError as error:
        raise HtrjandError(f"{name}: may not be read; change its permissions") from error
    except UnidentifiedImageError as error:
        raise HtrjandError(f"{name}: not an image; give a PNG, JPEG, TIFF or WebP file") from error
    except Exception as error:  # Pillow's decoders raise whatever broken bytes lead them to: struct.error, KeyError, …
        raise HtrjandError(f"{name}: not a readable image ({error}); save it again as PNG or JPEG") from error


def decode(image: Image.Image, name: str) -> Image.Image:
    """The image with its pixels in memory and upright."""
    if image.width * image.height > MAX_PIXELS:
        raise HtrjandError(
            f"{name}: {image.width}×{image.height} pixels are too many (at most {MAX_PIXELS:,}); scale the image down"
        )
    image.load()
    return ImageOps.exif_transpose(image)


def array_image(array: npt.NDArray[Any], name: str) -> Image.Image:
    """A PIL image over an array, or an error that says which arrays are taken."""
    plain = array.ndim == 2 or (array.ndim == 3 and array.shape[2] in (1, 3, 4))
    if not plain or array.dtype not in (np.uint8, np.uint16) or array.size == 0:
        raise HtrjandError(
            f"{name}: an array of shape {list(array.shape)} and type {array.dtype} is no line; "
            "give uint8 or uint16 of shape [H, W], [H, W, 3] or [H, W, 4]"
        )
    if array.ndim == 3 and array.shape[2] == 1:
        array = array[:, :, 0]
    return Image.fromarray(np.ascontiguousarray(eight_bits(array)))


def eight_bits(values: npt.NDArray[Any]) -> Grey:
    """Grey of 16 bits in 8; values that all fit into 8 bits are taken as they are."""
    if values.dtype == np.uint8:
        return values
    return (values if values.max() <= 255 else values // 257).astype(np.uint8)


def to_grey(image: Image.Image, name: str) -> Image.Image:
    """Eight bits of grey; what is transparent becomes white paper."""
    if image.width == 0 or image.height == 0:
        raise HtrjandError(f"{name}: the image is empty ({image.width}×{image.height}); give one with a text line")
    if image.mode == "L" and "transparency" not in image.info:
        return image
    if image.mode.startswith(("I", "F")):
        deep = np.asarray(image)  # H, W
        if not (np.issubdtype(deep.dtype, np.integer) and deep.min() >= 0 and deep.max() <= 65535):
            raise HtrjandError(f"{name}: its pixels do not fit into 16 bits; save it again with 8 or 16 bits a pixel")
        return Image.fromarray(eight_bits(deep))
    try:
        return on_white(image).convert("L")
    except ValueError as error:
        raise HtrjandError(f"{name}: {image.mode} colours cannot be read; save it again as grey or RGB") from error


def on_white(image: Image.Image) -> Image.Image:
    """The image on white paper where it is transparent, else as it is."""
    if image.mode in ("RGBA", "LA", "PA", "RGBa", "La") or "transparency" in image.info:
        clear = image.convert("LA").convert("RGBA") if image.mode == "La" else image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", clear.size, "white"), clear)
    return image
