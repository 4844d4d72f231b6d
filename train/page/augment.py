"""Crops of pages for training: scaled, turned, put together, and spoilt as scans are, with their maps."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFilter

from ...runtime.image import Grey
from ...runtime.page.cut import Points, perpendicular
from ...runtime.page.detect import LONGER_SIDE, STRIDE, evened
from .compose import composed, with_words, without_text
from .pages import Page
from .targets import LineShape, Maps, draw_maps

FloatImage = npt.NDArray[np.float32]

BEND = 0.1  # the steepest slope of each of two waves that bend the lines
SHORT = 3.0  # heights of a line that it is long, at most, to count as a short one
SHORT_COUNTS, ENDS_COUNT = 3, 2  # times a pixel of a short line, and beyond the end of any line


@dataclass(frozen=True)
class PageAugmentRecipe:
    """How crops differ from the pages; a chance is that of a crop."""

    scale: float = 0.4  # ln of the greatest change of size
    stretch: float = 0.1  # ln of the greatest change of width alone
    turn: float = 5.0  # degrees, at most
    bend: float = 0.0  # chance that lines are not straight
    sideways: float = 0.0  # chance that a page lies on its side, or is turned by any angle up to that
    together: float = 0.15  # chance that two pages stand side by side
    words: float = 0.0  # chance that words of another page stand between a page's lines and on its margins
    composed: float = 0.0  # chance that in place of a page there are lines of some pages, on empty paper
    empty: float = 0.0  # chance that in place of a page there is one without text, or a picture
    bleed: float = 0.3  # chance that another page shines through
    ruled: float = 0.15  # chance of ruled paper
    folded: float = 0.0  # chance of folds in the paper, or of single straight lines
    shade: float = 0.5  # chance of uneven light
    blur: float = 0.3  # chance of a blur

    def __post_init__(self) -> None:
        if min(self.scale, self.stretch, self.turn) < 0 or self.turn > 45:
            raise ValueError("scale, stretch, turn: 0 or more, and a turn of at most 45 degrees")
        for name, value in vars(self).items():
            if name not in ("scale", "stretch", "turn") and not 0 <= value <= 1:
                raise ValueError(f"{name}: from 0 to 1")


@dataclass(frozen=True)
class Crop:
    """A piece of the size that training takes, its maps and where they count."""

    image: Grey  # S, S: evened
    maps: Maps  # 4, S/4, S/4
    weight: npt.NDArray[np.float32]  # S/4, S/4: 0 over ink that is not labelled, else 1 or more, see `emphasis`


def training_crop(
    pages: Sequence[Page], pick: npt.NDArray[np.float64], size: int, recipe: PageAugmentRecipe, rng: np.random.Generator
) -> Crop:
    """A crop [size, size] of a page drawn with the chances `pick`, or of two side by side."""
    canvas, mask = Image.new("L", (size, size)), Image.new("L", (size, size), 255)
    lines: list[LineShape] = []

    def any_page() -> Page:
        return pages[int(rng.choice(len(pages), p=pick))]

    def drawn() -> Page:
        kind = rng.random()
        if kind < recipe.empty:
            return without_text(rng)
        if kind < recipe.empty + recipe.composed:
            return composed([any_page() for _ in range(int(rng.integers(1, 4)))], rng)
        return with_words(any_page(), any_page(), rng) if rng.random() < recipe.words else any_page()

    if rng.random() < recipe.together:
        fold = int(rng.integers(size // 4, 3 * size // 4))
        for page, x0, x1, side in ((drawn(), 0, fold, "right"), (drawn(), fold, size, "left")):
            lines += place(page, canvas, mask, (x0, x1), side, recipe, rng)
    else:
        lines += place(drawn(), canvas, mask, (0, size), "any", recipe, rng)
    grey = np.asarray(canvas, dtype=np.float32)
    if recipe.bend and rng.random() < recipe.bend:
        down = curve(size, rng)
        grey, covered = bent(grey, down), bent(np.asarray(mask, dtype=np.float32), down)
        mask = Image.fromarray(covered.astype(np.uint8))
        lines = [line.bent(down) for line in lines]
    if rng.random() < recipe.bleed:
        other = Image.new("L", (size, size))
        place(any_page(), other, Image.new("L", (size, size)), (0, size), "any", recipe, rng)
        grey = bled(grey, other, rng)
    if rng.random() < recipe.ruled:
        grey = ruled(grey, lines, rng)
    if recipe.folded and rng.random() < recipe.folded:
        grey = folded(grey, rng)
    if rng.random() < recipe.shade:
        grey = shaded(grey, rng)
    maps = draw_maps(lines, size, size)
    weight = (np.asarray(mask.reduce(STRIDE)) > 127).astype(np.float32) * emphasis(lines, size)
    return Crop(evened(spoilt(grey, recipe, rng)), maps, weight)


def place(
    page: Page, canvas: Image.Image, mask: Image.Image, span: tuple[int, int], side: str, recipe: PageAugmentRecipe,
    rng: np.random.Generator,
) -> list[LineShape]:  # fmt: skip
    """Puts a page into the columns `span` of the canvas, zeroes its unlabelled ink in the mask; returns its lines.

    Args:
        side: `left`, `right`: that edge of the page stands at that edge of the span; `any`: any part of the page.
    """
    height, width = page.image.shape
    zoom = LONGER_SIDE / max(height, width) * math.exp(rng.uniform(-recipe.scale, recipe.scale))
    wide = zoom * math.exp(rng.uniform(-recipe.stretch, recipe.stretch))
    size_here = np.array([width * wide, height * zoom])
    turn = math.radians(recipe.turn * rng.uniform(-1, 1) ** 3)
    if recipe.sideways and rng.random() < recipe.sideways:
        turn += math.radians(rng.choice([90, -90, 90, -90, rng.uniform(-90, 90)]))
    rotation = np.array([[math.cos(turn), -math.sin(turn)], [math.sin(turn), math.cos(turn)]])
    matrix = rotation * [wide, zoom]
    across, size = span[1] - span[0], canvas.height
    # The middle of the span, as a place on the page: reaches a little over the page's edges, as scans do.
    at_edge = {"left": across / 2, "right": size_here[0] - across / 2}
    x = at_edge[side] if side in at_edge else middle_within(size_here[0], across, rng)
    centre = np.array([x, middle_within(size_here[1], size, rng)]) / [wide, zoom]
    # page → canvas: p @ matrix.T + offset; PIL wants canvas → page.
    offset = np.array([(span[0] + span[1]) / 2, size / 2]) - matrix @ centre
    inverse = np.linalg.inv(matrix)
    back = -inverse @ (offset - [span[0], 0])
    border = int(rng.choice([int(rng.integers(40)), int(rng.integers(190, 256)), int(np.median(page.image[::8, ::8]))]))
    piece = Image.fromarray(page.image).transform(
        (across, size), Image.Transform.AFFINE,
        (*inverse[0], back[0], *inverse[1], back[1]), Image.Resampling.BILINEAR, fillcolor=border,
    )  # fmt: skip
    canvas.paste(piece, (span[0], 0))
    lines = [line.moved(matrix, offset) for line in page.shapes]
    lines = [clipped for line in lines for clipped in within(line, *span, size)]
    if page.ignore:
        blank = Image.new("L", canvas.size, 255)
        pen = ImageDraw.Draw(blank)
        for x0, y0, x1, y1 in page.ignore:
            pen.polygon(moved_box([(x0, y0), (x1, y0), (x1, y1), (x0, y1)], matrix, offset), fill=0)
        for outline in page.polygons:  # what is labelled counts even inside a box
            pen.polygon(moved_box(outline.tolist(), matrix, offset), fill=255)
        mask.paste(blank.crop((span[0], 0, span[1], size)), (span[0], 0))
    return lines


def emphasis(lines: Sequence[LineShape], size: int) -> FloatImage:
    """How much each pixel of the maps counts: [size/4, size/4], 1 but where short lines are and where lines end.

    There are few such pixels: a network that misses them all has a small loss, and half of a register's lines.
    """
    image = Image.new("L", (size // STRIDE, size // STRIDE), 1)
    pen = ImageDraw.Draw(image)
    for line in lines:
        run = line.baseline[-1] - line.baseline[0]
        along = run / max(float(np.hypot(*run)), 1e-6)
        down = perpendicular(along)
        for end, outward in ((0, -1), (-1, 1)):
            inner, outer = (line.baseline[end] + outward * share * line.height * along for share in (-0.3, 1.0))
            top, foot = -line.above[end] * down, line.below[end] * down
            pen.polygon(corners([inner + top, outer + top, outer + foot, inner + foot]), fill=ENDS_COUNT)
    for line in lines:
        if np.hypot(*(line.baseline[-1] - line.baseline[0])) < SHORT * line.height:
            pen.polygon(corners(line.polygon()), fill=SHORT_COUNTS)
    return np.asarray(image, dtype=np.float32)


def corners(outline: Sequence[npt.NDArray[np.float64]] | Points) -> list[tuple[float, float]]:
    """An outline in pixels of the maps, as PIL wants it."""
    return [(float(x), float(y)) for x, y in np.asarray(outline) / STRIDE]


def moved_box(
    outline: Sequence[Sequence[float]], matrix: npt.NDArray[np.float64], offset: npt.NDArray[np.float64]
) -> list[tuple[float, float]]:
    return [(float(x), float(y)) for x, y in np.asarray(outline) @ matrix.T + offset]


def middle_within(length: float, window: int, rng: np.random.Generator) -> float:
    """The middle of a window on a length: anywhere that shows at most an eighth of it as border."""
    over = window / 8
    low, high = window / 2 - over, length - window / 2 + over
    return float(rng.uniform(low, high)) if low < high else length / 2


def within(line: LineShape, left: int, right: int, size: int) -> list[LineShape]:
    """The part of a line between two columns of a canvas [size, size]; at the canvas's edge it goes on."""
    over = 2 * line.height  # the line's ends are drawn out of sight
    low, high = (-over if left == 0 else left), (size + over if right == size else right)
    x, y = line.baseline.T
    inside = (x >= low) & (x <= high) & (y >= -over) & (y <= size + over)
    if inside.sum() < 2:
        return []
    return [LineShape(line.baseline[inside], line.above[inside], line.below[inside])]


