"""Images for archive runs, and a worker without Ray around it."""

from __future__ import annotations

import io
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from PIL import Image

from htrjand.runtime.archive.results import Results
from htrjand.runtime.archive.run import signature
from htrjand.runtime.archive.store import Entry, Store
from htrjand.runtime.archive.worker import Task, Worker, block_of
from htrjand.runtime.page.batch import How
from htrjand.runtime.page.run import Models


def png(pixels: np.ndarray) -> bytes:
    """A line or page as a file."""
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "png")
    return stream.getvalue()


def task(model: Path, source: object, target: object, kind: str = "line") -> Task:
    """What a run with a tiny model is given."""
    return Task(str(source), str(target), Models.choose(model, None, None, 64), How(kind), run="this run")


def read_here(given: Task, entries: Iterable[Entry], block: str = "b") -> dict[str, np.ndarray]:
    """Reads a block in this process, as a run would have it read; what its worker says."""
    Results(Store(given.target)).claim(signature(given))
    files = np.array([block_of(list(entries))["files"]], object)
    return Worker(given)({"block": np.array([block]), "files": files})
