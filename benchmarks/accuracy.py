"""How many errors each engine makes. A run apart from the one that measures speed."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..train.data.error_rates import LineErrors, compare, summary
from .engines import Setup
from .process import Worker

if TYPE_CHECKING:
    from ..train.data.lines import LineRow

CHUNK = 16  # lines a request: the progress bar moves at each


def measure_accuracy(
    setup: Setup,
    threads: int,
    folder: Path,
    rows: Sequence[LineRow],
    result: dict[str, Any],
    progress: Callable[[int], None],
) -> None:
    """Reads every line once, one by one, and compares.

    Args:
        folder: holds the pixels of `rows` as a worker wants them.
        result: gets what the engine is, and `accuracy`: `{"all": summary, "datasets": {dataset: summary}}`, see
            `error_rates.summary`.
        progress: called with the number of lines just read.
    """
    errors: dict[str, list[LineErrors]] = defaultdict(list)
    with Worker(setup.engine, threads, folder, setup.lm) as worker:
        for start in range(0, len(rows), CHUNK):
            chunk = range(start, min(start + CHUNK, len(rows)))
            texts = worker.read(chunk)["texts"]
            for index, text in zip(chunk, texts, strict=True):
                errors[rows[index].dataset].append(compare(rows[index].text, text))
            progress(len(chunk))
    everything = [error for lines in errors.values() for error in lines]
    datasets = {name: summary(lines) for name, lines in errors.items()}
    result |= worker.about | {"accuracy": {"all": summary(everything), "datasets": datasets}}
