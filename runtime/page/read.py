"""From the image of a page to its text: find the lines, turn the page if it lies wrongly, cut, read, put in order."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple, Protocol

import numpy as np
import numpy.typing as npt
from PIL import Image

from ..decode import Line, decode_greedy
from ..decode.language import Language
from ..image import MAX_WIDTH, Grey, LineSource
from ..info import ModelInfo
from .cut import CutError, Points, TooWideError, area, cut_line, direction, perpendicular, runs_upwards, text_direction
from .detect import DetectedLine
from .detector import LineDetector
from .inputs import PageImage, PageSource, load_page
from .order import reading_order
from .page import Page, PageLine, as_points, assumed_baseline, between, box_around, place_line, turned_back

UPRIGHT = 0.5  # share of the length of all lines that runs upwards, above which a page may lie on its side
SURE, SURE_GREEDY = 0.88, 0.7  # mean confidence of all characters, with language and without, from which on a page
# lies as it should: on 112 pages read upside down the greatest were 0.85 and 0.66
DARK = 128  # median grey, below which a page may be a negative
SAMPLE = 8  # the longest lines, which are read upside down
SURER = 0.02  # by so much surer they must be read upside down for the page to be turned
LEVEL = math.radians(3)  # a page that is skewed by more is turned level before its lines are looked for again


class LineReader(Protocol):
    """What a page is read with: a `Recognizer`."""

    info: ModelInfo
    language: Language | None

    @property
    def detector(self) -> LineDetector: ...
    def read_lines(self, sources: Sequence[LineSource], batch_size: int = 8) -> list[Line]: ...
    def logits(self, lines: Sequence[Grey], batch_size: int = 8) -> list[npt.NDArray[np.float32]]: ...


class Cut(NamedTuple):
    """A line, cut out; its geometry as `cut_line` took it."""

    image: Grey | None  # 64, W; None: it could not be cut
    polygon: Points
    baseline: Points | None


def read_page(reader: LineReader, source: LineSource | PageSource | PageImage, batch_size: int = 8) -> Page:
    """As `Recognizer.read_page`, which is how to call it."""
    if isinstance(source, PageSource):
        path, number, image = str(source.path), source.number, source.load()
    elif isinstance(source, PageImage):
        path, number, image = "", 1, source
    else:
        path = str(source) if isinstance(source, str | Path) else ""
        number, image = 1, load_page(source)
    page, detector = image.grey, reader.detector
    found = level(detector, page, detector.detect(page))
    cuts, lines = read_all(reader, page, found, batch_size)
    unsure = sureness(lines) < (SURE if reader.language else SURE_GREEDY)
    if unsure and np.median(page[::8, ::8]) < DARK:
        negative = 255 - page
        again = level(detector, negative, detector.detect(negative))
        if length_across(again) > length_across(found):  # light ink on dark paper, as on microfilm
            page, found = negative, again
            cuts, lines = read_all(reader, page, found, batch_size)
    turned = wrong_by(reader, page, found, cuts) if unsure or upright_share(found) > UPRIGHT else 0
    if turned:
        page = np.ascontiguousarray(np.rot90(page, -turned // 90))
        cuts, lines = read_all(reader, page, level(detector, page, detector.detect(page)), batch_size)
    size, info = (image.width, image.height), reader.info
    placed = in_order(cuts, lines, size, turned, image.scale)
    return Page(path, *size, placed, number, turned, None, f"{info.name} {info.version}".strip(), info.languages)


def wrong_by(reader: LineReader, page: Grey, found: Sequence[DetectedLine], cuts: Sequence[Cut]) -> int:
    """By how many degrees clockwise a page is to be turned: 0, 90, 180 or 270.

    Text runs across whichever way more of it is found; upside down it is read with less certainty, as the mean over
    the characters of the longest lines tells. Language is left out of that, since with it nonsense is read as words.
    """
    lying = np.ascontiguousarray(np.rot90(page, -1))
    again = reader.detector.detect(lying)
    turned = 90 if length_across(again) > length_across(found) else 0
    if turned:
        cuts = [cut for line in again for cut in cut_out(lying, line.polygon, line.baseline, widest(reader))]
    images = sorted((cut.image for cut in cuts if cut.image is not None), key=lambda image: -image.shape[1])[:SAMPLE]
    on_its_head = greedy_sureness(reader, [upside_down(image) for image in images])
    return turned + (180 if on_its_head > greedy_sureness(reader, images) + SURER else 0)


def greedy_sureness(reader: LineReader, images: Sequence[Grey]) -> float:
    """As `sureness`, of lines [64, W] read without language."""
    return sureness(greedy(reader, images))


def greedy(reader: LineReader, images: Sequence[Grey]) -> list[Line]:
    """Lines [64, W] read without language."""
    pairs = zip(images, reader.logits(images), strict=True)
    return [decode_greedy(logits, reader.info, image.shape[1], image.shape[1]) for image, logits in pairs]


def upright_share(found: Sequence[DetectedLine]) -> float:
    """How much of the length of all lines is in lines that run upwards or downwards rather than across."""
    runs = np.array([np.abs(line.baseline[-1] - line.baseline[0]) for line in found]).reshape(-1, 2)
    lengths = np.hypot(*runs.T)
    return float(lengths[runs[:, 1] > runs[:, 0]].sum() / max(lengths.sum(), 1))


def length_across(found: Sequence[DetectedLine]) -> float:
    """The length of all lines that run across rather than upwards, in pixels, weighted by how certain they are."""
    runs = np.array([np.abs(line.baseline[-1] - line.baseline[0]) for line in found]).reshape(-1, 2)
    scores = np.array([line.score for line in found])
    return float((scores * runs[:, 0])[runs[:, 0] >= runs[:, 1]].sum())


def level(detector: LineDetector, page: Grey, found: list[DetectedLine]) -> list[DetectedLine]:
    """The lines of a page that is skewed, looked for on a level copy of it; those that were found where it is not.

    One that is skewed by more than 45 degrees lies on its side, and is turned.
    """
    angle = skew(found)
    if not LEVEL <= abs(angle) < math.pi / 4:
        return found
    copy = Image.fromarray(page).rotate(
        math.degrees(angle), Image.Resampling.BILINEAR, expand=True, fillcolor=int(np.median(page[::16, ::16]))
    )
    again = detector.detect(np.asarray(copy))
    if length_across(again) <= length_across(found):
        return found
    back = np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
    middle, copied = np.array(page.shape[::-1]) / 2, np.array(copy.size) / 2

    def on_page(points: Points) -> Points:
        return np.asarray((points - copied) @ back.T + middle)

    return [DetectedLine(on_page(line.baseline), on_page(line.polygon), line.score) for line in again]


def skew(found: Sequence[DetectedLine]) -> float:
    """The median slope of the lines, in radians, the longer the weightier; clockwise is positive."""
    if not found:
        return 0.0
    runs = np.array([line.baseline[-1] - line.baseline[0] for line in found])
    lengths, angles = np.hypot(*runs.T), np.arctan2(runs[:, 1], runs[:, 0])
    order = np.argsort(angles)
    upto = lengths[order].cumsum()
    return float(angles[order][np.searchsorted(upto, upto[-1] / 2)])


def read_all(
    reader: LineReader, page: Grey, found: Sequence[DetectedLine], batch_size: int
) -> tuple[list[Cut], list[Line]]:
    """Every line, cut and read; one that cannot be cut is there all the same, without text."""
    cuts = [cut for line in found for cut in cut_out(page, line.polygon, line.baseline, widest(reader))]
    cuts = surer_ways(reader, cuts)
    read = iter(reader.read_lines([cut.image for cut in cuts if cut.image is not None], batch_size))
    return cuts, [Line("", 0.0, ()) if cut.image is None else next(read) for cut in cuts]


def surer_ways(reader: LineReader, cuts: Sequence[Cut]) -> list[Cut]:
    """The lines; those that run up or down the page the way round in which they are read with more certainty."""
    found = list(cuts)
    upright = {
        index: (image, other_way(image, polygon, baseline))
        for index, (image, polygon, baseline) in enumerate(cuts)
        if image is not None and baseline is not None and runs_upwards(baseline)
    }
    as_found = greedy(reader, [image for image, _ in upright.values()])
    turned = greedy(reader, [upside_down(image) for image, _ in upright.values()])
    for (index, (_, other)), was, now in zip(upright.items(), as_found, turned, strict=True):
        if sureness([now]) > sureness([was]):
            found[index] = other
    return found


def other_way(image: Grey, polygon: Points, baseline: Points) -> Cut:
    """A line that was cut out, as if its text ran the other way."""
    along = -text_direction(polygon, baseline)
    back = baseline[::-1]
    # The letters' feet are on the other side now: the baseline moves to where `assumed_baseline` puts one.
    by = (assumed_baseline(polygon, along)[0] - back.mean(0)) @ perpendicular(along)
    return Cut(upside_down(image), polygon, back + by * perpendicular(along))


def upside_down(image: Grey) -> Grey:
    return np.ascontiguousarray(image[::-1, ::-1])


def widest(reader: LineReader) -> int:
    """Columns of the widest line that the model reads."""
    return min(MAX_WIDTH, reader.info.max_width)


def cut_out(page: Grey, outline: Points, baseline: Points, limit: int) -> list[Cut]:
    """A line by its outline; in halves where that is too long for the reader, by its rectangle where it fails."""
    try:
        image = cut_line(page, as_points(outline), as_points(baseline))
        if image.shape[1] > limit:
            raise TooWideError
        return [Cut(image, outline, baseline)]
    except TooWideError:
        along = text_direction(outline, baseline)
        s = outline @ along
        middle = (s.min() + s.max()) / 2
        return [
            part
            for start, end in ((s.min(), middle), (middle, s.max()))
            for part in cut_out(page, between(outline, along, start, end), baseline, limit)
        ]
    except CutError:
        left, top, right, bottom = box_around(np.clip(outline, 0, page.shape[::-1]))
        rectangle = np.array([(left, top), (right, top), (right, bottom), (left, bottom)], np.float64)
        try:
            return [Cut(cut_line(page, as_points(rectangle), None), rectangle, None)]
        except CutError:
            return [Cut(None, rectangle, None)]


def sureness(lines: Sequence[Line]) -> float:
    """The mean confidence of all characters; 0 where there are none."""
    confidences = [item.confidence for line in lines for item in line.characters]
    return sum(confidences) / max(1, len(confidences))


def in_order(
    cuts: Sequence[Cut], lines: Sequence[Line], size: tuple[int, int], turned: int, scale: float
) -> tuple[PageLine, ...]:
    """The lines in reading order, on the image as it was given."""
    across = np.array([1.0, 0.0])
    baselines = [assumed_baseline(cut.polygon, across) if cut.baseline is None else cut.baseline for cut in cuts]
    lengths = [max(1.0, float(np.ptp(line @ direction(line)))) for line in baselines]
    heights = [area(cut.polygon) / length for cut, length in zip(cuts, lengths, strict=True)]
    return tuple(
        placed(cuts[index], lines[index], size, turned, scale, region)
        for region, members in enumerate(reading_order(baselines, heights))
        for index in members
    )


def placed(cut: Cut, line: Line, size: tuple[int, int], turned: int, scale: float, region: int) -> PageLine:
    """A line on the image as it was given."""
    outline = cut.polygon * scale
    baseline = None if cut.baseline is None else as_points(cut.baseline * scale)
    if cut.image is not None:
        return place_line(line, cut.image.shape[1], as_points(outline), baseline, size, turned, region)
    corners = turned_back(outline, size, turned)  # from the top left one clockwise, as the text runs
    along = direction(corners[[3, 2]])
    return PageLine(as_points(corners[[3, 2]]), as_points(corners), as_points(along[None])[0], line, region)
