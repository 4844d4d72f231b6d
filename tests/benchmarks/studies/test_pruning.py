"""The table and the plot of pruning, over real files of two small networks; latency at one width."""

from __future__ import annotations

import json
from pathlib import Path
from xml.etree import ElementTree

import pytest
from click.testing import CliRunner

from htrjand.benchmarks.cli import bench
from htrjand.benchmarks.studies.pruning import main, measured
from htrjand.compress.prune import prune_network, smaller
from htrjand.export.files import export_files
from htrjand.runtime.info import sha256
from htrjand.train.checkpoint import Card, save_network, weights_of
from htrjand.train.network import Network, NetworkRecipe

WHOLE = NetworkRecipe(channels=(24, 32, 40, 48), dim=32, heads=2, feed=64, blocks=1)
CHARSET = ("", " ", "a", "b")


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """A network and what pruning leaves of it, in the folders that a study makes."""
    folder = tmp_path_factory.mktemp("pruned")
    network, paths = Network(WHOLE, len(CHARSET)).eval(), []
    for name, ratio, cer in (("50-1", 0.5, 20.0), ("0-1", 0.0, 10.0), ("50-3", 0.5, 15.0)):
        small = prune_network(network, smaller(WHOLE, ratio))
        if name == "50-3":
            small.head.bias.data += 1  # other weights than those at one go
        path = folder / name / "student" / "weights.safetensors"
        path.parent.mkdir(parents=True)
        save_network(path, weights_of(small), Card(small.recipe, CHARSET, val_cer=cer))
        paths.append(path)
    return paths


def test_table_and_plot(weights: list[Path], line_folder: Path, tmp_path: Path) -> None:
    files = []
    for path in weights:
        files.append(tmp_path / f"{path.parents[1].name}.onnx")
        export_files(path, files[-1:])
    run = tmp_path / "run.json"
    measured = CliRunner().invoke(
        bench,
        ["-i", str(line_folder), *(f"-m{file}" for file in files), "--width", "320", "--quick", "-o", str(run)],
    )  # fmt: skip
    assert measured.exit_code == 0, measured.output
    result = json.loads(run.read_text())
    assert result["conditions"]["median_width"] == {"line": 320} and "accuracy" not in result["engines"][0]

    output = tmp_path / "docs" / "pruning"
    done = CliRunner().invoke(
        main, [*map(str, weights), "--latency", str(run), "--plot", "fp32", "-o", str(output)], catch_exceptions=False
    )
    assert done.exit_code == 0, done.output
    rows = [[cell.strip() for cell in line.strip("|\n ").split("|")] for line in done.output.splitlines()]
    assert [row[:2] for row in rows[2:]] == [["0 %", "1"], ["50 %", "1"], ["50 %", "3"]]
    assert [row[4] for row in rows[2:]] == ["10.00", "20.00", "15.00"]
    small, whole = (Network(recipe, len(CHARSET)) for recipe in (smaller(WHOLE, 0.5), WHOLE))
    for row, network in zip(rows[2:4], (whole, small), strict=True):
        count = sum(p.numel() for name, p in network.named_parameters() if not name.startswith("shortcut."))
        assert row[2] == f"{count / 1e6:.3f}"
    assert float(rows[3][3]) < 0.5 * float(rows[2][3]), "half the channels: a quarter of most multiply-adds"
    svg = ElementTree.parse(output.with_suffix(".svg")).getroot()
    points = [line.get("points", "").split() for line in svg.iter("{http://www.w3.org/2000/svg}polyline")]
    assert [len(line) for line in points] == [2, 2] and points[0][0] == points[1][0], "both begin at the whole network"
    heights = [float(line[1].split(",")[1]) for line in points]
    assert heights[0] < heights[1], "a higher CER stands higher"
    assert output.with_suffix(".md").read_text() == done.output


def test_weights_that_were_not_measured(weights: list[Path], line_folder: Path, tmp_path: Path) -> None:
    file, run = tmp_path / "a.onnx", tmp_path / "run.json"
    export_files(weights[0], [file])
    CliRunner().invoke(bench, ["-i", str(line_folder), "-m", str(file), "--quick", "--width", "64", "-o", str(run)])
    done = CliRunner().invoke(main, [str(weights[1]), "--latency", str(run), "-o", str(tmp_path / "x")])
    assert done.exit_code == 1 and "not in the latency run" in str(done.exception)


def test_rows_with_a_language_model_are_left_out(weights: list[Path]) -> None:
    greedy = {"unit": "line", "precision": "int8", "weights_sha256": sha256(weights[0]), "latency": [{"p50_ms": 4.0}]}
    spoken = {**greedy, "lm": {"name": "fr"}, "latency": [{"p50_ms": 5.0}]}
    (row,) = measured(weights[:1], {"engines": [greedy, spoken]})
    assert row.ms == {"int8": 4.0}


def test_a_width_and_errors_do_not_go_together(weights: list[Path], line_folder: Path) -> None:
    arguments = ["-i", str(line_folder), "--engine", "bundled", "--width", "64", "--only", "accuracy"]
    done = CliRunner().invoke(bench, arguments)
    assert "errors cannot be counted" in str(done.exception)


def test_speed_over_fp32_stands_in_the_table() -> None:
    from htrjand.benchmarks.report.tables import precision_columns

    def row(name: str, precision: str, ms: float, weights: str = "a") -> dict[str, object]:
        named = {"name": name, "unit": "line", "precision": precision, "weights_sha256": weights}
        return named | {"latency": [{"p50_ms": ms}]}

    rows: list[dict[str, object]] = [
        row("x.onnx", "fp32", 4.0),
        row("y.onnx", "int8", 2.0),
        row("y.xml", "int8", 1.0),
        row("z.onnx", "int8", 1.0, "b"),
        {**row("rapidocr", "fp32", 1.0), "weights_sha256": None},
    ]
    ((header, cell),) = precision_columns(rows)
    assert header == "times fp32's speed" and [cell(each) for each in rows] == ["1.00", "2.00", "", "", ""]
    assert precision_columns(rows[:1]) == []
    with_lm: list[dict[str, object]] = [
        row("x.onnx", "fp32", 6.0) | {"lm": {}},
        row("y.onnx", "int8", 5.0) | {"lm": {}},
    ]
    ((_, cell),) = precision_columns([*rows, *with_lm])
    assert [cell(each) for each in (*rows[:2], *with_lm)] == ["1.00", "2.00", "1.00", "1.20"], "of the same decoder"
