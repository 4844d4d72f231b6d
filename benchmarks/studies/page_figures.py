"""Figures of pages: what was found and read on each, against what stands there."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq

from ...runtime.image import Grey
from ...runtime.page.cut import Points
from ...train.page import score
from ...train.page.baseline_score import BaselineScore, mean_score, score_baselines
from ...train.page.pages import COLUMNS, page_of
from .page_text import Box, PageErrors, TextLine, page_errors

KINDS = ("missed", "divided", "false", "single")  # of groups of lines, see `page_text.Group`


@dataclass(frozen=True)
class StudyPage:
    """A page with its lines; coordinates in pixels of its image."""

    id: str
    dataset: str
    image: Grey
    polygons: tuple[Points, ...]
    baselines: tuple[Points, ...]
    texts: tuple[str, ...]
    ignore: tuple[Box, ...]  # of ink that is not labelled


@dataclass
class Found:
    """What a worker answered for one page: `lines` (None: not asked, or it cannot tell), `seconds`, `cpu_seconds`."""

    read: dict[str, Any]
    detected: dict[str, Any]
    given: list[str] | None = None  # texts of the true lines


def load_pages(files: Iterable[Path], split: str) -> list[StudyPage]:
    """The pages of a split, of Parquet files as `train/page/pages.py` has them."""
    pages = []
    for path in files:
        for row in pq.read_table(path, columns=COLUMNS, filters=[("split", "=", split)]).to_pylist():
            page, lines = page_of(row, no_ignore=False), json.loads(row["lines"])
            baselines = tuple(np.asarray(line["baseline"], dtype=np.float64) for line in lines)
            texts = tuple(line["text"] or "" for line in lines)
            pages.append(StudyPage(page.id, page.dataset, page.image, page.polygons, baselines, texts, page.ignore))
    return pages


def figures(pages: Sequence[StudyPage], found: Sequence[Found]) -> dict[str, dict[str, Any]]:
    """Figures of each dataset in order of name, and of `all`: see `summed`."""
    each = [of_page(*pair) for pair in zip(pages, found, strict=True)]
    names = sorted({page.dataset for page in pages})
    chosen = {name: [one for page, one in zip(pages, each, strict=True) if page.dataset == name] for name in names}
    return {name: summed(some) for name, some in (chosen | {"all": each}).items()}


@dataclass(frozen=True)
class OnePage:
    """Figures of a page: counts and baseline scores, by `detected` (by the detector alone) and `found` (and read)."""

    lines: int
    counts: dict[str, score.Found]
    baselines: dict[str, BaselineScore]
    seconds: dict[str, float]
    errors: PageErrors | None


def of_page(page: StudyPage, found: Found) -> OnePage:
    """Compares what was found on a page with what stands there."""
    counts, scores = {}, {}
    seconds: dict[str, float] = {}
    for name, answer in (("detected", found.detected), ("found", found.read)):
        if answer["lines"] is None:
            continue
        polygons, baselines = points_of(answer["lines"], "polygon"), points_of(answer["lines"], "baseline")
        counts[name] = score.score_lines(page.polygons, polygons, page.ignore)
        spared = [score.share_in_boxes(polygon, page.ignore) >= score.IGNORED for polygon in polygons]
        scores[name] = score_baselines(page.baselines, baselines, spared)
        seconds |= {f"{name}_{clock}": answer[clock] for clock in ("seconds", "cpu_seconds")}
    errors = errors_of(page, found) if "found" in counts else None
    return OnePage(len(page.texts), counts, scores, seconds, errors)


def summed(pages: Sequence[OnePage]) -> dict[str, Any]:
    """Recall and precision at IoU 0.5 over all lines, means over pages of the cBAD scores and of seconds, and errors of
    the text over all characters; in percent."""
    result: dict[str, Any] = {"pages": len(pages), "lines": sum(page.lines for page in pages)}
    for name in pages[0].counts:
        counts = sum((page.counts[name] for page in pages), score.Found())
        mean = mean_score([page.baselines[name] for page in pages])
        result[name] = {
            "recall": round(counts.recall, 2),
            "precision": round(counts.precision, 2),
            "baseline_recall": round(100 * mean.recall, 2),
            "baseline_precision": round(100 * mean.precision, 2),
            "baseline_f1": round(100 * mean.f1, 2),
        }
    for name in pages[0].seconds:
        result[name] = round(float(np.mean([page.seconds[name] for page in pages])), 4)
    errors = [page.errors for page in pages if page.errors is not None]
    if errors:
        total = sum(errors[1:], errors[0])
        result |= {"cer": round(total.cer, 3), "characters": total.characters}
        if total.cer_given is not None:
            lost = {kind: round(total.lost(kind), 3) for kind in KINDS}
            result |= {"cer_given": round(total.cer_given, 3), "lost": lost}
    return result


def errors_of(page: StudyPage, found: Found) -> PageErrors:
    """The errors in the text of a page."""
    true = [TextLine(*pair) for pair in zip(page.polygons, page.texts, strict=True)]
    read = zip(points_of(found.read["lines"], "polygon"), (line["text"] for line in found.read["lines"]), strict=True)
    return page_errors(true, [TextLine(*pair) for pair in read], page.ignore, found.given)


def points_of(lines: Sequence[dict[str, Any]], name: str) -> list[Points]:
    """Polygons or baselines of lines, [N, 2] each."""
    return [np.asarray(line[name], dtype=np.float64) for line in lines]