def curve(size: int, rng: np.random.Generator) -> FloatImage:
    """How far each column of a crop moves down, in pixels [size]: two waves, together at most some 12 degrees steep."""
    x = np.arange(size)
    waves = rng.uniform(size / 2, 3 * size, 2)
    slopes = BEND * rng.uniform(-1, 1, 2)
    phases = x[:, None] / waves + rng.random(2)
    down = (slopes * waves / (2 * math.pi) * np.sin(2 * math.pi * phases)).sum(1)
    return np.asarray(down - np.mean(down), dtype=np.float32)


def bent(grey: FloatImage, down: FloatImage) -> FloatImage:
    """An image [H, W] with each column moved down by a distance [W]; what is missing is as its edge."""
    height, width = grey.shape
    row = np.clip(np.arange(height)[:, None] - down, 0, height - 1)
    above = np.minimum(row.astype(np.intp), height - 2)
    share = (row - above).astype(np.float32)
    column = np.arange(width)
    return np.asarray(grey[above, column] * (1 - share) + grey[above + 1, column] * share)


def bled(grey: FloatImage, other: Image.Image, rng: np.random.Generator) -> FloatImage:
    """Another page's ink, mirrored and faint."""
    mirrored = other.transpose(Image.Transpose.FLIP_LEFT_RIGHT).filter(ImageFilter.GaussianBlur(rng.uniform(0.5, 2)))
    back = np.asarray(mirrored, dtype=np.float32)
    ink = np.clip((np.median(back) - back) / 160, 0, 1)
    return np.asarray(grey * (1 - rng.uniform(0.1, 0.45) * ink), dtype=np.float32)


