from __future__ import annotations

import json
import subprocess
import sys
from functools import cache

import numpy as np
import pytest
from engine_template import EngineTests
from tiny_model import GREYS

from htrjand.export.tflite_metadata import METADATA, rewrite
from htrjand.runtime import HtrjandError, ModelInfo, Recognizer
from htrjand.runtime.engines import open_session
from htrjand.runtime.engines.litert import read_metadata, usable_cores
from htrjand.runtime.seal import seal


@cache
def converted(input_name: str = "image", output_name: str = "logits", sharpness: float = 0.01, width=None) -> bytes:
    """The tiny known model (see conftest), by TensorFlow."""
    import tensorflow as tf

    import htrjand.export.tflite  # noqa: F401  TensorFlow is silent from here on

    greys = np.array(GREYS, np.float32)
    kernel = np.tile(2 * sharpness * greys / (64 * 4), (64, 4, 1, 1)).astype(np.float32)

    def recognise(image):
        pixels = tf.cast(tf.reshape(image, [1, 64, width or -1, 1]), tf.float32)
        maps = tf.nn.conv2d(pixels, kernel, [1, 4], "VALID") - sharpness * greys**2  # 1, 1, T, V
        return {output_name: tf.reshape(maps, [1, -1, len(greys)])}

    module = tf.Module()
    module.f = tf.function(recognise, [tf.TensorSpec([1, 1, 64, width], tf.uint8, name=input_name)])
    return tf.lite.TFLiteConverter.from_concrete_functions([module.f.get_concrete_function()], module).convert()


class TestLiteRt(EngineTests):
    suffix = ".tflite"
    library = "ai_edge_litert tflite_runtime"
    extra = "'htrjand[litert]'"

    def write(self, path, metadata, **graph):
        path.write_bytes(rewrite(converted(**graph), {METADATA: json.dumps(metadata).encode()}, "tiny"))

    def test_memory_is_laid_out_anew_only_for_another_width(self, make, draw, monkeypatch):
        session = open_session(make(), 1)
        widths = []
        monkeypatch.setattr(session, "interpreter", Watched(session.interpreter, widths))
        for width in (32, 32, 64, 64, 64, 32):
            session.run(np.full((2, 1, 64, width), 255, np.uint8))
        assert widths == [32, 64, 32]

    def test_a_file_for_one_width(self, make, tmp_path):
        info = ModelInfo(name="tiny", version="1", charset=("", *" abcé"), width_multiple=128, max_width=128)
        path = tmp_path / "fixed.tflite"
        path.write_bytes(rewrite(converted(width=128), {METADATA: json.dumps(info.to_metadata()).encode()}, "tiny"))
        seal(path)
        reader = Recognizer(path, 1)
        assert reader.run(np.full((2, 1, 64, 128), 255, np.uint8)).shape == (2, 32, 6)
        with pytest.raises(HtrjandError, match=r"fixed.tflite: takes lines 128 columns wide only, got 64; pad them"):
            reader.run(np.full((1, 1, 64, 64), 255, np.uint8))
        assert Recognizer(path, 1).read_line(np.full((64, 40), 255, np.uint8)).text == ""  # padded to 128

    def test_a_file_for_another_width_than_it_says(self, tmp_path):
        path = tmp_path / "wrong.tflite"
        metadata = ModelInfo(name="tiny", version="1", charset=("", *" abcé")).to_metadata()
        path.write_bytes(rewrite(converted(width=128), {METADATA: json.dumps(metadata).encode()}, "tiny"))
        seal(path)
        with pytest.raises(HtrjandError, match="takes lines 128 columns wide, where its metadata say up to 4096"):
            Recognizer(path)

    def test_metadata_of_any_length_and_none(self, make):
        content = make(licence="é" * 70_000).read_bytes()
        assert read_metadata(content, "x")["licence"] == "é" * 70_000
        with pytest.raises(HtrjandError, match="x: the file does not describe itself"):
            read_metadata(converted(), "x")

    def test_tables_that_lead_nowhere(self, make):
        """A seal can stand over any bytes; whatever place of the head is off, there is one clear error or none."""
        path = make()
        content = path.read_bytes()
        for place in range(0, 400, 3):
            broken = content[:place] + b"\xff\xff\xff" + content[place + 3 :]
            try:
                read_metadata(broken, path)
            except HtrjandError as error:
                assert str(error).startswith(f"{path}: ") and "again" in str(error)
        with pytest.raises(HtrjandError, match="not a whole TFLite model"):
            read_metadata(b"\xff" * 4 + content[4:], path)

    def test_tflite_runtime_does_as_well(self, make, tmp_path):
        (tmp_path / "far").mkdir()
        (tmp_path / "far" / "ai_edge_litert.py").write_text("raise ImportError('not here')")
        package = tmp_path / "far" / "tflite_runtime"
        package.mkdir()
        (package / "__init__.py").touch()
        (package / "interpreter.py").write_text(
            "import sys\nsys.path.pop(0)\nfrom ai_edge_litert.interpreter import Interpreter\n"
        )
        code = (
            f"import sys; sys.path.insert(0, {str(tmp_path / 'far')!r})\n"
            "import numpy; from htrjand.runtime.engines import litert\n"
            "from pathlib import Path; session = litert.open_session(Path(sys.argv[1]), 1)\n"
            "assert 'tflite_runtime.interpreter' in sys.modules\n"
            "print(session.run(numpy.full((1, 1, 64, 32), 255, numpy.uint8))[0].argmax())"
        )
        done = subprocess.run([sys.executable, "-c", code, make()], capture_output=True, text=True, check=False)
        assert (done.stdout, done.stderr) == ("0\n", "")


class Watched:
    """An interpreter that notes the widths it makes ready for."""

    def __init__(self, interpreter, widths):
        self.interpreter, self.widths = interpreter, widths

    def __getattr__(self, name):
        return getattr(self.interpreter, name)

    def resize_tensor_input(self, index, shape, strict):
        self.widths.append(shape[3])
        self.interpreter.resize_tensor_input(index, shape, strict)


def test_all_cores_are_used_where_nobody_says(monkeypatch):
    monkeypatch.setattr("os.sched_getaffinity", lambda process: {0, 2, 5}, raising=False)
    assert usable_cores() == 3
    monkeypatch.delattr("os.sched_getaffinity")
    monkeypatch.setattr("os.cpu_count", lambda: None)
    assert usable_cores() == 1
