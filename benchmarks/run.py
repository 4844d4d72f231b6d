"""One benchmark: every engine reads the same lines, or pages, first for speed, then for accuracy. One document."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Any, TypeVar

import click
import numpy as np

from ..runtime.errors import HtrjandError
from ..runtime.image import pad_line
from ..runtime.text import normalize
from . import machine
from .accuracy import measure_accuracy
from .document import SCHEMA
from .energy import find_meter
from .engines import Setup, row_names, takes_lm
from .inputs import SEED, Item, digest
from .install import installed_bytes
from .latency import BATCHES, ROUNDS, Turns, attempt, measure_cold_starts, measure_latency, too_short, working
from .process import Worker
from .watch import Watch

Some = TypeVar("Some", bound=Item)
PAGES_TO_WARM_UP = 1  # it holds lines enough


@dataclass(frozen=True)
class Settings:
    """What to measure, and how long. The defaults make a valid run."""

    threads: tuple[int, ...]
    queries: int = 100
    page_queries: int = 20  # the same for pages
    seconds: float = 10.0
    warm_up: int = 10
    cold_starts: int = 5
    batch_rounds: int = 5  # turns with each size of a batch; 0: none
    latency: bool = True
    accuracy: bool = True
    width: int | None = None  # columns that every line is cut or padded to, for latency only; None: its own width


def run(
    engines: Sequence[str], lines: Sequence[Item], settings: Settings, lm: str | None = None,
    pages: Sequence[Item] = (), neural: str | None = None,
) -> dict[str, Any]:  # fmt: skip
    """Measures every engine on lines and on pages; the error of one that fails is stored in its result, and the others
    continue.

    Args:
        lm: a language model, as `Recognizer` takes it. A model file that reads with it is measured twice: greedy, then
            with it. None: everything once.
        neural: a neural language model, as `Recognizer` takes it: a third measurement, with both. None: there is none.

    Returns:
        The document that `docs/bench-schema.json` describes.
    """
    began = now()
    units = {"line": grouped(lines), "page": grouped(pages)}
    names = row_names(engines)
    conditions: dict[str, object] = {}
    invalid: list[dict[str, object]] = []
    results: dict[Setup, dict[str, Any]] = {}
    with tempfile.TemporaryDirectory() as name:
        folders = {unit: Path(name) / unit for unit, items in units.items() if items}
        widths = {
            unit: write_pixels(units[unit], folder, settings.width if unit == "line" else None)
            for unit, folder in folders.items()
        }
        samples = {unit: sample(units[unit], unit, settings) for unit in folders}
        if "line" in folders and settings.latency and settings.batch_rounds:
            conditions["batch_width"] = write_batch(units["line"], samples["line"], folders["line"] / "batch", settings)
        for unit, folder in folders.items():
            setups = [setup for engine in engines for setup in setups_of(engine, lm, folder, unit, neural)]
            for setup in setups:
                results[setup] = {"name": names[setup.engine], "unit": unit, "decoder": setup.decoder}
        if settings.latency:
            seen, invalid = run_latency(folders, samples, settings, results)
            conditions |= seen
            conditions["median_width"] = {unit: median(widths[unit][i] for i in samples[unit]) for unit in folders}
        if settings.accuracy:
            run_accuracy(folders, units, settings, results)
    for result in results.values():
        if "error" not in result:
            result["install_bytes"] = installed_bytes(result["engine"])
    return {
        "schema": SCHEMA,
        "measured_at": began,
        "ended_at": now(),
        "git_revision": machine.git_revision(),
        "machine": machine.describe(),
        "versions": machine.versions(),
        "data": [part for unit, items in units.items() if items for part in describe_data(items, unit, widths[unit])],
        "settings": asdict(settings) | {"threads": list(settings.threads)},
        "conditions": conditions,
        "invalid": invalid,
        "ratios": ratios(results),
        "engines": list(results.values()),
    }


def setups_of(engine: str, lm: str | None, folder: Path, unit: str, neural: str | None = None) -> list[Setup]:
    """An engine by itself, and with the language models where it reads with them; opened there, for its file knows."""
    alone = Setup(engine, unit=unit)
    spoken = [Setup(engine, lm, unit, given) for given in dict.fromkeys((None, neural))]
    if lm is None or not takes_lm(engine):
        return [alone]
    try:
        with Worker.of(spoken[-1], 1, folder) as worker:
            return [alone, *spoken[: ("lm" in worker.about) + ("neural_lm" in worker.about)]]
    except HtrjandError:
        return [alone, *spoken]  # the rows tell why


def run_latency(
    folders: dict[str, Path], samples: dict[str, list[int]], settings: Settings, results: dict[Setup, dict[str, Any]]
) -> tuple[dict[str, object], list[dict[str, object]]]:
    """Cold starts, then latencies for each number of threads; returns the conditions and why they are not valid."""
    watch = Watch()
    meter, reason = find_meter()
    for unit, folder in folders.items():
        setups = [setup for setup in results if setup.unit == unit]
        turns = Turns(setups, folder, samples[unit], results, watch, meter)
        measure_cold_starts(turns, settings.threads[0], settings.cold_starts)
        queries = settings.queries if unit == "line" else settings.page_queries
        for threads in settings.threads:
            steps = min(ROUNDS, len(samples[unit])) * len(turns.working())
            with progress_bar(f"latency, {unit}s, threads {threads}", steps) as progress:
                limits = queries, settings.seconds, settings.warm_up if unit == "line" else PAGES_TO_WARM_UP
                measure_latency(turns, threads, limits, settings.batch_rounds, progress.update)
    conditions, disturbances = watch.finish()
    if meter and meter.failure:  # the energy of some turns is missing: of what is left no mean is of any worth
        reason, meter = meter.failure, None
        for entry in (entry for result in results.values() for entry in result.get("latency", [])):
            entry["joules"] = None
    conditions["energy"] = {"source": meter.source if meter else None, "reason": reason}
    return conditions, too_short(results) + disturbances


def run_accuracy(
    folders: dict[str, Path], units: dict[str, list[Any]], settings: Settings, results: dict[Setup, dict[str, Any]]
) -> None:
    """Errors of every engine that has not failed."""
    todo = working(list(results), results)
    with progress_bar("accuracy", sum(len(units[setup.unit]) for setup in todo)) as progress:
        for setup in todo:
            with attempt(setup, results):
                threads, items = max(settings.threads), units[setup.unit]
                measure_accuracy(setup, threads, folders[setup.unit], items, results[setup], progress.update)


def ratios(results: dict[Setup, dict[str, Any]]) -> str:
    """`usable` where engines took turns: what disturbs a run disturbs all of them alike, so their ratios stay."""
    timed = [setup.unit for setup, result in results.items() if "latency" in result]
    return "usable" if any(timed.count(unit) > 1 for unit in timed) else "none"


def sample(items: Sequence[Item], unit: str, settings: Settings) -> list[int]:
    """The indices of the items that latencies are measured on: a random choice, always the same."""
    queries = settings.queries if unit == "line" else settings.page_queries
    return [int(index) for index in np.random.default_rng(SEED).permutation(len(items))[: max(1, queries)]]


def write_pixels(items: Sequence[Item], folder: Path, width: int | None = None) -> list[int]:
    """Writes the pixels of lines or pages into files for workers; returns the widths, all `width` if it is given."""
    folder.mkdir()
    widths = []
    for index, item in enumerate(items):
        pixels = item.pixels()  # H, W
        if width is not None:
            pixels = to_width(pixels, width)
        np.save(folder / f"{index:05}.npy", pixels)
        widths.append(pixels.shape[1])
    return widths


def write_batch(items: Sequence[Item], sample: Sequence[int], folder: Path, settings: Settings) -> int:
    """Writes as many lines as the largest batch takes, all of the sample's median width; returns that width."""
    lines = [items[index].pixels() for index in sample[: max(BATCHES)]]
    width = settings.width or int(median(line.shape[1] for line in lines))
    folder.mkdir()
    for number in range(max(BATCHES)):
        np.save(folder / f"{number:05}.npy", to_width(lines[number % len(lines)], width))
    return width


