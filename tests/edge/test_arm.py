"""A small board's processor, emulated: our files are read there as they are here.

In float, the same to the letter. In int8 not quite, on any two processors: where they differ in a float's last bit,
a value between two steps goes to the one or the other, and the layers behind it make more of that. It has to stay well
below what quantising itself changes (some 5 percent of the characters).
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from htrjand.benchmarks.document import load_result
from htrjand.benchmarks.report.compare import compare as compare_results

pytestmark = [pytest.mark.edge, pytest.mark.timeout(3000)]
BUNDLED = ("--engine", "bundled", "--only", "accuracy")
APART = {"fp32": 0.0, "int8": 2.0}  # percent of characters that differ


@pytest.mark.parametrize("suffix", [".onnx", ".tflite", ".xml"])
@pytest.mark.parametrize("precision", ["int8", "fp32"])
def test_files_are_read_on_arm_as_here(
    precision: str, suffix: str, read_on_arm: Any, here: Any, model: Any, read: Any, compare: Any
) -> None:
    path = model(suffix, precision)
    near, far = read(here, path, precision), read_on_arm[suffix, precision].result()
    assert far["machine"] == "aarch64"
    assert not far["compiled"], "the search is not compiled for it: what it finds is numpy's work"
    compare(path, near, far, APART[precision])


def test_the_command_reads_on_arm_with_the_bundled_model(arm: Any, here: Any, root: Any, percent: Any) -> None:
    images = sorted((root / "benchmarks" / "sample" / "lines").glob("*.png"))
    command = ("-m", "htrjand", "read", "--format", "json", "--threads", 1, *images)
    near, far = ([json.loads(line)["text"] for line in side(*command).splitlines()] for side in (here, arm))
    assert len(near) == len(images) == 12
    assert percent(near, far) <= APART["int8"]


def test_errors_are_counted_on_arm_and_times_are_not(arm: Any, here: Any, root: Any, tmp_path: Path) -> None:
    """The base install alone; a result of an emulated processor says that it is one."""
    lines = root / "benchmarks" / "sample" / "lines"
    results = []
    for name, side in (("here", here), ("arm", arm)):
        output = tmp_path / f"{name}.json"
        side("-m", "htrjand", "bench", *BUNDLED, "-i", lines, "--limit", 10, "--threads", 1, "-o", output)
        results.append(load_result(output))
    near, far = (result["machine"] for result in results)
    assert (far["architecture"], far["emulated"], near["emulated"]) == ("aarch64", True, False)
    findings, _ = compare_results(*results)
    assert len(findings) == 2 and not [one for one in findings if one.worse]  # greedy, and with language
