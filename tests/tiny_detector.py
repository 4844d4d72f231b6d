"""A tiny detector file whose finding is known: what is bright in an evened image is the core of a line."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np

HEIGHT = 24.0  # pixels of a line, half above and half below the middle of its core


def write_detector(
    path: Path, metadata: dict[str, str] | None = None, input_name: str = "image", maps: int = 4, sealed: bool = True,
    **info: Any,
) -> Path:  # fmt: skip
    """A real ONNX model: the core is the mean m of 4 x 4 pixels as (m - 60) / 100; there are no ends."""
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    from htrjand.runtime.page.detector_info import DetectorInfo
    from htrjand.runtime.seal import seal

    kernel = np.zeros((maps, 1, 4, 4), np.float32)
    kernel[0] = 1 / (16 * 100)
    bias = np.array([-0.6, 0, math.log(HEIGHT / 2), math.log(HEIGHT / 2)], np.float32)[:maps]
    graph = helper.make_graph(
        [
            helper.make_node("Cast", [input_name], ["float"], to=TensorProto.FLOAT),
            helper.make_node("Conv", ["float", "kernel", "bias"], ["maps"], strides=[4, 4]),
        ],
        "tiny",
        [helper.make_tensor_value_info(input_name, TensorProto.UINT8, ["N", 1, "H", "W"])],
        [helper.make_tensor_value_info("maps", TensorProto.FLOAT, ["N", maps, "h", "w"])],
        [numpy_helper.from_array(kernel, "kernel"), numpy_helper.from_array(bias, "bias")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    if metadata is None:
        metadata = DetectorInfo(name="tiny-detector", version="1", **info).to_metadata()
    helper.set_model_props(model, metadata)
    onnx.checker.check_model(model)
    onnx.save(model, path)
    if sealed and "seal" in metadata:
        seal(path)
    return path
