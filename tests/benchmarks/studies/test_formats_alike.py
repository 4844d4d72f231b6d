"""On how many lines two model files read another text."""

from __future__ import annotations

import dataclasses
import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
from click.testing import CliRunner
from generated import printed_row
from PIL import Image
from tiny_model import CHARSET, write_model

from htrjand.benchmarks.studies.formats_alike import compared, main
from htrjand.train.data.lines import LineRow, write_lines


def test_lines_and_characters_that_differ() -> None:
    assert compared(["abcd", "efgh", "ij"], ["abcd", "efxh", "ij"]) == (1, 10.0)


def test_the_tables(tmp_path: Path, draw: Callable[..., np.ndarray]) -> None:
    def row(text: str) -> LineRow:
        stream = io.BytesIO()
        Image.fromarray(draw(text)).save(stream, "PNG")
        return dataclasses.replace(printed_row(text, text, "val"), image=stream.getvalue())

    write_lines(tmp_path / "lines.parquet", map(row, ("abc", "ab", "b", "éa")))
    other = ["x" if char == "c" else char for char in CHARSET]  # takes each c for an x
    models = [write_model(tmp_path / "one.onnx"), write_model(tmp_path / "other.onnx", other)]
    words = [word for model in models for word in ("-m", str(model))]
    done = CliRunner().invoke(main, ["-i", str(tmp_path / "lines.parquet"), "--count", "4", *words])
    assert done.exit_code == 0, done.output
    assert "| one.onnx and other.onnx | 1 | 12.50 | 1 | 12.50 |" in done.output
    assert "| greedy | 0.00 | 12.50 |" in done.output
