from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from htrjand.benchmarks.process import Worker
from htrjand.runtime.errors import HtrjandError


def test_worker_reads_and_times(bar_model: Callable[[str], Path], bar_pixels: Path) -> None:
    model = bar_model("int8")
    with Worker(str(model), 1, bar_pixels) as worker:
        answer = worker.read([0, 2])
        assert answer["texts"] == ["a", "aaa"]
        assert len(answer["ms"]) == 2 and min(answer["ms"]) > 0
        assert answer["peak_rss"] > 10_000_000  # an interpreter with numpy and an engine
        assert len(worker.read([1], queries=7)["ms"]) == 7
        long = worker.read([1, 3], seconds=0.05)
        assert sum(long["ms"]) >= 50 and long["texts"] == ["aa", "aaaa"]
    assert worker.cold_start > max(answer["ms"])
    assert worker.about["engine"] == "onnxruntime" and worker.about["precision"] == "int8"
    assert worker.about["bytes"] == model.stat().st_size
    assert worker.process.returncode == 0


def test_a_model_cut_short_is_one_clear_error(bar_model: Callable[[str], Path], bar_pixels: Path) -> None:
    cut = bar_pixels / "cut.onnx"
    cut.write_bytes(bar_model("fp32").read_bytes()[:100])
    with pytest.raises(HtrjandError, match="cut.onnx"):
        Worker(str(cut), 1, bar_pixels)


def test_a_worker_that_dies_is_one_clear_error(bar_model: Callable[[str], Path], bar_pixels: Path) -> None:
    with Worker(str(bar_model("fp32")), 1, bar_pixels) as worker:
        worker.process.kill()
        with pytest.raises(HtrjandError, match="ended with status -9"):
            worker.read([0])
