"""Lines that run up or down a page, as on its margins: looked for again with the page turned, so that they run across.

A detector sees few such lines in training, and finds them in pieces.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw

from .cut import Points, area, runs_upwards
from .detect import DetectedLine

LONG = 3  # heights that a line is long at least which runs upwards for certain, or across
SHARE = 0.3  # of a line found on the turned page: so much lies on upright ones, and no more on lines that run across
GONE = 0.5  # share of a line that lies under those which take its place
GRID = 4  # pixels of the page in one that areas are counted in


def with_upright(
    found: Sequence[DetectedLine], size: tuple[int, int], turned: Callable[[], Sequence[DetectedLine]]
) -> list[DetectedLine]:
    """The lines of a page, from top to bottom; the upright ones as they were found with the page turned, if any is.

    Args:
        found: the lines found on the page as it is.
        size: width and height of the page in pixels.
        turned: finds the lines of the page turned clockwise by 90 degrees, in pixels of that.
    """
    if not any(runs_upwards(line.baseline) and is_long(line) for line in found):
        return list(found)
    across = [line for line in found if is_long(line) and not runs_upwards(line.baseline)]
    others = [line for line in found if not is_long(line) or runs_upwards(line.baseline)]
    lines, upright = drawn(across, size), drawn(others, size)
    taken: list[DetectedLine] = []
    for line in turned():
        back = DetectedLine(on_page(line.baseline, size[1]), on_page(line.polygon, size[1]), line.score)
        if runs_upwards(back.baseline) and is_long(back) and share(back, upright) > SHARE > share(back, lines):
            taken.append(back)
    instead = drawn(taken, size)
    kept = [line for line in others if share(line, instead) < GONE]
    return sorted([*across, *kept, *taken], key=lambda line: float(line.baseline[:, 1].mean()))


def on_page(points: Points, height: int) -> Points:
    """Points of a page that was turned clockwise, on the page of that height as it was."""
    return np.stack([points[:, 1], height - points[:, 0]], axis=1)


def is_long(line: DetectedLine) -> bool:
    length = float(np.hypot(*(line.baseline[-1] - line.baseline[0])))
    return length * length > LONG * area(line.polygon)  # its height is its area over its length


def drawn(lines: Sequence[DetectedLine], size: tuple[int, int]) -> Image.Image:
    """Where any of the lines is, a bit for each GRID × GRID pixels of the page."""
    image = Image.new("1", (size[0] // GRID + 1, size[1] // GRID + 1))
    pen = ImageDraw.Draw(image)
    for line in lines:
        pen.polygon(corners(line), fill=1)
    return image


def share(line: DetectedLine, mask: Image.Image) -> float:
    """How much of a line lies on a mask that `drawn` made."""
    left, top = np.floor(line.polygon.min(0) / GRID).astype(int)
    right, foot = np.ceil(line.polygon.max(0) / GRID).astype(int) + 1
    own = Image.new("1", (int(right - left), int(foot - top)))
    ImageDraw.Draw(own).polygon([(x - left, y - top) for x, y in corners(line)], fill=1)
    inside: npt.NDArray[np.bool_] = np.asarray(own)
    return float((inside & np.asarray(mask.crop((left, top, right, foot)))).sum() / max(1, inside.sum()))


def corners(line: DetectedLine) -> list[tuple[float, float]]:
    return [(float(x), float(y)) for x, y in line.polygon / GRID]
