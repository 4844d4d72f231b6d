"""Draws a line of handwriting for training: letters, slant, drift and pen, cropped to 64 rows."""

from __future__ import annotations

from functools import cache, lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from ....runtime.errors import HtrjandError
from ....runtime.image import HEIGHT
from .look import Look
from .paper import on_paper
from .render import Floats, Style, clouds, missing_characters, open_font, penned, stroke_width

TALL = 64  # pixels from ascender to descender when drawn: about the final height, so drawing costs little
WIDEST = 0.2  # largest stroke width, as a share of the x-height: a wider pen would fill the letters
STEP = 14  # pixels: size of a cell of the warp's mesh
UNLIKE = "abdeghnqrt"  # letters whose capitals have another shape
EDGE = 48  # free columns at both ends, for letters that the slant moves


def draw_line(text: str, font_path: str | Path, rng: np.random.Generator, look: Look) -> NDArray[np.uint8]:
    """Draws one line of text as a scanned line of handwriting: uint8 [64, W], 0 = black.

    Raises:
        HtrjandError: the file is no font, the text is blank, or the font lacks a character of it.
    """
    ink, baseline = written(text, font_path, rng, look)
    ink = warped(ink, baseline, rng, look)
    widest = WIDEST * x_height(str(font_path)) / TALL
    pen = (min(look.pen[0], widest), min(look.pen[1], widest))
    ink = np.maximum(penned(ink, rng, Style(pen=pen, pressure=look.pressure)), ink)  # keeps hairlines and dots
    if (thicker := round(rng.uniform(*look.nib) * stroke_width(ink))) > 0:  # a broad nib widens downstrokes
        ink[:, thicker:] = np.maximum(ink[:, thicker:], ink[:, :-thicker])
    ink, baseline = cropped(ink, baseline, rng, look)
    return on_paper(ink, baseline, rng, look)


@cache
def lacking(char: str, font_path: str) -> bool:
    """Whether a font lacks a character; cached, since every line of a font asks for it."""
    return bool(missing_characters(char, font_path))


@cache
def draws_capitals(font_path: str) -> bool:
    """Whether a font draws small letters as capitals: an image of "Anna" in it reads "ANNA"."""
    font, alike = open_font(font_path, TALL), 0
    for char in UNLIKE:
        small, large = (font.getmask(form) for form in (char, char.upper()))
        if not all((*small.size, *large.size)):
            return False
        shapes = [Image.frombytes("L", mask.size, bytes(mask)).resize((24, 24)) for mask in (small, large)]
        alike += float(np.corrcoef([np.asarray(shape, np.float32).ravel() for shape in shapes])[0, 1]) > 0.6
    return alike > len(UNLIKE) / 2


@cache
def size_of(font_path: str) -> float:
    """The font size at which letters are TALL: at one nominal size, fonts differ by a factor of three."""
    _, top, _, bottom = open_font(font_path, 100).getbbox("bdfhklpqgy", anchor="ls")
    if bottom <= top:
        raise HtrjandError(f"{font_path}: draws no Latin letters; choose another font")
    return 100 * TALL / (bottom - top)


@cache
def x_height(font_path: str) -> float:
    """The x-height in pixels."""
    return float(-open_font(font_path, size_of(font_path)).getbbox("x", anchor="ls")[1])


@lru_cache(maxsize=256)
def opened(font_path: str, size: float) -> ImageFont.FreeTypeFont:
    """A font at a size, cached."""
    return open_font(font_path, size)


def drawable(text: str, font_path: str) -> list[str]:
    """The words of a text; an HtrjandError where it has none, or the font lacks one of its characters."""
    words = text.split()
    if not words:
        raise HtrjandError(f"{font_path}: a line without text cannot be drawn; give it a word")
    if lack := "".join(sorted({char for word in words for char in word if lacking(char, font_path)})):
        raise HtrjandError(f"{font_path}: has no {' '.join(lack)}; choose another font or text")
    return words


