"""Export: the file computes what torch computes, says what it is, and is not written when it does not."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from htrjand.export.onnx import export_onnx
from htrjand.export.proof import prove_values
from htrjand.runtime import Recognizer
from htrjand.runtime.errors import HtrjandError
from htrjand.train.checkpoint import sha256
from htrjand.train.lines import read_lines
from htrjand.train.reader import TorchRecognizer


@pytest.fixture(scope="module")
def weights(tiny_run: Path) -> Path:
    return tiny_run / "run" / "weights.safetensors"


@pytest.fixture(scope="module")
def file(weights: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("export") / "tiny.onnx"
    export_onnx(weights, out)
    return out


def test_the_proof_covers_widths_and_batches(file: Path, weights: Path) -> None:
    proof = json.loads(file.with_suffix(".proof.json").read_text())
    values = proof["largest difference of a logit"]
    assert len(values) == 8
    assert {f"width {w} batch {b}" for w in (64, 333, 1024, 2048) for b in (1, 3)} == values.keys()
    assert max(values.values()) < 1e-3
    assert proof["sha256"] == sha256(file)
    assert proof["weights_sha256"] == sha256(weights)


def test_the_file_says_what_it_is(file: Path) -> None:
    info = Recognizer(file).info
    assert info.charset == ("", " ", "a", "b", "c")
    assert info.precision == "fp32"
    assert info.training_data == ("printed: 8 lines",)


def test_shapes_are_free_and_nothing_of_training_is_inside(file: Path) -> None:
    graph = onnx.load(file).graph
    shape = graph.input[0].type.tensor_type.shape.dim
    assert (shape[0].dim_param and shape[3].dim_param) and (shape[1].dim_value, shape[2].dim_value) == (1, 64)
    assert graph.input[0].type.tensor_type.elem_type == onnx.TensorProto.UINT8
    assert not [tensor.name for tensor in graph.initializer if "shortcut" in tensor.name]
    assert not [node.name for node in graph.node if "htrjand" in str(node.metadata_props) or "/" in node.doc_string]


def test_real_lines_read_alike(file: Path, weights: Path, tiny_run: Path) -> None:
    lines = [row.image for row in read_lines(tiny_run / "lines.parquet", "val")]
    torch_lines = TorchRecognizer(weights).read_lines(lines)
    assert [line.text for line in Recognizer(file).read_lines(lines)] == [line.text for line in torch_lines]


def test_a_changed_weight_is_found(file: Path, weights: Path, tmp_path: Path) -> None:
    model = onnx.load(file)
    tensor = max(model.graph.initializer, key=lambda tensor: len(tensor.raw_data))
    values = numpy_helper.to_array(tensor).copy()
    values.flat[0] += np.float32(3)
    tensor.CopyFrom(numpy_helper.from_array(values, tensor.name))
    onnx.save(model, tmp_path / "changed.onnx")
    with pytest.raises(HtrjandError, match=r"its logits differ from torch's"):
        prove_values(tmp_path / "changed.onnx", weights, Path("changed.onnx"))


def test_a_file_that_is_not_proven_is_not_written(
    weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("htrjand.export.proof.TOLERANCE", -1.0)  # no difference is small enough
    with pytest.raises(HtrjandError, match="differ from torch"):
        export_onnx(weights, tmp_path / "w.onnx")
    assert not list(tmp_path.iterdir())
