"""From anything that holds a text line to the grey pixels a model file takes."""

from __future__ import annotations

import io
from bisect import bisect_right
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import accumulate
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image, UnidentifiedImageError

from .decoding import check_memory, check_pixels, open_file, opening, orientation, upright
from .errors import HtrjandError

HEIGHT = 64  # rows of every model's input
WIDTH_MULTIPLE = 16  # columns are padded to a multiple of this: the network's strides divide it
MAX_WIDTH = 4096  # columns after scaling to HEIGHT: about 200 characters, four times the longest line we know
MAX_PIXELS = 50_000_000  # of a source image: a decompression bomb ends here
SUFFIXES = {".png", ".jpg", ".jpeg", ".tif", ".tiff", ".webp", ".bmp", ".gif", ".jp2", ".pgm", ".ppm"}  # in folders
BAND = 1_000_000  # pixels that are made grey at a time: a copy of a large image in colour would be four times its size

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
    if isinstance(source, np.ndarray) and is_line(source):
        return np.ascontiguousarray(source), source.shape[1]
    name = source_name(source)
    with readable(name), opened(source, name) as found:
        image = upright(to_grey(found, name), orientation(found))
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


def is_line(array: npt.NDArray[Any]) -> bool:
    """Whether an array is what `load_line` makes: there is nothing left to do."""
    return array.dtype == np.uint8 and array.ndim == 2 and len(array) == HEIGHT and 0 < array.shape[1] <= MAX_WIDTH


def paper_grey(line: Grey) -> int:
    """The grey of the paper in a line [64, W]: the 80th percentile of its pixels, as `numpy.percentile` computes it."""
    place = 0.8 * (line.size - 1)
    below = int(place)
    counts = Image.fromarray(line.reshape(1, -1)).histogram()  # three times faster than numpy's
    upto = list(accumulate(counts))  # 256
    low, high = (bisect_right(upto, rank) for rank in (below, min(below + 1, line.size - 1)))
    share: float = place - below
    return int(low + (high - low) * share if share < 0.5 else high - (high - low) * (1 - share))


def pad_line(line: Grey, width: int | None = None) -> Grey:
    """Pads a line [64, W] at the right with its paper's grey, to `width` or to the next multiple of 16."""
    target = width or -(-line.shape[1] // WIDTH_MULTIPLE) * WIDTH_MULTIPLE
    if target == line.shape[1]:
        return line
    padded = np.empty((line.shape[0], target), np.uint8)  # 64, W'
    padded[:, : line.shape[1]] = line
    padded[:, line.shape[1] :] = paper_grey(line)
    return padded


def source_name(source: object) -> str:
    """What an error calls a source: its path where it has one."""
    return str(source) if isinstance(source, str | Path) else "image"


def open_image(source: LineSource, name: str) -> Image.Image:
    """Opens any source as a fully decoded PIL image (an animation's first), turned as its EXIF orientation says."""
    with readable(name), opened(source, name) as image:
        return upright(image, orientation(image))


@contextmanager
def opened(source: LineSource, name: str) -> Iterator[Image.Image]:
    """Any source as a PIL image with its pixels in memory, not turned."""
    if isinstance(source, np.ndarray):
        yield array_image(source, name)
        return
    if isinstance(source, Image.Image):
        yield decode(source, name)
        return
    if not isinstance(source, str | Path | bytes):
        kind = type(source).__name__
        raise HtrjandError(f"{name}: a {kind} is no image; give a path, bytes, an array or a PIL image")
    stream = io.BytesIO(source) if isinstance(source, bytes) else open_file(Path(source).expanduser())
    with stream, opening(stream, name) as image:
        yield decode(image, name)


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
    except OSError as error:
        if error.errno is None:  # Pillow's own
            raise unreadable(name, error) from error
        raise HtrjandError(f"{name}: cannot be opened ({error.strerror}); check the path") from error
    except Exception as error:  # Pillow's decoders raise whatever broken bytes lead them to: struct.error, KeyError, …
        raise unreadable(name, error) from error


def unreadable(name: str, error: Exception) -> HtrjandError:
    said = " ".join(str(error).split()) or type(error).__name__
    return HtrjandError(f"{name}: not a readable image ({said}); save it again as PNG or JPEG")


def decode(image: Image.Image, name: str) -> Image.Image:
    """The image, with its pixels in memory."""
    check_pixels(image, name, MAX_PIXELS)
    check_memory(image, name, image.size)
    image.load()
    return image


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


def to_grey(image: Image.Image, name: str, factor: int = 1) -> Image.Image:
    """Eight bits of grey, each side divided by `factor`; what is transparent becomes white paper."""
    width, height = image.size
    if width == 0 or height == 0:
        raise HtrjandError(f"{name}: the image is empty ({width}×{height}); give one with a text line")
    if image.mode == "L" and "transparency" not in image.info:
        return image if factor == 1 else image.reduce(factor)
    if not image.mode.startswith(("I", "F")):
        return in_bands(image, name, factor, "L", lambda band: on_white(band).convert("L"))
    divisor = depth(image, name)
    return in_bands(
        image, name, factor, "L", lambda band: Image.fromarray((np.asarray(band) // divisor).astype(np.uint8))
    )


def to_rgb(image: Image.Image, name: str, factor: int = 1) -> Image.Image:
    """Colours of eight bits, each side divided by `factor`; what is transparent becomes white paper."""
    return in_bands(image, name, factor, "RGB", lambda band: on_white(band).convert("RGB"))


def in_bands(
    image: Image.Image, name: str, factor: int, mode: str, convert: Callable[[Image.Image], Image.Image]
) -> Image.Image:
    """An image of a mode, converted a band at a time and each side divided by `factor`."""
    shown = Image.new(mode, (-(-image.width // factor), -(-image.height // factor)))
    boxes = bands(image, factor)
    for box in boxes:
        try:
            band = convert(image if len(boxes) == 1 else image.crop(box))
        except ValueError as error:
            raise HtrjandError(f"{name}: {image.mode} colours cannot be read; save it again as grey or RGB") from error
        shown.paste(band if factor == 1 else band.reduce(factor), (0, box[1] // factor))
    return shown


def bands(image: Image.Image, factor: int = 1) -> list[tuple[int, int, int, int]]:
    """Boxes of some million pixels that an image is cut into, each a multiple of `factor` rows but for the last."""
    width, height = image.size
    rows = max(1, BAND // (width * factor)) * factor
    return [(0, top, width, min(height, top + rows)) for top in range(0, height, rows)]


def depth(image: Image.Image, name: str) -> int:
    """What the values of an image of more than 8 bits are divided by, so that they fit into 8: as `eight_bits` does."""
    most = 0
    for box in bands(image):
        values = np.asarray(image.crop(box))
        if not (np.issubdtype(values.dtype, np.integer) and values.min() >= 0 and values.max() <= 65535):
            raise HtrjandError(f"{name}: its pixels do not fit into 16 bits; save it again with 8 or 16 bits a pixel")
        most = max(most, int(values.max()))
    return 1 if most <= 255 else 257


def on_white(image: Image.Image) -> Image.Image:
    """The image on white paper where it is transparent, else as it is."""
    if image.mode in ("RGBA", "LA", "PA", "RGBa", "La") or "transparency" in image.info:
        clear = image.convert("LA").convert("RGBA") if image.mode == "La" else image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", clear.size, "white"), clear)
    return image
