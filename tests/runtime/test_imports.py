from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
LINE = ROOT / "benchmarks" / "sample" / "lines" / "01.png"
HEAVY = ["torch", "tensorflow", "openvino", "lightning", "pyarrow", "onnx", "onnxruntime"]


def loaded_after(statement: str) -> set[str]:
    code = f"{statement}\nimport sys\nprint(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


def test_runtime_loads_no_engine_and_nothing_of_training():
    assert not loaded_after("import htrjand.runtime").intersection(HEAVY)


def test_an_open_model_loads_its_engine_and_nothing_of_training(tiny_model):
    loaded = loaded_after(f"from htrjand.runtime import Recognizer; Recognizer({str(tiny_model)!r})")
    assert loaded.intersection(HEAVY) == {"onnxruntime"}


def test_the_command_line_loads_no_part_and_no_numpy():
    assert not loaded_after("import htrjand.cli").intersection([*HEAVY, "numpy", "PIL", "htrjand.runtime.recognizer"])


def test_the_runtime_and_the_files_of_one_engine_are_enough_to_read(tmp_path):
    """As docs/runtime-size.md says: the other parts, and the files of other engines, may be taken off a device."""
    place = tmp_path / "htrjand"
    left_out = shutil.ignore_patterns("__pycache__", "*.tflite", "*.xml", "*.bin")
    shutil.copytree(ROOT / "runtime", place / "runtime", ignore=left_out)
    for file in ROOT.glob("*.py"):
        shutil.copy(file, place)
    code = (
        "import htrjand, sys; from htrjand.runtime import Recognizer; print(htrjand.__file__, Recognizer().path.name)"
    )
    for words in (("-c", code), ("-m", "htrjand", "read", str(LINE))):
        done = subprocess.run(
            [sys.executable, *words], env=os.environ | {"PYTHONPATH": str(tmp_path)}, cwd=tmp_path, text=True,
            capture_output=True,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        assert done.stdout.startswith(str(place)) if words[0] == "-c" else len(done.stdout) > 20
