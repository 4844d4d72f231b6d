"""Several models on the same lines: the tiny model reads what is drawn for it, so every figure is known."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from htrjand.benchmarks.studies.models import MEAN, figures, main, table
from htrjand.train.data.error_rates import LineErrors

ROOT = Path(__file__).parents[3]
STUDENT = ROOT / "runtime/models/htrjand-student-int8.onnx"


def test_figures_of_sets_languages_and_their_mean() -> None:
    errors = {
        "a": [LineErrors(10, 1, 2, 1)] * 3,
        "b": [LineErrors(90, 0, 9, 0)],
        "c": [LineErrors(10, 5, 2, 2), LineErrors(10, 0, 2, 0)],
    }
    found = figures(errors, {"a": "fr", "b": "fr", "c": "de"})
    assert list(found) == ["a", "b", "c", "all of fr", MEAN], "one set is no group of its own"
    assert found["a"] == {"cer": 10, "low": 10, "high": 10, "lines": 3}
    assert found["c"] == {"cer": 25, "low": 0, "high": 50, "lines": 2}
    assert found["all of fr"]["cer"] == pytest.approx(100 * 3 / 120) and found["all of fr"]["lines"] == 4
    assert found[MEAN]["cer"] == pytest.approx((10 + 0 + 25) / 3, abs=1e-3)
    assert found[MEAN]["low"] == pytest.approx(10 / 3, abs=1e-3)


def test_a_set_of_several_languages_is_divided_and_both_decoders_read(tmp_path: Path) -> None:
    out = tmp_path / "models.json"
    sample = ROOT / "benchmarks/sample/sample.parquet"
    done = CliRunner().invoke(main, [str(STUDENT), "-i", str(sample), "--split", "test", "-o", str(out)])
    assert done.exit_code == 0, done.output
    document = json.loads(out.read_text("utf-8"))
    assert list(document["readers"]) == ["htrjand-student-int8, greedy", "htrjand-student-int8, with language"]
    greedy, spoken = document["readers"].values()
    assert [name.partition(", ")[2] for name in greedy if ", " in name] == ["fr", "en"]
    assert greedy[MEAN]["cer"] > spoken[MEAN]["cer"]
    assert table(document) in done.output and f"({spoken[MEAN]['low']:.1f}–" in done.output
