"""The table of what each layer costs in int8."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from click.testing import CliRunner
from hurting import widen
from torch.utils.flop_counter import FlopCounterMode

from htrjand.compress.cli import sensitivity as verb
from htrjand.compress.modules import products
from htrjand.compress.quantize import QuantizeRecipe, quantize_file
from htrjand.compress.sensitivity import EVERYTHING, Sensitivity, divergence, multiply_adds, sensitivity
from htrjand.export.onnx import export
from htrjand.runtime.errors import HtrjandError
from htrjand.train.checkpoint import load_network
from htrjand.train.data.lines import LineRow, read_lines
from htrjand.train.network import Network
from htrjand.train.reader import model_info


@pytest.fixture(scope="module")
def hurt(tiny_run: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Network]:
    """The tiny network, one of whose layers is not for eight bits, as a float file."""
    weights = tiny_run / "run" / "weights.safetensors"
    network, card = load_network(weights)
    widen(network, 2, 1000)
    path = tmp_path_factory.mktemp("hurt") / "hurt.onnx"
    export(network, model_info(card, weights), path)
    return path, network


@pytest.fixture(scope="module")
def rows(tiny_run: Path) -> list[LineRow]:
    return list(read_lines(tiny_run / "lines.parquet", "val"))


@pytest.fixture(scope="module")
def found(hurt: tuple[Path, Network], rows: list[LineRow]) -> Sensitivity:
    return sensitivity(hurt[0], [row.pixels() for row in rows], rows)


def test_the_divergence_is_the_textbook_sum() -> None:
    a, b = np.random.default_rng(0).normal(0, 2, (2, 5, 7)).astype(np.float32)
    p, q = torch.from_numpy(a).softmax(-1), torch.from_numpy(b).softmax(-1)
    assert divergence(a, b) == pytest.approx(float((p * (p / q).log()).sum(-1).mean()), rel=1e-5)
    assert divergence(a, a) == 0


def test_the_layer_that_eight_bits_hurt_comes_first(found: Sensitivity, hurt: tuple[Path, Network]) -> None:
    first, second, *_ = found.layers
    assert first.module == "convs.3.conv.conv", "it reads the channel that is a thousand times as large"
    assert first.kl > 10 * second.kl
    assert first.cer > 0
    assert [layer.kl for layer in found.layers[:-1]] == sorted((layer.kl for layer in found.layers[:-1]), reverse=True)
    assert {layer.module for layer in found.layers} == {*products(hurt[1]), EVERYTHING}, "the head too"
    assert found.layers[-1].module == EVERYTHING
    assert found.cer == 0, "in float it reads as it did"


def test_what_is_saved_is_what_the_files_differ_by(
    found: Sensitivity, hurt: tuple[Path, Network], tmp_path: Path
) -> None:
    quantize_file(hurt[0], [np.full((64, 96), 200, np.uint8)] * 8, tmp_path / "x.onnx", QuantizeRecipe(keep=()))

    def weights(path: Path) -> int:
        return sum(len(t.raw_data) for t in onnx.load(path).graph.initializer if len(t.dims) > 1 or "weight" in t.name)

    saved = sum(layer.bytes_saved for layer in found.layers[:-1])
    assert found.layers[-1].bytes_saved == saved
    assert found.layers[-1].bytes_saved == pytest.approx(weights(hurt[0]) - weights(tmp_path / "x.onnx"), rel=0.05)


def test_multiply_adds_are_those_that_torch_counts(hurt: tuple[Path, Network], found: Sensitivity) -> None:
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        hurt[1](torch.zeros(1, 1, 64, 1024, dtype=torch.uint8))
    work = multiply_adds(onnx.load(hurt[0]))
    assert sum(work.values()) == counter.get_total_flops() / 2
    assert work["convs.1.conv.conv"] == 8 * 256 * 32 * 12 * 9  # rows, columns, outputs, inputs, kernel
    share = {layer.module: layer.work for layer in found.layers}
    assert share["convs.1.conv.conv"] == pytest.approx(work["convs.1.conv.conv"] / sum(work.values()), abs=1e-5)


def test_the_verb_prints_a_table_and_writes_the_same(
    hurt: tuple[Path, Network], tiny_run: Path, tmp_path: Path
) -> None:
    lines, out = tiny_run / "lines.parquet", tmp_path / "table.json"
    done = CliRunner().invoke(verb, [str(hurt[0]), "-i", str(lines), "-o", str(out), "--limit", "2"])
    assert done.exit_code == 0, done.output
    assert "| `convs.3.conv.conv` |" in done.stdout.splitlines()[2]
    assert f"| {EVERYTHING} |" in done.stdout.splitlines()[-1]
    written = json.loads(out.read_text())
    assert written["layers"][0]["module"] == "convs.3.conv.conv"
    assert written["lines"] == 2


def test_too_few_lines_are_refused(hurt: tuple[Path, Network], rows: list[LineRow]) -> None:
    with pytest.raises(HtrjandError, match="3 calibration lines are too few"):
        sensitivity(hurt[0], [row.pixels() for row in rows[:3]], rows)
    with pytest.raises(HtrjandError, match="no line to compare errors on"):
        sensitivity(hurt[0], [row.pixels() for row in rows], [])
