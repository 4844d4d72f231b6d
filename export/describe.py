"""What a model says of itself, changed: its weights and its graph stay as they are."""

from __future__ import annotations

import dataclasses
from importlib import import_module
from pathlib import Path

import numpy as np

from ..runtime import Recognizer
from ..runtime.errors import HtrjandError
from ..runtime.files import atomic_model
from ..runtime.formats import format_of
from ..runtime.image import HEIGHT
from ..runtime.info import ModelInfo, sha256, size_of
from ..train.checkpoint import load_card, save_card
from .proof import proof_of, write_proof

WIDTHS = (320, 1024)  # columns of the images that the file has to see as before


def describe(path: Path, info: ModelInfo) -> None:
    """Writes `info` into a model file in place, or its temperature and language model into the card of weights.

    The proof of that very file follows it. The file has to give the same logits as before, bit by bit.

    Raises:
        UsageError: the format cannot be changed.
        HtrjandError: the file cannot be used, or would compute something else; it is left as it is.
    """
    if path.suffix == ".safetensors":
        card = dataclasses.replace(load_card(path), temperature=info.temperature, language_model=info.language_model)
        save_card(path, card)
        return
    proof = proof_of(path)
    with atomic_model(path) as part:
        import_module(format_of(path).exporter).redescribe(path, info, part)
        before, after = (Recognizer(file, 1, None) for file in (path, part))
        for width in widths(info):
            image = np.random.default_rng(width).integers(0, 256, (1, 1, HEIGHT, width), dtype=np.uint8)
            if not np.array_equal(before.run(image), after.run(image)):
                raise HtrjandError(
                    f"{path}: written anew it computes something else; export it again with its description"
                )
    if proof:
        write_proof(path, proof | {"sha256": sha256(path), "bytes": size_of(path)})


def widths(info: ModelInfo) -> tuple[int, ...]:
    """Columns that a file can be tried with."""
    return (info.max_width,) if info.width_multiple == info.max_width else WIDTHS
