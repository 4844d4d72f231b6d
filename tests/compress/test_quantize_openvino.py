"""Eight bits for OpenVINO: what is asked for is in eight bits and nothing else, and accuracy can be held."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from generated import TEXTS

from htrjand.compress.quantize import QuantizeRecipe
from htrjand.compress.quantize import openvino as quantizer
from htrjand.compress.quantize import quantize_file as quantize
from htrjand.compress.quantize.openvino import QUANTISED, module_of, quantize_within
from htrjand.export import onnx as onnx_exporter
from htrjand.export.openvino import export
from htrjand.export.proof import BudgetError
from htrjand.runtime import Recognizer, UsageError
from htrjand.runtime.engines.openvino import openvino
from htrjand.runtime.errors import HtrjandError
from htrjand.train.checkpoint import load_network
from htrjand.train.data.lines import LineRow, read_lines
from htrjand.train.reader import model_info, read_rows

Files = tuple[Path, Path]
WHITE = [np.full((64, 256), 255, np.uint8)] * 8  # nothing is written: every range comes out wrong


@pytest.fixture(scope="module")
def model(tiny_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny network as float .xml, and as .onnx beside it."""
    path = tmp_path_factory.mktemp("float") / "tiny-fp32.xml"
    weights = tiny_run / "run" / "weights.safetensors"
    network, card = load_network(weights)
    onnx_exporter.export(network, model_info(card, weights), path.with_suffix(".onnx"))
    export(network, model_info(card, weights), path)
    return path


@pytest.fixture(scope="module")
def lines(tiny_run: Path) -> list[Any]:
    return [row.pixels() for row in read_lines(tiny_run / "lines.parquet", "train")]


@pytest.fixture(scope="module")
def rows(tiny_run: Path) -> list[LineRow]:
    return list(read_lines(tiny_run / "lines.parquet", "val"))


