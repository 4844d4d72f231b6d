"""Draws a line of print or typewriting: letters placed one by one, ink that spreads, wears off or is a carbon copy."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from .hand import EDGE, TALL, cropped, drawable, opened, size_of, warped
from .look import HARD, Look, Range, between
from .paper import on_paper, window
from .render import Floats, blurred


@dataclass(frozen=True)
class Press:
    """How printed letters may look: ranges and units are as in `Look`."""

    place: float = 0.0  # deviation of a letter from its place
    strike: float = 0.0  # deviation of a letter's share of ink from 1
    tracking: Range = (0.0, 0.0)  # space added between letters
    words: Range = (0.9, 1.4)  # factor of the space between words, which differs in justified lines
    cut: Range = (0.4, 0.55)  # threshold of the blurred ink: a low one spreads strokes, a high one thins them
    wear: Range = (0.0, 0.1)  # deviation of that threshold in small spots: broken edges, holes
    uneven: Range = (0.0, 0.06)  # deviation of that threshold over a few letters
    soft: Range = (0.8, 1.6)  # pixels of blur before the threshold
    crisp: Range = (2.5, 5.0)  # steepness of the edges; a carbon copy has little
    fade: Range = (0.0, 0.0)  # ink missing in the upper or lower half: a ribbon hit by its edge
    double: float = 0.0  # chance of a second, fainter impression beside the first
    underline: float = 0.03  # chance of an underlined line


SET = Press()
WORN_SET = Press(
    place=0.004, strike=0.04, tracking=(-0.01, 0.03), words=(0.7, 1.9), cut=(0.16, 0.6), wear=(0.0, 0.3),
    uneven=(0.02, 0.15), soft=(0.7, 2.6), crisp=(1.2, 4.0), double=0.06, underline=0.08,
)  # fmt: skip
TYPED = Press(place=0.006, strike=0.06, words=(1.0, 1.0), cut=(0.3, 0.5), underline=0.06)
WORN_TYPED = Press(
    place=0.024, strike=0.17, words=(1.0, 1.0), cut=(0.15, 0.6), wear=(0.0, 0.32), uneven=(0.02, 0.15),
    soft=(0.8, 3.0), crisp=(1.0, 3.5), fade=(0.0, 0.55), double=0.15, underline=0.12,
)  # fmt: skip

# Paper, crop and scanner are as for handwriting; the letters are upright.
PAGE = replace(
    Look(),
    slant=(-0.01, 0.01),
    width=(0.94, 1.06),
    tremor=(0.0, 0.0),
    uneven=(0.0, 0.004),
    drift=(0.0, 0.005),
    ruled=0.03,
)
WORN_PAGE = replace(
    HARD, slant=(-0.04, 0.04), width=(0.82, 1.2), tremor=(0.0, 0.0), uneven=(0.0, 0.012), drift=(0.0, 0.03),
    ruled=0.2, flow=(0.0, 0.25), pencil=0.0, contrast=(50, 190), neighbours=0.4,
)  # fmt: skip


def draw_press(
    text: str, font_path: str | Path, rng: np.random.Generator, difficulty: float, typewriter: bool = False
) -> NDArray[np.uint8]:
    """Draws one line of text as a scanned line of print: uint8 [64, W], 0 = black.

    Raises:
        HtrjandError: the file is no font, the text is blank, or the font lacks a character of it.
    """
    look = between(PAGE, WORN_PAGE, difficulty)
    press = between(TYPED, WORN_TYPED, difficulty) if typewriter else between(SET, WORN_SET, difficulty)
    ink, strength, baseline = letters(text, str(font_path), rng, press)
    ink = inked(ink, rng, press) * strength
    if rng.uniform() < press.underline:
        row, columns = round(baseline + rng.uniform(0.06, 0.16) * TALL), np.flatnonzero(ink.max(0) > 0.5)
        ink[row : row + int(rng.integers(2, 5)), columns[0] : columns[-1]] = rng.uniform(0.6, 1)
    ink, baseline = cropped(warped(ink, baseline, rng, look), baseline, rng, look)
    return on_paper(ink, baseline, rng, look)


def letters(text: str, path: str, rng: np.random.Generator, press: Press) -> tuple[Floats, Floats, float]:
    """Letters 0…1 [H, W], how strongly each was struck [H, W], and the row of the baseline."""
    words = drawable(text, path)
    font = opened(path, size_of(path))
    space = font.getlength(" ") * rng.uniform(*press.words)
    tracking = rng.uniform(*press.tracking) * TALL
    baseline, place, marks, left = round(1.5 * TALL), press.place * TALL, [], float(EDGE)
    for word in words:
        for number, char in enumerate(word):  # the step to the next letter, with kerning
            step = font.getlength(word[number : number + 2]) - font.getlength(word[number + 1 : number + 2])
            marks.append((left, char, step + tracking))
            left += step + tracking
        left += space
    image = Image.new("L", (int(left) + EDGE, round(2.5 * TALL)))
    draw = ImageDraw.Draw(image)
    strength = np.ones((image.height, image.width), np.float32)
    for x, char, step in marks:
        draw.text(
            (x + rng.normal(0, place / 2), baseline + rng.normal(0, place)), char, font=font, fill=255, anchor="ls"
        )
        strength[:, int(x) : int(x + step) + 1] = np.clip(1 - abs(rng.normal(0, press.strike)), 0.5, 1)
    if (fade := rng.uniform(*press.fade)) > 0.05:
        height = (
            (np.arange(image.height) - baseline + 0.35 * TALL) / TALL * rng.choice([-1, 1])
        )  # H; 0 at the middle of the letters
        strength *= np.clip(1 - fade * (0.3 + 1.2 * height), 0.35, 1).astype(np.float32)[:, None]
    return np.asarray(image, np.float32) / np.float32(255), strength, float(baseline)


def inked(ink: Floats, rng: np.random.Generator, press: Press) -> Floats:
    """Printed strokes 0…1 [H, W]: spread or thinned, worn, or struck twice."""
    shape = (ink.shape[0], ink.shape[1])
    limit = rng.uniform(*press.cut) + rng.uniform(*press.uneven) * window(32, shape, rng)
    limit = limit + rng.uniform(*press.wear) * window(2, shape, rng) * (window(32, shape, rng) > rng.uniform(-1, 1.5))
    seen = (blurred(ink, rng.uniform(*press.soft)) - np.clip(limit, 0.1, 0.8)) * rng.uniform(*press.crisp)
    result: Floats = np.maximum(np.clip(seen + 0.5, 0, 1), 0.3 * ink).astype(np.float32)  # hairlines do not vanish
    if rng.uniform() < press.double:
        beside = np.roll(result, (int(rng.integers(-2, 3)), int(rng.integers(2, 6))), (0, 1))
        np.maximum(result, beside * np.float32(rng.uniform(0.25, 0.6)), out=result)
    return result
