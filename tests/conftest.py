"""What tests of several parts share: the folder of real lines, and a tiny model file whose reading is known."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

CHARSET = ("", " ", "a", "b", "c", "é")
GREYS = (255, 200, 0, 40, 80, 120)  # the grey that the tiny model takes for each class of CHARSET: white is the blank


@pytest.fixture(scope="session")
def real_lines_dir() -> Path:
    root = os.environ.get("HTRJAND_DATA")
    folder = (Path(root) if root else Path(__file__).resolve().parents[2] / "shared" / "data") / "lines"
    if not any(folder.glob("*.parquet")):
        pytest.skip(f"no Parquet lines in {folder}: set HTRJAND_DATA to the folder that holds lines/")
    return folder


@pytest.fixture(scope="session")
def draw() -> Callable[..., np.ndarray]:
    """Draws text as bars 8 columns wide, 8 apart, which the tiny model reads back; the first begins at column 32."""

    def draw(text: str, height: int = 64, scale: int = 1) -> np.ndarray:
        line = np.full((height, (64 + 16 * len(text)) * scale), 255, np.uint8)
        for place, char in enumerate(text):
            left = (32 + 16 * place) * scale
            line[:, left : left + 8 * scale] = GREYS[CHARSET.index(char)]
        return line

    return draw


@pytest.fixture
def make_model(tmp_path: Path) -> Callable[..., Path]:
    return lambda name="tiny.onnx", **changes: write_model(tmp_path / name, **changes)


@pytest.fixture
def tiny_model(make_model: Callable[..., Path]) -> Path:
    return make_model()


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


@pytest.fixture(scope="session")
def tiny_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with eight printed lines (lines.parquet), a recipe, and in run/ a tiny network trained on them."""
    from generated import CPU, TEXTS, TINY, printed_row

    from htrjand.train.fit import train
    from htrjand.train.lines import write_lines
    from htrjand.train.recipe import TrainRecipe, load_recipe

    folder = tmp_path_factory.mktemp("tiny")
    rows = [printed_row(text, f"{split}-{i}", split) for split in ("train", "val") for i, text in enumerate(TEXTS)]
    write_lines(folder / "lines.parquet", rows)
    (folder / "tiny.yaml").write_text(TINY, encoding="utf-8")
    recipe = load_recipe(TrainRecipe, folder / "tiny.yaml")
    train(recipe, folder / "tiny.yaml", folder / "run", machine=CPU)
    return folder
