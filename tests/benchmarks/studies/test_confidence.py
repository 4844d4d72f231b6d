"""The study of confidences, on lines of the sample with the bundled files."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from htrjand.benchmarks.studies.confidence import kept, main, reliability
from htrjand.runtime import Line, Recognizer
from htrjand.train.data.error_rates import LineErrors
from htrjand.train.data.reliability import Judged

SAMPLE = Path(__file__).parents[3] / "benchmarks/sample/sample.parquet"


def test_the_table_and_both_pictures(tmp_path: Path) -> None:
    pictures = [tmp_path / "reliability.svg", tmp_path / "kept.svg"]
    done = CliRunner().invoke(main, ["-i", str(SAMPLE), "-o", str(pictures[0]), "--kept", str(pictures[1])])
    assert done.exit_code == 0, done.output
    rows = {row[0]: row[1:] for row in (re.findall(r"[^|]+", line) for line in done.output.splitlines()[4:])}
    info = Recognizer().info
    assert info.language_model is not None
    fitted = f"greedy, {info.temperature:g}", f"with language, {info.language_model.temperature:g}"
    assert list(rows) == [f" {name} " for name in (
        "greedy, temperature 1", fitted[0], "with language, temperature 1", fitted[1])]  # fmt: skip
    figures = {name.strip(): [float(cell) for cell in cells] for name, cells in rows.items()}
    assert figures[fitted[1]][0] > figures[fitted[0]][0], "more words are right with language"
    assert figures[fitted[0]][0] == figures["greedy, temperature 1"][0], "a temperature changes no text"
    assert figures[fitted[1]][3] > figures["with language, temperature 1"][3], "it makes words less sure"
    for picture, curves in zip(pictures, (5, 2), strict=True):
        assert picture.read_text("utf-8").count("<polyline") == curves


def test_the_reliability_curve_has_a_point_a_range() -> None:
    judged = Judged(np.array([0.11, 0.19, 0.95, 1.0]), np.array([True, False, True, True]))
    assert np.array(reliability("x", "red", judged).points) == pytest.approx(np.array([[0.15, 0.5], [0.975, 1.0]]))


def test_the_surest_lines_are_kept_first() -> None:
    lines = [Line("", confidence, ()) for confidence in (0.2, 0.9, 0.5, 0.4)]
    errors = [LineErrors(10, edits, 1, 0) for edits in (8, 0, 1, 5)]
    points = dict(kept("x", "red", errors, lines).points)
    assert points[0.25] == 0 and points[0.5] == pytest.approx(5) and points[1.0] == pytest.approx(35)
