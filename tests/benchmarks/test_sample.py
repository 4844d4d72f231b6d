"""The bundled model reads the bundled sample as well as it did when the committed result was taken."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner
from results_made import VALID

from htrjand.benchmarks.cli import bench

ROOT = Path(__file__).resolve().parents[2]
SAMPLE = ROOT / "benchmarks" / "sample"
RESULT = ROOT / "benchmarks" / "results" / "sample.json"
MEASURE = ["--engine", "bundled", "--only", "accuracy", "-i", str(SAMPLE / "sample.parquet"), "--split", "all"]


def test_nothing_reads_worse_than_the_committed_result(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "120")  # one table, whatever the terminal
    VALID(json.loads(RESULT.read_text(encoding="utf-8")))
    now = tmp_path / "now.json"
    done = CliRunner().invoke(bench, [*MEASURE, "--pages", str(SAMPLE), "-o", str(now)])
    assert done.exit_code == 0, done.output
    done = CliRunner().invoke(bench, ["compare", str(RESULT), str(now)])
    assert done.exception is None, done.output
    assert done.stdout.count("CER sample, %") == 2 and done.stdout.count("CER sample, pages, %") == 2, done.stdout
