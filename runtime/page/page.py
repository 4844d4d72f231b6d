"""A page that was read: its lines in reading order, where they and their words lie, and all that as plain values."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from itertools import groupby
from typing import Any

import numpy as np

from ..decode import Character, Line
from .cut import ABOVE, BELOW, Point, Points, extent, left_to_right, outline_and_baseline, perpendicular, text_direction

Box = tuple[int, int, int, int]  # left, top, right, bottom in pixels; right and bottom are the first that lie outside


@dataclass(frozen=True, slots=True)
class PageWord:
    """A word on a page: `confidence` as in `Line.words`, `polygon` in pixels of the page, `box` around it."""

    text: str
    confidence: float
    polygon: tuple[Point, ...]
    box: Box


@dataclass(frozen=True, slots=True)
class PageLine:
    """A line of a page. Points are (x, y) in pixels of the image as it was given, upright by its EXIF orientation.

    Attributes:
        baseline: two points or more, in reading direction.
        polygon: the outline that the line was cut by, inside the page.
        along: the unit vector in which the text runs: (1, 0) to the right, (0, -1) upwards.
        line: what was read. A character's x0 and x1 are pixels of the page, counted in the direction `along` from the
            polygon's first point in that direction; across it, a character is as high as the polygon there. That is how
            `cut_line` cuts: it turns and straightens a line, but no pixel changes its place along it.
        region: the index of its region, see `Page.regions`.
    """

    baseline: tuple[Point, ...]
    polygon: tuple[Point, ...]
    along: Point
    line: Line
    region: int = 0

    @property
    def text(self) -> str:
        return self.line.text

    @property
    def box(self) -> Box:
        """Around the polygon."""
        return box_around(np.asarray(self.polygon))

    @property
    def words(self) -> tuple[PageWord, ...]:
        """The words in order, each with the part of the line's polygon between its first and its last column."""
        outline = np.asarray(self.polygon)  # N, 2
        s = outline @ self.along  # N
        start, length = float(s.min()), float(np.ptp(s))
        found = []
        for word in self.line.words:
            x0 = min(max(word.x0, 0.0), max(length - 1, 0.0))  # a word is a pixel wide at least, and inside the line
            x1 = min(max(word.x1, x0 + 1), length)
            part = between(outline, np.asarray(self.along), start + x0, start + x1)
            found.append(PageWord(word.text, word.confidence, as_points(part), box_around(part)))
        return tuple(found)

    def baseline_at(self, s: float) -> Point:
        """The point of the baseline at `s`, its distance in the direction `along` from the origin of the page."""
        polyline, along = np.asarray(self.baseline), np.asarray(self.along)
        places, offsets = polyline @ along, polyline @ perpendicular(along)
        order = np.argsort(places, kind="stable")
        x, y = s * along + float(np.interp(s, places[order], offsets[order])) * perpendicular(along)
        return float(x), float(y)


@dataclass(frozen=True, slots=True)
class Block:
    """Lines of one region that follow each other in reading order, and a box around them and their region."""

    box: Box
    lines: tuple[PageLine, ...]


