"""What tests of several parts share: the folder of real lines, and a tiny model file whose reading is known."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from tiny_model import CHARSET, GREYS, write_model


@pytest.fixture(scope="session")
def real_lines_dir() -> Path:
    root = os.environ.get("HTRJAND_DATA")
    if not root:
        pytest.skip("HTRJAND_DATA is not set: it names the folder that holds lines/")
    folder = Path(root) / "lines"
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


@pytest.fixture(scope="module")
def one_thread() -> Iterator[None]:
    """Torch computes with one thread: in a tiny LSTM several would but wait for each other."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def tiny_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with eight printed lines (lines.parquet), a recipe, and in run/ a tiny network trained on them."""
    from generated import CPU, TEXTS, TINY, printed_row

    from htrjand.train.data.lines import write_lines
    from htrjand.train.fit import train
    from htrjand.train.recipe import TrainRecipe
    from htrjand.train.recipe_loader import load_recipe

    folder = tmp_path_factory.mktemp("tiny")
    rows = [printed_row(text, f"{split}-{i}", split) for split in ("train", "val") for i, text in enumerate(TEXTS)]
    write_lines(folder / "lines.parquet", rows)
    (folder / "tiny.yaml").write_text(TINY, encoding="utf-8")
    recipe = load_recipe(TrainRecipe, folder / "tiny.yaml")
    train(recipe, folder / "tiny.yaml", folder / "run", machine=CPU)
    return folder
