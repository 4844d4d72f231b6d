"""The decoders' costs, measured in real processes with the bundled files."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from htrjand.benchmarks.studies.decoding import COMPILED, GREEDY, NUMPY
from htrjand.runtime.decode import kernel

ROOT = Path(__file__).resolve().parents[3]
SAMPLE = ROOT / "benchmarks" / "sample" / "sample.parquet"


def run(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "htrjand.benchmarks.studies.decoding", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_each_decoder_is_measured() -> None:
    done = run("-i", SAMPLE, "--split", "test", "--limit", 6, "--rounds", 2)
    assert done.returncode == 0, done.stderr
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in done.stdout.splitlines() if "|" in line]
    figures = {row[0]: [float(cell) for cell in row[1:]] for row in rows[2:]}
    assert list(figures) == [GREEDY, *([COMPILED] if kernel.library() else []), NUMPY]
    assert figures[GREEDY][1] == figures[GREEDY][3] == 1.0
    for alone, ratio, batches, ratio_in_batches in figures.values():
        assert alone > 0 and abs(alone / figures[GREEDY][0] - ratio) < 0.1 * ratio
        assert batches > 0 and abs(batches / figures[GREEDY][2] - ratio_in_batches) < 0.1 * ratio_in_batches
    assert figures[NUMPY][1] > figures.get(COMPILED, figures[GREEDY])[1], "numpy searches, and not the kernel"
    assert "6 lines, median width" in done.stdout


def test_a_model_that_no_bundled_language_model_is_for(make_model: Callable[..., Path]) -> None:
    done = run("-i", SAMPLE, "-m", make_model())
    assert done.returncode == 1 and "decoding: " in done.stderr and "name one by --lm" in done.stderr