def written(text: str, font_path: str | Path, rng: np.random.Generator, look: Look) -> tuple[Floats, float]:
    """The words in a row: ink 0…1 [H, W], and the row of the baseline."""
    path, words = str(font_path), drawable(text, str(font_path))
    size = size_of(path)
    factors = np.clip(1 + rng.normal(0, look.word_size, len(words)), 0.75, 1.3)
    fonts = [opened(path, size * round(float(factor) * 16) / 16) for factor in factors]
    space = opened(path, size).getlength(" ") * rng.uniform(*look.word_space)
    lengths = [font.getlength(word) for font, word in zip(fonts, words, strict=True)]
    baseline = round(1.5 * TALL)
    image = Image.new("L", (int(sum(lengths) + 1.2 * space * len(words)) + 2 * EDGE, round(2.5 * TALL)))
    draw = ImageDraw.Draw(image)
    left = float(EDGE)
    for word, font, length in zip(words, fonts, lengths, strict=True):
        row = baseline + rng.normal(0, look.word_shift) * TALL
        draw.text((left, row), word, font=font, fill=255, anchor="ls")
        left += length + space * rng.uniform(0.75, 1.2)
    return np.asarray(image, np.float32) / np.float32(255), float(baseline)  # H, W


def warped(ink: Floats, baseline: float, rng: np.random.Generator, look: Look) -> Floats:
    """Slant, width, climb, drift, uneven letters and tremor, in one resampling over a mesh of quadrilaterals."""
    factor = rng.uniform(*look.width)
    rows, columns = -(-ink.shape[0] // STEP), -(-int(ink.shape[1] * factor) // STEP)
    height, width = rows * STEP, columns * STEP
    y, x = np.mgrid[0 : height + 1 : STEP, 0 : width + 1 : STEP].astype(np.float64)  # rows + 1, columns + 1
    tremor, uneven = rng.uniform(*look.tremor) * TALL, rng.uniform(*look.uneven) * TALL

    def wander(cell: float) -> Floats:
        return clouds(rng, (rows + 1, columns + 1), cell * TALL / STEP)

    across = x / factor + rng.uniform(*look.slant) * (y - baseline) + tremor * wander(0.33) + uneven * wander(0.9)
    down = y + rng.uniform(*look.climb) * (x - width / 2) + rng.uniform(*look.drift) * TALL * wander(5)[:1]
    down += tremor * wander(0.33) + uneven * wander(0.9)
    corners = np.stack([across, down], -1)  # rows + 1, columns + 1, 2
    quads = np.concatenate([corners[:-1, :-1], corners[1:, :-1], corners[1:, 1:], corners[:-1, 1:]], -1)  # R, C, 8
    mesh = [
        ((column * STEP, row * STEP, column * STEP + STEP, row * STEP + STEP), tuple(quad))
        for row, line in enumerate(quads.tolist())
        for column, quad in enumerate(line)
    ]
    image = Image.fromarray((ink * 255).astype(np.uint8))
    bent = image.transform((width, height), Image.Transform.MESH, mesh, Image.Resampling.BILINEAR)
    return np.asarray(bent, np.float32) / np.float32(255)


def cropped(ink: Floats, baseline: float, rng: np.random.Generator, look: Look) -> tuple[Floats, float]:
    """Crops to the ink as an annotator would, loosely or too tightly, and scales to 64 rows."""
    rows, columns = np.flatnonzero(ink.max(1) > 0.5), np.flatnonzero(ink.max(0) > 0.5)
    top = min(float(rows[0]), baseline - 0.5 * TALL)  # a line without tall letters keeps some space for them
    bottom = max(float(rows[-1]) + 1, baseline + 0.12 * TALL)
    reach = bottom - top
    top, bottom = top - rng.uniform(*look.above) * reach, bottom + rng.uniform(*look.below) * reach
    left, right = columns[0] - rng.uniform(0.02, 0.35) * TALL, columns[-1] + rng.uniform(0.02, 0.35) * TALL
    scale = HEIGHT / (bottom - top)
    around = TALL  # padding, so that the box lies inside
    image = Image.fromarray((np.pad(ink, around) * 255).astype(np.uint8))
    box = (max(0.0, left + around), max(0.0, top + around), right + around, bottom + around)
    box = (box[0], box[1], min(box[2], image.width), min(box[3], image.height))
    small = image.resize((max(8, round((right - left) * scale)), HEIGHT), Image.Resampling.BILINEAR, box=box)
    return np.asarray(small, np.float32) / np.float32(255), (baseline - top) * scale  # 64, W
