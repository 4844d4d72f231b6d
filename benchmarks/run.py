"""One benchmark: every engine reads the same lines, first for speed, then for accuracy. The result is one document."""

from __future__ import annotations

import hashlib
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

import click
import numpy as np

from ..runtime.errors import HtrjandError
from ..runtime.image import pad_line
from . import machine
from .accuracy import measure_accuracy
from .engines import Setup, row_names, takes_lm
from .latency import attempt, measure_cold_starts, measure_latency, too_short, working
from .process import Worker

if TYPE_CHECKING:
    from ..train.data.lines import LineRow

SCHEMA = "htrjand-bench-1"
SEED = 0  # of every sample of lines, so that the same data gives the same lines


@dataclass(frozen=True)
class Settings:
    """What to measure, and how long. The defaults make a valid run."""

    threads: tuple[int, ...]
    queries: int = 100
    seconds: float = 10.0
    warm_up: int = 10
    cold_starts: int = 5
    latency: bool = True
    accuracy: bool = True
    width: int | None = None  # columns that every line is cut or padded to, for latency only; None: its own width


def choose_lines(
    paths: Sequence[Path], split: str | None, datasets: Sequence[str] = (), limit: int | None = None
) -> list[LineRow]:
    """The lines to measure on, in the order of the files: at most `limit` of each named dataset, or of all datasets.

    Raises:
        HtrjandError: a file cannot be read, a dataset has no such line, or there is none at all.
    """
    from ..train.data.lines import parquet_files, read_lines

    files = parquet_files(paths)
    named = [file for file in files if file.stem in datasets]  # files are usually named after their dataset
    if {file.stem for file in named} >= set(datasets):
        files = named or files
    groups: dict[str, list[LineRow]] = {name: [] for name in datasets}
    for row in read_lines(files, split):
        if not datasets or row.dataset in datasets:
            groups.setdefault(row.dataset, []).append(row)
    empty = [name for name, rows in groups.items() if not rows]
    if empty or not groups:
        raise HtrjandError(
            f"{', '.join(map(str, paths))}: no {split or ''} lines of {', '.join(empty) or 'any dataset'}; "
            "check -i, --dataset and --split"
        )
    return [row for rows in groups.values() for row in sampled(rows, limit)]


def sampled(rows: Sequence[LineRow], limit: int | None) -> list[LineRow]:
    """A random sample of the rows in their order, always the same; all rows without a limit."""
    if limit is None or limit >= len(rows):
        return list(rows)
    chosen = np.random.default_rng(SEED).choice(len(rows), limit, replace=False)
    return [rows[int(index)] for index in sorted(chosen)]


def run(engines: Sequence[str], rows: Sequence[LineRow], settings: Settings, lm: str | None = None) -> dict[str, Any]:
    """Measures every engine on the rows; the error of one that fails is stored in its result, and the others continue.

    Args:
        lm: a language model, as `Recognizer` takes it. A model file that reads with it is measured twice: greedy, then
            with it. None: everything once.

    Returns:
        A document for JSON: machine, versions, git revision, data, settings, an entry for each row, and `invalid`, the
        reasons why the latencies are not valid (empty where they are).
    """
    sample = [int(index) for index in np.random.default_rng(SEED).permutation(len(rows))[: max(1, settings.queries)]]
    conditions: dict[str, object] = {}
    reasons: list[str] = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        widths = write_pixels(rows, folder, settings.width)
        names = row_names(engines)
        setups = [setup for engine in engines for setup in setups_of(engine, lm, folder)]
        results: dict[Setup, dict[str, Any]] = {setup: {"name": names[setup.engine]} for setup in setups}
        if settings.latency:
            conditions, reasons = run_latency(setups, folder, sample, settings, results)
            conditions["median_width"] = median(widths[index] for index in sample)
        if settings.accuracy:
            with progress_bar("accuracy", len(rows) * len(working(setups, results))) as progress:
                for setup in working(setups, results):
                    with attempt(setup, results):
                        threads = max(settings.threads)
                        measure_accuracy(setup, threads, folder, rows, results[setup], progress.update)
    return {
        "schema": SCHEMA,
        "measured_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "git_revision": machine.git_revision(),
        "machine": machine.describe(),
        "versions": machine.versions(),
        "data": describe_data(rows),
        "settings": asdict(settings),
        "conditions": conditions,
        "invalid": reasons,
        "engines": list(results.values()),
    }


def setups_of(engine: str, lm: str | None, folder: Path) -> list[Setup]:
    """An engine by itself, and with the language model where it reads with one; opened there, for its file knows."""
    alone = Setup(engine)
    if lm is None or not takes_lm(engine):
        return [alone]
    try:
        with Worker(engine, 1, folder, lm) as worker:
            return [alone, Setup(engine, lm)] if "lm" in worker.about else [alone]
    except HtrjandError:
        return [alone, Setup(engine, lm)]  # the rows tell why


def run_latency(
    setups: Sequence[Setup], folder: Path, sample: Sequence[int], settings: Settings,
    results: dict[Setup, dict[str, Any]],
) -> tuple[dict[str, object], list[str]]:  # fmt: skip
    """Cold starts, then latencies for each number of threads; returns the conditions and why they are not valid."""
    watch = machine.Watch()
    measure_cold_starts(setups, settings.threads[0], folder, settings.cold_starts, results)
    limits = settings.queries, settings.seconds, settings.warm_up
    for threads in settings.threads:
        with progress_bar(f"latency, threads {threads}", 10 * len(working(setups, results))) as progress:
            measure_latency(setups, threads, folder, sample, limits, results, watch, progress.update)
    conditions, reasons = watch.finish()
    return conditions, too_short(results) + reasons


def write_pixels(rows: Sequence[LineRow], folder: Path, width: int | None = None) -> list[int]:
    """Writes the pixels of the lines into files for the workers; returns the widths, all `width` if it is given."""
    widths = []
    for index, row in enumerate(rows):
        pixels = row.pixels()  # 64, W
        if width is not None:
            pixels = pad_line(np.ascontiguousarray(pixels[:, :width]), width)
        np.save(folder / f"{index:05}.npy", pixels)
        widths.append(pixels.shape[1])
    return widths


def describe_data(rows: Sequence[LineRow]) -> list[dict[str, object]]:
    """The number of lines of each dataset and split, and a SHA-256 of their ids and texts."""
    digests: dict[tuple[str, str], Any] = {}
    counts: dict[tuple[str, str], int] = {}
    for row in rows:
        key = row.dataset, row.split
        digests.setdefault(key, hashlib.sha256()).update(f"{row.id}\t{row.text}\n".encode())
        counts[key] = counts.get(key, 0) + 1
    return [
        {"dataset": key[0], "split": key[1], "lines": counts[key], "sha256": digests[key].hexdigest()} for key in counts
    ]


@contextmanager
def progress_bar(label: str, length: int) -> Iterator[Any]:
    """A progress bar on standard error, where that is a terminal."""
    with click.progressbar(length=length, label=label, file=sys.stderr, hidden=not sys.stderr.isatty()) as progress:
        yield progress
