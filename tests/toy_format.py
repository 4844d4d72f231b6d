"""A format nobody has: the weights of a network behind its description. It is all that a new format needs."""

from __future__ import annotations

import dataclasses
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import torch

from htrjand.compress.quantize.recipe import Lines, QuantizeRecipe
from htrjand.runtime import ModelInfo
from htrjand.runtime.formats import Format
from htrjand.runtime.seal import seal
from htrjand.train.network import Network, NetworkRecipe
from htrjand.train.reader import TorchSession

TOY = Format(
    suffix=".toy", engine="toy", libraries=("torch",), session="toy_format", exporter="toy_format",
    quantizer="toy_format", precisions=("fp32", "int8"),
)  # fmt: skip


def open_session(path: Path, threads: int | None) -> TorchSession:
    head, _, content = path.read_bytes().partition(b"\n")
    description = json.loads(head)
    network = Network(NetworkRecipe(**description["network"]), description["classes"]).eval()
    network.load_state_dict({name: torch.from_numpy(array) for name, array in np.load(io.BytesIO(content)).items()})
    session = TorchSession(path, network)
    session.metadata = description["metadata"]
    return session


def write(path: Path, network: dict[str, Any], weights: dict[str, np.ndarray], metadata: dict[str, str]) -> None:
    stream = io.BytesIO()
    np.savez(stream, **weights)
    head = {"network": network, "classes": len(weights["head.bias"]), "metadata": metadata}
    path.write_bytes(json.dumps(head).encode() + b"\n" + stream.getvalue())
    seal(path)


def export(network: Network, info: ModelInfo, out: Path, width: int | None = None) -> None:
    weights = {
        name: tensor.numpy() for name, tensor in network.state_dict().items() if name.partition(".")[0] != "origin"
    }
    write(out, dataclasses.asdict(network.recipe), weights, info.to_metadata())


def redescribe(model: Path, info: ModelInfo, out: Path) -> None:
    head, _, content = model.read_bytes().partition(b"\n")
    description = json.loads(head)
    write(out, description["network"], dict(np.load(io.BytesIO(content))), info.to_metadata())


def quantize(model: Path, lines: Lines, out: Path, recipe: QuantizeRecipe) -> list[str]:
    """Weights in steps of 1/127 of the greatest; activations stay in float."""
    head, _, content = model.read_bytes().partition(b"\n")
    description, weights = json.loads(head), dict(np.load(io.BytesIO(content)))
    for name, array in weights.items():
        if array.ndim > 1 and not recipe.keeps(name.removesuffix(".weight")):
            step = np.float32(abs(array).max() / 127)
            weights[name] = np.round(array / step) * step
    metadata = description["metadata"] | {
        "precision": "int8",
        "seal": ModelInfo("", "", ("", "a")).to_metadata()["seal"],
    }
    write(out, description["network"], weights, metadata)
    return list(recipe.keep)
