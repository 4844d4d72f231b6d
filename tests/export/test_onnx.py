"""ONNX files: what stands in them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
import torch

from htrjand.export.files import convert_file, export_files
from htrjand.export.onnx import export
from htrjand.export.proof import Reference
from htrjand.runtime import Recognizer
from htrjand.train.checkpoint import load_network
from htrjand.train.data.lines import read_lines
from htrjand.train.reader import model_info, open_weights


@pytest.fixture(scope="module")
def weights(tiny_run: Path) -> Path:
    return tiny_run / "run" / "weights.safetensors"


@pytest.fixture(scope="module")
def file(weights: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("export") / "tiny.onnx"
    export_files(weights, [out])
    return out


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
    torch_lines = open_weights(weights).read_lines(lines)
    assert [line.text for line in Recognizer(file).read_lines(lines)] == [line.text for line in torch_lines]


def test_nodes_are_named_by_the_modules_they_come_from(file: Path, weights: Path) -> None:
    nodes = {node.name: node.op_type for node in onnx.load(file).graph.node}
    assert len(nodes) == len(onnx.load(file).graph.node), "every node has a name of its own"
    network, _ = load_network(weights)
    weighted = {
        name
        for name, module in network.named_modules()
        if isinstance(module, torch.nn.Linear | torch.nn.Conv2d) and name != "shortcut"
    }
    assert weighted == {
        name.partition("/")[0] for name, kind in nodes.items() if kind in ("Conv", "Gemm") or "MatMul" in kind
    } - {name for name in ("attention.0.attentions.0", "attention.0.attentions.1")}, (
        "but for scores, of two activations"
    )
    assert nodes["convs.0.conv.conv/Conv"] == "Conv"


def test_half_precision_takes_half_the_room_and_reads_the_same(
    file: Path, weights: Path, tiny_run: Path, tmp_path: Path
) -> None:
    (proof,) = export_files(weights, [tmp_path / "half.onnx"], "fp16")
    tensors = {tensor.name: tensor for tensor in onnx.load(tmp_path / "half.onnx").graph.initializer}
    assert {"convs.1.conv.conv.weight.fp16"} <= tensors.keys() and proof["precision"] == "fp16"
    assert 0 < max(proof["largest difference of a logit"].values()) < 1
    assert all(t.data_type != onnx.TensorProto.FLOAT for t in tensors.values() if len(t.dims) > 1)
    lines = [row.image for row in read_lines(tiny_run / "lines.parquet", "val")]
    before = [line.text for line in Recognizer(file).read_lines(lines)]
    assert [line.text for line in Recognizer(tmp_path / "half.onnx").read_lines(lines)] == before


def test_an_ort_file_is_the_same_in_another_wrapping(file: Path, weights: Path, tmp_path: Path) -> None:
    (proof,) = export_files(weights, [tmp_path / "tiny.ort"])
    assert max(proof["largest difference of a logit"].values()) < 1e-3
    assert Recognizer(tmp_path / "tiny.ort").info == Recognizer(file).info
    assert (tmp_path / "tiny.ort").read_bytes()[4:8] == b"ORTM"
    converted = convert_file(file, tmp_path / "again.ort", Reference(weights))
    assert converted["weights_sha256"] == proof["weights_sha256"]


def test_weights_that_changed_in_place_are_exported_as_they_are_now(weights: Path, tmp_path: Path) -> None:
    network, card = load_network(weights)
    info = model_info(card, weights)
    image = np.random.default_rng(0).integers(0, 256, (1, 1, 64, 96), dtype=np.uint8)
    found = []
    for name, shift in (("before", 0.0), ("after", 3.0)):
        network.head.bias.data[1] += shift
        export(network, info, tmp_path / f"{name}.onnx")
        found.append(Recognizer(tmp_path / f"{name}.onnx").run(image))
    np.testing.assert_allclose(found[1][..., 1] - found[0][..., 1], 3.0, atol=1e-3)
