from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from htrjand.benchmarks.process import Worker
from htrjand.runtime.errors import HtrjandError


def test_worker_reads_and_times(make_model: Callable[..., Path], pixel_folder: Path) -> None:
    model = make_model(precision="int8")
    with Worker(str(model), 1, pixel_folder) as worker:
        answer = worker.read([0, 2])
        assert answer["texts"] == ["a", "abc"]
        assert len(answer["ms"]) == 2 and min(answer["ms"]) > 0
        assert answer["peak_rss"] > 10_000_000  # an interpreter with numpy and an engine
        assert len(worker.read([1], queries=7)["ms"]) == 7
        long = worker.read([1, 3], seconds=0.05)
        assert sum(long["ms"]) > 49.99 and long["texts"] == ["ab", "abca"]
    assert worker.cold_start > max(answer["ms"])
    assert worker.about["engine"] == "onnxruntime" and worker.about["precision"] == "int8"
    assert worker.about["bytes"] == model.stat().st_size
    assert worker.process.returncode == 0


def test_a_model_cut_short_is_one_clear_error(make_model: Callable[..., Path], pixel_folder: Path) -> None:
    cut = pixel_folder / "cut.onnx"
    cut.write_bytes(make_model().read_bytes()[:100])
    with pytest.raises(HtrjandError, match="cut.onnx"):
        Worker(str(cut), 1, pixel_folder)


def test_a_worker_that_dies_is_one_clear_error(make_model: Callable[..., Path], pixel_folder: Path) -> None:
    with Worker(str(make_model()), 1, pixel_folder) as worker:
        worker.process.kill()
        with pytest.raises(HtrjandError, match="ended with status -9"):
            worker.read([0])
