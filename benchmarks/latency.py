"""Latency: how fast each engine reads a line. Errors are counted in a separate run.

Each engine has a process of its own, and another with a language model where it reads with one. All take turns on the
same lines, in rounds, so that a machine that gets hot or busy slows all of them equally. Timed is the reader's work
from decoded grey pixels to text.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from ..runtime.errors import HtrjandError
from .engines import Setup
from .machine import Watch
from .process import Worker

# A result with fewer readings or less time for any engine is marked as not valid.
MIN_QUERIES = 100
MIN_SECONDS = 10.0
ROUNDS = 10  # turns of each engine; a round reads a tenth of the lines


def measure_cold_starts(
    setups: Sequence[Setup], threads: int, folder: Path, times: int, results: dict[Setup, dict[str, Any]]
) -> None:
    """Milliseconds from the start of a process to the text of its first line: interpreter, imports, model, reading.

    Files are in the system's cache. Adds the engine's description to each result, or the error that stopped it.
    """
    for _ in range(times):
        for setup in working(setups, results):
            with attempt(setup, results), Worker(setup.engine, threads, folder, setup.lm) as worker:
                results[setup] |= worker.about
                results[setup].setdefault("cold_starts_ms", []).append(round(worker.cold_start, 1))
    for setup in working(setups, results):
        results[setup]["cold_start_ms"] = median(results[setup]["cold_starts_ms"])


def measure_latency(
    setups: Sequence[Setup],
    threads: int,
    folder: Path,
    sample: Sequence[int],
    limits: tuple[int, float, int],
    results: dict[Setup, dict[str, Any]],
    watch: Watch,
    progress: Callable[[int], None],
) -> None:
    """Adds one entry to each result's `latency`: p50, p90, p99 and mean in ms a line, with readings and seconds.

    Args:
        sample: indices of the lines in `folder` that every engine reads.
        limits: least readings and least seconds for each engine, and readings to warm up.
        progress: called with 1 after each engine's turn.
    """
    queries, seconds, warm_up = limits
    rounds = min(ROUNDS, len(sample))
    times: dict[Setup, list[float]] = {setup: [] for setup in setups}
    with ExitStack() as stack:
        workers = {}
        for setup in working(setups, results):
            with attempt(setup, results):
                workers[setup] = stack.enter_context(Worker(setup.engine, threads, folder, setup.lm))
                workers[setup].read([sample[i % len(sample)] for i in range(warm_up)])
        for turn in range(rounds):
            watch.probe()
            order = working(list(workers), results)
            for setup in order[turn % 2 :] + order[: turn % 2]:
                with attempt(setup, results):
                    answer = workers[setup].read(sample[turn::rounds], -(-queries // rounds), seconds / rounds)
                    times[setup] += answer["ms"]
                    results[setup]["peak_rss_bytes"] = max(answer["peak_rss"], results[setup].get("peak_rss_bytes", 0))
                progress(1)
    for setup in working(setups, results):
        p50, p90, p99 = np.percentile(times[setup], [50, 90, 99])
        results[setup].setdefault("latency", []).append(
            {
                "threads": threads,
                "p50_ms": round(float(p50), 3),
                "p90_ms": round(float(p90), 3),
                "p99_ms": round(float(p99), 3),
                "mean_ms": round(float(np.mean(times[setup])), 3),
                "queries": len(times[setup]),
                "seconds": round(sum(times[setup]) / 1000, 3),
            }
        )


def too_short(results: dict[Setup, dict[str, Any]]) -> list[str]:
    """The reason why latencies are not valid, if an engine had too few readings or too little time."""
    entries = [entry for result in results.values() for entry in result.get("latency", [])]
    short = [entry for entry in entries if entry["queries"] < MIN_QUERIES or entry["seconds"] < MIN_SECONDS]
    if not short:
        return []
    least = min(entry["queries"] for entry in short), min(entry["seconds"] for entry in short)
    return [f"short: {least[0]} readings, {least[1]:.1f} s; at least {MIN_QUERIES} and {MIN_SECONDS:.0f} s an engine"]


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
