"""Puts ink on paper and scans it: ruling, neighbouring lines, polygon crop, compression."""

from __future__ import annotations

import io
from functools import cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ....runtime.image import HEIGHT
from .look import Look
from .render import Floats, blurred, clouds

FIELD = (160, 2048)  # rows and columns of the noise fields that lines share; each line uses random windows of them
FAINTEST = 30  # least grey levels between ink and paper: fainter ink is illegible


def on_paper(ink: Floats, baseline: float, rng: np.random.Generator, look: Look) -> NDArray[np.uint8]:
    """A scan of ink 0…1 [64, W] on paper: uint8 [64, W]."""
    shape = (ink.shape[0], ink.shape[1])
    paper = sheet(shape, baseline, rng, look)
    flat = float(paper.mean())
    contrast = max(FAINTEST, min(rng.uniform(*look.contrast), flat - 5))
    if rng.uniform() < look.bleed:
        other = blurred(np.roll(ink[:, ::-1], int(rng.integers(-12, 13)), 0), rng.uniform(0.8, 2))
        paper -= other * contrast * rng.uniform(0.06, 0.35)
    covered = ink * strokes(shape, rng, look)
    if rng.uniform() < look.neighbours:
        covered = np.maximum(covered, neighbouring_ink(ink, baseline, rng))
    seen = blurred((paper - contrast * covered).astype(np.float32), rng.uniform(*look.blur))
    seen = coarser(seen, rng.uniform(*look.coarse)) + rng.uniform(*look.noise) * window(0, shape, rng)
    if rng.uniform() < look.cleaned:
        seen = (seen - (flat - contrast)) * min(rng.uniform(150, 250) / contrast, 3) + rng.uniform(0, 60)
    if rng.uniform() < look.polygon:
        seen = np.where(polygon(shape, rng), seen, float(np.percentile(seen, 65)))
    pixels = np.clip(seen, 0, 255).round().astype(np.uint8)
    return compressed(pixels, int(rng.integers(15, 60))) if rng.uniform() < look.jpeg else pixels


def sheet(shape: tuple[int, int], baseline: float, rng: np.random.Generator, look: Look) -> Floats:
    """The empty paper in grey levels [64, W]."""
    x = np.linspace(-1, 1, shape[1], dtype=np.float32)  # W
    y = np.linspace(-1, 1, shape[0], dtype=np.float32)[:, None]  # 64, 1
    light = rng.uniform(*look.light) / 2
    paper = rng.uniform(*look.paper) + light * rng.uniform(-1, 1) * x + light * rng.uniform(-1, 1) * y
    paper = paper + rng.uniform(*look.stain) * window(64, shape, rng) + rng.uniform(*look.grain) * window(2, shape, rng)
    if rng.uniform() < look.ruled:
        paper = paper - ruling(shape, baseline, rng)
    if rng.uniform() < look.margin:
        place = rng.uniform(0, 0.04) * shape[1]
        column = place if rng.uniform() < 0.6 else shape[1] - place
        away = np.abs(np.arange(shape[1]) - column + rng.normal(0, 0.02) * np.arange(shape[0])[:, None])
        paper = paper - np.clip(rng.uniform(0.7, 2) - away, 0, 1) * rng.uniform(30, 150)
    if rng.uniform() < look.blots:
        for _ in range(int(rng.integers(1, 4))):
            row, column = rng.uniform(0, shape[0]), rng.uniform(0, shape[1])
            radius = rng.uniform(1.5, 14)
            far = ((np.arange(shape[0])[:, None] - row) ** 2 + (np.arange(shape[1]) - column) ** 2) / radius**2
            paper = paper - np.exp(-(far**2)) * rng.uniform(8, 60 if radius < 5 else 25)
    return np.asarray(paper, np.float32)


def strokes(shape: tuple[int, int], rng: np.random.Generator, look: Look) -> Floats:
    """Share of the ink that reaches the paper [64, W]: a pen runs dry, a pencil skips the paper's hollows."""
    missing = rng.uniform(*look.flow)
    flow = 1 - missing * (0.5 + 0.3 * window(32, shape, rng) + 0.35 * window(2, shape, rng)).clip(0, 1)
    if rng.uniform() < look.pencil:
        flow = flow * (rng.uniform(0.45, 0.9) + 0.45 * window(1, shape, rng)).clip(0.1, 1)
    return np.asarray(flow, np.float32)


