"""Eight bits: smaller, within its budget or not there at all."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from click.testing import CliRunner
from generated import TEXTS
from onnx import numpy_helper
from onnx.reference import ReferenceEvaluator

from htrjand.benchmarks.work import nodes_of
from htrjand.cli import main
from htrjand.compress.quantize import QuantizeRecipe, quantize_file, quantize_proven
from htrjand.compress.quantize.onnx_graph import QUANTISED, move_shapes, pool_means, unsign_shared
from htrjand.export.files import export_files
from htrjand.export.onnx import export
from htrjand.export.proof import BudgetError, Reference
from htrjand.runtime import Recognizer
from htrjand.runtime.errors import HtrjandError, UsageError
from htrjand.train.adapt import begin_from
from htrjand.train.checkpoint import load_network
from htrjand.train.data.lines import read_lines, write_lines
from htrjand.train.network import Network
from htrjand.train.reader import model_info


@pytest.fixture(scope="module")
def files(tiny_run: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The tiny network as float and as int8 ONNX."""
    folder = tmp_path_factory.mktemp("files")
    export_files(tiny_run / "run" / "weights.safetensors", [folder / "fp32.onnx"])
    lines = [row.pixels() for row in read_lines(tiny_run / "lines.parquet", "train")]
    quantize_file(folder / "fp32.onnx", lines, folder / "int8.onnx", QuantizeRecipe())
    return folder / "fp32.onnx", folder / "int8.onnx"


def test_int8_reads_the_same_and_says_what_it_is(files: tuple[Path, Path], tiny_run: Path) -> None:
    reader = Recognizer(files[1])
    assert reader.info.precision == "int8"
    assert reader.info.charset == Recognizer(files[0]).info.charset
    rows = list(read_lines(tiny_run / "lines.parquet", "val"))
    assert [line.text for line in reader.read_lines([row.image for row in rows])] == list(TEXTS)


def test_weights_are_quantised_but_those_of_the_first_convolution(files: tuple[Path, Path]) -> None:
    graph = onnx.load(files[1]).graph
    made_by = {output: node.op_type for node in graph.node for output in node.output}

    def quantised(node: onnx.NodeProto) -> bool:
        return [made_by.get(name) for name in node.input[:2]] == ["DequantizeLinear"] * 2

    convs = [node for node in graph.node if node.op_type == "Conv"]
    assert [quantised(node) for node in convs] == [True, True, True, True]
    products = [node for node in graph.node if node.op_type == "MatMul"]
    assert len(products) == 4 and not any(map(quantised, products)), "scores and sums of one block's two attentions"
    layers = [node for node in graph.node if node.op_type == "Gemm" and ".se." not in node.name]
    assert len(layers) == 7 and all(map(quantised, layers))


def test_int8_is_smaller_where_weights_are_many(files: tuple[Path, Path]) -> None:
    def weights(path: Path) -> int:
        return sum(len(tensor.raw_data) for tensor in onnx.load(path).graph.initializer)

    assert weights(files[1]) < 0.6 * weights(files[0])


def test_means_over_rows_and_columns_are_pooled(files: tuple[Path, Path]) -> None:
    """And are the same: onnxruntime-web's ReduceMean is not exact enough for eight bits."""
    before, after = (onnx.load(path) for path in files)
    kinds = [[node.op_type for node in model.graph.node] for model in (before, after)]
    assert kinds[0].count("ReduceMean") == kinds[1].count("GlobalAveragePool") == 3
    assert "ReduceMean" not in kinds[1]
    line = np.random.default_rng(0).integers(0, 256, (1, 1, 64, 160)).astype(np.uint8)
    pool_means(before)
    found, expected = (
        ReferenceEvaluator(model).run(None, {"image": line})[0] for model in (before, onnx.load(files[0]))
    )
    assert found == pytest.approx(expected, abs=1e-4)


