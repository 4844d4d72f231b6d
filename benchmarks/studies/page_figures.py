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
from ...train.page.baseline_score import mean_score, score_baselines
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
    """Figures of each dataset, and of `all`: see `of_dataset`."""
    names = sorted({page.dataset for page in pages})
    both = list(zip(pages, found, strict=True))
    chosen = {name: [pair for pair in both if pair[0].dataset == name] for name in names} | {"all": both}
    return {name: of_dataset(pairs) for name, pairs in chosen.items()}


def of_dataset(pairs: Sequence[tuple[StudyPage, Found]]) -> dict[str, Any]:
    """Figures of some pages: `found` of the lines that were read, `detected` of the detector alone; errors; seconds."""
    result: dict[str, Any] = {"pages": len(pairs), "lines": sum(len(page.texts) for page, _ in pairs)}
    for name, answers in (("detected", [f.detected for _, f in pairs]), ("found", [f.read for _, f in pairs])):
        if all(answer["lines"] is not None for answer in answers):
            lines = [answer["lines"] for answer in answers]
            result[name] = lines_found([page for page, _ in pairs], lines)
            for clock in ("seconds", "cpu_seconds"):
                result[f"{name}_{clock}"] = round(float(np.mean([answer[clock] for answer in answers])), 4)
    if "found" in result:
        errors = [errors_of(*pair) for pair in pairs]
        total = sum(errors[1:], errors[0])
        result |= {"cer": round(total.cer, 3), "characters": total.characters}
        if total.cer_given is not None:
            lost = {kind: round(total.lost(kind), 3) for kind in KINDS}
            result |= {"cer_given": round(total.cer_given, 3), "lost": lost}
    return result


def lines_found(pages: Sequence[StudyPage], found: Sequence[Sequence[dict[str, Any]]]) -> dict[str, float]:
    """Recall and precision at IoU 0.5 over all lines, and the cBAD scores, means over pages; in percent."""
    counts, scores = score.Found(), []
    for page, lines in zip(pages, found, strict=True):
        polygons, baselines = points_of(lines, "polygon"), points_of(lines, "baseline")
        counts += score.score_lines(page.polygons, polygons, page.ignore)
        spared = [score.share_in_boxes(polygon, page.ignore) >= score.IGNORED for polygon in polygons]
        scores.append(score_baselines(page.baselines, baselines, spared))
    mean = mean_score(scores)
    return {
        "recall": round(counts.recall, 2),
        "precision": round(counts.precision, 2),
        "baseline_recall": round(100 * mean.recall, 2),
        "baseline_precision": round(100 * mean.precision, 2),
        "baseline_f1": round(100 * mean.f1, 2),
    }


def errors_of(page: StudyPage, found: Found) -> PageErrors:
    """The errors in the text of a page."""
    true = [TextLine(*pair) for pair in zip(page.polygons, page.texts, strict=True)]
    read = zip(points_of(found.read["lines"], "polygon"), (line["text"] for line in found.read["lines"]), strict=True)
    return page_errors(true, [TextLine(*pair) for pair in read], page.ignore, found.given)


def points_of(lines: Sequence[dict[str, Any]], name: str) -> list[Points]:
    """Polygons or baselines of lines, [N, 2] each."""
    return [np.asarray(line[name], dtype=np.float64) for line in lines]