def ruling(shape: tuple[int, int], baseline: float, rng: np.random.Generator) -> Floats:
    """Grey levels by which ruling darkens the paper [64, W]: one line, squares, or the four lines of school books."""
    y, x = np.mgrid[: shape[0], : shape[1]].astype(np.float32)
    row = y - baseline - rng.uniform(-1, 5) - rng.normal(0, 0.0015) * (x - shape[1] / 2)
    strength, thick = rng.uniform(12, 80), rng.uniform(0.8, 1.4)
    kind = rng.choice(["line", "line", "squares", "school"])
    if kind == "line":
        return np.asarray(np.clip(thick - np.abs(row), 0, 1) * strength, np.float32)
    step = rng.uniform(14, 34)
    across = np.abs((row + step / 2) % step - step / 2)
    lines = np.clip(thick - across, 0, 1) * (1 if kind == "squares" else 0.5)
    wide = step if kind == "squares" else 4 * step
    slanting = (x + rng.normal(0, 0.01) * y + rng.uniform(0, wide)) % wide
    lines = np.maximum(lines, np.clip(thick - np.abs(slanting - wide / 2), 0, 1))
    if kind == "school":
        lines = np.maximum(lines, np.clip(thick - np.abs(row), 0, 1))
    return np.asarray(lines * strength, np.float32)


def neighbouring_ink(ink: Floats, baseline: float, rng: np.random.Generator) -> Floats:
    """Descenders of the line above and ascenders of the line below [64, W]: shifted copies of parts of this line."""
    result = np.zeros_like(ink)
    width = ink.shape[1]
    middle = int(np.clip(baseline, 8, HEIGHT - 4))
    for upper in (True, False):
        moved = np.roll(ink, int(rng.integers(width // 4, max(width // 4 + 1, 3 * width // 4))), 1)
        part = moved[middle + 2 :] if upper else moved[: max(4, middle - 14)]
        peek = int(rng.uniform(0.1, 0.8) * min(len(part), 16))
        if peek and upper:
            result[:peek] = part[len(part) - peek :] if rng.uniform() < 0.3 else part[:peek]
        elif peek:
            start = int(np.flatnonzero(part.max(1) > 0.3)[:1].sum())  # the first row with ink
            piece = part[start : start + peek]
            result[HEIGHT - len(piece) :] = piece
    return result * np.float32(rng.uniform(0.5, 1))


def polygon(shape: tuple[int, int], rng: np.random.Generator) -> NDArray[np.bool_]:
    """Mask of a polygon drawn by hand around the line [64, W]: it leaves out at most a few rows at either edge."""
    edges = []
    for _ in range(2):
        corners = int(rng.integers(3, 5 + shape[1] // 60))
        places = np.sort(rng.uniform(0, shape[1], corners))
        edges.append(np.interp(np.arange(shape[1]), places, rng.uniform(-4, rng.uniform(1, 8), corners)))  # W
    y = np.arange(shape[0])[:, None]
    inside: NDArray[np.bool_] = (y >= edges[0]) & (y < shape[0] - edges[1])
    return inside


def coarser(pixels: Floats, factor: float) -> Floats:
    """Pixels reduced by a factor, as by a coarser scanner, and scaled up again."""
    if factor < 1.15:
        return pixels
    image = Image.fromarray(pixels)
    size = (max(4, round(image.width / factor)), round(image.height / factor))
    small = image.resize(size, Image.Resampling.BOX)
    return np.asarray(small.resize(image.size, Image.Resampling.BILINEAR), np.float32)


def compressed(pixels: NDArray[np.uint8], quality: int) -> NDArray[np.uint8]:
    """The pixels after JPEG compression at a quality."""
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "JPEG", quality=quality)
    return np.asarray(Image.open(stream))


def window(cell: float, shape: tuple[int, int], rng: np.random.Generator) -> Floats:
    """A random window [H, W] of a shared noise field, perhaps mirrored: fresh noise would be slow to draw."""
    field = noise_field(cell)
    top = int(rng.integers(0, FIELD[0] - shape[0] + 1))
    left = int(rng.integers(0, FIELD[1]))
    columns = (left + np.arange(shape[1])) % FIELD[1] if left + shape[1] > FIELD[1] else slice(left, left + shape[1])
    part = field[top : top + shape[0], columns]
    return part[:: 1 - 2 * int(rng.integers(2)), :: 1 - 2 * int(rng.integers(2))]


@cache
def noise_field(cell: float) -> Floats:
    """Noise of mean 0 and deviation near 1 in patches of `cell` pixels (below 1.5: single pixels), [160, 2048]."""
    rng = np.random.default_rng([7, round(cell * 8)])
    if cell < 1.5:
        return rng.normal(0, 1, FIELD).astype(np.float32)
    return clouds(rng, FIELD, cell)
