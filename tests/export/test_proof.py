"""Proof: a file that does not compute or read what the network does is found, and is not written."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from click.testing import CliRunner
from generated import TEXTS
from onnx import numpy_helper

from htrjand.cli import main
from htrjand.export.files import export_files
from htrjand.export.proof import (
    BudgetError,
    Reference,
    check_budget,
    differ_by_ties,
    made_by,
    proof_path,
    prove,
    summary_line,
    write_proof,
)
from htrjand.runtime.errors import HtrjandError
from htrjand.runtime.info import sha256
from htrjand.runtime.seal import seal
from htrjand.train.checkpoint import load_network, save_network, weights_of
from htrjand.train.data.lines import LineRow, read_lines


@pytest.fixture(scope="module")
def weights(tiny_run: Path) -> Path:
    return tiny_run / "run" / "weights.safetensors"


@pytest.fixture(scope="module")
def rows(tiny_run: Path) -> list[LineRow]:
    return list(read_lines(tiny_run / "lines.parquet", "val"))


@pytest.fixture(scope="module")
def file(weights: Path, rows: list[LineRow], tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("export") / "tiny.onnx"
    export_files(weights, [out], reference=Reference(weights, rows))
    return out


def changed(file: Path, out: Path, by: float, precision: str = "fp32") -> Path:
    """The file with the bias of one class changed, so that it writes another text."""
    model = onnx.load(file)
    (tensor,) = [tensor for tensor in model.graph.initializer if tensor.name == "head.bias"]
    values = numpy_helper.to_array(tensor).copy()
    values[2] += by
    tensor.CopyFrom(numpy_helper.from_array(values, tensor.name))
    for item in model.metadata_props:
        if item.key == "precision":
            item.value = precision
    onnx.save(model, out)
    seal(out)
    return out


def test_it_covers_widths_batches_and_lines(file: Path, weights: Path) -> None:
    proof = json.loads(proof_path(file).read_text())
    values = proof["largest difference of a logit"]
    assert {f"width {w} batch {b}" for w in (64, 336, 800, 1024, 2048, 4096) for b in (1, 3)} == values.keys()
    assert max(values.values()) < 1e-3
    assert (proof["sha256"], proof["reference"]["sha256"]) == (sha256(file), sha256(weights))
    assert (proof["split"], proof["texts equal"], proof["bytes"]) == ("val", len(TEXTS), file.stat().st_size)
    assert proof["cer"] == {name: {"reference": 0.0, "file": 0.0, "lines": len(TEXTS)} for name in ("printed", "all")}


def test_a_float_file_that_computes_something_else(file: Path, weights: Path, tmp_path: Path) -> None:
    wrong = changed(file, tmp_path / "wrong.onnx", 0.01)
    with pytest.raises(HtrjandError, match=r"^wrong\.onnx: at width .* differ from those of weights.* by 0\.01 "):
        prove(wrong, Path("wrong.onnx"), Reference(weights))


def test_a_small_file_that_reads_worse_than_its_budget(
    file: Path, weights: Path, rows: list[LineRow], tmp_path: Path
) -> None:
    wrong = changed(file, tmp_path / "wrong.onnx", 100.0, "int8")
    with pytest.raises(BudgetError, match=r"% CER on all lines where .* has 0\.00 %: .* worse; the budget is 0\.3"):
        prove(wrong, Path("wrong.onnx"), Reference(weights, rows))
    prove(wrong, Path("wrong.onnx"), Reference(weights, rows), budget=10_000)


def test_a_budget_holds_on_each_dataset(file: Path, weights: Path, rows: list[LineRow], tmp_path: Path) -> None:
    """A set with few errors does not hide behind one with many characters."""
    wrong = changed(file, tmp_path / "wrong.onnx", 100.0, "int8")
    reference = Reference(weights, [replace(rows[0], dataset="small"), *[replace(rows[1], dataset="b")] * 3])
    reader = prove(wrong, wrong, reference, 10_000)["cer"]
    between = (reader["all"]["file"] + max(reader["small"]["file"], reader["b"]["file"])) / 2
    with pytest.raises(BudgetError, match="CER on (small|b) where"):
        prove(wrong, wrong, reference, between)


def test_a_file_that_is_not_proven_is_not_written(
    weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("htrjand.export.proof.TOLERANCE", -1.0)  # no difference is small enough
    with pytest.raises(HtrjandError, match="differ from those of"):
        export_files(weights, [tmp_path / "w.onnx"])
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["-o", "x.bin"], "unknown model format '.bin'; give a name that ends in .onnx, .ort, .tflite, .xml"),
        (["-o", "x.onnx", "--width", "640"], "--width is for .tflite"),
        (["-o", "x.tflite", "--width", "650"], "multiple of 16"),
        (["-o", "x.tflite", "--width", "8192"], "at most 4096"),
        (["-o", "x.ort", "--precision", "fp16"], "export .onnx"),
        (["-o", "x.onnx", "-i", "nothing.parquet"], "nothing.parquet: no such file"),
    ],
)
def test_what_cannot_be_asked_for(
    weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: list[str], says: str
) -> None:
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(main, ["export", str(weights), *options])
    assert done.exit_code in (1, 2) and says in done.output and len(done.output.splitlines()) == 1
    assert not list(tmp_path.iterdir())


def test_the_verbs(weights: Path, tiny_run: Path, tmp_path: Path) -> None:
    out, ort = tmp_path / "a" / "x.onnx", tmp_path / "x.ort"
    lines = ["-i", str(tiny_run / "lines.parquet")]
    done = CliRunner().invoke(main, ["export", str(weights), "-o", str(out), "-o", str(ort), *lines])
    assert done.exit_code == 0, done.output
    assert done.output.count("8 of 8 val lines read alike, CER 0.00 % (reference: 0.00 %)") == 2
    proof_path(out).unlink()
    proven = CliRunner().invoke(main, ["prove", str(out), "--against", str(weights), *lines])
    assert proven.exit_code == 0 and proof_path(out).is_file()
    other = CliRunner().invoke(main, ["export", str(out), "-o", str(tmp_path / "y.ort"), *lines])
    assert other.exit_code == 0, other.output
    nowhere = CliRunner().invoke(main, ["export", str(out), "-o", str(tmp_path / "y.tflite")])
    assert nowhere.exit_code == 2 and "give the weights" in nowhere.output


@pytest.fixture(scope="module")
def tied(weights: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Weights to which "a" looks as "b" does, and 5·10⁻⁴ of a logit less likely."""
    network, card = load_network(weights)
    state = weights_of(network)
    a, b = card.charset.index("a"), card.charset.index("b")
    assert a == 2, "that is the class `changed` changes"
    for name in ("head.weight", "head.bias"):
        state[name][a] = state[name][b]
    state["head.bias"][a] -= 5e-4
    path = tmp_path_factory.mktemp("tied") / "tied.safetensors"
    save_network(path, state, card)
    return path


