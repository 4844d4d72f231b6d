"""Weights to one self-describing ONNX file of dynamic width and batch."""

from __future__ import annotations

import io
import logging
import warnings
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

import onnx
import torch
from torch.export import Dim

from ..runtime.files import atomic_path
from ..runtime.image import HEIGHT, MAX_WIDTH, WIDTH_MULTIPLE
from ..runtime.info import ModelInfo
from ..train.checkpoint import load_network
from ..train.network import Network
from ..train.reader import model_info
from .proof import prove_values, write_proof

OPSET = 18


def export_onnx(weights: Path, out: Path) -> dict[str, Any]:
    """Writes `out` from a `.safetensors` file, proven equal to it; the proof stands beside it as JSON.

    Returns:
        The proof.

    Raises:
        HtrjandError: the weights cannot be used, or the file's names, shapes or values differ from torch's. Then no
            file is left under its name.
    """
    network, card = load_network(weights)
    with atomic_path(out) as part:
        part.write_bytes(describe(trace(network), model_info(card, weights)).SerializeToString())
        proof = prove_values(part, weights, out)
        write_proof(out, proof)
    return proof


def trace(network: Network) -> onnx.ModelProto:
    """The graph: `image` uint8 [batch, 1, 64, width] to `logits` float32 [batch, width / 4, V]."""
    columns = WIDTH_MULTIPLE * Dim("sixteenths", min=1, max=MAX_WIDTH // WIDTH_MULTIPLE)
    shapes = ({0: Dim("batch", min=1, max=64), 3: columns},)
    example = torch.randint(0, 256, (2, 1, HEIGHT, 320), dtype=torch.uint8)  # two: a batch of one would be baked in
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    with warnings.catch_warnings(), redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        program = torch.onnx.export(
            network, (example,), dynamo=True, opset_version=OPSET, dynamic_shapes=shapes, external_data=False,
            input_names=["image"], output_names=["logits"],
        )  # fmt: skip
    assert program is not None
    return program.model_proto


def describe(model: onnx.ModelProto, info: ModelInfo) -> onnx.ModelProto:
    """Puts the description into the file's metadata, and drops the exporter's notes, which double its size."""
    del model.metadata_props[:]
    for key, value in info.to_metadata().items():
        model.metadata_props.add(key=key, value=value)
    for node in model.graph.node:
        del node.metadata_props[:]
        node.doc_string = ""
    for value in (*model.graph.value_info, *model.graph.input, *model.graph.output, *model.graph.initializer):
        del value.metadata_props[:]
        value.doc_string = ""
    model.producer_name = info.name
    return model
