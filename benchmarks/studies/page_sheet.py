"""Pages with their lines as a drawing: outlines and numbers alone, nothing of the image and nothing of the text."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ...runtime.page.cut import Points
from ...train.page.score import IGNORED as LEAST_IGNORED
from ...train.page.score import match, overlaps, score_lines, share_in_boxes
from .page_figures import Found, StudyPage, points_of

DATASETS = ("copiste", "poilus", "cremma-mss-19", "lectaurep-repertoires")  # a row each: the best, median, worst page
SIDE, GAP, HEAD = 300, 16, 18  # units of the picture: the longer side of a page, and the spaces around
FOUND, MISSED = "#cccccc", "#777777"  # true lines
GOOD, OTHER, IGNORED = "#0060c0", "#d00030", "#b8a060"  # lines found: match a true one, do not, are not counted
LEGEND = "Grey: true lines, dark where missed. Found, in their order: blue; without a match: red; not counted: brown."


def choose(pages: Sequence[StudyPage], found: Sequence[Found]) -> list[int]:
    """Indices of the best, the median and the worst page of each dataset, by the F1 of its lines."""
    chosen = []
    for name in DATASETS:
        indices = [index for index, page in enumerate(pages) if page.dataset == name]
        order = sorted(indices, key=lambda index: -quality(pages[index], lines_of(found[index])))
        chosen += list(dict.fromkeys(order[place] for place in (0, len(order) // 2, len(order) - 1) if order))
    return chosen


def quality(page: StudyPage, lines: Sequence[Points]) -> float:
    counts = score_lines(page.polygons, lines, page.ignore)
    return 2 * counts.matched / max(1, counts.true + counts.predicted)


def lines_of(found: Found) -> list[Points]:
    """Outlines in reading order where the page was read, else from top to bottom."""
    return points_of(found.read["lines"] or found.detected["lines"] or [], "polygon")


def sheet(pages: Sequence[StudyPage], found: Sequence[Found]) -> str:
    """An SVG of the chosen pages: true lines as grey shapes, found ones as outlines with their numbers."""
    parts = []
    chosen = choose(pages, found)
    columns = 3
    for place, index in enumerate(chosen):
        row, column = divmod(place, columns)
        x, y = GAP + column * (SIDE + GAP), GAP + row * (SIDE + HEAD + GAP)
        parts.append(f'<g transform="translate({x} {y})">{drawing(pages[index], lines_of(found[index]))}</g>')
    width, foot = GAP + columns * (SIDE + GAP), GAP + -(-len(chosen) // columns) * (SIDE + HEAD + GAP)
    box = f'viewBox="0 0 {width} {foot + GAP}" font-family="sans-serif" font-size="5"'
    head = f'<svg xmlns="http://www.w3.org/2000/svg" {box}>'
    paper = '<rect width="100%" height="100%" fill="#fff"/><g text-anchor="end">'
    legend = f'</g><text x="{GAP}" y="{foot + 4}" font-size="10">{LEGEND}</text>'
    return "\n".join([head, paper, *parts, legend, "</svg>\n"])


def drawing(page: StudyPage, lines: Sequence[Points]) -> str:
    """One page and its title."""
    height, width = page.image.shape
    scale = SIDE / max(height, width)
    pairs = match(overlaps(page.polygons, lines))
    found, good = {i for i, _ in pairs}, {j for _, j in pairs}
    counts = score_lines(page.polygons, lines, page.ignore)
    title = f"{page.dataset}: {counts.matched} of {counts.true} lines found, {counts.predicted - counts.matched} others"
    parts = [
        f'<text y="10" font-size="10" text-anchor="start">{title}</text><g transform="translate(0 {HEAD})">',
        f'<rect width="{width * scale:.0f}" height="{height * scale:.0f}" fill="#fdfcf8" stroke="#999"/>',
    ]
    for is_found, colour in ((True, FOUND), (False, MISSED)):
        shapes = [path(polygon * scale) for i, polygon in enumerate(page.polygons) if (i in found) == is_found]
        parts.append(f'<path d="{"".join(shapes)}" fill="{colour}"/>')
    colours = [
        GOOD if number in good else IGNORED if share_in_boxes(polygon, page.ignore) >= LEAST_IGNORED else OTHER
        for number, polygon in enumerate(lines)
    ]
    for colour in (GOOD, OTHER, IGNORED):
        mine = [(number, polygon * scale) for number, polygon in enumerate(lines) if colours[number] == colour]
        shapes = [path(polygon) for _, polygon in mine]
        parts.append(f'<path d="{"".join(shapes)}" fill="none" stroke="{colour}" stroke-width=".6"/>')
        parts.append(f'<g fill="{colour}">')
        for number, polygon in mine:
            x, y = (polygon[0] + polygon[-1]) / 2  # the left end: outlines go along the top first
            parts.append(f'<text x="{max(4.0, x - 1):.0f}" y="{y + 2:.0f}">{number + 1}</text>')
        parts.append("</g>")
    return "".join([*parts, "</g>"])


def path(polygon: Points) -> str:
    """A closed path through a polygon [N, 2], in halves of a unit, without the points that change nothing."""
    points = np.round(polygon * 2) / 2
    kept = [
        point for point, before, after in zip(points, np.roll(points, 1, 0), np.roll(points, -1, 0), strict=True)
        if abs(np.linalg.det(np.array([point - before, after - before]))) > 0.5
    ]  # fmt: skip
    if len(kept) < 3:
        return ""
    steps = np.diff(np.array(kept), axis=0)
    return f"M{kept[0][0]:g} {kept[0][1]:g}l" + " ".join(f"{dx:g} {dy:g}" for dx, dy in steps) + "z"
