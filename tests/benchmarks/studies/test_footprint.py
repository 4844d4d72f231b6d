"""`make bench-runtime`: what it counts; how fast a start is, no test can say."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest

import htrjand
from htrjand.benchmarks.studies.footprint import COLD, FIGURES, STEPS, markdown, shares, sizes, start
from htrjand.runtime import HtrjandError


def installed(folder: Path, name: str, files: dict[str, int]) -> None:
    """A package as pip leaves it: its files, and the record of them."""
    record = folder / f"{name}-1.0.dist-info" / "RECORD"
    record.parent.mkdir(parents=True)
    for file, size in files.items():
        (folder / file).parent.mkdir(parents=True, exist_ok=True)
        (folder / file).write_bytes(bytes(size))
    with record.open("w", newline="") as stream:
        csv.writer(stream).writerows([[file, "", size] for file, size in files.items()])


def test_packages_and_shares_are_counted_by_what_pip_recorded(tmp_path: Path) -> None:
    installed(tmp_path, "numpy", {"numpy/core.py": 3000, "../bin/gone": 0})
    (tmp_path / "stray.py").write_bytes(bytes(9000))
    ours = {
        "htrjand/runtime/models/a.onnx": 10, "htrjand/runtime/models/a.bin": 20, "htrjand/runtime/a.py": 30,
        "htrjand/train/weights/student.safetensors": 40, "htrjand/cli.py": 50,
    }  # fmt: skip
    installed(tmp_path, "htrjand", ours)
    assert sizes(tmp_path) == {"numpy": 3000, "htrjand": 150}
    assert [size for size in shares(tmp_path).values() if size] == [10, 20, 30, 40, 50]


def test_a_start_is_measured_in_a_process_that_sees_that_folder_alone(tmp_path: Path) -> None:
    for item in Path(np.__file__).parents[1].iterdir():
        (tmp_path / item.name).symlink_to(item)
    link = tmp_path / "htrjand"
    link.unlink(missing_ok=True)
    link.symlink_to(Path(str(htrjand.__file__)).resolve().parent)
    figures, file = start(tmp_path, "onnxruntime")
    assert file == "htrjand-student-int8.onnx"
    assert figures.keys() == set(FIGURES) and min(figures.values()) > 0
    assert figures[COLD] == pytest.approx(sum(figures[step] for step in STEPS[1:-1]))
    (tmp_path / "numpy").unlink()
    with pytest.raises(HtrjandError, match="cannot read .*numpy"):
        start(tmp_path, "onnxruntime")


def test_a_table_has_a_column_for_each_installation() -> None:
    table = markdown(["a", "b"], {"numpy": [1.25, 0]}, 1)
    assert table == "| | a | b |\n|---|---:|---:|\n| numpy | 1.2 | – |\n"
