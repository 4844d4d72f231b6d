"""From the detector's maps of a page to its text lines: connected components of the lines' cores.

A core is a band on the baseline, about as high as small letters, and a little shorter than its line, so that lines
side by side do not touch. numpy and Pillow alone.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from PIL import Image

from ..image import Grey
from .cut import Points
from .instances import groups, parted
from .pieces import joined

STRIDE = 4  # pixels of the image in a pixel of the maps
MULTIPLE = 32  # height and width of the detector's image: its coarsest stride
LONGER_SIDE = 1280  # pixels of the page as the detector sees it
HIGHEST = np.log(LONGER_SIDE)  # of the logarithms of heights: no line is higher than its page, or nothing
CORE = 0.36  # height of a core, as a share of its line's height; its foot is the baseline
SHRINK, SHRINK_SHORT = 0.2, 0.3  # a core lacks at each end this share of the line's height, at most this of its length
END = 0.1  # the mark of an end reaches outward by this share of the line's height, and inward to the core
# An outline reaches further than the maps say: letters cut off cost more than ink of the next line.
ROOM_ABOVE, ROOM_BELOW = 1.1, 1.2  # times the distance from the baseline
ROOM_AT_ENDS = 0.15  # of the line's height

THRESHOLD = 0.3  # of a core's probability
MIN_SCORE = 0.6  # mean probability of a line's core, itself the weight: its faint edge counts little
PAPER = 80  # percentile of the greys of a block that is its paper
MOST_INK = 100.0  # grey levels darker than the paper: what is darker still, as the scanner's bed, is no ink
NOISE = 8.0  # grey levels: keeps the noise of empty paper small
ZERO, GAIN = 40.0, 50.0  # grey of the paper in an evened image, and of one unit of ink above it

MIN_PIXELS = 3  # of a core in the maps
MAX_LINES = 5000  # more components are noise: the largest are kept

FloatMap = npt.NDArray[np.float32]
Ints = npt.NDArray[np.intp]


class DetectedLine(NamedTuple):
    """A line on the page, in pixels."""

    baseline: Points  # N, 2: from left to right
    polygon: Points  # M, 2
    score: float  # how certain its core is, 0 to 1


def prepare(page: Grey) -> tuple[Grey, float]:
    """The image for the detector [1, 1, H, W], and how many pixels of the page one of its pixels is.

    The page is reduced to `LONGER_SIDE`, filled up to multiples of 32 with the grey of its edge, and evened.
    """
    height, width = page.shape
    scale = max(height, width) / LONGER_SIDE
    size = max(1, round(width / scale)), max(1, round(height / scale))
    image = np.asarray(Image.fromarray(page).resize(size, Image.Resampling.BILINEAR, reducing_gap=2.0))
    filled = np.pad(image, [(0, -size[1] % MULTIPLE), (0, -size[0] % MULTIPLE)], mode="edge")
    return evened(filled)[None, None], scale


def evened(image: Grey) -> Grey:
    """An image [H, W] with ink bright on even, dark paper, and pencil as strong as ink; H and W multiples of 32.

    Each pixel's distance to the paper around it is divided by the root of the mean square of such distances there.
    """
    height, width = image.shape
    blocks = image.reshape(height // MULTIPLE, MULTIPLE, width // MULTIPLE, MULTIPLE).swapaxes(1, 2)
    paper = np.percentile(blocks.reshape(*blocks.shape[:2], -1), PAPER, axis=2)
    ink = np.clip(spread(paper, width, height) - image, -MOST_INK / 5, MOST_INK)
    square = (ink * ink).reshape(height // MULTIPLE, MULTIPLE, width // MULTIPLE, MULTIPLE).mean((1, 3))
    strength = spread(np.sqrt(neighbours(square)), width, height) + NOISE
    return np.asarray(np.clip(ZERO + GAIN * ink / strength, 0, 255), dtype=np.uint8)


def neighbours(blocks: Points) -> Points:
    """The mean of each block [H, W] and its eight neighbours."""
    padded = np.pad(blocks, 1, mode="edge")
    return np.asarray(np.lib.stride_tricks.sliding_window_view(padded, (3, 3)).mean((2, 3)))


def spread(blocks: Points, width: int, height: int) -> FloatMap:
    """A value a block [H/32, W/32] as a smooth map [H, W]."""
    small = Image.fromarray(blocks.astype(np.float32))
    return np.asarray(small.resize((width, height), Image.Resampling.BILINEAR))


def find_lines(maps: FloatMap, scale: float = 1.0) -> list[DetectedLine]:
    """The lines of a page, from top to bottom of the image.

    Args:
        maps: float [4, H/4, W/4]: core and end of lines (probabilities), ln of the distances in pixels from the middle
            of the core to the top and to the foot of the line.
        scale: pixels of the page in a pixel of the detector's image.
    """
    core, ends = maps[0], maps[1]
    mark = core * (1 - ends) if ends.any() else core
    members = [pixels for pixels in groups(mark > THRESHOLD) if len(pixels[0]) >= MIN_PIXELS]
    if len(members) > MAX_LINES:
        members = sorted(members, key=lambda pixels: len(pixels[0]), reverse=True)[:MAX_LINES]
    pieces = [piece for pixels in members for piece in parted(mark, pixels)]
    heights = np.array([np.exp(logs_at(maps, *piece)).sum(0).mean() for piece in pieces]) / STRIDE
    found = []
    for rows, columns in joined(ends, pieces, heights):
        line = trace(maps, rows, columns)
        if line is not None:
            found.append(DetectedLine(line.baseline * scale, line.polygon * scale, line.score))
    return sorted(found, key=lambda line: float(line.baseline[:, 1].mean()))


def trace(maps: FloatMap, rows: Ints, columns: Ints) -> DetectedLine | None:
    """The line of one core, in pixels of the detector's image; None for one that is too weak to be a line."""
    weight = maps[0, rows, columns].astype(np.float64)
    score = float(weight @ weight / weight.sum())
    if score < MIN_SCORE:
        return None
    place = STRIDE * (np.stack([columns, rows], axis=1).astype(np.float64) + 0.5)
    above, below = np.exp(logs_at(maps, rows, columns))
    height = float(np.median(above + below))
    frame = axes(place, weight)
    s, t = (place @ frame).T
    step = max(STRIDE, height / 4)
    left, right = s.min() - STRIDE / 2, s.max() + STRIDE / 2
    count = max(1, round((right - left) / step))
    bins = np.minimum(((s - left) / (right - left) * count).astype(int), count - 1)
    total = np.bincount(bins, weight, count)
    middle, above, below = (
        np.bincount(bins, weight * values, count) / np.maximum(total, 1e-9) for values in (t, above, below)
    )
    known = total > 0
    at = left + (np.arange(count) + 0.5) * (right - left) / count
    reach = max(1, round(height / 2 / step))
    middle, above, below = (smooth(np.interp(at, at[known], values[known]), reach) for values in (middle, above, below))
    grow = min(SHRINK * height, SHRINK_SHORT / (1 - 2 * SHRINK_SHORT) * (right - left)) + ROOM_AT_ENDS * height
    at = np.concatenate([[left - grow], at, [right + grow]])
    middle = np.concatenate([[ahead(middle)], middle, [ahead(middle[::-1])]])
    above, below = np.pad(above, 1, mode="edge"), np.pad(below, 1, mode="edge")
    base = middle + CORE / 2 * (above + below)
    kept = np.unique(
        np.linspace(0, len(at) - 1, min(len(at), max(2, round((right - left) / height) + 1))).round().astype(int)
    )
    top, foot = base - ROOM_ABOVE * (base - middle + above), base + ROOM_BELOW * (middle + below - base)
    baseline, top, foot = (np.stack([at, t], axis=1)[kept] @ frame.T for t in (base, top, foot))
    return DetectedLine(baseline, np.concatenate([top, foot[::-1]]), score)


