"""The verb `qat`: one process on the CPU, so it has no option for others."""

from __future__ import annotations

import json
from pathlib import Path

from click.testing import CliRunner

from htrjand.cli import main
from htrjand.train.checkpoint import load_card


def test_qat_takes_a_folder_a_time_and_workers(tiny_run: Path, tmp_path: Path) -> None:
    recipe = {
        "begin": str(tiny_run / "run" / "weights.safetensors"),
        "data": {"files": [str(tiny_run / "lines.parquet")]},
    }
    recipe |= {"total_lines": 16, "batch_columns": 1024, "warm_up": 1, "val_every": 1}
    (tmp_path / "qat.yaml").write_text(json.dumps(recipe), encoding="utf-8")  # JSON is YAML
    command = ["qat", str(tmp_path / "qat.yaml"), "-o", str(tmp_path / "out"), "--workers", "0"]
    done = CliRunner().invoke(main, command)
    assert done.exit_code == 0, done.output
    assert done.stdout.startswith(f"weights: {tmp_path}/out/weights.safetensors  validation CER ")
    assert "int8" in load_card(tmp_path / "out" / "weights.safetensors").history
    refused = CliRunner().invoke(main, [*command, "--device", "gpu"])
    assert refused.exit_code == 2 and "No such option '--device'" in refused.stderr
