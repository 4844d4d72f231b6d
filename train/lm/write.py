"""Writes language models as the files that the runtime maps."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ...runtime.decode.arrays import ALIGNED
from ...runtime.decode.ngram import ARRAYS, FORMAT
from ...runtime.seal import OPEN, seal
from .smooth import Model

LEVELS = 256  # values that a table of logarithms holds


def write(model: Model, characters: list[str], about: Mapping[str, Any], path: Path) -> None:
    """Writes and seals a model (not atomic: hand it the path of `atomic_path`).

    Args:
        characters: of each code; the first is "".
        about: further keys of the description.
    """
    lengths = range(1, model.order + 1)
    children = [np.array([len(model.keys[1])])]
    backoffs = []
    for length in lengths[:-1]:
        children.append(np.bincount(model.context[length + 1], minlength=len(model.keys[length])))
        backoffs.append(np.log(model.backoffs(length))[children[-1] > 0])
    table, probabilities = quantized(np.concatenate([np.log(model.p[length]) for length in lengths]))
    backoff_table, backoff_places = quantized(np.concatenate(backoffs) if backoffs else np.zeros(0))
    arrays = {
        "characters": np.concatenate([model.keys[length] & np.uint64(255) for length in lengths]),
        "probabilities": probabilities,
        "children": np.concatenate(children),
        "backoffs": backoff_places,
        "probability_table": table,
        "backoff_table": backoff_table,
    }
    numbers = {"order": model.order, "ngrams": [len(model.keys[length]) for length in lengths]}
    described = {"format": FORMAT} | dict(about) | numbers | {"characters": characters}
    write_arrays(described, {name: arrays[name].astype(dtype) for name, dtype in ARRAYS.items()}, path)


def write_arrays(about: Mapping[str, Any], arrays: Mapping[str, npt.NDArray[Any]], path: Path) -> None:
    """Writes and seals a file that `runtime.decode.arrays` reads (not atomic, as above)."""
    body, places = b"", {}
    for name, array in arrays.items():
        content = array.tobytes()
        places[name] = [array.dtype.name, len(body), array.size]
        body += content + bytes(-len(content) % ALIGNED)
    description = dict(about) | {"arrays": places, "seal": OPEN}
    head = json.dumps(description, ensure_ascii=False, allow_nan=False).encode()
    path.write_bytes(head + b" " * (-(len(head) + 1) % ALIGNED) + b"\n" + body)
    seal(path)


def quantized(values: npt.NDArray[np.float64]) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.uint8]]:
    """A table of at most 256 values, and the place in it of the nearest one to each value (Lloyd 1982)."""
    if not len(values):
        return np.zeros(1, np.float32), np.zeros(0, np.uint8)
    table = np.unique(np.quantile(values, (np.arange(LEVELS) + 0.5) / LEVELS))
    for _ in range(10):
        places = np.searchsorted((table[1:] + table[:-1]) / 2, values)
        sums, counts = np.bincount(places, values, len(table)), np.bincount(places, minlength=len(table))
        table = np.sort(np.where(counts > 0, sums / np.maximum(counts, 1), table))
    places = np.searchsorted((table[1:] + table[:-1]) / 2, values)
    return table.astype(np.float32), places.astype(np.uint8)