def logs_at(maps: FloatMap, rows: Ints, columns: Ints) -> Points:
    """The logarithms of both heights at some pixels [2, N]."""
    return np.clip(maps[2:4, rows, columns].astype(np.float64), -HIGHEST, HIGHEST)


def axes(place: Points, weight: Points) -> Points:
    """Columns: unit vectors along a core and across it, downwards; level where the core is too short to tell."""
    centred = place - weight @ place / weight.sum()
    _, vectors = np.linalg.eigh((centred.T * weight) @ centred)
    along = vectors[:, 1] * (1 if vectors[0, 1] >= 0 else -1)
    frame = np.array([[along[0], -along[1]], [along[1], along[0]]])
    s, t = (centred @ frame).T
    if np.ptp(s) < 3 * np.ptp(t):
        return np.eye(2)
    return frame


def ahead(values: Points) -> float:
    """The value before the first of a curve, in the direction of its beginning."""
    return float(values[0] + 0.5 * (values[0] - values[1])) if len(values) > 1 else float(values[0])


def smooth(values: Points, reach: int) -> Points:
    """A running mean over `reach` neighbours on each side; shorter towards the ends, and symmetric everywhere."""
    total = np.concatenate([[0.0], np.cumsum(values)])
    index = np.arange(len(values))
    side = np.minimum(reach, np.minimum(index, len(values) - 1 - index))
    return np.asarray((total[index + side + 1] - total[index - side]) / (2 * side + 1))
