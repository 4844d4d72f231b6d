"""Pages that nobody wrote: words put between the lines of a page, lines put together to a page, and pages without text.

What is put on a page is cut out of other pages of the training split, with its shape, so that the maps stay exact.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFilter

from .pages import Page
from .targets import LineShape

FloatImage = npt.NDArray[np.float32]

PAPER = 80  # percentile of the greys of a piece that is its paper
LEAST_PAPER = 70  # grey levels: a darker piece shows no paper
FREE = 0.02  # share of a piece that may lie over lines, where it shall stand alone
MOST_WORDS, MOST_LINES = 30, 60  # on a page


def with_words(page: Page, source: Page, rng: np.random.Generator) -> Page:
    """A page with some words of another one between its lines, on its margins and at their ends."""
    if not page.shapes or not source.shapes:
        return page
    grey = page.image.astype(np.float32)
    taken = drawn(page.polygons, grey.shape)
    usual = float(np.median([shape.height for shape in page.shapes]))
    added: list[LineShape] = []
    for _ in range(int(rng.integers(5, MOST_WORDS))):
        between = rng.random() < 0.5
        piece = piece_of(source, rng, rng.uniform(0.8, 5.0))
        height = usual * math.exp(rng.uniform(-0.8, -0.2) if between else rng.uniform(-0.7, 0.2))
        if between:
            line = page.shapes[int(rng.integers(len(page.shapes)))]
            k = int(rng.integers(len(line.baseline)))
            at = line.baseline[k] - [0, line.above[k] * rng.uniform(0.6, 1.1)]
        else:
            at = rng.uniform([0, 0], [grey.shape[1], grey.shape[0]])
        shape = paste(grey, taken, source, piece, at, height, rng.uniform(0.6, 1.1), rng, everywhere=between)
        if shape is not None:
            added.append(shape)
    return replace(
        page, image=np.clip(grey, 0, 255).astype(np.uint8), shapes=(*page.shapes, *added),
        polygons=(*page.polygons, *(shape.polygon() for shape in added)),
    )  # fmt: skip


def composed(sources: Sequence[Page], rng: np.random.Generator) -> Page:
    """Lines of some pages, one below the other on empty paper, in one to five columns."""
    height, width = int(rng.integers(900, 1281)), int(rng.integers(700, 1281))
    grey = paper(height, width, rng)
    taken = Image.new("1", (width, height))
    usual, spacing = rng.uniform(18, 50), rng.uniform(0.95, 2.5)
    columns = int(rng.choice([1, 1, 1, 2, 3, 5]))
    edges = np.sort(rng.uniform(0.05, 0.95, columns + 1)) if columns > 1 else np.array([0.03, 0.97])
    shapes: list[LineShape] = []
    for left, right in zip(edges[:-1] * width, edges[1:] * width, strict=True):
        base = usual * rng.uniform(1.2, 3)
        while base < height - usual and len(shapes) < MOST_LINES:
            source = sources[int(rng.integers(len(sources)))]
            start = left + usual * rng.choice([0.2, 0.2, rng.uniform(0.2, 4)])
            room = (right - start) / usual - 0.3
            if source.shapes and room > 0.7 and rng.random() < 0.9:
                piece = piece_of(source, rng, room * rng.choice([1.0, 1.0, rng.uniform(0.1, 1)]))
                at = np.array([start, base])
                shape = paste(grey, taken, source, piece, at, usual, rng.uniform(0.6, 1.1), rng, everywhere=True)
                if shape is not None:
                    shapes.append(shape)
            base += usual * spacing * rng.uniform(0.9, 1.15)
    outlines = tuple(shape.polygon() for shape in shapes)
    return Page("composed", "composed", "composed", np.clip(grey, 0, 255).astype(np.uint8), outlines, tuple(shapes), ())


def without_text(rng: np.random.Generator) -> Page:
    """Empty paper, or a picture of soft and hard shapes as photographs and drawings have them."""
    height, width = 800, 800
    grey = paper(height, width, rng)
    if rng.random() < 0.7:
        for cells in (4, 12, 40, 130):
            coarse = rng.normal(0, rng.uniform(5, 45), (cells, cells)).astype(np.float32)
            way = Image.Resampling.BICUBIC if rng.random() < 0.7 else Image.Resampling.NEAREST
            grey += np.asarray(Image.fromarray(coarse).resize((width, height), way))
        image = Image.fromarray(np.clip(grey, 0, 255).astype(np.uint8))
        pen = ImageDraw.Draw(image)
        for _ in range(int(rng.integers(2, 40))):
            x, y, a, b = rng.uniform(0, width), rng.uniform(0, height), *rng.uniform(4, 220, 2)
            shade, thick = int(rng.integers(256)), int(rng.integers(1, 5))
            if rng.random() < 0.4:
                pen.ellipse((x, y, x + a, y + b), outline=shade, width=thick)
            elif rng.random() < 0.5:
                pen.rectangle((x, y, x + a, y + b), fill=shade if rng.random() < 0.5 else None, outline=shade)
            else:
                pen.line((x, y, x + a, y + b * rng.choice([-1, 0, 1])), fill=shade, width=thick)
        grey = np.asarray(image.filter(ImageFilter.GaussianBlur(rng.uniform(0, 2))), dtype=np.float32)
    return Page("without text", "without text", "without text", np.clip(grey, 0, 255).astype(np.uint8), (), (), ())


def paper(height: int, width: int, rng: np.random.Generator) -> FloatImage:
    """Paper with a grain and some soft spots: float32 [height, width]."""
    coarse = rng.normal(rng.uniform(150, 240), rng.uniform(0, 8), (6, 6)).astype(np.float32)
    soft = np.asarray(Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC))
    return np.asarray(soft + rng.uniform(0, 6) * rng.standard_normal((height, width), dtype=np.float32))


def piece_of(page: Page, rng: np.random.Generator, length: float) -> LineShape:
    """A stretch of one of a page's lines, `length` times as long as the line is high, or all of it."""
    line = page.shapes[int(rng.integers(len(page.shapes)))]
    far = np.hypot(*(line.baseline - line.baseline[0]).T)
    start = rng.uniform(0, max(0.0, far[-1] - length * line.height))
    first = int(np.searchsorted(far, start))
    last = max(first + 2, int(np.searchsorted(far, start + length * line.height)))
    first = min(first, max(0, len(far) - 2))
    return LineShape(line.baseline[first:last], line.above[first:last], line.below[first:last])


