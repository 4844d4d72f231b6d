"""How many errors each engine makes. A run apart from the one that measures speed."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from ..runtime.errors import HtrjandError
from ..train.data.error_rates import LineErrors, compare, summary
from .engines import Setup
from .inputs import Item
from .process import Worker

CHUNK = 16  # lines a request: the progress bar moves at each


def measure_accuracy(
    setup: Setup,
    threads: int,
    folder: Path,
    items: Sequence[Item],
    result: dict[str, Any],
    progress: Callable[[int], None],
) -> None:
    """Reads every line, or page, once, one by one, and compares. One that cannot be read counts as read without text.

    Args:
        folder: holds the pixels of `items` as a worker wants them.
        result: gets what the engine is, and `accuracy`: `{"all": summary, "datasets": {dataset: summary}}`, see
            `error_rates.summary`; of each dataset also the `edits` and `word_edits` of every line; and `failed`, a list
            of `{"item": index, "error": message}`.
        progress: called with the number of lines just read.

    Raises:
        HtrjandError: none of them can be read.
    """
    errors: dict[str, list[LineErrors]] = defaultdict(list)
    failed: list[dict[str, object]] = []
    with Worker.of(setup, threads, folder) as worker:
        for start in range(0, len(items), CHUNK):
            chunk = range(start, min(start + CHUNK, len(items)))
            answer = worker.read(chunk)
            failed += [{"item": int(index), "error": error} for index, error in answer["errors"].items()]
            for index, text in zip(chunk, answer["texts"], strict=True):
                errors[items[index].dataset].append(compare(items[index].text, text or ""))
            progress(len(chunk))
    if len(failed) == len(items):
        raise HtrjandError(str(failed[0]["error"]))
    everything = [error for lines in errors.values() for error in lines]
    datasets = {
        name: summary(lines)
        | {"edits": [line.character_edits for line in lines], "word_edits": [line.word_edits for line in lines]}
        for name, lines in errors.items()
    }
    result |= worker.about | {"accuracy": {"all": summary(everything), "datasets": datasets, "failed": failed}}
