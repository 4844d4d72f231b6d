from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from htrjand.runtime import HtrjandError, UsageError
from htrjand.runtime.engines import open_engine


def test_runs_and_tells_of_itself(make_model):
    engine = open_engine(make_model(precision="int8", languages=("fr",)), threads=1)
    assert (engine.info.name, engine.info.precision, engine.info.languages) == ("tiny", "int8", ("fr",))
    logits = engine.run(np.full((3, 1, 64, 48), 255, np.uint8))
    assert logits.shape == (3, 12, 6) and logits.dtype == np.float32 and (logits.argmax(-1) == 0).all()


@pytest.mark.parametrize("share", [0.0, 0.02, 0.1, 0.3, 0.5, 0.7, 0.9, 0.99])
def test_a_file_cut_short(tiny_model, share, capfd):
    whole = tiny_model.read_bytes()
    tiny_model.write_bytes(whole[: int(len(whole) * share)])
    with pytest.raises(HtrjandError) as caught:
        open_engine(tiny_model)
    message = str(caught.value)
    assert message.startswith(f"{tiny_model}: ") and "\n" not in message and ("again" in message or "take" in message)
    assert capfd.readouterr() == ("", "")


def test_a_file_that_is_no_model(tmp_path):
    path = tmp_path / "letter.onnx"
    path.write_text("Dear Sir, " * 100)
    with pytest.raises(HtrjandError, match="not a whole ONNX model"):
        open_engine(path)


def test_a_charset_that_does_not_match_the_weights(make_model):
    with pytest.raises(HtrjandError, match=r"charset of 3 .* does not match the weights, which tell 6"):
        open_engine(make_model(charset=("", "a", "b")))


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"metadata": {}}, "does not describe itself"),
        ({"metadata": {"format": "htrjand/9"}}, "htrjand/9"),
        ({"metadata": {"format": "htrjand/1"}}, "metadata lack 'name'"),
        ({"input_name": "pixels"}, "its input is pixels"),
        ({"output_name": "answer"}, "its output is answer"),
        ({"height": 48}, "48 pixels high"),
        ({"frame_stride": 8}, "frame stride do not match"),
    ],
    ids=lambda value: None if isinstance(value, str) else "-".join(value),
)
def test_a_file_that_is_not_what_it_should_be(make_model, changes, says):
    path = make_model(**changes)
    with pytest.raises(HtrjandError, match=says) as caught:
        open_engine(path).run(np.zeros((1, 1, 64, 16), np.uint8))
    assert str(caught.value).startswith(f"{path}: ")


def test_an_answer_that_is_not_finite(make_model):
    with pytest.raises(HtrjandError, match="not finite"):
        open_engine(make_model(sharpness=float("nan"))).run(np.zeros((1, 1, 64, 16), np.uint8))


def test_unknown_formats_and_missing_files(tmp_path):
    with pytest.raises(HtrjandError, match=r"unknown model format '.pt'; give a file that ends in \.onnx"):
        open_engine(tmp_path / "model.pt")
    with pytest.raises(HtrjandError, match="unknown model format ''"):
        open_engine(tmp_path / "model")
    with pytest.raises(HtrjandError, match="no such model file"):
        open_engine(tmp_path / "model.onnx")


def test_threads_must_be_one_or_more(tiny_model):
    with pytest.raises(UsageError, match="0 threads"):
        open_engine(tiny_model, threads=0)


def test_without_onnxruntime_the_error_says_how_to_get_it(tiny_model, tmp_path):
    (tmp_path / "onnxruntime.py").write_text("raise ImportError('not here')")
    code = f"import sys; sys.path.insert(0, {str(tmp_path)!r})\nfrom htrjand.cli import main\nmain(['read', '-m', "
    done = subprocess.run(
        [sys.executable, "-c", code + f"{str(tiny_model)!r}, 'x.png'])"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 1 and "pip install onnxruntime" in done.stderr and len(done.stderr.splitlines()) == 1
