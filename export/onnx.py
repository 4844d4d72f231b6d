"""ONNX: one self-describing file of dynamic width and batch."""

from __future__ import annotations

import ast
import hashlib
import io
import logging
import warnings
from collections import Counter
from collections.abc import Sequence
from contextlib import redirect_stdout
from pathlib import Path

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import Tensor
from torch.export import Dim
from torch.nn import Module

from ..runtime.decode.corrector_info import CorrectorInfo
from ..runtime.image import HEIGHT, MAX_WIDTH, WIDTH_MULTIPLE
from ..runtime.kinds import Info
from ..runtime.seal import seal
from ..train.page.network import Detector
from .fold import fold
from .kinds import Net

OPSET = 18
MAX_PAGE = 8192  # pixels of a page's side


def export(network: Net, info: Info, out: Path, width: int | None = None) -> None:
    """Writes `out`, self-describing and sealed (not atomic, and not proven); with precision fp16 its weights take half
    the room. Its lines may have any width.

    A network is traced once for all its files, since that takes most of the time.
    """
    key = fingerprint(network)
    if key not in TRACED:
        if len(TRACED) == KEPT:
            del TRACED[next(iter(TRACED))]
        TRACED[key] = trace(network)
    model = onnx.ModelProto()
    model.CopyFrom(TRACED[key])
    if info.precision == "fp16":
        halve_weights(model)
    out.write_bytes(describe(model, info).SerializeToString())
    seal(out)


def redescribe(model: Path, info: Info, out: Path) -> None:
    """Writes a file with another description, sealed (not atomic)."""
    changed = onnx.load(model)
    put_metadata(changed, info)
    out.write_bytes(changed.SerializeToString())
    seal(out)


TRACED: dict[str, onnx.ModelProto] = {}  # the graphs traced last, by the fingerprints of their networks
KEPT = 4  # of 3 MB each: of a student


def fingerprint(network: Net) -> str:
    """SHA-256 of what a network computes: its type, its recipe, its mode and its weights as they are now."""
    hashed = hashlib.sha256(f"{type(network)} {network.recipe} {network.training}".encode())
    for name, tensor in network.state_dict().items():
        hashed.update(f"{name} {tensor.dtype} {list(tensor.shape)}".encode() + tensor.cpu().numpy().tobytes())
    return hashed.hexdigest()


def halve_weights(model: onnx.ModelProto) -> None:
    """Stores weights in fp16 behind a cast: an engine makes floats of them as it opens the file, and computes in float.

    Vectors (biases, norms) stay as they are: they are few, and some are variances too small for 16 bits.
    """
    for tensor in list(model.graph.initializer):
        values = numpy_helper.to_array(tensor)
        if values.dtype == np.float32 and values.ndim > 1:
            half = numpy_helper.from_array(values.astype(np.float16), f"{tensor.name}.fp16")
            model.graph.initializer.remove(tensor)
            model.graph.initializer.append(half)
            cast = helper.make_node("Cast", [half.name], [tensor.name], f"{tensor.name}/Cast", to=TensorProto.FLOAT)
            model.graph.node.insert(0, cast)


def trace(network: Net) -> onnx.ModelProto:
    """The graph: `image` uint8 [batch, 1, 64, width] to `logits` float32 [batch, width / 4, V]; or of a detector
    `image` uint8 [batch, 1, height, width] to `maps` float32 [batch, 4, height / 4, width / 4]."""
    batch = Dim("batch", min=1, max=64)
    if isinstance(network, Detector):
        multiple = network.recipe.multiple
        rows, columns = (multiple * Dim(name, min=1, max=MAX_PAGE // multiple) for name in ("rows", "columns"))
        # Neither batch, height nor width is 1 multiple, or equal to another: such sizes would be baked in.
        return traced(fold(network), (2, 1, 3 * multiple, 5 * multiple), {0: batch, 2: rows, 3: columns}, "maps")
    columns = WIDTH_MULTIPLE * Dim("sixteenths", min=1, max=MAX_WIDTH // WIDTH_MULTIPLE)
    return traced(
        fold(network), (2, 1, HEIGHT, 320), {0: batch, 3: columns}, "logits"
    )  # a batch of 1 would be baked in


def traced(network: Module, shape: tuple[int, ...], sizes: dict[int, Dim], output: str) -> onnx.ModelProto:
    """The graph of a network, traced with a random image of this shape; `sizes`: the axes that may have any size."""
    image = torch.randint(0, 256, shape, dtype=torch.uint8)
    model = graph_of(network, (image,), (sizes,), ["image"], [output])
    name_nodes(model)
    return model


def graph_of(
    module: Module, example: tuple[Tensor, ...], sizes: Sequence[dict[int, Dim]], inputs: list[str], outputs: list[str]
) -> onnx.ModelProto:
    """The graph of a module, traced with an example; `sizes`: of each input the axes that may have any size."""
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    with warnings.catch_warnings(), redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        program = torch.onnx.export(
            module, example, dynamo=True, opset_version=OPSET, dynamic_shapes=tuple(sizes), external_data=False,
            input_names=inputs, output_names=outputs,
        )  # fmt: skip
    assert program is not None
    model: onnx.ModelProto = program.model_proto
    return model


def name_nodes(model: onnx.ModelProto) -> None:
    """Names each node by the module it comes from and its operator: `attention.0.attentions.1.qkv/MatMul`.

    So a reader of the file finds the network in it, and what is to stay in float is named alike in every format.
    """
    taken: Counter[str] = Counter()
    for node in model.graph.node:
        scopes = next(item.value for item in node.metadata_props if item.key == "pkg.torch.onnx.name_scopes")
        module = ["", *ast.literal_eval(scopes)][-2]
        if node.op_type == "Conv" and module.endswith(".norm"):  # one that a batch norm was folded into has its name
            module = module.removesuffix("norm") + "conv.conv"
        name = f"{module}/{node.op_type}" if module and module[0] != "_" else node.op_type  # "_": of no module
        taken[name] += 1
        node.name = name if taken[name] == 1 else f"{name}_{taken[name]}"


def describe(model: onnx.ModelProto, info: Info | CorrectorInfo) -> onnx.ModelProto:
    """Puts the description into the file's metadata, and drops the exporter's notes, which double its size."""
    put_metadata(model, info)
    for node in model.graph.node:
        del node.metadata_props[:]
        node.doc_string = ""
    for value in (*model.graph.value_info, *model.graph.input, *model.graph.output, *model.graph.initializer):
        del value.metadata_props[:]
        value.doc_string = ""
    model.producer_name = info.name
    return model


def put_metadata(model: onnx.ModelProto, info: Info | CorrectorInfo) -> None:
    """Replaces all metadata of a file by a description."""
    del model.metadata_props[:]
    for key, value in info.to_metadata().items():
        model.metadata_props.add(key=key, value=value)
