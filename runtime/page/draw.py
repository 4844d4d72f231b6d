"""A page with what was found drawn on it: lines, their order, words that may be wrong."""

from __future__ import annotations

from PIL import Image, ImageDraw, ImageFont

from ..decode import Line, Word
from .cut import Point
from .page import Page

OUTLINE, DOUBT = (0, 90, 220), (230, 60, 0)
DOUBTFUL = 0.5  # a word that is less sure is drawn as doubtful where nothing else is asked for
SHADE = 70  # of 255: how strongly a doubtful word is marked
NUMBER = 0.8  # height of a line's number, as a share of the line's
SMALLEST, LARGEST = 12, 60  # pixels that a number is high
SUFFIX = ".drawn.jpg"  # no name that a scan has
QUALITY = 85  # of JPEG


def doubtful_words(line: Line, least: float) -> list[Word]:
    """The words of a line that are less sure than `least`, 0 to 1."""
    return [word for word in line.words if word.confidence < least]


def draw_page(page: Page, picture: Image.Image, least: float = DOUBTFUL) -> Image.Image:
    """The picture of a page, as `PageSource.picture` gives it, with its lines outlined, numbered in reading order.

    Baselines are drawn too, and words less sure than `least` are marked. A picture in colour is drawn on itself.
    """
    shown = picture if picture.mode == "RGB" else picture.convert("RGB")
    scale = shown.width / page.width
    pen = ImageDraw.Draw(shown, "RGBA")
    thick = max(1, round(max(shown.size) / 1000))

    def on_picture(points: tuple[Point, ...]) -> list[Point]:
        return [(x * scale, y * scale) for x, y in points]

    for number, line in enumerate(page.lines, 1):
        for word in line.words:
            if word.confidence < least and len(word.polygon) > 2:
                pen.polygon(on_picture(word.polygon), fill=(*DOUBT, SHADE))
        outline = on_picture(line.polygon)
        pen.line([*outline, outline[0]], fill=(*OUTLINE, 255), width=thick)
        pen.line(on_picture(line.baseline), fill=(*OUTLINE, 110), width=thick)
        left, top, right, bottom = line.box
        size = min(max(NUMBER * scale * min(bottom - top, right - left), SMALLEST), LARGEST)
        font = ImageFont.load_default(size)
        x, y = on_picture(line.baseline[:1])[0]
        where = (max(x, 0.6 * size * len(str(number))), y)
        pen.text(where, str(number), fill=(*DOUBT, 255), font=font, anchor="rs", stroke_width=thick,
                 stroke_fill=(255, 255, 255, 255))  # fmt: skip
    return shown
