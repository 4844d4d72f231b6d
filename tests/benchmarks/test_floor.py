"""Multiply-adds and bytes of models, floors, and estimates of boards. Nothing here depends on how fast anything is."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from click.testing import CliRunner, Result

from htrjand.benchmarks.cli import bench
from htrjand.benchmarks.devices import DEVICES
from htrjand.benchmarks.estimate import estimate, estimates
from htrjand.benchmarks.floor import Model, floor_tables
from htrjand.benchmarks.rates import CHAIN, COLUMNS, CONVOLUTIONS, INNER, MAPS, PROBES, ROWS, Rates, measure
from htrjand.benchmarks.studies.probes import graphs
from htrjand.benchmarks.work import KINDS, Node, by_operator, multiply_adds, nodes_of
from htrjand.runtime.errors import HtrjandError, UsageError
from htrjand.train.checkpoint import load_network

ROOT = Path(__file__).resolve().parents[2]
STUDENT = ROOT / "runtime" / "models" / "htrjand-student-int8.onnx"
RATES = Rates(int8=4e9, fp32=2e9, traffic=((1000, 5e9), (4000, 1e9)), operator=0.001)


def invoke(*arguments: object) -> Result:
    return CliRunner().invoke(bench, [str(argument) for argument in arguments])


def test_operators_of_a_model_are_counted_by_their_shapes(make_model: Callable[..., Path]) -> None:
    """The tiny model: one convolution of 6 kernels of 64 × 4 over 64 × 128, stride 4. Some processors have 8 or 16."""
    nodes = nodes_of(make_model(), width=128)
    work = {node.operator: node.multiply_adds for node in nodes}
    assert work["Conv"] == sum(work.values()) and work["Conv"] / ((128 // 4) * 64 * 4) in (6, 8, 16)
    (cast,) = (node for node in nodes if node.operator == "Cast")
    assert cast.kind == "moves" and cast.bytes == 64 * 128 * (1 + 4)
    assert all(node.ms >= 0 for node in nodes) and sum(node.ms for node in nodes) > 0


def test_the_bundled_student_has_the_work_of_its_network() -> None:
    """What is packed for the processor is counted as it was: the multiply-adds of the network's own layers."""
    nodes = nodes_of(STUDENT, width=256)
    network, _ = load_network(ROOT / "train" / "weights" / "student.safetensors")
    convolutions = sum(node.multiply_adds for node in nodes if "Conv" in node.operator)
    rows, columns, wanted = 64, 256, 0
    for block in network.convs:
        down, across = block.conv.conv.stride  # type: ignore[union-attr]
        rows, columns = rows // down, columns // across
        kernels = [module.weight for module in block.modules() if isinstance(module, torch.nn.Conv2d)]
        wanted += sum(kernel.numel() for kernel in kernels) * rows * columns
    assert wanted == convolutions
    int8 = sum(node.multiply_adds for node in nodes if node.kind == KINDS[0])
    assert 0.85 < int8 / sum(node.multiply_adds for node in nodes) < 1  # the first block and attention are in float


@pytest.mark.parametrize(
    ("operator", "given", "made", "wanted"),
    [
        ("Conv", [(1, 3, 8, 8), (16, 3, 3, 3), (16,)], (1, 16, 8, 8), 16 * 64 * 27),
        ("QLinearConv", [(1, 8, 8, 3), (), (), (16, 3, 3, 3), (16,)], (1, 8, 8, 16), 16 * 64 * 27),
        ("Conv", [(1, 16, 8, 8), (16, 1, 3, 3)], (1, 16, 8, 8), 16 * 64 * 9),  # depthwise
        ("ConvTranspose", [(1, 8, 4, 4), (8, 2, 2, 2)], (1, 2, 8, 8), 8 * 16 * 2 * 4),
        ("MatMul", [(2, 5, 7), (7, 3)], (2, 5, 3), 2 * 5 * 7 * 3),
        ("FusedMatMul", [(1, 4, 9, 16), (1, 4, 16, 9)], (1, 4, 9, 9), 4 * 9 * 9 * 16),
    ],
)
def test_multiply_adds(operator: str, given: list[tuple[int, ...]], made: tuple[int, ...], wanted: int) -> None:
    assert multiply_adds(operator, given, made) == wanted


