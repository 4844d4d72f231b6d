from __future__ import annotations

import pytest
from engine_template import EngineTests
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
