"""A tiny model file whose reading is known: a frame's grey is its class."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

CHARSET = ("", " ", "a", "b", "c", "é")
GREYS = (255, 200, 0, 40, 80, 120)  # the grey that the tiny model takes for each class of CHARSET: white is the blank


def write_model(
    path: Path,
    charset: Sequence[str] = CHARSET,
    metadata: dict[str, str] | None = None,
    input_name: str = "image",
    output_name: str = "logits",
    sharpness: float = 0.01,
    sealed: bool = True,
    **info: Any,
) -> Path:
    """A real ONNX model: a frame of 4 columns has the logits s·(2·g·m − g²): m its mean grey, g the grey of a class."""
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    from htrjand.runtime import ModelInfo
    from htrjand.runtime.seal import seal

    greys = np.array(GREYS, np.float32)
    kernel = np.tile((2 * sharpness * greys / (64 * 4)).reshape(-1, 1, 1, 1), (1, 1, 64, 4)).astype(np.float32)
    constants = {"kernel": kernel, "bias": (-sharpness * greys**2).astype(np.float32), "rows": np.array([2], np.int64)}
    graph = helper.make_graph(
        [
            helper.make_node("Cast", [input_name], ["float"], to=TensorProto.FLOAT),
            helper.make_node("Conv", ["float", "kernel", "bias"], ["maps"], strides=[1, 4]),
            helper.make_node("Squeeze", ["maps", "rows"], ["flat"]),
            helper.make_node("Transpose", ["flat"], [output_name], perm=[0, 2, 1]),
        ],
        "tiny",
        [helper.make_tensor_value_info(input_name, TensorProto.UINT8, ["N", 1, 64, "W"])],
        [helper.make_tensor_value_info(output_name, TensorProto.FLOAT, ["N", "T", len(GREYS)])],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    if metadata is None:
        metadata = ModelInfo(name="tiny", version="1", charset=tuple(charset), **info).to_metadata()
    helper.set_model_props(model, metadata)
    onnx.checker.check_model(model)
    onnx.save(model, path)
    if sealed and "seal" in metadata:
        seal(path)
    return path
