"""Draws lines of handwriting from font files for the bundled sample; the same seed gives the same pixels."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter, ImageFont

from ....runtime.errors import HtrjandError
from ....runtime.image import HEIGHT

Floats = NDArray[np.float32]
Range = tuple[float, float]

EM = 144  # font size in pixels: lines are drawn about three times as high as HEIGHT, then scaled down
MARGIN = EM  # space around the drawn text for the shifts of slant and drift


@dataclass(frozen=True)
class Style:
    """How a line may look: ranges are (least, most), drawn uniformly; lengths are shares of the font size."""

    slant: Range = (-0.08, 0.25)  # columns to the right for each row upwards
    width: Range = (0.95, 1.3)  # factor of the letters' width
    word_space: Range = (0.85, 1.4)  # factor of the space between words
    word_size: float = 0.05  # standard deviation of a word's relative size
    word_shift: float = 0.02  # standard deviation of a word's distance from the baseline
    drift: Range = (0.0, 0.05)  # of the baseline, up and down over a few words
    tremor: Range = (0.008, 0.022)  # displacement of strokes, so that no two letters are the same
    pen: Range = (0.035, 0.065)  # width of a stroke, as a share of the line's height
    pressure: Range = (0.03, 0.10)  # relative change of the stroke width along the line
    ink: Range = (15, 110)  # grey level of a full stroke
    flow: Range = (0.05, 0.35)  # share of the ink that may be missing along a stroke
    paper: Range = (212, 253)  # grey level
    stain: Range = (0.5, 4.0)  # deviation of the paper's grey in large patches
    grain: Range = (0.5, 3.5)  # deviation of the paper's grey in patches of two pixels
    ruled: float = 0.4  # chance of a ruled line under the text
    edge: Range = (0.0, 0.10)  # space above and below the ink, as a share of its height
    blur: Range = (0.35, 0.8)  # standard deviation of the scanner's blur, in pixels at 64 rows
    noise: Range = (0.5, 3.0)  # standard deviation of the scanner's noise, in grey levels


def render_line(text: str, font_path: str | Path, rng: np.random.Generator, style: Style | None = None) -> np.ndarray:
    """Draws one line of text as a scanned line of handwriting.

    Args:
        text: without line breaks; a character that the font lacks is an error.
        font_path: any file FreeType opens (TTF, OTF, WOFF).
        rng: the same state gives the same pixels.
        style: how the line may look.

    Returns:
        uint8 [64, W], 0 = black.

    Raises:
        HtrjandError: the file is no font, the text is blank, or the font lacks a character of it.
    """
    style = style or Style()
    ink, baseline = written(text, font_path, rng, style)
    ink, baseline = bent(ink, baseline, rng, style)
    ink = penned(ink, rng, style)
    ink, baseline = cut(ink, baseline, rng, style)
    return on_paper(ink, baseline, rng, style)


def missing_characters(text: str, font_path: str | Path) -> str:
    """The characters of a text that a font lacks: those drawn as nothing, or as its replacement box."""
    font = open_font(font_path, EM)
    box = font.getmask("\U0010fffe")
    lack = (box.size, bytes(box))
    drawn = {char: font.getmask(char) for char in sorted(set(text)) if not char.isspace()}
    return "".join(char for char, mask in drawn.items() if not any(mask.size) or (mask.size, bytes(mask)) == lack)


def open_font(path: str | Path, size: float) -> ImageFont.FreeTypeFont:
    """A font file at a size in pixels."""
    try:
        return ImageFont.truetype(str(path), size)
    except OSError as error:
        raise HtrjandError(f"{path}: not a readable font ({error}); name a TTF, OTF or WOFF file") from error


def written(text: str, font_path: str | Path, rng: np.random.Generator, style: Style) -> tuple[Floats, float]:
    """The words in a row, with slightly different sizes and heights: ink 0…1 [H, W], and the row of the baseline."""
    words = text.split()
    if not words:
        raise HtrjandError(f"{font_path}: a line without text cannot be drawn; give it a word")
    if lacking := missing_characters(text, font_path):
        raise HtrjandError(f"{font_path}: has no {' '.join(lacking)}; choose another font or text")
    space = open_font(font_path, EM).getlength(" ") * rng.uniform(*style.word_space)
    fonts = [open_font(font_path, EM * max(0.5, rng.normal(1, style.word_size))) for _ in words]
    lengths = [font.getlength(word) for font, word in zip(fonts, words, strict=True)]
    height, baseline = 3 * EM + 2 * MARGIN, 1.8 * EM + MARGIN
    image = Image.new("L", (int(sum(lengths) + space * len(words)) + 2 * MARGIN, height))
    draw = ImageDraw.Draw(image)
    left = float(MARGIN)
    for word, font, length in zip(words, fonts, lengths, strict=True):
        draw.text((left, baseline + rng.normal(0, style.word_shift) * EM), word, font=font, fill=255, anchor="ls")
        left += length + space * rng.uniform(0.8, 1.2)
    return np.asarray(image, np.float32) / np.float32(255), baseline  # H, W


def bent(ink: Floats, baseline: float, rng: np.random.Generator, style: Style) -> tuple[Floats, float]:
    """Applies slant, width, a drifting baseline and tremor in one resampling."""
    factor = rng.uniform(*style.width)
    height, width = ink.shape[0], int(ink.shape[1] * factor)
    tremor = rng.uniform(*style.tremor) * EM
    y, x = np.mgrid[:height, :width].astype(np.float32)  # H, W
    slope = rng.uniform(*style.slant)
    across = x / factor + slope * (y - baseline) + tremor * clouds(rng, (height, width), EM / 3)
    down = y + rng.uniform(*style.drift) * EM * clouds(rng, (1, width), 6 * EM)
    return sampled(ink, down + tremor * clouds(rng, (height, width), EM / 3), across), baseline


def penned(ink: Floats, rng: np.random.Generator, style: Style) -> Floats:
    """Redraws the strokes with a pen of another width and varying pressure.

    A stroke of width w blurred by a deviation s has the value Φ((w − t) / 2s) − Φ((−w − t) / 2s) at the distance t / 2
    from its middle: cut at that value, it is t wide.
    """
    rows = np.flatnonzero(ink.max(1) > 0.5)
    if not rows.size:
        raise HtrjandError("the font draws nothing for this text; choose another font")
    old = stroke_width(ink)
    new = max(rng.uniform(*style.pen) * float(rows[-1] - rows[0]), 0.8 * old)  # a thinner pen would break strokes
    wanted = new * np.exp(rng.uniform(*style.pressure) * clouds(rng, (1, ink.shape[1]), EM))  # 1, W
    reach = 0.35 * max(old, new)
    value = normal((old - wanted) / (2 * reach)) - normal((-old - wanted) / (2 * reach))
    result: Floats = np.clip((blurred(ink, reach) / value - 1) * 2.5 + 0.5, 0, 1).astype(np.float32)
    return result


def stroke_width(ink: Floats) -> float:
    """The mean width of the strokes in pixels: their area over half the length of their edges."""
    edges = np.abs(np.diff(ink, axis=0)).sum() + np.abs(np.diff(ink, axis=1)).sum()
    return float(ink.sum() / (edges / 2 * np.pi / 4))  # π / 4: slanting edges are counted both by rows and by columns


def normal(x: Floats) -> Floats:
    """Φ, the distribution function of the normal distribution, approximated by a logistic curve."""
    return np.asarray(1 / (1 + np.exp(-1.702 * x)), np.float32)


def cut(ink: Floats, baseline: float, rng: np.random.Generator, style: Style) -> tuple[Floats, float]:
    """Crops tightly to the ink, as a line polygon would, and scales to 64 rows."""
    rows, columns = np.flatnonzero(ink.max(1) > 0.5), np.flatnonzero(ink.max(0) > 0.5)
    above = max(float(baseline - rows[0]), 0.75 * EM)  # a line without tall letters keeps some space for them
    below = max(float(rows[-1] - baseline), 0.2 * EM)
    above, below = ((1 + rng.uniform(*style.edge)) * reach for reach in (above, below))
    side = rng.uniform(0.05, 0.3) * EM
    box = (columns[0] - side, baseline - above, columns[-1] + side, baseline + below)
    scale = HEIGHT / (above + below)
    size = (max(1, round((box[2] - box[0]) * scale)), HEIGHT)
    image = Image.fromarray(np.pad(ink, MARGIN))  # so that the box lies inside the image
    placed = tuple(float(edge) + MARGIN for edge in box)
    small = image.resize(size, Image.Resampling.BOX, box=(placed[0], placed[1], placed[2], placed[3]))
    return np.asarray(small, np.float32), above * scale  # 64, W


def on_paper(ink: Floats, baseline: float, rng: np.random.Generator, style: Style) -> np.ndarray:
    """A scan of uneven ink on uneven paper: uint8 [64, W]."""
    shape = (ink.shape[0], ink.shape[1])
    paper = rng.uniform(*style.paper) + rng.uniform(*style.stain) * clouds(rng, shape, 2 * HEIGHT)
    paper += rng.uniform(*style.grain) * clouds(rng, shape, 2)
    grey = np.clip(rng.uniform(*style.ink), 0, float(paper.mean()) - 95)  # the faintest ink stays legible
    if rng.uniform() < style.ruled:
        paper -= ruling(shape, baseline + rng.uniform(-1, 4), rng)
    missing = rng.uniform(*style.flow)
    flow = 1 - missing * (0.5 + 0.3 * clouds(rng, shape, HEIGHT / 2) + 0.35 * clouds(rng, shape, 2.5)).clip(0, 1)
    seen = blurred((paper - (paper - grey) * ink * flow).astype(np.float32), rng.uniform(*style.blur))
    return np.clip(seen + rng.normal(0, rng.uniform(*style.noise), shape), 0, 255).round().astype(np.uint8)


def ruling(shape: tuple[int, int], row: float, rng: np.random.Generator) -> Floats:
    """Grey levels by which a ruled line darkens the paper [64, W]; it is slightly slanted."""
    y, x = np.mgrid[: shape[0], : shape[1]].astype(np.float32)
    away = np.abs(y - row - rng.normal(0, 0.0015) * (x - shape[1] / 2))
    result: Floats = (np.clip(rng.uniform(0.8, 1.3) - away, 0, 1) * rng.uniform(25, 90)).astype(np.float32)
    return result


def clouds(rng: np.random.Generator, shape: tuple[int, int], cell: float) -> Floats:
    """Smooth noise of mean 0 and deviation near 1 in patches of `cell` pixels: float32 [H, W]."""
    coarse = [int(length / cell) + 4 for length in shape]
    field = Image.fromarray(rng.normal(0, 1.5, coarse).astype(np.float32))
    box = (1.0, 1.0, 1 + shape[1] / cell, 1 + shape[0] / cell)
    return np.asarray(field.resize((shape[1], shape[0]), Image.Resampling.BICUBIC, box=box), np.float32)


def blurred(pixels: Floats, radius: float) -> Floats:
    """Gaussian blur with a deviation of `radius` pixels, in 8 bits, of values 0…1 or 0…255."""
    scale = 255.0 if pixels.max() <= 1 else 1.0
    image = Image.fromarray(np.clip(pixels * scale, 0, 255).astype(np.uint8))
    result: Floats = np.asarray(image.filter(ImageFilter.GaussianBlur(radius)), np.float32) / np.float32(scale)
    return result


def sampled(pixels: Floats, y: Floats, x: Floats) -> Floats:
    """Pixels at fractional coordinates by bilinear interpolation; 0 outside."""
    padded = np.pad(pixels, 1)
    y = np.clip(y + 1, 0, padded.shape[0] - 1.001).astype(np.float32)
    x = np.clip(x + 1, 0, padded.shape[1] - 1.001).astype(np.float32)
    top, left = y.astype(np.int32), x.astype(np.int32)
    dy, dx = y - top, x - left
    upper = padded[top, left] * (1 - dx) + padded[top, left + 1] * dx
    lower = padded[top + 1, left] * (1 - dx) + padded[top + 1, left + 1] * dx
    result: Floats = upper * (1 - dy) + lower * dy
    return result
