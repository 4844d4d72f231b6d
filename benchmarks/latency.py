"""Latency: how fast each engine reads a line, or a page. Errors are counted in a separate run.

Each engine has a process of its own, and another with a language model where it reads with one. All take turns on the
same lines, in rounds, so that a machine that gets hot or busy slows all of them equally. Timed is the reader's work
from decoded grey pixels to text.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from math import ceil
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from ..runtime.errors import HtrjandError
from .energy import Rapl, Sensors, joules
from .engines import PEERS, Setup
from .process import Worker
from .watch import Disturbance, Watch

# A result with fewer readings or less time for any engine is marked as not valid.
MIN_QUERIES = {"line": 100, "page": 20}
MIN_SECONDS = 10.0
ROUNDS = 10  # turns of each engine; a round reads a tenth of the lines
BATCHES = (1, 8, 32)  # lines that are read together, for lines a second
BATCH_ROUNDS = 5  # turns of each engine and each of these


@dataclass(frozen=True)
class Turns:
    """Engines that take turns on the same lines, or pages.

    Args:
        setups: the engines.
        folder: where workers find the pixels.
        sample: indices of the items in it that every engine reads.
        results: what is known of each engine; measurements are added, or the error that stopped it.
        watch: probed before every turn.
        meter: of energy, or None.
    """

    setups: Sequence[Setup]
    folder: Path
    sample: Sequence[int]
    results: dict[Setup, dict[str, Any]]
    watch: Watch
    meter: Rapl | Sensors | None = None

    def working(self) -> list[Setup]:
        """Those that have not failed."""
        return working(self.setups, self.results)

    def attempt(self, setup: Setup) -> attempt:
        return attempt(setup, self.results)


@dataclass
class Readings:
    """The milliseconds of every reading of an engine, the index of what was read, and the energy of all together."""

    ms: list[float] = field(default_factory=list)
    items: list[int] = field(default_factory=list)
    joules: list[float] = field(default_factory=list)

    def entry(self, threads: int) -> dict[str, Any]:
        """Percentiles, mean, number and seconds; then every reading. Energy is of the whole machine meanwhile."""
        p50, p90, p99 = np.percentile(self.ms, [50, 90, 99])
        return {
            "threads": threads,
            "p50_ms": round(float(p50), 3),
            "p90_ms": round(float(p90), 3),
            "p99_ms": round(float(p99), 3),
            "mean_ms": round(float(np.mean(self.ms)), 3),
            "queries": len(self.ms),
            "seconds": round(sum(self.ms) / 1000, 3),
            "joules": round(sum(self.joules) / len(self.ms), 4) if self.joules else None,
            "ms": [round(one, 3) for one in self.ms],
            "items": self.items,
        }


def measure_cold_starts(turns: Turns, threads: int, times: int) -> None:
    """Milliseconds from the start of a process to the text of its first line: interpreter, imports, model, reading.

    Files are in the system's cache. Adds the engine's description to each result, or the error that stopped it.
    """
    for _ in range(times):
        for setup in turns.working():
            with turns.attempt(setup), Worker.of(setup, threads, turns.folder) as worker:
                turns.results[setup] |= worker.about
                turns.results[setup].setdefault("cold_starts_ms", []).append(round(worker.cold_start, 1))
    for setup in turns.working():
        turns.results[setup]["cold_start_ms"] = median(turns.results[setup]["cold_starts_ms"])


def measure_latency(
    turns: Turns, threads: int, limits: tuple[int, float, int], batch_rounds: int, progress: Callable[[int], None]
) -> None:
    """Adds one entry to each result's `latency`, see `Readings.entry`, and those of batches to `batches`.

    Args:
        limits: least readings and least seconds for each engine, and readings to warm up.
        batch_rounds: turns of each engine with each size of a batch; 0 for no batches.
        progress: called with 1 after each engine's turn.
    """
    queries, seconds, warm_up = limits
    rounds = min(ROUNDS, len(turns.sample))
    readings = {setup: Readings() for setup in turns.setups}
    with ExitStack() as stack:
        workers = {}
        for setup in turns.working():
            with turns.attempt(setup):
                workers[setup] = stack.enter_context(Worker.of(setup, threads, turns.folder))
                workers[setup].read(turns.sample[:warm_up], warm_up)
        for turn in range(rounds):
            turns.watch.probe()
            order = working(list(workers), turns.results)
            for setup in order[turn % 2 :] + order[: turn % 2]:
                with turns.attempt(setup):
                    with joules(turns.meter) as spent:
                        answer = workers[setup].read(
                            turns.sample[turn::rounds], ceil(queries / rounds), seconds / rounds
                        )
                    add(readings[setup], answer, spent)
                    result = turns.results[setup]
                    result["peak_rss_bytes"] = max(answer["peak_rss"], result.get("peak_rss_bytes", 0))
                progress(1)
        measure_batches(turns, workers, threads, batch_rounds)
    for setup in turns.working():
        with turns.attempt(setup):
            if not readings[setup].ms:
                raise HtrjandError(f"{setup.engine}: reads none of what it was timed on; measure on other lines")
            turns.results[setup].setdefault("latency", []).append(readings[setup].entry(threads))


def add(readings: Readings, answer: dict[str, Any], spent: list[float]) -> None:
    """Adds what a worker answered."""
    readings.ms += answer["ms"]
    readings.items += answer["items"]
    readings.joules += spent


def measure_batches(turns: Turns, workers: dict[Setup, Worker], threads: int, rounds: int) -> None:
    """Adds to each result's `batches` how many lines of one width a second are read in batches; peers have none."""
    times: dict[tuple[Setup, int], list[float]] = {}
    count = 0
    for _ in range(rounds):
        for setup in working(list(workers), turns.results):
            for size in BATCHES if setup.engine not in PEERS and setup.unit == "line" else ():
                with turns.attempt(setup):
                    answer = workers[setup].ask(batch=size)
                    count = answer["lines"]
                    times.setdefault((setup, size), []).append(answer["ms"])
    for (setup, size), found in times.items():
        entry = {"threads": threads, "size": size, "lines_per_second": round(1000 * count / median(found), 2)}
        turns.results[setup].setdefault("batches", []).append(entry | {"lines": count, "ms": found})


