"""Eight bits: static quantisation of an ONNX file with onnxruntime, calibrated on training lines."""

from __future__ import annotations

import dataclasses
import logging
import tempfile
from collections.abc import Iterator, Sequence
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

from ..runtime.engines import open_engine
from ..runtime.errors import HtrjandError
from ..runtime.image import pad_line

WEIGHED = ("Conv", "MatMul", "Gemm")  # what holds weights; the rest stays in float: it is small and loses most
FEWEST = 8  # lines; ranges seen on fewer are those of a single hand


class Lines(CalibrationDataReader):  # type: ignore[misc]
    """Feeds lines [64, W] one by one, each padded as the runtime pads it."""

    def __init__(self, lines: Sequence[npt.NDArray[np.uint8]]) -> None:
        self.lines: Iterator[npt.NDArray[np.uint8]] = iter(lines)

    def get_next(self) -> dict[str, Any] | None:
        line = next(self.lines, None)
        return None if line is None else {"image": pad_line(line)[None, None]}  # 1, 1, 64, W


def quantize_onnx(model: Path, lines: Sequence[npt.NDArray[np.uint8]], out: Path) -> None:
    """Writes an int8 edition of a float ONNX file (not atomic: hand it the path of `atomic_path`).

    Weights are int8 a channel, activations int8 a tensor with the extremes met on the calibration lines, in QDQ
    form, which onnxruntime fuses. Products of two activations (attention scores) stay in float.

    Args:
        model: the float file, of this package.
        lines: training lines, uint8 [64, W].
        out: where to write.

    Raises:
        HtrjandError: the model cannot be used or is int8 already, or there are too few lines.
    """
    info = open_engine(model, 1).info
    if info.precision != "fp32":
        raise HtrjandError(f"{model}: is {info.precision} already; quantise the float file")
    if len(lines) < FEWEST:
        raise HtrjandError(
            f"{model}: {len(lines)} calibration lines are too few to see its ranges; give {FEWEST} or more"
        )
    logging.getLogger("root").setLevel(logging.ERROR)
    with tempfile.TemporaryDirectory() as folder:
        ready = Path(folder) / "ready.onnx"
        quant_pre_process(str(model), str(ready), skip_symbolic_shape=True)
        quantize_static(
            str(ready), str(out), Lines(lines), quant_format=QuantFormat.QDQ, per_channel=True,
            activation_type=QuantType.QInt8, weight_type=QuantType.QInt8, op_types_to_quantize=list(WEIGHED),
            nodes_to_exclude=activation_products(onnx.load(ready)), calibrate_method=CalibrationMethod.MinMax,
        )  # fmt: skip
    quantized = onnx.load(out)
    del quantized.metadata_props[:]
    for key, value in dataclasses.replace(info, precision="int8").to_metadata().items():
        quantized.metadata_props.add(key=key, value=value)
    out.write_bytes(quantized.SerializeToString())


def activation_products(model: onnx.ModelProto) -> list[str]:
    """Names of the products that have no weight among their inputs."""
    weights = {tensor.name for tensor in model.graph.initializer}
    weights |= {output for node in model.graph.node if node.op_type == "Constant" for output in node.output}
    return [n.name for n in model.graph.node if n.op_type in WEIGHED and not any(name in weights for name in n.input)]
