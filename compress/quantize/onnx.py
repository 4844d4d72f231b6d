"""Eight bits in ONNX: static quantisation with onnxruntime, calibrated on training lines."""

from __future__ import annotations

import dataclasses
import logging
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnxruntime.quantization import (  # type: ignore[import-untyped]
    CalibrationDataReader,
    CalibrationMethod,
    QuantFormat,
    QuantType,
    quantize_static,
)
from onnxruntime.quantization.shape_inference import quant_pre_process  # type: ignore[import-untyped]

from ...runtime.engines import open_engine
from ...runtime.image import pad_line
from ...runtime.seal import seal
from . import Lines, QuantizeRecipe, check_kept

QUANTISED = ("Conv", "MatMul")  # where the weights are; squeeze-and-excitation (Gemm) is small and stays in float
# Logits go from −110 to 14: in int8 steps of 0.5 a character ties with the blank, and is lost.
IN_FLOAT = ("head",)


class Feed(CalibrationDataReader):  # type: ignore[misc]
    """Feeds lines [64, W] one by one, each padded as the runtime pads it."""

    def __init__(self, lines: Lines) -> None:
        self.lines: Iterator[npt.NDArray[np.uint8]] = iter(lines)

    def get_next(self) -> dict[str, Any] | None:
        line = next(self.lines, None)
        return None if line is None else {"image": pad_line(line)[None, None]}  # 1, 1, 64, W


def quantize_onnx(model: Path, lines: Lines, out: Path, recipe: QuantizeRecipe) -> None:
    """As `quantize_file`, in QDQ form, which onnxruntime fuses.

    A tensor's range is the mean of the extremes of each calibration line: one odd line does not widen it for all.
    """
    info = open_engine(model, 1).info
    logging.getLogger("root").setLevel(logging.ERROR)
    with tempfile.TemporaryDirectory() as folder:
        ready = Path(folder) / "ready.onnx"
        quant_pre_process(str(model), str(ready), skip_symbolic_shape=True)
        write_quantized(ready, lines, out, in_float(onnx.load(ready), recipe, model))
    quantized = onnx.load(out)
    del quantized.metadata_props[:]
    for key, value in dataclasses.replace(info, precision="int8").to_metadata().items():
        quantized.metadata_props.add(key=key, value=value)
    out.write_bytes(quantized.SerializeToString())
    seal(out)


def write_quantized(ready: Path, lines: Lines, out: Path, excluded: list[str], ranges: Path | None = None) -> None:
    """What onnxruntime makes of a preprocessed file; without metadata.

    Args:
        excluded: names of the nodes that stay in float.
        ranges: a JSON file of the ranges of tensors: taken from there where it is, else written there.
    """
    quantize_static(
        str(ready), str(out), Feed(lines), quant_format=QuantFormat.QDQ, per_channel=True,
        activation_type=QuantType.QInt8, weight_type=QuantType.QInt8, op_types_to_quantize=list(QUANTISED),
        nodes_to_exclude=excluded, calibrate_method=CalibrationMethod.MinMax, calibration_cache_path=ranges,
        extra_options={"CalibMovingAverage": True},  # the mean over the lines, in fact
    )  # fmt: skip


def in_float(graph: onnx.ModelProto, recipe: QuantizeRecipe, model: Path) -> list[str]:
    """Names of the nodes that stay in float: the head, the modules to keep, and products that have no weight."""
    weighted = weighted_nodes(graph)
    check_kept(recipe, list(weighted.values()), model)
    kept = {name for name, module in weighted.items() if module in IN_FLOAT or recipe.keeps(module)}
    products = [node.name for node in graph.graph.node if node.op_type in QUANTISED]
    return [name for name in products if name not in weighted or name in kept]


def weighted_nodes(model: onnx.ModelProto) -> dict[str, str]:
    """The nodes that can be quantised, those with a weight among their inputs, each with the module it comes from."""
    weights = {tensor.name for tensor in model.graph.initializer}
    weights |= {output for node in model.graph.node if node.op_type == "Constant" for output in node.output}
    return {
        node.name: node.name.partition("/")[0]
        for node in model.graph.node
        if node.op_type in QUANTISED and any(name in weights for name in node.input)
    }
