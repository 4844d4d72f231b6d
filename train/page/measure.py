"""Pages chosen from files, and how well a detector of any kind, model file or weights, finds their lines."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from ...runtime.errors import UsageError
from ...runtime.page.detector import LineDetector
from ..data.lines import SPLITS, parquet_files
from .pages import Page, load_pages
from .score import Found, score_lines

ALL = "all"  # what the sum over datasets is called


def chosen_pages(
    files: Iterable[Path], split: str, datasets: Iterable[str] = (), exclude: Iterable[str] = ()
) -> Iterator[Page]:
    """The pages of a split, a file after the other; of these datasets, if any is named, and of none of `exclude`.

    Raises:
        HtrjandError: a file is missing or cannot be read.
        UsageError: the split has another name.
    """
    if split not in SPLITS:
        raise UsageError(f"split {split!r}: it is one of {', '.join(SPLITS)}")
    wanted, excluded = set(datasets), set(exclude)
    for path in parquet_files(files):
        for page in load_pages([path], split):
            if page.dataset not in excluded and (not wanted or page.dataset in wanted):
                yield page


def score_pages(detector: LineDetector, pages: Iterable[Page]) -> dict[str, Found]:
    """Counts of the lines found, by dataset in order of name, and of `all`."""
    scores: dict[str, Found] = {}
    for page in pages:
        found = score_lines(page.polygons, [line.polygon for line in detector.detect(page.image)], page.ignore)
        scores[page.dataset] = scores.get(page.dataset, Found()) + found
    return dict(sorted(scores.items())) | {ALL: sum(scores.values(), Found())}
