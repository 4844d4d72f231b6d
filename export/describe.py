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
from ..train.checkpoint import load_network, save_card
from ..train.reader import model_info
from .proof import proof_of, write_proof

WIDTHS = (320, 1024)  # columns of the images that the file has to see as before
OF_CARDS = {"temperature", "language_model"}  # what can be changed of weights, and of files:
OF_FILES = {"name", "version", "licence", "languages", "training_data", "cer", *OF_CARDS}  # the rest is the graph's


def describe(path: Path, info: ModelInfo) -> None:
    """Writes `info` into a model file in place, or its temperature and language model into the card of weights.

    The proof of that very file follows it. The file has to give the same logits as before, bit by bit.

    Raises:
        UsageError: the format cannot be changed.
        HtrjandError: the file cannot be used, or would compute something else, or `info` differs in what only another
            export can change; the file is left as it is.
    """
    if path.suffix == ".safetensors":
        _, card = load_network(path)  # a card of other weights is refused
        check_changes(path, model_info(card, path), info, OF_CARDS)
        card = dataclasses.replace(card, temperature=info.temperature, language_model=info.language_model)
        save_card(path, card)
        return
    before = Recognizer(path, 1, None)
    check_changes(path, before.info, info, OF_FILES)
    with atomic_model(path) as part:
        import_module(format_of(path).exporter).redescribe(path, info, part)
        after = Recognizer(part, 1, None)
        for width in widths(info):
            image = np.random.default_rng(width).integers(0, 256, (1, 1, HEIGHT, width), dtype=np.uint8)
            if not np.array_equal(before.run(image), after.run(image)):
                raise HtrjandError(
                    f"{path}: written anew it computes something else; export it again with its description"
                )
        if proof := proof_of(path):
            write_proof(path, proof | {"sha256": sha256(part), "bytes": size_of(part)})


def check_changes(path: Path, before: ModelInfo, after: ModelInfo, allowed: set[str]) -> None:
    """Raises an HtrjandError where two descriptions differ in anything else."""
    names = (field.name for field in dataclasses.fields(ModelInfo))
    others = [name for name in names if name not in allowed and getattr(before, name) != getattr(after, name)]
    if others:
        raise HtrjandError(
            f"{path}: {', '.join(others)} cannot be changed in it, only {', '.join(sorted(allowed))}; export it again"
        )


def widths(info: ModelInfo) -> tuple[int, ...]:
    """Columns that a file can be tried with."""
    return (info.max_width,) if info.width_multiple == info.max_width else WIDTHS
