from __future__ import annotations

import pytest
from engine_template import EngineTests, forged
from tiny_model import write_model

from htrjand.export.ort import convert
from htrjand.runtime import HtrjandError, Recognizer


class TestOnnx(EngineTests):
    suffix = ".onnx"
    library = "onnxruntime"
    extra = "onnxruntime"

    def write(self, path, metadata, **graph):
        write_model(path, metadata=metadata, sealed=False, **graph)


class TestOrt(TestOnnx):
    suffix = ".ort"

    def write(self, path, metadata, **graph):
        model = path.with_name("before.onnx")
        write_model(model, metadata=metadata, sealed=False, **graph)
        convert(model, path)


@pytest.mark.parametrize("name", ["model.pt", "model", "model.onnx.gz"])
def test_unknown_formats(tmp_path, name):
    with pytest.raises(HtrjandError, match=r"unknown model format .*\.onnx, \.ort, \.tflite, \.xml"):
        Recognizer(tmp_path / name)


def test_a_missing_file(tmp_path):
    with pytest.raises(HtrjandError, match="no such model file"):
        Recognizer(tmp_path / "model.onnx")


def test_a_size_whose_name_is_no_text_under_a_right_seal(tmp_path, capfd):
    """Found by `make fuzz`: the engine tells sizes late."""
    path = write_model(tmp_path / "tiny.onnx")
    named = b"\x12\x01W"  # dim_param
    assert path.read_bytes().count(named) == 1
    forged(path, named, b"\x12\x01\xff")
    with pytest.raises(HtrjandError, match=f"^{path}: not a whole ONNX model .*again"):
        Recognizer(path)
    assert capfd.readouterr() == ("", "")