def to_width(line: np.ndarray, width: int) -> np.ndarray:
    """A line [64, W] cut, or padded with its paper's grey, to so many columns."""
    return pad_line(np.ascontiguousarray(line[:, :width]), width)


def grouped(items: Sequence[Some]) -> list[Some]:
    """The items, those of one dataset and split together; otherwise in their order."""
    groups: dict[tuple[str, str], list[Some]] = {}
    for item in items:
        groups.setdefault((item.dataset, item.split), []).append(item)
    return [item for group in groups.values() for item in group]


def describe_data(items: Sequence[Item], unit: str, widths: Sequence[int]) -> list[dict[str, Any]]:
    """Of each dataset and split: how many items, a SHA-256 of them all, and of each its width and length of text."""
    parts: dict[tuple[str, str], list[int]] = {}
    for index, item in enumerate(items):
        parts.setdefault((item.dataset, item.split), []).append(index)
    return [
        {
            "dataset": dataset,
            "unit": unit,
            "split": split,
            "items": len(indices),
            "sha256": digest([items[index] for index in indices]),
            "widths": [widths[index] for index in indices],
            "characters": [len(normalize(items[index].text)) for index in indices],
            "words": [len(normalize(items[index].text).split()) for index in indices],
        }
        for (dataset, split), indices in parts.items()
    ]


def now() -> str:
    """The date and time in UTC."""
    return datetime.now(UTC).isoformat(timespec="seconds")


@contextmanager
def progress_bar(label: str, length: int) -> Iterator[Any]:
    """A progress bar on standard error; where that is no terminal, what begins, in a line."""
    hidden = not sys.stderr.isatty()
    if hidden:
        click.echo(f"measuring {label}", err=True)
    with click.progressbar(length=length, label=label, file=sys.stderr, hidden=hidden) as progress:
        yield progress
