"""One text line out of a page: what its outline holds, turned level, straightened, and 64 rows high."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw

from ..errors import HtrjandError
from ..image import HEIGHT, MAX_WIDTH, Grey, paper_grey

Point = tuple[float, float]
Points = npt.NDArray[np.float64]  # N, 2: x to the right, y down, in pixels

MIN_AREA = 4.0  # pixels: an outline of less is a stroke, not a line of text
FAR = 1e6  # pixels: a coordinate beyond is a mistake, and would only overflow
ABOVE, BELOW = 0.7, 0.3  # of the line spacing: what a band takes over and under its baseline
NEAREST = 0.25  # of the gaps below lines, the share that is smaller: paragraphs and rows of a table stand further apart
THIN = 0.7  # of the line spacing: a band of less cuts letters
PAGE_LINES = 30  # lines a page is taken to have where one line alone tells no spacing
STEP = 8.0  # pixels between the points an edge is followed by
STRIP = 32  # columns that are straightened as one
FINE = 128  # rows: a line of more is shrunk by a whole factor before it is turned, four times as fast on big scans
BENT = 0.08  # of the line's height: a baseline that strays less counts as straight
STEEP = 0.5  # rad: a short line is turned only from here on, since a few pixels make up the slope of its baseline


class CutError(HtrjandError):
    """A line that cannot be cut. The message is a fixed reason, to be counted."""


def cut_line(page: Grey, polygon: Sequence[Point] | None, baseline: Sequence[Point] | None) -> Grey:
    """Cuts one line out of a page.

    What lies outside the polygon is painted over with the paper's grey. The slope of the baseline (where there is none:
    of the polygon) is turned level; a baseline that bends is straightened by shifting strips of columns.

    Args:
        page: uint8 [H, W].
        polygon: the outline in pixels, x to the right and y down; None: a band round the baseline.
        baseline: from the first letter to the last; one that runs leftwards counts as written down backwards.

    Returns:
        uint8 [64, W'], the aspect kept.

    Raises:
        CutError: there is nothing to cut (no geometry, no area, outside the page) or the line is too wide.
    """
    track = None if baseline is None else points(baseline)
    if track is not None and np.ptp(track, axis=0).max(initial=0.0) < 1:
        track = None
    if polygon is not None:
        outline = points(polygon)
    elif track is not None:
        outline = band(track, page.shape[0] / PAGE_LINES)
    else:
        raise CutError("line has no outline and no baseline")
    if area(outline) < MIN_AREA:
        raise CutError("outline of the line has no area")
    outline = inside(outline, page.shape[1], page.shape[0])
    if track is not None and not near(track, outline):
        track = None
    return straighten(page, outline, track)


def band(baseline: Sequence[Point] | Points, spacing: float) -> Points:
    """A polygon [2N, 2] round a baseline where the page gives none; `spacing` is between two baselines, in pixels."""
    track = forwards(points(baseline))
    up = -across(direction(track)) * spacing
    return np.concatenate([track + ABOVE * up, track[::-1] - BELOW * up])


def is_thin_band(outline: Sequence[Point], baseline: Sequence[Point], spacing: float) -> bool:
    """Whether an outline is the baseline drawn twice, one over the other, and too near for whole letters to stand in.

    Transkribus gives such a band, of a fixed height, to a line of which the baseline alone was drawn.
    """
    if len(outline) != 2 * len(baseline) or len(baseline) < 2:
        return False
    track, edge = forwards(points(baseline)), points(outline)
    along = direction(track)
    frame = np.stack([along, across(along)], axis=1)
    track, edge = track @ frame, edge @ frame
    off = np.sort(edge[:, 1] - np.interp(edge[:, 0], track[:, 0], track[:, 1]))
    upper, lower = off[: len(track)], off[len(track) :]
    return bool(np.ptp(upper) < 3 and np.ptp(lower) < 3 and lower[0] - upper[0] < THIN * spacing)


def line_spacing(baselines: Sequence[Sequence[Point]], page_height: float) -> float:
    """The usual distance in pixels from a baseline to the next one below it; a share of the page where none is."""
    tracks = [np.asarray(baseline, dtype=np.float64) for baseline in baselines]
    tracks = [track for track in tracks if (np.abs(track) < FAR).all()]
    left, middle, right = (np.array([how(track) for track in tracks]) for how in (low_x, mean_y, high_x))
    gaps = []
    for index in range(len(tracks)):
        together = np.minimum(right, right[index]) - np.maximum(left, left[index])
        beside = together > 0.25 * (right[index] - left[index])  # the others stand in another column
        below = (middle - middle[index])[beside]
        gaps += [float(below[below > page_height / 200].min(initial=np.inf))]
    known = [gap for gap in gaps if gap < page_height / 5]
    return float(np.quantile(known, NEAREST)) if known else page_height / PAGE_LINES


def points(values: Sequence[Point] | Points) -> Points:
    """Coordinates as an array [N, 2], or a CutError where they are none."""
    try:
        array = np.asarray(values, dtype=np.float64).reshape(len(values), 2)
    except (TypeError, ValueError) as error:
        raise CutError("coordinates cannot be read") from error
    if not (np.abs(array) < FAR).all():  # not a number is not smaller either
        raise CutError("coordinates cannot be read")
    return array


def area(outline: Points) -> float:
    """Square pixels inside a polygon [N, 2]: the shoelace formula."""
    if len(outline) < 3:
        return 0.0
    x, y = outline[:, 0] - outline[0, 0], outline[:, 1] - outline[0, 1]
    return float(abs(x @ np.roll(y, -1) - y @ np.roll(x, -1)) / 2)


def inside(outline: Points, width: int, height: int) -> Points:
    """The outline with what stands out of the page pushed back to its edge."""
    clipped = np.clip(outline, 0, [width, height])
    if area(clipped) < MIN_AREA:
        raise CutError("line lies outside the page")
    return clipped


def near(track: Points, outline: Points) -> bool:
    """Whether a baseline can be that of the outline: their boxes meet."""
    return bool((track.max(0) >= outline.min(0)).all() and (track.min(0) <= outline.max(0)).all())


def straighten(page: Grey, outline: Points, track: Points | None) -> Grey:
    """The cut itself, in a frame that runs along the line: `s` to the end of the text, `t` towards its feet."""
    along = text_direction(outline, track)
    frame = np.stack([along, across(along)], axis=1)  # page → frame: points @ frame; back: @ frame.T
    edge = follow(np.concatenate([outline, outline[:1]])) @ frame
    bend = None if track is None else bend_of(follow(forwards(track)) @ frame, float(np.ptp(edge[:, 1])))
    if bend is not None:
        edge[:, 1] -= np.interp(edge[:, 0], *bend)
    (s0, t0), (s1, t1) = edge.min(0), edge.max(0)
    if along[1] == 0:  # whole pixels are copied, not mixed
        s0, t0, s1, t1 = np.floor(s0), np.floor(t0), np.ceil(s1), np.ceil(t1)
    width, height = max(1.0, s1 - s0), max(1.0, t1 - t0)
    columns = max(1, round(width * HEIGHT / height))
    if columns > MAX_WIDTH:
        raise CutError("line is too wide for its height")

    corner = np.maximum(np.floor(outline.min(0)), 0)
    shrink = max(1, int(height // FINE))
    piece = painted(page, outline, corner, shrink)
    size = (max(1, round(width / shrink)), max(1, round(height / shrink)))
    count = 1 if bend is None else -(-size[0] // STRIP)
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


def painted(page: Grey, outline: Points, corner: Points, shrink: int) -> Image.Image:
    """The outline's box of the page, all but the outline in the paper's grey, which stands in `info["paper"]`."""
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


def text_direction(outline: Points, track: Points | None) -> Points:
    """The unit vector [2] along which the text runs; exactly level where a slope would not move a pixel."""
    level = np.array([1.0, 0.0])
    if track is None:
        along = direction(np.concatenate([outline, outline[:1]]))
        along = along if along[0] >= 0 else -along
        length, height = (np.ptp(outline @ axis) for axis in (along, across(along)))
        certain = length > 4 * height and along[0] > 0.7  # an upright outline does not say which way its text runs
    else:
        along = direction(forwards(track))
        length, height = np.ptp(track @ along), np.ptp(outline @ across(along))
        certain = length > 1.5 * height or abs(np.arctan2(along[1], along[0])) > STEEP
    return along if certain and (abs(along[1]) * length >= 1 or along[0] < 0) else level


def direction(track: Points) -> Points:
    """The unit vector [2] of the least-squares line through a polyline, from its first point towards its last."""
    steps, middles = np.diff(track, axis=0), (track[1:] + track[:-1]) / 2
    lengths = np.hypot(*steps.T)
    middles = middles - lengths @ middles / lengths.sum()
    _, vectors = np.linalg.eigh((middles.T * lengths) @ middles + (steps.T * lengths) @ steps / 12)
    along: Points = vectors[:, 1]
    return along if (track[-1] - track[0]) @ along >= 0 else -along


def across(along: Points) -> Points:
    """The unit vector towards the feet of text that runs along the other."""
    return np.array([-along[1], along[0]])


def forwards(track: Points) -> Points:
    """The baseline from left to right; one that is more upright than level keeps its sense."""
    run, rise = track[-1] - track[0]
    return track[::-1] if run < 0 and abs(rise) <= -run else track


def bend_of(track: Points, height: float) -> tuple[Points, Points] | None:
    """Places along the line and how far the baseline strays there [N], [N]; None where it is straight enough."""
    order = np.argsort(track[:, 0], kind="stable")
    s, t = track[order, 0], track[order, 1]
    t = t - t.mean()
    return (s, t) if np.abs(t).max() > max(2.0, BENT * height) else None


def follow(track: Points) -> Points:
    """A polyline [N, 2] with further points, so that none lies more than `STEP` pixels from the next."""
    lengths = np.hypot(*np.diff(track, axis=0).T)
    along = np.concatenate([[0.0], np.cumsum(lengths)])
    places = np.union1d(along, np.arange(0, along[-1], STEP))
    return np.stack([np.interp(places, along, track[:, axis]) for axis in (0, 1)], axis=1)


def low_x(track: Points) -> float:
    return float(track[:, 0].min())


def high_x(track: Points) -> float:
    return float(track[:, 0].max())


def mean_y(track: Points) -> float:
    return float(track[:, 1].mean())