def now() -> str:
    """The time in UTC, as XML Schema's dateTime."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


@dataclass(frozen=True, slots=True)
class Page:
    """A page that was read. Coordinates are pixels of the image as it was given, upright by its EXIF orientation.

    Attributes:
        path: the file; "" where the image came from memory.
        width, height: of the image, in pixels.
        lines: in reading order.
        number: the page of the file, from 1.
        turned: degrees clockwise, 0, 90, 180 or 270, by which the image was turned to be read.
        regions: boxes of the regions that lines name by their index; None where none were looked for.
        model: name and version of the model that read it.
        languages: ISO 639-1 codes of the languages that the model reads.
        created: when it was read, UTC, as 2026-01-31T12:00:00Z.
    """

    path: str
    width: int
    height: int
    lines: tuple[PageLine, ...]
    number: int = 1
    turned: int = 0
    regions: tuple[Box, ...] | None = None
    model: str = ""
    languages: tuple[str, ...] = ()
    created: str = field(default_factory=now)

    @property
    def text(self) -> str:
        """A line of text for each line of the page, in reading order; an empty one where nothing was read."""
        return "\n".join(line.text for line in self.lines)

    @property
    def blocks(self) -> Iterator[Block]:
        """The lines in reading order, those of a region that follow each other together."""
        for region, members in groupby(self.lines, key=lambda line: line.region):
            lines = tuple(members)
            boxes = [line.box for line in lines]
            if self.regions is not None and 0 <= region < len(self.regions):
                boxes.append(self.regions[region])
            left, top, right, bottom = zip(*boxes, strict=True)
            yield Block((min(left), min(top), max(right), max(bottom)), lines)

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON. Points have one decimal; words, which `from_dict` makes anew, are here for others."""
        return {
            "path": self.path,
            "page": self.number,
            "width": self.width,
            "height": self.height,
            "turned": self.turned,
            "model": self.model,
            "languages": list(self.languages),
            "created": self.created,
            "regions": None if self.regions is None else [list(box) for box in self.regions],
            "lines": [
                {
                    "region": line.region,
                    "baseline": rounded(line.baseline),
                    "polygon": rounded(line.polygon),
                    "along": [round(value, 6) for value in line.along],
                    **line.line.to_dict(),
                    "words": [
                        {"text": word.text, "confidence": round(word.confidence, 4), "box": list(word.box)}
                        for word in line.words
                    ],
                }
                for line in self.lines
            ],
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Page:
        """The page that `to_dict` wrote, with its rounding: what was read once can be written in any format later."""
        regions = values["regions"]
        return cls(
            values["path"], values["width"], values["height"], tuple(line_from(line) for line in values["lines"]),
            values["page"], values["turned"], None if regions is None else tuple(tuple(box) for box in regions),
            values["model"], tuple(values["languages"]), values["created"],
        )  # fmt: skip


def line_from(values: Mapping[str, Any]) -> PageLine:
    characters = tuple(Character(**character) for character in values["characters"])
    x, y = values["along"]
    return PageLine(
        tuple((x, y) for x, y in values["baseline"]),
        tuple((x, y) for x, y in values["polygon"]),
        (x, y),
        Line(values["text"], values["confidence"], characters, values.get("read")),
        values["region"],
    )


def place_line(
    read: Line, columns: int, polygon: Sequence[Point] | None, baseline: Sequence[Point] | None, size: tuple[int, int],
    turned: int = 0, region: int = 0,
) -> PageLine:  # fmt: skip
    """A line of a page, of what was read in its cut.

    Args:
        read: characters in columns of the cut, as `Recognizer.read_lines` counts them.
        columns: W' of the cut that `cut_line` made of the next two.
        polygon, baseline: as `cut_line` had them, in pixels of the image as it was turned to be read.
        size: width and height of the image as it was given.
        turned: degrees clockwise by which it was turned.
        region: see `PageLine`.

    Raises:
        CutError: as `cut_line` does.
    """
    width, height = size if turned % 180 == 0 else size[::-1]
    outline, polyline = outline_and_baseline(polygon, baseline, width, height)
    along = text_direction(outline, polyline)
    s0, s1 = extent(outline, along)
    per_column = (s1 - s0) / columns
    shift = s0 - float((outline @ along).min())  # s0 may be a whole pixel before the outline
    characters = tuple(
        replace(item, x0=item.x0 * per_column + shift, x1=item.x1 * per_column + shift) for item in read.characters
    )
    line = left_to_right(polyline) if polyline is not None else assumed_baseline(outline, along)
    line = np.clip(line, 0, [width, height])
    corner, tip = turned_back(np.stack([np.zeros(2), along]), size, turned)
    return PageLine(
        as_points(turned_back(line, size, turned)),
        as_points(turned_back(outline, size, turned)),
        as_points((tip - corner)[None])[0],
        replace(read, characters=characters),
        region,
    )


def assumed_baseline(outline: Points, along: Points) -> Points:
    """A straight baseline [2, 2] for an outline without one: as high in it as `band` puts a band around a baseline."""
    across = perpendicular(along)
    s, t = outline @ along, outline @ across
    offset = t.min() + ABOVE / (ABOVE + BELOW) * np.ptp(t)
    return np.array([s.min() * along + offset * across, s.max() * along + offset * across])


def turned_back(points: Points, size: tuple[int, int], turned: int) -> Points:
    """Points [N, 2] of an image that was turned clockwise by `turned` degrees, in the image of `size` before that."""
    x, y = points[:, 0], points[:, 1]
    width, height = size
    if turned == 90:
        return np.stack([y, height - x], axis=1)
    if turned == 180:
        return np.stack([width - x, height - y], axis=1)
    if turned == 270:
        return np.stack([width - y, x], axis=1)
    return points


def between(outline: Points, along: Points, start: float, end: float) -> Points:
    """The part of a polygon [N, 2] from `start` to `end` in a direction: two cuts by Sutherland and Hodgman."""
    for direction, limit in ((along, end), (-along, -start)):
        kept = []
        s = outline @ direction
        for index in range(len(outline)):
            here, before = s[index], s[index - 1]
            if (here <= limit) != (before <= limit):
                kept.append(
                    outline[index - 1] + (limit - before) / (here - before) * (outline[index] - outline[index - 1])
                )
            if here <= limit:
                kept.append(outline[index])
        outline = np.array(kept).reshape(-1, 2)
    return outline


def box_around(points: Points) -> Box:
    """The whole pixels that hold points [N, 2]; one wide and high at least."""
    left, top = (math.floor(value) for value in points.min(0))
    right, bottom = (math.ceil(value) for value in points.max(0))
    return min(left, max(0, right - 1)), min(top, max(0, bottom - 1)), max(right, 1), max(bottom, 1)


def as_points(points: Points) -> tuple[Point, ...]:
    return tuple((float(x) + 0.0, float(y) + 0.0) for x, y in points)  # + 0.0: never -0.0


def rounded(points: Sequence[Point]) -> list[list[float]]:
    return [[round(x, 1), round(y, 1)] for x, y in points]
