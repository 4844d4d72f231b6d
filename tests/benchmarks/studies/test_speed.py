"""`make bench-train`: what it measures and what it keeps; how fast, no test can say."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from htrjand.benchmarks.studies.speed import PARTS, main


def test_both_networks_are_measured_and_runs_are_kept(tmp_path: Path) -> None:
    history = tmp_path / "runs.json"
    for count in (1, 2):
        done = CliRunner().invoke(main, ["--seconds", "0", "--history", str(history)])
        assert done.exit_code == 0, done.output
        runs = json.loads(history.read_text())
        assert len(runs) == count
    for name in ("teacher", "student"):
        assert name in done.output
        row = runs[-1][name]
        assert 0 < row["lines_per_second"] <= row["best_round"]
        assert row["share"].keys() == set(PARTS)
        assert sum(row["share"].values()) == pytest.approx(100, abs=1)
        assert row["share"]["backward"] > row["share"]["loss"] > 0