def ruled(grey: FloatImage, lines: Sequence[LineShape], rng: np.random.Generator) -> FloatImage:
    """Ruled paper, whole, dashed or dotted: level rules, upright ones or both, or one under each line of text.

    The writing on it may be pale, as in pencil on a printed form.
    """
    size = grey.shape[0]
    shade, width = int(rng.choice([rng.integers(20, 120), rng.integers(90, 235)])), int(rng.integers(1, 4))
    dash, gap = rng.choice([(0, 0), dash_and_gap(rng)], p=(0.33, 0.67)).tolist()
    sheet = Image.new("L", (size, size), 255)
    level, upright = True, False
    if lines and rng.random() < 0.35:
        draw_guides(sheet, lines, shade, width, rng)
    else:
        level, upright = ((True, False), (True, False), (False, True), (True, True))[int(rng.integers(4))]
        draw_rules(sheet, level, upright, shade, width, rng)
    rules = np.asarray(sheet)
    if dash:
        pieces = np.arange(size) % (dash + gap) < dash
        across, down = pieces[None] & level, pieces[:, None] & upright
        rules = np.where(across ^ down, rules, 255)
    paper = np.median(grey)
    pale = rng.uniform(0.3, 1) if rng.random() < 0.4 else 1.0
    return np.asarray((paper - (paper - grey) * pale) * rules.astype(np.float32) / 255, dtype=np.float32)


