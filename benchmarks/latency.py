"""Latency: how fast each engine reads a line. Errors are counted in a separate run.

Each engine has a process of its own. The engines take turns on the same lines, in rounds, so that a machine that gets
hot or busy slows all of them equally. Timed is the reader's work from decoded grey pixels to text.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from ..runtime.errors import HtrjandError
from .machine import Watch
from .process import Worker

# A result with fewer readings or less time for any engine is marked as not valid.
MIN_QUERIES = 100
MIN_SECONDS = 10.0
ROUNDS = 10  # turns of each engine; a round reads a tenth of the lines


def measure_cold_starts(
    engines: Sequence[str], threads: int, folder: Path, times: int, results: dict[str, dict[str, Any]]
) -> None:
    """Milliseconds from the start of a process to the text of its first line: interpreter, imports, model, reading.

    Files are in the system's cache. Adds the engine's description to each result, or the error that stopped it.
    """
    for _ in range(times):
        for engine in working(engines, results):
            with attempt(engine, results), Worker(engine, threads, folder) as worker:
                results[engine] |= worker.about
                results[engine].setdefault("cold_starts_ms", []).append(round(worker.cold_start, 1))
    for engine in working(engines, results):
        results[engine]["cold_start_ms"] = median(results[engine]["cold_starts_ms"])


def measure_latency(
    engines: Sequence[str],
    threads: int,
    folder: Path,
    sample: Sequence[int],
    limits: tuple[int, float, int],
    results: dict[str, dict[str, Any]],
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
    times: dict[str, list[float]] = {engine: [] for engine in engines}
    with ExitStack() as stack:
        workers = {}
        for engine in working(engines, results):
            with attempt(engine, results):
                workers[engine] = stack.enter_context(Worker(engine, threads, folder))
                workers[engine].read([sample[i % len(sample)] for i in range(warm_up)])
        for turn in range(rounds):
            watch.probe()
            order = working(list(workers), results)
            for engine in order[turn % 2 :] + order[: turn % 2]:
                with attempt(engine, results):
                    answer = workers[engine].read(sample[turn::rounds], -(-queries // rounds), seconds / rounds)
                    times[engine] += answer["ms"]
                    results[engine]["peak_rss_bytes"] = max(
                        answer["peak_rss"], results[engine].get("peak_rss_bytes", 0)
                    )
                progress(1)
    for engine in working(engines, results):
        p50, p90, p99 = np.percentile(times[engine], [50, 90, 99])
        results[engine].setdefault("latency", []).append(
            {
                "threads": threads,
                "p50_ms": round(float(p50), 3),
                "p90_ms": round(float(p90), 3),
                "p99_ms": round(float(p99), 3),
                "mean_ms": round(float(np.mean(times[engine])), 3),
                "queries": len(times[engine]),
                "seconds": round(sum(times[engine]) / 1000, 3),
            }
        )


def too_short(results: dict[str, dict[str, Any]]) -> list[str]:
    """The reason why latencies are not valid, if an engine had too few readings or too little time."""
    entries = [entry for result in results.values() for entry in result.get("latency", [])]
    short = [entry for entry in entries if entry["queries"] < MIN_QUERIES or entry["seconds"] < MIN_SECONDS]
    if not short:
        return []
    least = min(entry["queries"] for entry in short), min(entry["seconds"] for entry in short)
    return [f"short: {least[0]} readings, {least[1]:.1f} s; at least {MIN_QUERIES} and {MIN_SECONDS:.0f} s an engine"]


class attempt:
    """A context that stores an HtrjandError of an engine in its result, so that the others continue."""

    def __init__(self, engine: str, results: dict[str, dict[str, Any]]) -> None:
        self.engine, self.results = engine, results

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: object, trace: object) -> bool:
        if not isinstance(error, HtrjandError):
            return False
        self.results[self.engine]["error"] = str(error)
        return True


def working(engines: Sequence[str], results: dict[str, dict[str, Any]]) -> list[str]:
    """The engines that have not failed."""
    return [engine for engine in engines if "error" not in results[engine]]
