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

QUANTISED = (
    "Conv",
    "MatMul",
)  # where the weights are; the rest, squeeze-and-excitation too, is small and stays in float
AVERAGED = 0.05  # weight of one line in the average of ranges
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

    Weights are int8 a channel, activations int8 a tensor, in QDQ form, which onnxruntime fuses. A tensor's range is the
    moving average of the extremes of each calibration line: one odd line does not widen it for all. Products of two
    activations (attention scores) stay in float, and so does the first convolution, a fiftieth of the work and
    the widest input range: in int8 it took most of what was lost on the student's validation lines.

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
            activation_type=QuantType.QInt8, weight_type=QuantType.QInt8, op_types_to_quantize=list(QUANTISED),
            nodes_to_exclude=kept_in_float(onnx.load(ready)), calibrate_method=CalibrationMethod.MinMax,
            extra_options={"CalibMovingAverage": True, "CalibMovingAverageConstant": AVERAGED},
        )  # fmt: skip
    quantized = onnx.load(out)
    del quantized.metadata_props[:]
    for key, value in dataclasses.replace(info, precision="int8").to_metadata().items():
        quantized.metadata_props.add(key=key, value=value)
    out.write_bytes(quantized.SerializeToString())


def kept_in_float(model: onnx.ModelProto) -> list[str]:
    """Names of the first convolution, and of the products that have no weight among their inputs."""
    weights = {tensor.name for tensor in model.graph.initializer}
    weights |= {output for node in model.graph.node if node.op_type == "Constant" for output in node.output}
    found = [node for node in model.graph.node if node.op_type in QUANTISED]
    first = next(node.name for node in found if node.op_type == "Conv")
    return [first, *(node.name for node in found if not any(name in weights for name in node.input))]
