"""Cuts one text line out of a page image: its outline alone, made horizontal and straight, scaled to 64 rows."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw

from ..errors import HtrjandError
from ..image import HEIGHT, MAX_WIDTH, Grey, paper_grey

Point = tuple[float, float]
Points = npt.NDArray[np.float64]  # N, 2: x to the right, y down, in pixels

MIN_AREA = 4.0  # square pixels: a smaller outline cannot hold text
MAX_COORDINATE = 1e6  # pixels: a larger coordinate is a mistake, and would overflow
ABOVE, BELOW = 0.7, 0.3  # share of the line spacing that a band covers above and below its baseline
SPACING_QUANTILE = 0.25  # of the gaps between lines: larger ones separate paragraphs and table rows
MIN_BAND_HEIGHT = 0.7  # of the line spacing: a lower band cuts letters off
LINES_PER_PAGE = 30  # assumed where a page has too few baselines to tell its line spacing
POINT_SPACING = 8.0  # pixels between the points of a densified polyline
STRIP_WIDTH = 32  # columns that are shifted together to straighten a line
MAX_CUT_HEIGHT = 128  # rows: a higher line is first reduced by a whole factor; four times as fast on large scans
MIN_BEND = 0.08  # of the line's height: a baseline that deviates less counts as straight
MIN_SHORT_SLOPE = 0.5  # rad: a short line is rotated only from this slope on, since a few pixels decide its slope


class CutError(HtrjandError):
    """A line that cannot be cut. The message is one of few fixed reasons, so that they can be counted."""


class TooWideError(CutError):
    """A line that is too wide for its height; a part of it may be cut."""


def cut_line(page: Grey, polygon: Sequence[Point] | None, baseline: Sequence[Point] | None) -> Grey:
    """Cuts one line out of a page.

    Pixels outside the polygon take the paper's grey. The line is rotated by the slope of its baseline (without one: of
    its polygon); a curved baseline is straightened by shifting strips of columns.

    Args:
        page: uint8 [H, W].
        polygon: the outline in pixels, x to the right and y down; None: a band around the baseline.
        baseline: points in pixels; one that runs from right to left is reversed.

    Returns:
        uint8 [64, W'], with the aspect ratio of the page.

    Raises:
        CutError: there is nothing to cut (no geometry, no area, outside the page) or the line is too wide.
    """
    return straighten(page, *outline_and_baseline(polygon, baseline, page.shape[1], page.shape[0]))


def outline_and_baseline(
    polygon: Sequence[Point] | None, baseline: Sequence[Point] | None, width: int, height: int
) -> tuple[Points, Points | None]:
    """What `cut_line` cuts by: the outline [N, 2], inside the page, and the baseline [M, 2] where it is of use."""
    polyline = None if baseline is None else points(baseline)
    if polyline is not None and np.ptp(polyline, axis=0).max(initial=0.0) < 1:
        polyline = None
    if polygon is not None:
        outline = points(polygon)
    elif polyline is not None:
        outline = band(polyline, height / LINES_PER_PAGE)
    else:
        raise CutError("line has no outline and no baseline")
    if area(outline) < MIN_AREA:
        raise CutError("outline of the line has no area")
    outline = clipped_to_page(outline, width, height)
    if polyline is not None and not boxes_overlap(polyline, outline):
        polyline = None
    return outline, polyline


def band(baseline: Sequence[Point] | Points, spacing: float) -> Points:
    """A polygon [2N, 2] around a baseline, for a line without outline; `spacing`: pixels between two baselines."""
    polyline = left_to_right(points(baseline))
    up = -perpendicular(direction(polyline)) * spacing
    return np.concatenate([polyline + ABOVE * up, polyline[::-1] - BELOW * up])


def is_thin_band(outline: Sequence[Point], baseline: Sequence[Point], spacing: float) -> bool:
    """Whether an outline is a copy of the baseline above it and one below it, too close together to hold whole letters.

    Transkribus writes such a band, of a fixed height, for a line of which only the baseline was drawn.
    """
    if len(outline) != 2 * len(baseline) or len(baseline) < 2:
        return False
    polyline, edge = left_to_right(points(baseline)), points(outline)
    along = direction(polyline)
    frame = np.stack([along, perpendicular(along)], axis=1)
    polyline, edge = polyline @ frame, edge @ frame
    off = np.sort(edge[:, 1] - np.interp(edge[:, 0], polyline[:, 0], polyline[:, 1]))
    upper, lower = off[: len(polyline)], off[len(polyline) :]
    return bool(np.ptp(upper) < 3 and np.ptp(lower) < 3 and lower[0] - upper[0] < MIN_BAND_HEIGHT * spacing)


def line_spacing(baselines: Sequence[Sequence[Point]], page_height: float) -> float:
    """The usual distance in pixels from a baseline to the next one below it; without any pair, a share of the page."""
    polylines = [np.asarray(baseline, dtype=np.float64) for baseline in baselines]
    polylines = [polyline for polyline in polylines if (np.abs(polyline) < MAX_COORDINATE).all()]
    left, middle, right = (np.array([of(polyline) for polyline in polylines]) for of in (low_x, mean_y, high_x))
    gaps = []
    for index in range(len(polylines)):
        together = np.minimum(right, right[index]) - np.maximum(left, left[index])
        beside = together > 0.25 * (right[index] - left[index])  # the others are in another column of text
        below = (middle - middle[index])[beside]
        gaps += [float(below[below > page_height / 200].min(initial=np.inf))]
    known = [gap for gap in gaps if gap < page_height / 5]
    return float(np.quantile(known, SPACING_QUANTILE)) if known else page_height / LINES_PER_PAGE


def points(values: Sequence[Point] | Points) -> Points:
    """Coordinates as an array [N, 2]; a CutError where they are not numbers or too large."""
    try:
        array = np.asarray(values, dtype=np.float64).reshape(len(values), 2)
    except (TypeError, ValueError) as error:
        raise CutError("coordinates cannot be read") from error
    if not (np.abs(array) < MAX_COORDINATE).all():  # also false for NaN
        raise CutError("coordinates cannot be read")
    return array


def area(outline: Points) -> float:
    """Square pixels inside a polygon [N, 2]: the shoelace formula."""
    if len(outline) < 3:
        return 0.0
    x, y = outline[:, 0] - outline[0, 0], outline[:, 1] - outline[0, 1]
    return float(abs(x @ np.roll(y, -1) - y @ np.roll(x, -1)) / 2)


def clipped_to_page(outline: Points, width: int, height: int) -> Points:
    """The outline with points outside the page moved to its edge."""
    clipped = np.clip(outline, 0, [width, height])
    if area(clipped) < MIN_AREA:
        raise CutError("line lies outside the page")
    return clipped


def boxes_overlap(polyline: Points, outline: Points) -> bool:
    """Whether the bounding boxes of a baseline and an outline overlap: otherwise the two do not belong together."""
    return bool((polyline.max(0) >= outline.min(0)).all() and (polyline.min(0) <= outline.max(0)).all())


def straighten(page: Grey, outline: Points, polyline: Points | None) -> Grey:
    """The cut itself, in coordinates along the line: `s` in reading direction, `t` downwards across it."""
    along = text_direction(outline, polyline)
    # From page to line: points @ frame; from line to page: points @ frame.T
    frame = np.stack([along, perpendicular(along)], axis=1)
    edge = densified(np.concatenate([outline, outline[:1]])) @ frame
    bend = None
    if polyline is not None:
        bend = deviation(densified(left_to_right(polyline)) @ frame, float(np.ptp(edge[:, 1])))
    if bend is not None:
        edge[:, 1] -= np.interp(edge[:, 0], *bend)
    (s0, s1), (t0, t1) = extent(outline, along), (edge[:, 1].min(), edge[:, 1].max())
    if along[1] == 0:
        t0, t1 = np.floor(t0), np.ceil(t1)
    width, height = s1 - s0, max(1.0, t1 - t0)
    columns = max(1, round(width * HEIGHT / height))
    if columns > MAX_WIDTH:
        raise TooWideError("line is too wide for its height")

    corner = np.maximum(np.floor(outline.min(0)), 0)
    shrink = max(1, int(height // MAX_CUT_HEIGHT))
    piece = masked_crop(page, outline, corner, shrink)
    size = (max(1, round(width / shrink)), max(1, round(height / shrink)))
    count = 1 if bend is None else -(-size[0] // STRIP_WIDTH)
    cuts = np.linspace(0, size[0], count + 1).round().astype(int)
    s = s0 + cuts * (width / size[0])
    shift = np.zeros(len(cuts)) if bend is None else np.interp(s, *bend)
    top = (np.stack([s, t0 + shift], axis=1) @ frame.T - corner) / shrink
    foot = (np.stack([s, t1 + shift], axis=1) @ frame.T - corner) / shrink
    mesh = [
        ((int(cuts[i]), 0, int(cuts[i + 1]), size[1]), (*top[i], *foot[i], *foot[i + 1], *top[i + 1]))
        for i in range(count)
    ]
    level = piece.transform(
        size, Image.Transform.MESH, mesh, Image.Resampling.BICUBIC, fillcolor=int(piece.info["paper"])
    )
    return np.asarray(level.resize((columns, HEIGHT), Image.Resampling.BILINEAR), dtype=np.uint8)  # 64, W'


def extent(outline: Points, along: Points) -> tuple[float, float]:
    """Where an outline's cut begins and ends along the text direction, in pixels of the page: its columns 0 and W'."""
    s = outline @ along
    s0, s1 = float(s.min()), float(s.max())
    if along[1] == 0:  # horizontal: copy whole pixels instead of interpolating
        s0, s1 = float(np.floor(s0)), float(np.ceil(s1))
    return s0, max(s1, s0 + 1.0)


def masked_crop(page: Grey, outline: Points, corner: Points, shrink: int) -> Image.Image:
    """The page within the outline's bounding box, outside the outline in the paper's grey (also in `info["paper"]`)."""
    x0, y0 = corner.astype(int)
    x1, y1 = np.ceil(outline.max(0)).astype(int)
    piece = Image.fromarray(np.ascontiguousarray(page[y0:y1, x0:x1]))
    if shrink > 1:
        piece = piece.reduce(shrink)
    mask = Image.new("1", piece.size)
    ImageDraw.Draw(mask).polygon([(x, y) for x, y in ((outline - corner) / shrink - 0.5).tolist()], fill=1, outline=1)
    paper = paper_grey(np.asarray(piece)[np.asarray(mask)])
    whole = Image.new("L", piece.size, paper)
    whole.paste(piece, mask=mask)
    whole.info["paper"] = paper
    return whole


def text_direction(outline: Points, polyline: Points | None) -> Points:
    """The unit vector [2] of the text direction; exactly horizontal where the slope would not move a pixel."""
    level = np.array([1.0, 0.0])
    if polyline is None:
        along = direction(np.concatenate([outline, outline[:1]]))
        along = along if along[0] >= 0 else -along
        length, height = (np.ptp(outline @ axis) for axis in (along, perpendicular(along)))
        certain = length > 4 * height and along[0] > 0.7  # an upright outline does not show its text direction
    else:
        along = direction(left_to_right(polyline))
        length, height = np.ptp(polyline @ along), np.ptp(outline @ perpendicular(along))
        certain = length > 1.5 * height or abs(np.arctan2(along[1], along[0])) > MIN_SHORT_SLOPE
    return along if certain and (abs(along[1]) * length >= 1 or along[0] < 0) else level


def direction(polyline: Points) -> Points:
    """The unit vector [2] of the least-squares line through a polyline, from its first point towards its last."""
    steps, middles = np.diff(polyline, axis=0), (polyline[1:] + polyline[:-1]) / 2
    lengths = np.hypot(*steps.T)
    middles = middles - lengths @ middles / lengths.sum()
    _, vectors = np.linalg.eigh((middles.T * lengths) @ middles + (steps.T * lengths) @ steps / 12)
    along: Points = vectors[:, 1]
    return along if (polyline[-1] - polyline[0]) @ along >= 0 else -along


def runs_upwards(polyline: Points) -> bool:
    """Whether a baseline [N, 2] runs up or down the page rather than across it, by its two ends."""
    run = np.abs(polyline[-1] - polyline[0])
    return bool(run[1] > run[0])


def perpendicular(along: Points) -> Points:
    """The unit vector from the top of letters to their bottom, for text that runs along the given one."""
    return np.array([-along[1], along[0]])


def left_to_right(polyline: Points) -> Points:
    """The baseline from left to right; one that is more vertical than horizontal keeps its direction."""
    run, rise = polyline[-1] - polyline[0]
    return polyline[::-1] if run < 0 and abs(rise) <= -run else polyline


def deviation(polyline: Points, height: float) -> tuple[Points, Points] | None:
    """Positions along the line and the baseline's deviation there [N], [N]; None where it is straight enough."""
    order = np.argsort(polyline[:, 0], kind="stable")
    s, t = polyline[order, 0], polyline[order, 1]
    t = t - t.mean()
    return (s, t) if np.abs(t).max() > max(2.0, MIN_BEND * height) else None


def densified(polyline: Points) -> Points:
    """A polyline [N, 2] with points added, so that neighbours are at most `POINT_SPACING` pixels apart."""
    lengths = np.hypot(*np.diff(polyline, axis=0).T)
    along = np.concatenate([[0.0], np.cumsum(lengths)])
    places = np.union1d(along, np.arange(0, along[-1], POINT_SPACING))
    return np.stack([np.interp(places, along, polyline[:, axis]) for axis in (0, 1)], axis=1)


def low_x(polyline: Points) -> float:
    return float(polyline[:, 0].min())


def high_x(polyline: Points) -> float:
    return float(polyline[:, 0].max())


def mean_y(polyline: Points) -> float:
    return float(polyline[:, 1].mean())
