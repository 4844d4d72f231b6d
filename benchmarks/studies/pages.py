"""Whole pages: lines found, errors in their text, seconds and memory; of our models and of peers, on the same pages.

python -m htrjand.benchmarks.studies.pages --split val --peers -o pages.json
python -m htrjand.benchmarks.studies.pages --split val --no-read --sheet docs/pages.svg
"""

from __future__ import annotations

import hashlib
import json
import sys
import tempfile
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click
import numpy as np

from ...runtime.errors import HtrjandError
from ...runtime.files import atomic_path
from ...runtime.text import json_text
from ...train.data.lines import SPLITS, data_dir, parquet_files, spread
from .. import machine
from ..engines import BUNDLED, PEERS, Setup, row_names
from ..process import Worker
from ..run import progress_bar
from ..watch import Watch
from .page_figures import Found, StudyPage, figures, load_pages
from .page_sheet import sheet
from .page_tables import tables

SCHEMA = "htrjand-pages-1"
EXCLUDED = ("read2016-bozen", "read2017-escher")  # test sets of competitions: nothing released may have seen them
NOT_ASKED: dict[str, Any] = {"lines": None, "peak_rss": 0}
PATH = click.Path(path_type=Path)


def measure(
    setup: Setup, detector: str | None, threads: int, folder: Path, pages: Sequence[StudyPage], read: bool
) -> tuple[dict[str, Any], list[Found]]:
    """One engine on all pages, in a process of its own.

    Args:
        folder: holds the pages as the worker wants them.
        read: whether pages are read; else their lines are detected alone.

    Returns:
        What the engine is, with its peak memory, and what it found on each page.
    """
    found: list[Found] = []
    peak = 0
    module = "htrjand.benchmarks.studies.pages_worker"
    with (
        Worker(setup.engine, threads, folder, setup.lm or "-", detector, module=module) as worker,
        progress_bar(" ".join(filter(None, setup)), len(pages)) as progress,
    ):
        for index in range(len(pages)):
            detected = NOT_ASKED if setup.lm else worker.ask(page=index, what="detect")
            lines = worker.ask(page=index, what="read") if read else NOT_ASKED
            peak = max(peak, int(lines["peak_rss"]), int(detected["peak_rss"]))
            found.append(Found(lines, detected))
            progress.update(1)
        if read:
            for index, page in enumerate(found):
                page.given = worker.ask(page=index, what="given")["texts"]
    return worker.about | {"peak_rss": peak}, found


def write_pages(pages: Sequence[StudyPage], folder: Path) -> None:
    """Writes pages and their true lines for the workers."""
    for index, page in enumerate(pages):
        np.save(folder / f"{index:05}.npy", page.image)
        lines = [
            {"polygon": polygon.tolist(), "baseline": baseline.tolist()}
            for polygon, baseline in zip(page.polygons, page.baselines, strict=True)
        ]
        (folder / f"{index:05}.json").write_text(json.dumps(lines), "utf-8")


def choose_pages(files: Sequence[Path], split: str, datasets: Sequence[str], limit: int | None) -> list[StudyPage]:
    """The pages of a split: at most `limit` of each dataset, always the same."""
    pages = [page for page in load_pages(parquet_files(files), split) if page.dataset not in EXCLUDED]
    names = datasets or sorted({page.dataset for page in pages})
    groups = ([page for page in pages if page.dataset == name] for name in names)
    chosen = [page for group in groups for page in (spread(group, limit) if limit else group)]
    missing = set(names) - {page.dataset for page in chosen}
    if missing or not chosen:
        raise HtrjandError(f"no {split} pages of {', '.join(sorted(missing)) or 'any dataset'}; check -i and --dataset")
    return chosen


def describe_data(pages: Sequence[StudyPage]) -> list[dict[str, object]]:
    """The number of pages and lines of each dataset, and a SHA-256 of their ids and texts."""
    described: list[dict[str, object]] = []
    for name in dict.fromkeys(page.dataset for page in pages):
        chosen = [page for page in pages if page.dataset == name]
        digest = hashlib.sha256("".join(f"{page.id}\t{page.texts}\n" for page in chosen).encode()).hexdigest()
        lines = sum(len(page.texts) for page in chosen)
        described.append({"dataset": name, "pages": len(chosen), "lines": lines, "sha256": digest})
    return described


@click.command()
@click.option("-i", "--input", "files", multiple=True, type=PATH, help="Pages. Default: pagepacks of HTRJAND_DATA.")
@click.option("--split", default="val", show_default=True, type=click.Choice(SPLITS))
@click.option("--dataset", "datasets", multiple=True, help="Only this dataset. Repeatable.")
@click.option("--limit", type=click.IntRange(1), help="At most so many pages of each dataset.")
@click.option("-m", "--model", "models", multiple=True, help="A line reader. Repeatable. Default: the bundled student.")
@click.option("--detector", help="A line detector, or its weights. Default: the bundled one.")
@click.option("--lm", default="bundled", show_default=True, help="To read with, besides greedily; - for none.")
@click.option("--peers", is_flag=True, help="RapidOCR and Tesseract, too.")
@click.option("--no-read", is_flag=True, help="Detect lines alone.")
@click.option("--threads", type=click.IntRange(1), default=1, show_default=True)
@click.option("-o", "--output", type=PATH, help="All figures (.json).")
@click.option("--sheet", "sheet_output", type=PATH, help="Twelve pages with their lines, drawn (.svg).")
def main(
    files: tuple[Path, ...], split: str, datasets: tuple[str, ...], limit: int | None, models: tuple[str, ...],
    detector: str | None, lm: str, peers: bool, no_read: bool, threads: int, output: Path | None,
    sheet_output: Path | None,
) -> None:  # fmt: skip
    """Print what is found and read on pages, as tables."""
    pages = choose_pages(files or (data_dir() / "pagepacks",), split, datasets, limit)
    engines = [*(models or (BUNDLED,)), *(PEERS if peers else ())]
    names = row_names(engines)
    setups = []
    for engine in engines:
        with_language = engine not in PEERS and lm != "-" and not no_read
        setups += [Setup(engine), *([Setup(engine, lm)] if with_language else [])]
    watch = Watch()
    results, everything = [], []
    with tempfile.TemporaryDirectory() as name:
        write_pages(pages, Path(name))
        for setup in setups:
            watch.probe()
            about, found = measure(setup, detector, threads, Path(name), pages, not no_read)
            row = names[setup.engine] + (" with language" if setup.lm else "")
            results.append({"name": row} | about | {"datasets": figures(pages, found)})
            everything.append(found)
    watch.probe()
    conditions, disturbances = watch.finish()
    document = {
        "schema": SCHEMA,
        "measured_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "git_revision": machine.git_revision(),
        "machine": machine.describe(),
        "versions": machine.versions(),
        "data": describe_data(pages),
        "settings": {"split": split, "limit": limit, "threads": threads},
        "conditions": conditions,
        "invalid": [found["text"] for found in disturbances],
        "engines": results,
    }
    click.echo(tables(document))
    if output:
        write(output, json_text(document, indent=1) + "\n")
    if sheet_output:
        write(sheet_output, sheet(pages, everything[0]))


def write(path: Path, text: str) -> None:
    """Writes a file, whole or not at all."""
    with atomic_path(path) as part:
        part.write_text(text, encoding="utf-8")
    print(f"wrote {path}", file=sys.stderr)


if __name__ == "__main__":
    main()
