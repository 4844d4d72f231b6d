"""A model that truly reads: a line of dark bars, an "a" for each bar. And lines of bars to read with it."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper
from PIL import Image

from htrjand.runtime.info import ModelInfo
from htrjand.train.lines import LineRow, write_lines

BAR = 16  # columns of a bar, and of the gap before it


def bars(count: int) -> np.ndarray:
    line = np.full((64, 2 * BAR * count + BAR), 255, dtype=np.uint8)
    for bar in range(count):
        line[:, BAR * (2 * bar + 1) : BAR * (2 * bar + 2)] = 0
    return line


def row(index: int, text: str, count: int, dataset: str = "bars", split: str = "test") -> LineRow:
    pixels = bars(count)
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "PNG")
    return LineRow(
        id=f"{dataset}-{index}",
        dataset=dataset,
        doc="d",
        page="p",
        split=split,
        lang="fr",
        text=text,
        image=stream.getvalue(),
        width=pixels.shape[1],
        height=64,
    )


@pytest.fixture
def bar_pixels(tmp_path: Path) -> Path:
    """A folder as workers want it: lines of one, two, three and four bars."""
    for index in range(4):
        np.save(tmp_path / f"{index:05}.npy", bars(index + 1))
    return tmp_path


@pytest.fixture(scope="session")
def bar_model(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Writes a bar reader and returns its path; the precision is what the file says of itself."""

    def write(precision: str) -> Path:
        path = tmp_path_factory.mktemp("models") / f"bars-{precision}.onnx"
        info = ModelInfo(name="bars", version="1", charset=("", "a"), precision=precision)
        weights = np.array([1, -1], dtype=np.float32).reshape(2, 1, 1, 1)  # blank likes light frames, "a" dark ones
        bias = np.array([-128, 128], dtype=np.float32)
        graph = helper.make_graph(
            [
                helper.make_node("Cast", ["image"], ["float"], to=TensorProto.FLOAT),
                helper.make_node("AveragePool", ["float"], ["frames"], kernel_shape=[64, 4], strides=[64, 4]),
                helper.make_node("Conv", ["frames", "weights", "bias"], ["classes"]),  # N, V, 1, T
                helper.make_node("Squeeze", ["classes", "axis"], ["flat"]),
                helper.make_node("Transpose", ["flat"], ["logits"], perm=[0, 2, 1]),  # N, T, V
            ],
            "bars",
            [helper.make_tensor_value_info("image", TensorProto.UINT8, ["N", 1, 64, "W"])],
            [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["N", "T", 2])],
            [
                onnx.numpy_helper.from_array(weights, "weights"),
                onnx.numpy_helper.from_array(bias, "bias"),
                onnx.numpy_helper.from_array(np.array([2]), "axis"),
            ],
        )
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
        helper.set_model_props(model, info.to_metadata())
        onnx.save(model, path)
        return path

    return write


@pytest.fixture(scope="session")
def bar_lines(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of two datasets: `bars` is read without an error, `wrong` has 1 error in 4 characters."""
    folder = tmp_path_factory.mktemp("lines")
    write_lines(folder / "bars.parquet", [row(i, "a" * (1 + i % 4), 1 + i % 4) for i in range(12)])
    wrong = [row(i, "aaab", 3, "wrong") for i in range(5)] + [row(9, "zzz", 1, "wrong", "val")]
    write_lines(folder / "wrong.parquet", wrong)
    return folder
