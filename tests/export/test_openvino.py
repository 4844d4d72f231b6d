"""OpenVINO files: they compute what torch computes, say what they are, and are the form that runs fast."""

from __future__ import annotations

import dataclasses
from collections import Counter
from pathlib import Path

import numpy as np
import onnx
import pytest
from tiny_model import write_model

from htrjand.export import onnx as onnx_exporter
from htrjand.export.openvino import export, read_onnx
from htrjand.runtime import ModelInfo, Recognizer
from htrjand.runtime.engines.openvino import openvino
from htrjand.runtime.errors import HtrjandError
from htrjand.runtime.info import size_of
from htrjand.runtime.seal import PATTERN
from htrjand.train.checkpoint import load_network
from htrjand.train.data.lines import read_lines
from htrjand.train.network import Network, NetworkRecipe
from htrjand.train.reader import model_info, open_weights

ODD = "a \"b\" 'c' <é & œ>\n\t/>  é\u2028ñ ]]> &#10; "  # what XML has a meaning for, and what it may lose


@pytest.fixture(scope="module")
def weights(tiny_run: Path) -> Path:
    return tiny_run / "run" / "weights.safetensors"


@pytest.fixture(scope="module")
def files(weights: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The tiny network: `onnx`, and from it `fp32` and `fp16`."""
    folder = tmp_path_factory.mktemp("openvino")
    network, card = load_network(weights)
    info = model_info(card, weights)
    onnx_exporter.export(network, info, folder / "fp32.onnx")
    for precision in ("fp32", "fp16"):
        described = dataclasses.replace(info, precision=precision, licence=ODD)
        export(network, described, folder / f"{precision}.xml")
    return {"onnx": folder / "fp32.onnx", "fp32": folder / "fp32.xml", "fp16": folder / "fp16.xml"}


@pytest.mark.parametrize(("precision", "share"), [("fp32", 3e-6), ("fp16", 5e-3)])
def test_six_widths_alone_and_in_batches(files: dict[str, Path], weights: Path, precision: str, share: float) -> None:
    reader, torch_reader, rng = Recognizer(files[precision], 1), open_weights(weights), np.random.default_rng(0)
    for width in (16, 64, 336, 800, 1024, 2048):
        for batch in (1, 3):
            images = rng.integers(0, 256, (batch, 1, 64, width), dtype=np.uint8)
            expected = torch_reader.run(images)
            np.testing.assert_allclose(reader.run(images), expected, atol=share * abs(expected).max(), rtol=0)


def test_real_lines_read_alike(files: dict[str, Path], weights: Path, tiny_run: Path) -> None:
    lines = [row.image for row in read_lines(tiny_run / "lines.parquet", "val")]
    texts = [line.text for line in open_weights(weights).read_lines(lines)]
    assert [line.text for line in Recognizer(files["fp32"], 1).read_lines(lines)] == texts
    assert [line.text for line in Recognizer(files["fp16"], 1).read_lines(lines)] == texts


def test_every_text_survives(files: dict[str, Path]) -> None:
    said = Recognizer(files["onnx"]).info
    for precision in ("fp32", "fp16"):
        assert Recognizer(files[precision]).info == dataclasses.replace(said, precision=precision, licence=ODD)


def test_a_viewer_finds_them_in_the_plain_graph(files: dict[str, Path]) -> None:
    graph = openvino.Core().read_model(files["fp32"])
    assert graph.get_rt_info(["htrjand", "charset"]).value == '["", " ", "a", "b", "c"]'
    assert graph.get_rt_info(["htrjand", "licence"]).value == ODD
    assert set(graph.rt_info.keys()) & {"framework", "conversion_parameters", "nncf"} == set()
    assert [port.get_names() for port in (*graph.inputs, *graph.outputs)] == [{"image"}, {"logits"}]
    assert str(graph.input(0).get_partial_shape()) == "[?,1,64,?]"


def test_one_seal_and_no_name_of_a_file_or_folder_inside(files: dict[str, Path]) -> None:
    content = files["fp32"].read_bytes()
    assert len(PATTERN.findall(content)) == 1
    for name in (b".bin", b".onnx", str(files["fp32"].parent).encode()):
        assert name not in content


def test_halves_take_half_the_room(files: dict[str, Path]) -> None:
    halves, whole = (files[name].with_suffix(".bin").stat().st_size for name in ("fp16", "fp32"))
    assert halves < 0.55 * whole
    assert size_of(files["fp32"]) == whole + files["fp32"].stat().st_size


def test_nodes_are_called_as_their_modules(files: dict[str, Path]) -> None:
    names = {node.get_friendly_name() for node in openvino.Core().read_model(files["fp32"]).get_ordered_ops()}
    modules = {name.split("/")[0] for name in names}
    assert {f"convs.{i}.conv.conv" for i in range(4)} <= modules
    assert {"convs.2.se.squeeze", "attention.0.attentions.1.qkv", "attention.0.feed.0", "neck", "head"} <= modules


def test_the_graph_has_the_form_that_runs_fast(files: dict[str, Path]) -> None:
    """Gates in two convolutions, squeeze-and-excitation in two of one pixel; nothing is split, nor computed twice."""
    kinds = Counter(node.get_type_name() for node in openvino.Core().read_model(files["fp32"]).get_ordered_ops())
    assert kinds["Convolution"] == 1 + 3 * (2 + 2)
    assert kinds["Split"] == 0


@pytest.mark.parametrize("part", ["gate", "squeeze_excite"])
def test_a_network_without_what_is_rewritten(part: str, tmp_path: Path) -> None:
    recipe = NetworkRecipe(channels=(6, 8, 8, 8), dim=16, heads=2, feed=16, blocks=1, **{part: False})
    network = Network(recipe, 4).eval()
    for exporter, name in ((onnx_exporter.export, "x.onnx"), (export, "x.xml")):
        exporter(network, ModelInfo("x", "1", ("", "a", "b", "c")), tmp_path / name)
    images = np.random.default_rng(0).integers(0, 256, (2, 1, 64, 96), dtype=np.uint8)
    expected = Recognizer(tmp_path / "x.onnx").run(images)
    np.testing.assert_allclose(Recognizer(tmp_path / "x.xml").run(images), expected, atol=1e-4, rtol=0)


def test_a_file_that_cannot_be_converted(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    model = onnx.load(write_model(tmp_path / "tiny.onnx"))
    model.graph.node[1].op_type, model.graph.node[1].domain = "Unheard", "of.us"
    onnx.save(model, tmp_path / "tiny.onnx")
    with pytest.raises(HtrjandError, match=r"tiny\.onnx: OpenVINO cannot read it .*export the \.onnx file again"):
        read_onnx(tmp_path / "tiny.onnx")
    assert capfd.readouterr() == ("", "")