def dash_and_gap(rng: np.random.Generator) -> tuple[int, int]:
    """Lengths of the pieces and of the gaps of a dashed or dotted rule, 1 to 16 pixels: fine rasters, dots, dashes."""
    if rng.random() < 0.4:
        fine = int(rng.integers(1, 5))
        return fine, fine
    dash, gap = np.rint(16 ** rng.random(2)).astype(int).tolist()
    return dash, gap


def draw_guides(
    sheet: Image.Image, lines: Sequence[LineShape], shade: int, width: int, rng: np.random.Generator
) -> None:
    """A rule under each line of text that runs across, as long as the longest, as in forms."""
    pen = ImageDraw.Draw(sheet)
    left, right = min(line.baseline[:, 0].min() for line in lines), max(line.baseline[:, 0].max() for line in lines)
    drop = rng.uniform(-0.15, 0.35)  # heights of a line below its baseline
    for line in lines:
        (x0, y0), (x1, y1) = line.baseline[0], line.baseline[-1]
        if abs(x1 - x0) > abs(y1 - y0):
            slope, down = (y1 - y0) / (x1 - x0), y0 + drop * line.height
            ends = [(left, down + slope * (left - x0)), (right, down + slope * (right - x0))]
            pen.line(ends, fill=shade, width=width)


def draw_rules(
    sheet: Image.Image, level: bool, upright: bool, shade: int, width: int, rng: np.random.Generator
) -> None:
    """Rules at equal distances, some with finer ones between, as in copybooks."""
    pen, size = ImageDraw.Draw(sheet), sheet.height
    left, right = sorted(rng.uniform(-0.3, 1.3, 2) * size)
    if right - left < size / 2:
        left, right = 0, size
    slope, spacing = rng.normal(0, 0.01) * size, rng.uniform(14, 80)
    finer = int(rng.choice([1, 1, 1, 2, 4])) if spacing > 30 else 1  # 4: French copybooks
    for number, at in enumerate(np.arange(rng.uniform(-spacing, 0), size, spacing / finer)):
        strong = number % finer == 0
        if level:
            fill = shade if strong else (shade + 255) // 2
            pen.line([(left, at), (right, at + slope)], fill=fill, width=width if strong else 1)
        if upright and strong:
            pen.line([(at, 0), (at - slope, size)], fill=shade, width=min(width, 2))


def folded(grey: FloatImage, rng: np.random.Generator) -> FloatImage:
    """One to three straight lines from edge to edge, upright oftener than level: thin and sharp, or broad and soft."""
    size = grey.shape[0]
    sheet = Image.new("L", (size, size), 128)
    pen = ImageDraw.Draw(sheet)
    for _ in range(int(rng.integers(1, 4))):
        at, slope = rng.uniform(0, size), rng.normal(0, 0.02) * size
        ends = [(at, 0), (at + slope, size)] if rng.random() < 0.8 else [(0, at), (size, at + slope)]
        darker = 1 if rng.random() < 0.75 else -1
        pen.line(ends, fill=128 - darker * int(rng.integers(25, 110)), width=int(rng.choice([1, 2, 3, 6, 10])))
    soft = sheet.filter(ImageFilter.GaussianBlur(float(rng.choice([0.5, 1, 2, 4]))))
    return np.asarray(grey * np.asarray(soft, dtype=np.float32) / 128, dtype=np.float32)


def shaded(grey: FloatImage, rng: np.random.Generator) -> FloatImage:
    """Uneven light: a few soft patches."""
    coarse = Image.fromarray(rng.uniform(rng.uniform(0.5, 0.9), 1.1, (4, 4)).astype(np.float32))
    return np.asarray(grey * np.asarray(coarse.resize(grey.shape[::-1], Image.Resampling.BICUBIC)), dtype=np.float32)


def spoilt(grey: FloatImage, recipe: PageAugmentRecipe, rng: np.random.Generator) -> Grey:
    """Contrast, brightness, blur and noise."""
    gamma, contrast, brightness = math.exp(rng.uniform(-0.4, 0.4)), rng.uniform(0.6, 1.1), rng.uniform(-10, 60)
    grey = (255 * contrast * np.clip(grey / 255, 0, 1) ** gamma + brightness).astype(np.float32)
    if rng.random() < recipe.blur:
        soft = Image.fromarray(np.clip(grey, 0, 255).astype(np.uint8))
        grey = np.asarray(soft.filter(ImageFilter.GaussianBlur(rng.uniform(0.3, 1.2))), dtype=np.float32)
    if rng.random() < 0.5:
        grey = grey + rng.standard_normal(grey.shape, dtype=np.float32) * np.float32(rng.uniform(0, 10))
    return np.clip(grey, 0, 255).astype(np.uint8)