def too_short(results: dict[Setup, dict[str, Any]]) -> list[dict[str, object]]:
    """The reason why latencies are not valid, if an engine had too few readings or too little time."""
    entries = [(setup.unit, entry) for setup, result in results.items() for entry in result.get("latency", [])]
    found = []
    for unit, least in MIN_QUERIES.items():
        of_unit = [entry for kind, entry in entries if kind == unit]
        short = [entry for entry in of_unit if entry["queries"] < least or entry["seconds"] < MIN_SECONDS]
        if short:
            queries, seconds = (min(entry[key] for entry in short) for key in ("queries", "seconds"))
            text = f"short: {queries} {unit}s in {seconds:.1f} s an engine; at least {least} and {MIN_SECONDS:.0f} s"
            share = min(queries / least, seconds / MIN_SECONDS)
            found.append(asdict(Disturbance("short", round(share, 3), 1, text)))
    return found


class attempt:
    """A context that stores an HtrjandError of an engine in its result, so that the others continue."""

    def __init__(self, setup: Setup, results: dict[Setup, dict[str, Any]]) -> None:
        self.setup, self.results = setup, results

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: object, trace: object) -> bool:
        if not isinstance(error, HtrjandError):
            return False
        self.results[self.setup]["error"] = str(error)
        return True


def working(setups: Sequence[Setup], results: dict[Setup, dict[str, Any]]) -> list[Setup]:
    """Those that have not failed."""
    return [setup for setup in setups if "error" not in results[setup]]
