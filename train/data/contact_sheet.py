"""A contact sheet: lines of handwriting with their text beneath, as one picture to look at."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from ...runtime.errors import HtrjandError

MARGIN = 12  # pixels round each line
TEXT_SIZE, NOTE_SIZE = 18, 11  # pixels
PAPER, INK, FAINT = 255, 0, 120  # greys
NO_CHARACTER = "\U0010ffff"  # in no font: what a font draws for it stands for every character that the font lacks
# Looked up by name in the system's font folders. Pillow's own font, the last resort, has no accented letters.
FONTS = (
    "DejaVuSans.ttf", "NotoSans-Regular.ttf", "FreeSans.ttf", "LiberationSans-Regular.ttf",
    "Arial Unicode.ttf", "Arial.ttf", "arial.ttf", "segoeui.ttf",
)  # fmt: skip


def sheet(
    lines: Sequence[tuple[np.ndarray, str]],
    columns: int = 2,
    *,
    width: int = 1600,
    notes: Sequence[str] = (),
    font: ImageFont.FreeTypeFont | None = None,
) -> Image.Image:
    """Draws lines side by side, each with its caption beneath.

    Args:
        lines: pixels uint8 [64, W] and a caption each; a line wider than its column is scaled down.
        columns: lines side by side.
        width: of the sheet, in pixels.
        notes: a few small faint words beneath each caption (an id).
        font: what captions are drawn with; None: `find_font`. What it lacks stands as [code point].

    Returns:
        A grey image, as high as its content.
    """
    font = font or find_font(caption for _, caption in lines)
    small = font.font_variant(size=NOTE_SIZE)
    cell = width // columns - 2 * MARGIN
    placed: list[tuple[Image.Image | list[str], ImageFont.FreeTypeFont, int, int, int]] = []  # item, font, grey, x, y
    below = y = MARGIN
    for i, (pixels, caption) in enumerate(lines):
        if i % columns == 0:
            y = below
        x, top = MARGIN + i % columns * (width // columns), y
        image = Image.fromarray(pixels)
        image.thumbnail((cell, image.height))  # scales down only
        placed.append((image, font, INK, x, top))
        top += image.height + 2
        for text, face, grey in [(caption, font, INK), (notes[i] if notes else "", small, FAINT)]:
            rows = wrap(spell(text, face), face, cell)
            placed.append((rows, face, grey, x, top))
            top += len(rows) * row_height(face)
        below = max(below, top + MARGIN)
    picture = Image.new("L", (width, below), PAPER)
    draw = ImageDraw.Draw(picture)
    for item, face, grey, x, top in placed:
        if isinstance(item, Image.Image):
            picture.paste(item, (x, top))
            continue
        for number, row in enumerate(item):
            draw.text((x, top + number * row_height(face)), row, font=face, fill=grey)
    return picture


def find_font(texts: Iterable[str], named: Path | None = None) -> ImageFont.FreeTypeFont:
    """The font at `named`, or else, of those installed and Pillow's own, the one that lacks fewest of the characters.

    Raises:
        HtrjandError: `named` is no font.
    """
    if named is not None:
        try:
            return ImageFont.truetype(named, TEXT_SIZE)
        except OSError as error:
            raise HtrjandError(f"{named}: not a readable font ({error}); name a .ttf or .otf file") from error
    chars = "".join(sorted(set().union(*texts)))
    fonts = []
    for name in FONTS:
        try:
            fonts.append(ImageFont.truetype(name, TEXT_SIZE))
        except OSError:
            continue  # not installed
    own = ImageFont.load_default(TEXT_SIZE)
    if isinstance(own, ImageFont.FreeTypeFont):  # it is, unless Pillow was built without FreeType
        fonts.append(own)
    if not fonts:
        raise HtrjandError("Pillow was built without FreeType and can draw no text; install Pillow from its wheel")
    return min(fonts, key=lambda font: len(lacking(chars, font)))


def lacking(text: str, font: ImageFont.FreeTypeFont) -> str:
    """The visible characters of a text that a font cannot draw, each once, sorted."""
    replacement = glyph(NO_CHARACTER, font)
    return "".join(char for char in sorted(set(text)) if is_visible(char) and glyph(char, font) == replacement)


def spell(text: str, font: ImageFont.FreeTypeFont) -> str:
    """The text, its invisible and undrawable characters replaced by their code points: [200B]."""
    lacks = set(lacking(text, font))
    seen = (char if char.isspace() or (is_visible(char) and char not in lacks) else f"[{ord(char):X}]" for char in text)
    return "".join(seen)


def is_visible(char: str) -> bool:
    """Whether a character has a glyph: it is no space and no control, format, private or unassigned character."""
    return unicodedata.category(char)[0] not in "CZ"


def glyph(char: str, font: ImageFont.FreeTypeFont) -> tuple[tuple[int, int], bytes]:
    """Size and pixels of one character in a font, for comparison."""
    mask = font.getmask(char)
    return mask.size, bytes(mask)


def wrap(text: str, font: ImageFont.FreeTypeFont, width: int) -> list[str]:
    """The text in rows of at most `width` pixels, broken at spaces and, where a word is wider, within it."""
    rows: list[str] = []
    row = ""
    for word in text.split():
        joined = f"{row} {word}" if row else word
        if row and font.getlength(joined) > width:
            rows.append(row)
            joined = word
        while font.getlength(joined) > width and len(joined) > 1:
            fits = next(n for n in range(len(joined) - 1, 0, -1) if n == 1 or font.getlength(joined[:n]) <= width)
            rows.append(joined[:fits])
            joined = joined[fits:]
        row = joined
    return [*rows, row] if row else rows


def row_height(font: ImageFont.FreeTypeFont) -> int:
    """Pixels from one row of text to the next."""
    ascent, descent = font.getmetrics()
    return ascent + descent + 1
