from __future__ import annotations

import subprocess
import sys

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
