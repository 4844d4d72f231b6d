"""A fourth format comes about by a row of the table and its modules: every door of the project then takes its files."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner
from toy_format import TOY

from htrjand.benchmarks.engines import Setup, open_reader
from htrjand.cli import main
from htrjand.compress.quantize import QuantizeRecipe, quantize_proven
from htrjand.export.describe import describe
from htrjand.export.files import export_files
from htrjand.export.proof import Reference
from htrjand.runtime import HtrjandError, Recognizer, UsageError, formats
from htrjand.train.data.lines import read_lines


@pytest.fixture(autouse=True)
def toy() -> Iterator[None]:
    formats.add(TOY)
    yield
    del formats.FORMATS[TOY.suffix]


@pytest.fixture
def weights(tiny_run: Path) -> Path:
    return tiny_run / "run" / "weights.safetensors"


def test_it_is_exported_quantised_proven_and_read(weights: Path, tiny_run: Path, tmp_path: Path) -> None:
    rows = list(read_lines(tiny_run / "lines.parquet", "val"))
    proofs = export_files(weights, [tmp_path / "x.toy", tmp_path / "x.onnx"], reference=Reference(weights, rows))
    assert [proof["texts equal"] for proof in proofs] == [8, 8]
    lines, recipe = [row.pixels() for row in rows], QuantizeRecipe(keep=("head",))
    proof = quantize_proven(tmp_path / "x.toy", lines, tmp_path / "int8.toy", recipe, Reference(weights, rows), 5.0)
    assert (proof["precision"], proof["in float"]) == ("int8", ["head"])
    read = Recognizer(tmp_path / "int8.toy").read_lines(lines)
    assert [line.text for line in read] == [row.text for row in rows]


def test_what_it_says_of_itself_can_be_changed(weights: Path, tmp_path: Path) -> None:
    export_files(weights, [tmp_path / "x.toy"])
    wanted = dataclasses.replace(Recognizer(tmp_path / "x.toy").info, temperature=1.5)
    describe(tmp_path / "x.toy", wanted)
    assert Recognizer(tmp_path / "x.toy").info == wanted


def test_the_command_line_takes_it(weights: Path, tmp_path: Path) -> None:
    out = tmp_path / "x.toy"
    done = CliRunner().invoke(main, ["export", str(weights), "-o", str(out)])
    assert done.exit_code == 0, done.output
    shown = CliRunner().invoke(main, ["models", str(out), "-f", "json"])
    assert json.loads(shown.stdout)[0]["bytes"] == out.stat().st_size
    assert open_reader(Setup(str(out)), 1).about()["engine"] == "toy"


def test_what_it_has_not_is_refused_like_anybodys(weights: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=".toy files have no fp16; export .onnx, .tflite, .xml, or fp32"):
        export_files(weights, [tmp_path / "x.toy"], "fp16")
    with pytest.raises(UsageError, match=r"x.toy: takes lines of any width; --width is for \.tflite"):
        export_files(weights, [tmp_path / "x.toy"], width=64)
    export_files(weights, [tmp_path / "x.toy"])
    content = (tmp_path / "x.toy").read_bytes()
    (tmp_path / "x.toy").write_bytes(content[:-1])
    with pytest.raises(HtrjandError, match="cut short or changed"):
        Recognizer(tmp_path / "x.toy")


def test_without_the_row_nobody_knows_it(tmp_path: Path) -> None:
    del formats.FORMATS[TOY.suffix]
    try:
        with pytest.raises(UsageError, match=r"unknown model format '.toy'.*\.onnx, \.ort, \.tflite, \.xml"):
            Recognizer(tmp_path / "x.toy")
    finally:
        formats.add(TOY)