def test_a_product_is_rounded_once_on_its_way_through_a_relu(tiny_run: Path, tmp_path: Path) -> None:
    """The same graph by onnxruntime's quantiser alone rounds twice; here no float is between two int8 convolutions."""
    weights = tiny_run / "run" / "weights.safetensors"
    network, card = load_network(weights)
    deep = Network(dataclasses.replace(network.recipe, deeper=(0, 1, 0, 0)), len(card.charset))
    begin_from(deep, network)
    torch.nn.init.normal_(deep.convs[1].deeper[0].layers[4].weight)
    export(deep, model_info(dataclasses.replace(card, network=deep.recipe), weights), tmp_path / "deep.onnx")
    lines = [np.random.default_rng(i).integers(0, 256, (64, 96), np.uint8) for i in range(8)]
    quantize_file(tmp_path / "deep.onnx", lines, tmp_path / "int8.onnx", QuantizeRecipe())
    graph = onnx.load(tmp_path / "int8.onnx").graph
    made_by = {output: node.op_type for node in graph.node for output in node.output}
    relus = [made_by[node.input[0]] for node in graph.node if node.op_type == "Relu" and ".deeper." in node.name]
    assert relus == ["Conv"]
    run = [node.name.partition("_token")[0] for node in nodes_of(tmp_path / "int8.onnx", width=160)]
    first, second = (run.index(f"convs.1.deeper.0.layers.{place}/Conv") for place in (0, 3))
    assert second == first + 1
    assert {name for node in graph.node for name in node.input} >= {tensor.name for tensor in graph.initializer}
    logits = [Recognizer(tmp_path / f"{name}.onnx").logits(lines) for name in ("deep", "int8")]
    assert np.corrcoef(np.concatenate(logits[0]).ravel(), np.concatenate(logits[1]).ravel())[0, 1] > 0.98


def test_what_was_quantised_is_computed_in_int8(files: tuple[Path, Path]) -> None:
    """As onnxruntime runs it, on whatever processor: a product that is not fused is computed in float, more slowly."""
    graph = onnx.load(files[1]).graph
    made_by = {output: node.op_type for node in graph.node for output in node.output}
    quantised = {
        node.name
        for node in graph.node
        if node.op_type in QUANTISED and made_by.get(node.input[0]) == made_by.get(node.input[1]) == "DequantizeLinear"
    }
    run = {node.name.partition("_token")[0] for node in nodes_of(files[1], width=160) if node.kind == "int8 products"}
    assert len(quantised) == 11 and run == quantised


def test_sizes_of_maps_are_taken_from_gates(files: tuple[Path, Path]) -> None:
    """And are the same."""

    def asked(model: onnx.ModelProto) -> list[str]:
        made_by = {output: node.op_type for node in model.graph.node for output in node.output}
        sizes = [node.input[0] for node in model.graph.node if node.op_type == "Shape"]
        return [made_by[name] for name in sizes if name in made_by]

    model = onnx.load(files[0])
    line = np.random.default_rng(0).integers(0, 256, (2, 1, 64, 160)).astype(np.uint8)
    (expected,) = ReferenceEvaluator(model).run(None, {"image": line})
    assert asked(model) == ["Conv"]
    move_shapes(model)
    onnx.checker.check_model(model)
    assert asked(model) == ["Split"]
    assert np.array_equal(ReferenceEvaluator(model).run(None, {"image": line})[0], expected)


def step_by_step(model: onnx.ModelProto, line: np.ndarray) -> np.ndarray:
    """The logits, each node as it is written: nothing is fused."""
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(model.SerializeToString(), options)
    logits: np.ndarray = session.run(None, {"image": line})[0]
    return logits


def test_activations_with_several_readers_are_unsigned_and_the_same(files: tuple[Path, Path]) -> None:
    whole, signed = onnx.load(files[1]), onnx.load(files[1])
    raised = [tensor for tensor in signed.graph.initializer if tensor.data_type == onnx.TensorProto.UINT8]
    assert len(raised) == 1, "what one block's two attentions take"
    for tensor in raised:
        lower = numpy_helper.to_array(tensor).astype(np.int16) - 128
        tensor.CopyFrom(numpy_helper.from_array(lower.astype(np.int8), tensor.name))
    line = np.random.default_rng(0).integers(0, 256, (1, 1, 64, 160)).astype(np.uint8)
    one, other = (step_by_step(model, line) for model in (whole, signed))
    assert np.array_equal(one, other)
    unsign_shared(signed)
    assert signed == whole