def test_a_text_may_differ_where_two_characters_tie(tied: Path, rows: list[LineRow], tmp_path: Path) -> None:
    reference = Reference(tied, rows)
    export_files(tied, [tmp_path / "tied.onnx"], reference=reference)
    other = changed(tmp_path / "tied.onnx", tmp_path / "other.onnx", 9e-4)  # within the tolerance, "a" is now likelier
    proof = prove(other, other, reference, budget=1000)
    assert (proof["texts equal"], proof["texts apart by a tie"]) == (0, len(rows)), "there is an a or b in each line"
    proof = json.loads(proof_path(tmp_path / "tied.onnx").read_text())
    assert (proof["texts equal"], proof["texts apart by a tie"]) == (len(rows), 0)


def test_a_text_that_differs_without_a_tie_is_an_error(
    file: Path, weights: Path, rows: list[LineRow], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wrong = changed(file, tmp_path / "wrong.onnx", 100.0)
    monkeypatch.setattr("htrjand.export.proof.compare_values", lambda *_: {"width 64 batch 1": 0.0})  # as by noise
    with pytest.raises(HtrjandError, match=r"reads 8 of 8 lines otherwise than .* \(the first: val-0 of printed\)"):
        prove(wrong, wrong, Reference(weights, rows), budget=1000)


def test_what_counts_as_a_tie() -> None:
    before = np.array([[3, 1, 0], [2, 1.9985, 0], [0, 1, 3]], np.float32)  # T, V: the second frame ties

    def chosen(*classes: int) -> np.ndarray:
        return np.eye(3, dtype=np.float32)[list(classes)]

    assert differ_by_ties(before, chosen(0, 1, 2))
    assert differ_by_ties(before, chosen(0, 0, 2)), "read in another batch, the one or the other"
    assert not differ_by_ties(before, chosen(0, 2, 2)), "the third class of the tying frame is no candidate"
    assert not differ_by_ties(before, chosen(1, 1, 2)), "another frame differs besides"
    assert not differ_by_ties(before[[0, 2]], chosen(0, 2)), "nothing ties: something else made the texts differ"


def test_a_proof_is_held_to_any_budget(file: Path, weights: Path, rows: list[LineRow], tmp_path: Path) -> None:
    wrong = changed(file, tmp_path / "wrong.onnx", 100.0, "int8")
    proof = prove(wrong, wrong, Reference(weights, rows), budget=float("inf"))
    assert proof["budget"] is None
    more = proof["cer"]["all"]["file"]
    check_budget(proof, "x", more)
    with pytest.raises(BudgetError, match=r"^x: .* on all lines where weights\.safetensors has 0\.00 %"):
        check_budget(proof, "x", more - 0.01)
    check_budget(prove(file, file, Reference(weights)), "without lines there is nothing to judge by", -1)


def test_a_proof_in_a_line(file: Path, weights: Path) -> None:
    proof = json.loads(proof_path(file).read_text())
    said = summary_line(proof)
    assert said.startswith("logits within ") and said.endswith(
        " of weights.safetensors, 8 of 8 val lines read alike, CER 0.00 % (reference: 0.00 %)"
    )
    assert summary_line(prove(file, file, Reference(weights))).endswith(" of weights.safetensors")


def test_a_second_proof_keeps_how_the_file_was_made(file: Path, weights: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy.onnx"
    copy.write_bytes(file.read_bytes())
    proof = prove(copy, copy, Reference(weights)) | {"calibration draw": 3, "in float": ["head"]}
    write_proof(copy, proof)
    done = CliRunner().invoke(main, ["prove", str(copy), "--against", str(weights), "-i", str(tmp_path / "none")])
    assert done.exit_code == 1, "the lines are missing"
    assert made_by(copy) == {"calibration draw": 3, "in float": ["head"]}
    seal_changed = copy.read_bytes() + b" "
    copy.write_bytes(seal_changed)
    assert made_by(copy) == {}, "another file"


def test_what_is_converted_is_not_changed_besides(file: Path, tmp_path: Path) -> None:
    for options, says in (
        (["--precision", "fp16"], "converted as it is"),
        (["--width", "640"], "converted as it is"),
        (["-o", str(tmp_path / "x.ort")], "one -o is given twice"),
    ):
        done = CliRunner().invoke(main, ["export", str(file), "-o", str(tmp_path / "x.ort"), *options])
        assert done.exit_code == 2 and says in done.output, options