@pytest.fixture(scope="module")
def int8(model: Path, lines: list[Any], tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("int8") / "tiny-int8.xml"
    quantize(model, lines, out, QuantizeRecipe())
    return out


def quantised_modules(path: Path) -> set[str]:
    """Modules whose products have both inputs in eight bits."""

    def eight_bits(source: Any) -> bool:
        node = source.get_node()
        if node.get_type_name() in ("Multiply", "Subtract", "Convert", "Reshape", "Transpose"):
            return eight_bits(node.input_value(0))
        return node.get_type_name() == "FakeQuantize" or str(node.get_element_type()) == "<Type: 'int8_t'>"

    return {
        module_of(node.get_friendly_name())
        for node in openvino.Core().read_model(path).get_ordered_ops()
        if node.get_type_name() in QUANTISED and all(eight_bits(source) for source in node.input_values())
    }


def test_int8_reads_the_same_and_says_what_it_is(int8: Path, model: Path, rows: list[LineRow]) -> None:
    reader = Recognizer(int8)
    assert reader.info.precision == "int8"
    assert (reader.info.charset, reader.info.weights_sha256) == (
        Recognizer(model).info.charset,
        Recognizer(model).info.weights_sha256,
    )
    assert [line.text for line in reader.read_lines([row.image for row in rows])] == list(TEXTS)
    assert b"nncf" not in int8.read_bytes()


def test_products_with_weights_are_in_eight_bits_but_those_kept(int8: Path) -> None:
    convs = {f"convs.{i}.conv.conv" for i in (0, 1, 2, 3)}
    attention = {"attentions.0.qkv", "attentions.1.qkv", "out", "feed.0", "feed.2"}
    dense = {"neck", "head", *(f"attention.0.{name}" for name in attention)}
    assert quantised_modules(int8) == convs | dense


def test_keep_is_honoured_and_the_onnx_file_does_as_well(model: Path, lines: list[Any], tmp_path: Path) -> None:
    out = tmp_path / "kept.xml"
    quantize(model.with_suffix(".onnx"), lines, out, QuantizeRecipe(keep=("convs.3", "attention.0", "head")))
    found = quantised_modules(out)
    assert found == {*(f"convs.{i}.conv.conv" for i in (0, 1, 2)), "neck"}
    graph = openvino.Core().read_model(out)
    kept = [node for node in graph.get_ordered_ops() if module_of(node.get_friendly_name()).startswith("convs.3")]
    assert "FakeQuantize" not in {source.get_node().get_type_name() for node in kept for source in node.input_values()}


def test_a_module_that_is_not_there(model: Path, lines: list[Any], tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"no module convs\.9, conv to keep in float; there are attention\.0\.a"):
        quantize(model, lines, tmp_path / "x.xml", QuantizeRecipe(keep=("convs.9", "conv", "convs.0")))
    assert not list(tmp_path.iterdir())


def test_int8_takes_less_room(int8: Path, model: Path) -> None:
    assert int8.with_suffix(".bin").stat().st_size < 0.45 * model.with_suffix(".bin").stat().st_size


def test_it_is_not_done_twice(int8: Path, lines: list[Any], tmp_path: Path) -> None:
    with pytest.raises(HtrjandError, match="is int8 already; quantise the fp32 file"):
        quantize(int8, lines, tmp_path / "x.xml", QuantizeRecipe())


def test_operators_go_back_to_float_until_it_reads_well(model: Path, rows: list[LineRow], tmp_path: Path) -> None:
    bad, good = tmp_path / "bad.xml", tmp_path / "good.xml"
    quantize(model, WHITE, bad, QuantizeRecipe(keep=()))
    assert read_rows(Recognizer(bad), rows).cer() > 20
    kept = quantize_within(model, WHITE, rows, good, QuantizeRecipe(keep=()), 0.5)
    assert read_rows(Recognizer(good), rows).cer() <= read_rows(Recognizer(model), rows).cer() + 0.5
    assert Recognizer(good).info.precision == "int8"
    assert quantised_modules(good) < quantised_modules(bad)
    assert {name for name in kept if ".se." not in name} == quantised_modules(bad) - quantised_modules(good)


def test_nothing_goes_back_where_it_reads_well(
    model: Path, lines: list[Any], rows: list[LineRow], int8: Path, tmp_path: Path
) -> None:
    quantize_within(model, lines, rows, tmp_path / "x.xml", QuantizeRecipe(), 0.5)
    assert quantised_modules(tmp_path / "x.xml") == quantised_modules(int8)


def test_a_budget_that_cannot_be_held(
    model: Path, lines: list[Any], rows: list[LineRow], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file that computes exactly the same is no better, which is more than this budget allows."""
    monkeypatch.setattr(quantizer.nncf, "quantize_with_accuracy_control", lambda graph, *rest, **settings: graph)
    with pytest.raises(BudgetError, match=r"x\.xml: 0\.00 points .* the budget is -1: .* nothing was written"):
        quantize_within(model, lines, rows, tmp_path / "x.xml", QuantizeRecipe(), -1)
    with pytest.raises(HtrjandError, match="no line to compare its errors on"):
        quantize_within(model, lines, [], tmp_path / "x.xml", QuantizeRecipe(), 0.3)
    assert not list(tmp_path.iterdir())


def test_nothing_is_said_and_nothing_reported(model: Path, tmp_path: Path) -> None:
    code = (
        "import sys, numpy; from pathlib import Path\n"
        "from htrjand.compress.quantize import QuantizeRecipe\n"
        "from htrjand.compress.quantize import quantize_file as quantize\n"
        "line = numpy.random.default_rng(0).integers(0, 256, (64, 128), dtype='uint8')\n"
        "quantize(Path(sys.argv[1]), [line] * 8, Path(sys.argv[2]), QuantizeRecipe())\n"
        "assert sys.modules['openvino_telemetry'] is None"
    )
    home = {"HOME": str(tmp_path / "home"), "PATH": "/usr/bin:/bin", "PYTHONPATH": ":".join(sys.path)}
    done = subprocess.run(
        [sys.executable, "-c", code, model, tmp_path / "x.xml"], capture_output=True, text=True, check=False, env=home
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["x.bin", "x.xml"]


def test_without_nncf_the_error_says_how_to_get_it(tmp_path: Path) -> None:
    (tmp_path / "nncf.py").write_text("raise ImportError('not here')")
    code = f"import sys; sys.path.insert(0, {str(tmp_path)!r}); import htrjand.compress.quantize.openvino"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert "HtrjandError: nncf is not installed (not here): pip install 'htrjand[compress]'" in done.stderr