def test_what_is_to_stay_in_float_does(files: tuple[Path, Path], tiny_run: Path, tmp_path: Path) -> None:
    lines = [row.pixels() for row in read_lines(tiny_run / "lines.parquet", "train")]
    kept = quantize_file(files[0], lines, tmp_path / "x.onnx", QuantizeRecipe(keep=("convs", "head")))
    graph = onnx.load(tmp_path / "x.onnx").graph
    made_by = {output: node.op_type for node in graph.node for output in node.output}
    weighted = {
        node.name.partition("/")[0]: made_by.get(node.input[1]) == "DequantizeLinear"
        for node in graph.node
        if node.op_type in ("Conv", "Gemm") and ".se." not in node.name
    }
    assert weighted["neck"] and weighted["attention.0.feed.0"]
    assert not any(quantised for name, quantised in weighted.items() if name.startswith(("convs", "head")))
    squeezed = {name for name in kept if ".se." in name}  # small: never in eight bits
    assert squeezed and set(kept) - squeezed == {name for name, quantised in weighted.items() if not quantised}


def test_a_module_that_is_not_there(files: tuple[Path, Path], tmp_path: Path) -> None:
    lines = [np.full((64, 128), 200, np.uint8)] * 8
    with pytest.raises(UsageError, match=r"no module convs.9 to keep in float; there are convs.0.conv.conv, convs.1"):
        quantize_file(files[0], lines, tmp_path / "x.onnx", QuantizeRecipe(keep=("convs.0", "convs.9")))


def test_too_few_lines_and_a_second_time(files: tuple[Path, Path], tmp_path: Path) -> None:
    lines = [np.full((64, 128), 200, np.uint8)] * 8
    with pytest.raises(HtrjandError, match="3 calibration lines are too few"):
        quantize_file(files[0], lines[:3], tmp_path / "x.onnx", QuantizeRecipe())
    with pytest.raises(HtrjandError, match="is int8 already"):
        quantize_file(files[1], lines, tmp_path / "x.onnx", QuantizeRecipe())
    with pytest.raises(UsageError, match=r"a .ort file is converted from the int8 .onnx"):
        quantize_file(files[0], lines, tmp_path / "x.ort", QuantizeRecipe())


def test_a_broken_budget_leaves_no_file(files: tuple[Path, Path], tiny_run: Path, tmp_path: Path) -> None:
    """Calibrated on white paper, the ranges are wrong and the int8 file reads nonsense."""
    white = [np.full((64, 256), 255, np.uint8)] * 8
    reference = Reference(files[0], list(read_lines(tiny_run / "lines.parquet", "val")))
    with pytest.raises(BudgetError, match=r"points worse; the budget is 0\.3"):
        quantize_proven(files[0], white, tmp_path / "bad.onnx", QuantizeRecipe(), reference)
    assert not list(tmp_path.iterdir())


def test_the_verb_writes_file_and_proof_or_nothing(files: tuple[Path, Path], tiny_run: Path, tmp_path: Path) -> None:
    out = tmp_path / "small.onnx"
    command = ["quantize", str(files[0]), "-o", str(out), "-i", str(tiny_run / "lines.parquet")]
    done = CliRunner().invoke(main, command)
    assert done.exit_code == 0, done.output
    assert "CER 0.00 %" in done.output
    assert sorted(path.name for path in tmp_path.iterdir()) == ["small.onnx", "small.onnx.proof.json"]

    lacking = CliRunner().invoke(main, [*command, "--split", "test", "-o", str(tmp_path / "other.onnx")])
    assert lacking.exit_code == 1
    assert "no line to compare" in lacking.output
    assert not (tmp_path / "other.onnx").exists()
    write_lines(tmp_path / "train.parquet", list(read_lines(tiny_run / "lines.parquet", "train")))
    command[-1] = str(tmp_path / "train.parquet")
    without = CliRunner().invoke(main, [*command, "-o", str(tmp_path / "again.onnx")])
    assert without.exit_code == 0 and "no validation lines: errors are compared on 8 training lines" in without.output
    for name, says in (
        ("name.bin", "unknown model format"),
        ("x.ort", "is converted from the int8 .onnx"),
        ("x.tflite", "of its own format"),
    ):
        wrong = CliRunner().invoke(main, [*command, "-o", str(tmp_path / name)])
        assert wrong.exit_code == 2 and says in wrong.output
