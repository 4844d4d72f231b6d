"""Parquet lines that the tiny model reads: one dataset without an error, one with a known number of errors."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from htrjand.train.data.lines import LineRow, write_lines

Draw = Callable[[str], np.ndarray]


@pytest.fixture
def pixel_folder(draw: Draw, tmp_path: Path) -> Path:
    """A folder as workers want it: lines that say a, ab, abc, abca."""
    for index in range(4):
        np.save(tmp_path / f"{index:05}.npy", draw("abca"[: index + 1]))
    return tmp_path


@pytest.fixture(scope="session")
def line_folder(draw: Draw, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of two datasets: `plain` (30 characters) is read without an error, `wrong` with 5 in 20."""
    folder = tmp_path_factory.mktemp("lines")
    plain = [row(draw, index, "abca"[: 1 + index % 4]) for index in range(12)]
    wrong = [row(draw, index, "caab", "caa", "wrong") for index in range(5)]
    write_lines(folder / "plain.parquet", plain)
    write_lines(folder / "wrong.parquet", [*wrong, row(draw, 9, "abc", dataset="wrong", split="val")])
    return folder


def row(
    draw: Draw, index: int, text: str, drawn: str | None = None, dataset: str = "plain", split: str = "test"
) -> LineRow:
    pixels = draw(text if drawn is None else drawn)
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "PNG")
    height, width = pixels.shape
    return LineRow(f"{dataset}-{index}", dataset, "d", "p", split, "fr", text, stream.getvalue(), width, height)
