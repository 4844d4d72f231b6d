"""Eight bits in TFLite: it reads as the float file does, and what is to stay in float stays there."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from ai_edge_litert.interpreter import Interpreter
from generated import TEXTS

from htrjand.compress.quantize import QuantizeRecipe
from htrjand.compress.quantize import quantize_file as quantize
from htrjand.compress.quantize.tflite import MODULE, Op, ranges, weighted_ops
from htrjand.export.files import export_files
from htrjand.export.proof import BudgetError, Reference, prove
from htrjand.export.tflite import export
from htrjand.runtime import Recognizer
from htrjand.runtime.engines.litert import MODEL_BUFFERS, Table
from htrjand.runtime.errors import HtrjandError, UsageError
from htrjand.runtime.image import pad_line
from htrjand.train.adapt import begin_from
from htrjand.train.checkpoint import load_network
from htrjand.train.data.lines import LineRow, read_lines
from htrjand.train.network import Network
from htrjand.train.reader import model_info

RECIPE = QuantizeRecipe()
pytestmark = pytest.mark.filterwarnings("ignore:Warning. Enabling `experimental_preserve_all_tensors`")


@pytest.fixture(scope="module")
def weights(tiny_run: Path) -> Path:
    return tiny_run / "run" / "weights.safetensors"


@pytest.fixture(scope="module")
def rows(tiny_run: Path) -> list[LineRow]:
    return list(read_lines(tiny_run / "lines.parquet", "val"))


@pytest.fixture(scope="module")
def lines(tiny_run: Path) -> list[np.ndarray]:
    return [row.pixels() for row in read_lines(tiny_run / "lines.parquet", "train")]


@pytest.fixture(scope="module")
def fp32(weights: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("files") / "tiny-fp32.tflite"
    export_files(weights, [out])
    return out


@pytest.fixture(scope="module")
def int8(fp32: Path, lines: list[np.ndarray]) -> Path:
    out = fp32.with_name("tiny-int8.tflite")
    quantize(fp32, lines, out, RECIPE)
    return out


def in_eight_bits(path: Path) -> set[str]:
    """The modules whose convolutions and products give int8."""
    interpreter = Interpreter(str(path))
    found = set()
    for tensor in interpreter.get_tensor_details():
        module = MODULE.search(tensor["name"])
        if module and tensor["dtype"] == np.int8 and tensor["shape_signature"].min() < 0:  # of the line, no weight
            found.add(module[1])
    return found


def test_it_reads_the_same_and_says_what_it_is(int8: Path, fp32: Path, rows: list[LineRow]) -> None:
    reader = Recognizer(int8, 1)
    assert reader.info.precision == "int8"
    assert reader.info.weights_sha256 == Recognizer(fp32).info.weights_sha256
    assert [line.text for line in reader.read_lines([row.image for row in rows])] == list(TEXTS)


def test_all_modules_are_in_eight_bits_but_those_that_are_small(int8: Path, fp32: Path) -> None:
    modules = {op.module for op in weighted_ops(fp32.read_bytes())}
    stay = {name for name in modules if ".se." in name} | {"head"}
    assert in_eight_bits(int8) == modules - stay
    assert {"convs.1.conv.conv", "neck", "attention.0.attentions.1.qkv"} <= modules - stay


def test_keep_is_honoured(fp32: Path, lines: list[np.ndarray], int8: Path, tmp_path: Path) -> None:
    out = tmp_path / "kept.tflite"
    quantize(fp32, lines, out, QuantizeRecipe(keep=("convs.2", "attention.0.feed")))
    kept = {"convs.2.conv.conv", "attention.0.feed.0", "attention.0.feed.2"}
    assert in_eight_bits(out) == in_eight_bits(int8) - kept
    with pytest.raises(UsageError, match=r"no module convs\.9 to keep in float; there are convs\.0\.conv\.conv, "):
        quantize(fp32, lines, tmp_path / "no.tflite", QuantizeRecipe(keep=("convs.9",)))
    every = ("convs", "neck", "attention", "head")
    with pytest.raises(UsageError, match="all of its modules are kept in float"):
        quantize(fp32, lines, tmp_path / "no.tflite", QuantizeRecipe(keep=every))
    assert not (tmp_path / "no.tflite").exists()


def test_residual_sums_are_made_in_int8(weights: Path, lines: list[np.ndarray], tmp_path: Path) -> None:
    network, card = load_network(weights)
    deep = Network(dataclasses.replace(network.recipe, deeper=(1, 1, 0, 0)), len(card.charset)).eval()
    begin_from(deep, network)
    torch.nn.init.normal_(deep.convs[1].deeper[0].layers[4].weight)
    export(deep, model_info(dataclasses.replace(card, network=deep.recipe), weights), tmp_path / "deep.tflite")
    for keep, wanted in (((), 2), (("convs.1.deeper",), 1)):
        out = tmp_path / "int8.tflite"
        quantize(tmp_path / "deep.tflite", lines, out, QuantizeRecipe(keep=keep))
        interpreter = Interpreter(str(out))
        types = {tensor["index"]: tensor["dtype"] for tensor in interpreter.get_tensor_details()}
        sums = [op for op in interpreter._get_ops_details() if op["op_name"] == "ADD"]
        inside = [op for op in sums if {types[i] for i in (*op["inputs"], *op["outputs"])} == {np.int8}]
        assert len(inside) == wanted < len(sums)
    logits = [Recognizer(tmp_path / f"{name}.tflite").logits(lines) for name in ("deep", "int8")]
    assert np.corrcoef(np.concatenate(logits[0]).ravel(), np.concatenate(logits[1]).ravel())[0, 1] > 0.98


def test_weights_take_a_byte_and_lie_inside(int8: Path, fp32: Path) -> None:
    def longest(path: Path) -> int:
        return max(len(buffer.vector(0)) for buffer in Table(path.read_bytes(), 0).tables(MODEL_BUFFERS))

    assert all(buffer.field(1) is None for buffer in Table(int8.read_bytes(), 0).tables(MODEL_BUFFERS))
    assert longest(int8) == longest(fp32) // 4


def test_ranges_are_the_mean_of_lines_at_their_own_widths(fp32: Path, lines: list[np.ndarray]) -> None:
    content = fp32.read_bytes()
    neck = next(op for op in weighted_ops(content) if op.module == "neck")
    padded = [pad_line(line)[None, None] for line in lines]
    assert len({line.shape[3] for line in padded}) > 1
    alone = [ranges(content, [neck], [line])[neck.gives] for line in padded]
    for end in ("min", "max"):
        mean = np.mean([found[end] for found in alone])
        assert ranges(content, [neck], padded)[neck.gives][end].item() == pytest.approx(mean, rel=1e-5)
    assert len({found["max"].item() for found in alone}) > 1


def test_a_range_of_nothing_is_given_a_width(fp32: Path) -> None:
    content = fp32.read_bytes()
    low, high = Op("x", 0, ["image"], "image"), np.full((1, 1, 64, 64), 7, np.uint8)
    assert ranges(content, [low], [high])["image"]["max"].item() > 7


def test_ranges_of_other_lines_break_the_budget(fp32: Path, weights: Path, rows: list[LineRow], tmp_path: Path) -> None:
    """Calibrated on white paper, it reads nonsense."""
    out = tmp_path / "bad.tflite"
    quantize(fp32, [np.full((64, 256), 255, np.uint8)] * 8, out, RECIPE)
    with pytest.raises(BudgetError, match="points worse"):
        prove(out, out, Reference(weights, rows))


def test_a_file_of_one_width(weights: Path, lines: list[np.ndarray], rows: list[LineRow], tmp_path: Path) -> None:
    fixed, out = tmp_path / "fixed.tflite", tmp_path / "fixed-int8.tflite"
    width = max(pad_line(line).shape[1] for line in lines)
    export_files(weights, [fixed], width=width)
    wide = np.full((64, width + 1), 255, np.uint8)
    quantize(fixed, [*lines, wide], out, RECIPE)
    assert Recognizer(out).info.max_width == width
    longest = [row for row in rows if row.width > width - 16]  # the tiny network has not learnt to read padding
    assert longest
    assert [Recognizer(out).read_line(row.image).text for row in longest] == [row.text for row in longest]
    with pytest.raises(HtrjandError, match=f"every calibration line is wider than {width} columns"):
        quantize(fixed, [wide] * 8, tmp_path / "no.tflite", RECIPE)


def test_nothing_is_said(fp32: Path, tiny_run: Path, tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from htrjand.compress.quantize import QuantizeRecipe\n"
        "from htrjand.compress.quantize import quantize_file as quantize\n"
        "from htrjand.train.data.lines import read_lines\n"
        "lines = [row.pixels() for row in read_lines(sys.argv[2], 'train')]\n"
        "quantize(Path(sys.argv[1]), lines, Path(sys.argv[3]), QuantizeRecipe())"
    )
    command = [sys.executable, "-c", code, fp32, tiny_run / "lines.parquet", tmp_path / "quiet.tflite"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_without_the_quantiser_the_error_says_how_to_get_it(tmp_path: Path) -> None:
    (tmp_path / "ai_edge_quantizer.py").write_text("raise ImportError('not here')")
    code = f"import sys; sys.path.insert(0, {str(tmp_path)!r})\nimport htrjand.compress.quantize.tflite"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert "HtrjandError: ai-edge-quantizer is not installed" in done.stderr
    assert "pip install 'htrjand[tensorflow]'" in done.stderr
