"""What the detector shall predict: a line's shape from its polygon and baseline, and the maps of all lines of a page.

`runtime/page/detect.py` is the way back, from maps to lines, and has the constants that both share.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw

from ...runtime.page.cut import CutError, Point, Points, area, direction, left_to_right, perpendicular, points
from ...runtime.page.detect import CORE, END, SHRINK, SHRINK_SHORT, STRIDE

MIN_AREA = 20.0  # square pixels: less is a mark, not a line
ABOVE_LEAST, ABOVE_MOST = 0.5, 0.85  # share of a line's height above its baseline; beyond these it was drawn wrong
ABOVE_USUAL = 0.68
OUTLINE_QUANTILE = 0.7  # of the outline's heights near a point: between the x-height and the highest flourish
MIN_DISTANCE = 1.5  # pixels from the baseline to the top or foot
STEP = 0.25  # of the line's height, between two points of its shape

Maps = npt.NDArray[np.float32]
Pen = ImageDraw.ImageDraw


@dataclass(frozen=True)
class LineShape:
    """A line as the detector sees it: its baseline, and how far it reaches above and below each point of it."""

    baseline: Points  # N, 2: pixels
    above: npt.NDArray[np.float64]  # N: pixels
    below: npt.NDArray[np.float64]  # N: pixels

    @property
    def height(self) -> float:
        return float(np.mean(self.above + self.below))

    def polygon(self) -> Points:
        """The outline [2N, 2]."""
        up = -perpendicular(direction(self.baseline))
        top, foot = self.baseline + up * self.above[:, None], self.baseline - up * self.below[:, None]
        return np.concatenate([top, foot[::-1]])

    def moved(self, matrix: Points, offset: Points) -> LineShape:
        """The line under `p → p @ matrix.T + offset`; heights grow by the root of the determinant."""
        scale = float(np.sqrt(abs(np.linalg.det(matrix))))
        return LineShape(self.baseline @ matrix.T + offset, self.above * scale, self.below * scale)

    def bent(self, down: npt.NDArray[np.float32]) -> LineShape:
        """The line where each column [W] of its image moves down by so many pixels; beyond the image as at its edge."""
        x, y = self.baseline.T
        return LineShape(np.stack([x, y + np.interp(x, np.arange(len(down)), down)], axis=1), self.above, self.below)


def line_shape(polygon: Sequence[Point], baseline: Sequence[Point]) -> LineShape | None:
    """The shape of a line, smoothed; None where it has no area or no length.

    A baseline that was drawn too high or too low (ground truth that has it at half the height, say) is moved to where
    baselines usually are within an outline.
    """
    try:
        outline, polyline = points(polygon), left_to_right(points(baseline))
    except (CutError, IndexError, ValueError):
        return None
    if area(outline) < MIN_AREA or len(polyline) < 2 or np.ptp(polyline, axis=0).max() < 1:
        return None
    along = direction(polyline)
    frame = np.stack([along, perpendicular(along)], axis=1)
    edge, line = outline @ frame, polyline @ frame
    line = line[np.argsort(line[:, 0], kind="stable")]
    left, right = float(edge[:, 0].min()), float(edge[:, 0].max())
    height = area(outline) / max(right - left, 1.0)
    count = max(3, round((right - left) / max(1.0, STEP * height)) + 1)
    s = np.linspace(left, right, count)
    top, foot = extent(edge, np.clip(s, left + 1e-3, right - 1e-3))
    base = np.interp(s, line[:, 0], line[:, 1])
    reach = max(1, round(1.5 / STEP))
    above, below = smooth(base - top, reach), smooth(foot - base, reach)
    total = float(np.median(above + below))
    share = float(np.median(above)) / max(total, 1e-6)
    if not ABOVE_LEAST <= share <= ABOVE_MOST:
        shift = (ABOVE_USUAL - share) * total
        base, above, below = base + shift, above + shift, below - shift
    above, below = np.maximum(above, MIN_DISTANCE), np.maximum(below, MIN_DISTANCE)
    return LineShape(np.stack([s, base], axis=1) @ frame.T, above, below)


def extent(edge: Points, s: npt.NDArray[np.float64]) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """The least and greatest `t` of a polygon [M, 2] of (s, t) at each `s` [N] within it."""
    start, end = edge, np.roll(edge, -1, axis=0)
    low, high = np.minimum(start[:, 0], end[:, 0]), np.maximum(start[:, 0], end[:, 0])
    run = np.where(high > low, end[:, 0] - start[:, 0], 1.0)
    t = start[:, 1] + (s[:, None] - start[:, 0]) / run * (end[:, 1] - start[:, 1])  # N, M
    crosses = (low <= s[:, None]) & (s[:, None] <= high) & (high > low)
    return np.where(crosses, t, np.inf).min(1), np.where(crosses, t, -np.inf).max(1)


def smooth(values: npt.NDArray[np.float64], reach: int) -> npt.NDArray[np.float64]:
    """A running quantile, then a running mean, over `reach` neighbours on each side."""
    windows = np.lib.stride_tricks.sliding_window_view(np.pad(values, reach, mode="edge"), 2 * reach + 1)
    quantile = np.quantile(windows, OUTLINE_QUANTILE, axis=1)
    windows = np.lib.stride_tricks.sliding_window_view(np.pad(quantile, reach, mode="edge"), 2 * reach + 1)
    return np.asarray(windows.mean(1))


def draw_maps(lines: Sequence[LineShape], height: int, width: int) -> Maps:
    """The maps that a perfect detector would give for an image: float32 [4, height/4, width/4] (see `Detector`).

    Heights are drawn a little beyond each core, zero elsewhere. Where cores would touch, as at a word between the
    lines, the longer line keeps its own whole and a gap round it.
    """
    core, ends = Image.new("L", (width, height)), Image.new("L", (width, height))
    size = (width // STRIDE, height // STRIDE)
    up, down = Image.new("F", size), Image.new("F", size)
    pens = [ImageDraw.Draw(image) for image in (core, ends, up, down)]
    for line in sorted(lines, key=lambda line: float(np.ptp(line.baseline, axis=0).max())):
        draw_line(line, *pens)
    marks = [np.asarray(image.reduce(STRIDE), dtype=np.float32) / 255 for image in (core, ends)]
    return np.stack([*marks, np.asarray(up), np.asarray(down)]).astype(np.float32)


def draw_line(line: LineShape, core: Pen, ends: Pen, up: Pen, down: Pen) -> None:
    along = direction(line.baseline)
    axis = perpendicular(along)
    frame = np.stack([along, axis], axis=1)
    s, base = (line.baseline @ frame).T
    height = line.height
    length = float(s[-1] - s[0])
    cut = min(SHRINK * height, SHRINK_SHORT * length)
    grid = np.concatenate([[s[0] + cut], s[(s > s[0] + cut) & (s < s[-1] - cut)], [s[-1] - cut]])
    middle = np.interp(grid, s, base - CORE / 2 * (line.above + line.below))
    half = np.interp(grid, s, CORE / 2 * (line.above + line.below))
    for reach, fill in ((half + STRIDE, 0), (half, 255)):
        upper, lower = (np.stack([grid, middle + sign * reach], axis=1) @ frame.T for sign in (-1, 1))
        core.polygon([(x, y) for x, y in (*upper.tolist(), *lower[::-1].tolist())], fill=fill)
    above = np.log(np.maximum(np.interp(grid, s, line.above) - half, MIN_DISTANCE))
    below = np.log(np.interp(grid, s, line.below) + half)
    margin = half + STRIDE
    upper, lower = (np.stack([grid, middle + sign * margin], axis=1) @ frame.T / STRIDE for sign in (-1, 1))
    quads = np.concatenate([upper[:-1], upper[1:], lower[1:], lower[:-1]], axis=1).tolist()
    for pen, values in ((up, above), (down, below)):
        for quad, value in zip(quads, ((values[1:] + values[:-1]) / 2).tolist(), strict=True):
            pen.polygon(quad, fill=value)
    for end, outward in ((0, -1), (-1, 1)):
        first, second = s[end] - outward * cut, s[end] + outward * END * height
        top, foot = base[end] - line.above[end], base[end] + line.below[end]
        bar = np.array([[first, top], [second, top], [second, foot], [first, foot]]) @ frame.T
        ends.polygon([tuple(p) for p in bar.tolist()], fill=255)
