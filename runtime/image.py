"""From anything that holds a text line to the grey pixels a model file takes."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from .errors import HtrjandError

HEIGHT = 64  # rows of every model's input
WIDTH_MULTIPLE = 16  # columns are padded to a multiple of this: the network's strides divide it
MAX_WIDTH = 4096  # columns after scaling to HEIGHT: about 200 characters, four times the longest line we know
MAX_PIXELS = 50_000_000  # of a source image: a decompression bomb ends here

LineSource = str | Path | bytes | np.ndarray | Image.Image


def load_line(source: LineSource) -> np.ndarray:
    """Reads one text line as grey pixels.

    Args:
        source: a path, encoded bytes, an array ([H, W] or [H, W, 1|3|4]; uint8 or uint16), or a PIL image.

    Returns:
        uint8 [64, W], 0 = black, the aspect kept, not padded.

    Raises:
        HtrjandError: the source is no image, is cut short, is empty, or is wider than 4096 columns at this height.
    """
    name = str(source) if isinstance(source, str | Path) else "image"
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
    return np.asarray(image, dtype=np.uint8)  # 64, W


def paper_grey(line: np.ndarray) -> int:
    """The grey of the paper in a line [64, W]: the 80th percentile of its pixels."""
    return int(np.percentile(line, 80))


def pad_line(line: np.ndarray, width: int | None = None) -> np.ndarray:
    """Pads a line [64, W] at the right with its paper's grey, to `width` or to the next multiple of 16."""
    target = width or -(-line.shape[1] // WIDTH_MULTIPLE) * WIDTH_MULTIPLE
    return np.pad(line, ((0, 0), (0, target - line.shape[1])), constant_values=paper_grey(line))  # 64, W'


def open_image(source: LineSource, name: str) -> Image.Image:
    """Opens any source as a fully decoded PIL image, turned as its EXIF orientation says."""
    if isinstance(source, np.ndarray):
        return array_image(source, name)
    if isinstance(source, Image.Image):
        return source
    try:
        stream = io.BytesIO(source) if isinstance(source, bytes) else Path(source).expanduser().open("rb")
        with stream, Image.open(stream) as image:
            if image.width * image.height > MAX_PIXELS:
                raise HtrjandError(
                    f"{name}: {image.width}×{image.height} pixels are too many (at most {MAX_PIXELS:,}); scale the image down"
                )
            image.load()
            turned = ImageOps.exif_transpose(image)
            return turned if turned is not None else image
    except FileNotFoundError as error:
        raise HtrjandError(f"{name}: no such file; check the path") from error
    except IsADirectoryError as error:
        raise HtrjandError(f"{name}: is a folder; name the image files in it") from error
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise HtrjandError(f"{name}: not a readable image ({error}); save it again as PNG or JPEG") from error


def array_image(array: np.ndarray, name: str) -> Image.Image:
    """A PIL image over an array, or an error that says which arrays are taken."""
    if array.ndim == 3 and array.shape[2] == 1:
        array = array[:, :, 0]
    plain = array.ndim == 2 or (array.ndim == 3 and array.shape[2] in (3, 4))
    if not plain or array.dtype not in (np.uint8, np.uint16) or array.size == 0:
        raise HtrjandError(
            f"{name}: an array of shape {list(array.shape)} and type {array.dtype} is no line; "
            "give uint8 or uint16 of shape [H, W], [H, W, 3] or [H, W, 4]"
        )
    if array.dtype == np.uint16:
        array = (array >> 8).astype(np.uint8)
    return Image.fromarray(np.ascontiguousarray(array))


def to_grey(image: Image.Image, name: str) -> Image.Image:
    """Eight bits of grey; what is transparent becomes white paper."""
    if image.width == 0 or image.height == 0:
        raise HtrjandError(f"{name}: the image is empty ({image.width}×{image.height}); give one with a text line")
    if image.mode.startswith(("I", "F")):
        deep = np.asarray(image, dtype=np.float32)  # H, W
        return Image.fromarray(np.clip(deep / 257 if deep.max() > 255 else deep, 0, 255).astype(np.uint8))
    if image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info:
        clear = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", clear.size, "white"), clear)
    return image.convert("L")