def paste(
    grey: FloatImage, taken: Image.Image, source: Page, piece: LineShape, at: npt.NDArray[np.float64], height: float,
    strength: float, rng: np.random.Generator, *, everywhere: bool,
) -> LineShape | None:  # fmt: skip
    """Draws the ink of a piece of a page on another; returns its shape there, None where it has no place.

    Args:
        grey: the other page; drawn on.
        taken: where its lines are; the piece is added.
        at: where the first point of the piece's baseline goes.
        height: of the piece on the page, in pixels.
        everywhere: also over lines.
    """
    zoom = height / piece.height
    moved = piece.moved(np.eye(2) * zoom, at - zoom * piece.baseline[0])
    outline = moved.polygon()
    (x0, y0), (x1, y1) = outline.min(0), outline.max(0)
    rows, columns = grey.shape
    if x0 < 2 or y0 < 2 or x1 > columns - 2 or y1 > rows - 2 or x1 - x0 < 4 or y1 - y0 < 4:
        return None
    box = (math.floor(x0), math.floor(y0), math.ceil(x1), math.ceil(y1))
    if not everywhere and np.asarray(taken.crop(box)).mean() > FREE:
        return None
    size = (box[2] - box[0], box[3] - box[1])
    corner = piece.baseline[0] + (np.array(box[:2]) - at) / zoom  # of the box, on the piece's own page
    cut = Image.fromarray(source.image).transform(
        size, Image.Transform.AFFINE, (1 / zoom, 0, corner[0], 0, 1 / zoom, corner[1]), Image.Resampling.BILINEAR
    )
    mask = Image.new("L", size)
    ImageDraw.Draw(mask).polygon([(float(x), float(y)) for x, y in outline - box[:2]], fill=255)
    there = np.asarray(cut, dtype=np.float32)
    white = float(np.percentile(there, PAPER))
    if white < LEAST_PAPER:
        return None
    inside = np.asarray(mask.filter(ImageFilter.GaussianBlur(1)), dtype=np.float32) / 255
    ink = np.clip((white - there) / white - 0.06, 0, 1) * inside * strength
    grey[box[1] : box[3], box[0] : box[2]] *= 1 - np.clip(ink, 0, 1)
    ImageDraw.Draw(taken).polygon([(float(x), float(y)) for x, y in outline], fill=1)
    return moved


def drawn(outlines: Sequence[npt.NDArray[np.float64]], shape: tuple[int, ...]) -> Image.Image:
    """Where any of the outlines is, as an image of one bit a pixel."""
    image = Image.new("1", (shape[1], shape[0]))
    pen = ImageDraw.Draw(image)
    for outline in outlines:
        pen.polygon([(float(x), float(y)) for x, y in outline], fill=1)
    return image