def test_seconds_at_given_rates() -> None:
    nodes = [
        Node("a", "QLinearConv", KINDS[0], 8_000_000, 10, 3.0),
        Node("b", "MatMul", KINDS[1], 2_000_000, 10, 1.0),
        Node("c", "Mul", KINDS[2], 0, 900, 0.25),
        Node("d", "Mul", KINDS[2], 0, 2000, 0.25),  # half way, in logarithms
        Node("d", "Mul", KINDS[2], 0, 5000, 0.25),
        Node("e", "Reshape", KINDS[3], 0, 0, 0.125),
    ]
    seconds = RATES.seconds(nodes)
    assert seconds == pytest.approx(
        {KINDS[0]: 0.003, KINDS[1]: 0.002, KINDS[2]: 0.003 + 900 / 5e9 + 2e3 / 3e9 + 5e3 / 1e9, KINDS[3]: 0.001}
    )
    assert RATES.floor(nodes) == pytest.approx(0.003)
    summed = by_operator(nodes)
    assert [(one.operator, one.name, one.ms) for one in summed[:3]] == [
        ("QLinearConv", "1", 3), ("MatMul", "1", 1), ("Mul", "3", 0.75),
    ]  # fmt: skip
    (_, table), (_, operators) = floor_tables(RATES, [Model("m", nodes, 0.012)])
    assert table.rows == [["m", "8.0", "2.0", "0", "3.00", "12.00", "4.00"]]
    assert operators.rows[0][:3] == ["QLinearConv", KINDS[0], "1"] and operators.rows[0][-1] == "62"
    faster = Rates(8e9, 4e9, ((1, 10e9),), 0.0)
    by_channels = replace(RATES, convolutions=((1, 1e9), (64, 3e9)))
    first, middle, last, matrices = (replace(nodes[0], channels=channels) for channels in (1, 8, 200, 0))
    for product, rate in ((first, 1e9), (middle, 2e9), (last, 3e9), (matrices, 4e9)):
        assert by_channels.int8_rate(product) == pytest.approx(rate)
    row = estimate("m", nodes, (RATES, faster))
    assert row["high_ms"] == pytest.approx(1000 * sum(seconds.values())) and row["low_ms"] < row["high_ms"] / 2


def test_probes_are_what_the_rates_count_them_as() -> None:
    """The graphs that lie there are those of `studies/probes.py`, and hold the work that the rates are of."""
    for name, graph in graphs().items():
        assert onnx.load(PROBES / f"{name}.onnx").graph == graph.graph, "python -m htrjand.benchmarks.studies.probes"
    ones = np.ones((ROWS, INNER), np.float32)
    (product,) = (node for node in nodes_of(PROBES / "product-fp32.onnx", {"a": ones}) if node.multiply_adds)
    assert product.multiply_adds == ROWS * INNER * COLUMNS
    for channels, (side, stride, made) in CONVOLUTIONS.items():
        given = np.ones((1, channels, made[1] * stride, made[2] * stride), np.uint8)
        nodes = nodes_of(PROBES / f"convolution-{channels}.onnx", {"x": given})
        (product,) = (node for node in nodes if node.multiply_adds)
        assert (product.multiply_adds, product.channels) == (channels * side**2 * math.prod(made), channels)
        assert product.kind == KINDS[0]
    maps = np.ones(MAPS["little"], np.float32)
    chain = nodes_of(PROBES / "little.onnx", {"x0": maps, "b": maps})
    assert len(chain) == CHAIN and sum(node.bytes for node in chain) == CHAIN * 10 * maps.size
    rates, others = measure({"nothing": lambda: None}, rounds=1)
    assert rates.int8 > 1e8 and rates.fp32 > 1e8 and all(rate > 1e7 for _, rate in rates.traffic)
    assert others["nothing"] < 0.1


def test_boards_are_ordered_as_they_are() -> None:
    for device in DEVICES.values():
        slow, fast = device.rates()
        assert slow.int8 < fast.int8 and slow.fp32 < fast.fp32 and slow.bytes_a_second(99) < fast.bytes_a_second(99)
        assert slow.int8 > slow.fp32 and device.sources
    found = {name: estimates([STUDENT], name, 256)["models"][0] for name in ("zero2", "pi4", "pi5")}
    assert found["zero2"]["low_ms"] > found["pi4"]["high_ms"] > found["pi5"]["high_ms"] > found["pi5"]["low_ms"] > 0


def test_an_estimate_says_so_and_is_taken_by_no_report(tmp_path: Path) -> None:
    done = invoke("estimate", STUDENT, "--device", "pi4", "--width", 256)
    assert done.exit_code == 0 and done.output.startswith("ESTIMATED, not measured: Raspberry Pi 4 B")
    assert "ncnn" in done.output and "wrong by up to 16 %" in done.output
    done = invoke("estimate", STUDENT, "--device", "pi4", "--width", 256, "-f", "json")
    (tmp_path / "pi4.json").write_text(done.output)
    refused = invoke("report", tmp_path / "pi4.json")
    assert isinstance(refused.exception, HtrjandError) and "schema 'htrjand-estimate-1'" in refused.stderr


def test_a_floor_is_told(make_model: Callable[..., Path]) -> None:
    done = invoke("floor", make_model(), "--width", 64, "-f", "md")
    assert done.exit_code == 0, done.output
    assert "| model | int8 multiply-adds, M |" in done.output and "tiny.onnx: where the time goes" in done.output


def test_what_cannot_be_counted(make_model: Callable[..., Path], tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"student-int8.tflite: operators are counted by onnxruntime"):
        nodes_of(STUDENT.with_suffix(".tflite"))
    cut = make_model("cut.onnx")
    cut.write_bytes(cut.read_bytes()[:99])
    with pytest.raises(HtrjandError, match=r"cut.onnx: not a whole ONNX model"):
        nodes_of(cut)
    with pytest.raises(HtrjandError, match=r"product-fp32.onnx: takes .* no line and no page"):
        nodes_of(PROBES / "product-fp32.onnx")
