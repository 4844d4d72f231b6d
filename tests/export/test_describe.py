"""A file is described anew: its metadata change, what it computes does not."""

from __future__ import annotations

import dataclasses
import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from htrjand.compress.quantize import QuantizeRecipe, quantize_file
from htrjand.export import onnx as exporter
from htrjand.export.describe import describe
from htrjand.export.files import export_files
from htrjand.export.ort import convert
from htrjand.export.proof import proof_path
from htrjand.runtime import HtrjandError, ModelInfo, Recognizer, UsageError
from htrjand.runtime.formats import parts_of
from htrjand.runtime.info import LanguageFit, sha256, size_of
from htrjand.train.checkpoint import halve, load_card, load_network, save_network, weights_of
from htrjand.train.data.lines import read_lines
from htrjand.train.reader import open_weights

ROOT = Path(__file__).parents[2]
FITTED = LanguageFit("ab" * 32, 0.6, 1.25, 1.75)


def copied(suffix: str, folder: Path) -> Path:
    for part in parts_of(ROOT / f"runtime/models/htrjand-student-int8{suffix}"):
        shutil.copy(part, folder)
    path = folder / f"htrjand-student-int8{suffix}"
    shutil.copy(ROOT / f"runtime/models/{path.name}.proof.json", folder)
    return path


@pytest.fixture(params=[".onnx", ".tflite", ".xml"])
def bundled(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    return copied(request.param, tmp_path)


def test_metadata_change_and_nothing_else(bundled: Path) -> None:
    before = Recognizer(bundled, 1, None)
    image = np.random.default_rng(1).integers(0, 256, (2, 1, 64, 480), dtype=np.uint8)
    logits, size = before.run(image), size_of(bundled)
    wanted = dataclasses.replace(before.info, temperature=1.25, language_model=FITTED, version="9")
    describe(bundled, wanted)
    after = Recognizer(bundled, 1, None)
    assert after.info == wanted
    assert np.array_equal(after.run(image), logits) and abs(size_of(bundled) - size) < 1000
    assert {path.name for path in bundled.parent.iterdir()} == {
        *(part.name for part in parts_of(bundled)), f"{bundled.name}.proof.json"
    }  # fmt: skip


def test_the_proof_follows_its_file_and_no_other(bundled: Path) -> None:
    beside = bundled.with_name(f"{bundled.name}.proof.json")
    old = json.loads(beside.read_text())
    info = dataclasses.replace(Recognizer(bundled, 1, None).info, temperature=1.5)
    describe(bundled, info)
    new = json.loads(beside.read_text())
    assert (new.pop("sha256"), new.pop("bytes")) == (sha256(bundled), size_of(bundled))
    assert new == {key: value for key, value in old.items() if key not in ("sha256", "bytes")}
    beside.write_text(json.dumps(old))  # a proof of what the file was before
    describe(bundled, dataclasses.replace(info, temperature=1.75))
    assert json.loads(beside.read_text()) == old


def test_a_file_that_would_compute_something_else_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = copied(".onnx", tmp_path)
    import onnx
    from onnx import numpy_helper

    def harmful(source: Path, info: ModelInfo, out: Path) -> None:
        changed = onnx.load(source)
        tensor = max(changed.graph.initializer, key=lambda item: len(item.raw_data))
        tensor.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(tensor)[::-1].copy(), tensor.name))
        exporter.put_metadata(changed, info)
        out.write_bytes(changed.SerializeToString())
        exporter.seal(out)

    monkeypatch.setattr(exporter, "redescribe", harmful)
    content, files = model.read_bytes(), sorted(tmp_path.iterdir())
    proof = proof_path(model).read_bytes()
    with pytest.raises(HtrjandError, match="computes something else"):
        describe(model, dataclasses.replace(Recognizer(model, 1, None).info, temperature=2.0))
    assert (model.read_bytes(), sorted(tmp_path.iterdir())) == (content, files)
    assert proof_path(model).read_bytes() == proof


def test_an_ort_file_is_converted_again(tmp_path: Path) -> None:
    model = copied(".onnx", tmp_path)
    describe(model, dataclasses.replace(Recognizer(model, 1, None).info, temperature=1.5, language_model=FITTED))
    convert(model, tmp_path / "student.ort")
    info = Recognizer(tmp_path / "student.ort", 1, None).info
    assert info == Recognizer(model, 1, None).info and info.language_model == FITTED
    with pytest.raises(UsageError, match=r"student\.ort: the description of an \.ort file cannot be changed"):
        describe(tmp_path / "student.ort", info)


def test_what_a_card_says_is_in_the_files_made_from_it(tmp_path: Path) -> None:
    for suffix in (".safetensors", ".json"):
        shutil.copy(ROOT / f"train/weights/student{suffix}", tmp_path)
    weights = tmp_path / "student.safetensors"
    content = weights.read_bytes()
    export_files(weights, [tmp_path / "before.onnx"])
    info = Recognizer(tmp_path / "before.onnx", 1, None).info
    describe(weights, dataclasses.replace(info, temperature=1.25, language_model=FITTED))
    export_files(weights, [tmp_path / "after.onnx"])
    after = Recognizer(tmp_path / "after.onnx", 1, None).info
    assert after == dataclasses.replace(info, temperature=1.25, language_model=FITTED)
    assert weights.read_bytes() == content
    halve(weights, tmp_path / "half.safetensors")
    card = load_card(tmp_path / "half.safetensors")
    assert (card.temperature, card.language_model) == (1.25, FITTED)


@pytest.fixture(scope="module")
def tiny(tiny_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Tiny weights that say what they were fitted for."""
    path = tmp_path_factory.mktemp("tiny") / "tiny.safetensors"
    network, card = load_network(tiny_run / "run" / "weights.safetensors")
    save_network(path, weights_of(network), dataclasses.replace(card, temperature=1.5, language_model=FITTED))
    return path


@pytest.mark.parametrize("suffix", [".onnx", ".tflite", ".xml"])
def test_int8_says_what_the_float_file_says(suffix: str, tiny: Path, tiny_run: Path, tmp_path: Path) -> None:
    whole, small = tmp_path / f"fp32{suffix}", tmp_path / f"int8{suffix}"
    export_files(tiny, [whole])
    lines = [row.pixels() for row in read_lines(tiny_run / "lines.parquet", "train")]
    quantize_file(whole, lines, small, QuantizeRecipe())
    said = Recognizer(small, 1, None).info
    assert said == dataclasses.replace(Recognizer(whole, 1, None).info, precision="int8")
    assert (said.temperature, said.language_model) == (1.5, FITTED)
    for path in (whole, small):
        contents = [part.read_bytes() for part in parts_of(path)]
        describe(path, Recognizer(path, 1, None).info)
        assert [part.read_bytes() for part in parts_of(path)] == contents, "as it was, to the byte"


@pytest.mark.parametrize("suffix", [".onnx", ".tflite", ".xml"])
def test_files_in_halves_and_of_one_width(suffix: str, tiny: Path, tmp_path: Path) -> None:
    path, width = tmp_path / f"half{suffix}", 320 if suffix == ".tflite" else None
    export_files(tiny, [path], "fp16", width)
    before = Recognizer(path, 1, None)
    image = np.random.default_rng(1).integers(0, 256, (1, 1, 64, 320), dtype=np.uint8)
    logits, size = before.run(image), size_of(path)
    wanted = dataclasses.replace(before.info, temperature=3.25, language_model=None, licence='é "œ" <&>\n')
    describe(path, wanted)
    after = Recognizer(path, 1, None)
    assert after.info == wanted and np.array_equal(after.run(image), logits)
    assert abs(size_of(path) - size) < 1000, "the weights still take half the room"


def test_a_real_line_reads_as_before(bundled: Path, real_lines_dir: Path) -> None:
    line = next(read_lines(real_lines_dir / "copiste.parquet", "val")).image
    before = Recognizer(bundled, 1, None)
    text = before.read_line(line).text
    describe(bundled, dataclasses.replace(before.info, temperature=2.5))
    assert Recognizer(bundled, 1, None).read_line(line).text == text != ""


def test_what_only_another_export_can_change_is_refused(bundled: Path, tiny: Path) -> None:
    info, contents = Recognizer(bundled, 1, None).info, [part.read_bytes() for part in parts_of(bundled)]
    swapped = ("", *reversed(info.charset[1:]))
    for changes, named in (
        ({"precision": "fp32"}, "precision"),
        ({"charset": swapped, "weights_sha256": "0" * 64}, "charset, weights_sha256"),
    ):
        with pytest.raises(HtrjandError, match=rf"{bundled.name}: {named} cannot be changed in it.*export it again"):
            describe(bundled, dataclasses.replace(info, **changes))
    assert [part.read_bytes() for part in parts_of(bundled)] == contents
    card = tiny.with_suffix(".json").read_bytes()
    with pytest.raises(HtrjandError, match=r"tiny\.safetensors: licence cannot be changed in it, only language_model"):
        describe(tiny, dataclasses.replace(open_weights(tiny).info, licence="mine", temperature=9.0))
    assert tiny.with_suffix(".json").read_bytes() == card


def test_a_damaged_file_meets_no_parser(bundled: Path) -> None:
    info = Recognizer(bundled, 1, None).info
    content = bundled.read_bytes()
    bundled.write_bytes(content[: len(content) * 3 // 4])
    with pytest.raises(HtrjandError, match="cut short"):
        describe(bundled, info)
    bundled.unlink()
    with pytest.raises(HtrjandError, match="no such model file"):
        describe(bundled, info)


def test_a_card_of_other_weights_is_not_made_theirs(tiny: Path, tmp_path: Path) -> None:
    info = open_weights(tiny).info
    network, card = load_network(tiny)
    other = tmp_path / "other.safetensors"
    network.head.bias.data += 1
    save_network(other, weights_of(network), card)
    shutil.copy(tiny.with_suffix(".json"), other.with_suffix(".json"))
    before = other.with_suffix(".json").read_bytes()
    with pytest.raises(HtrjandError, match=r"other\.safetensors: not the weights that the \.json beside it"):
        describe(other, dataclasses.replace(info, temperature=2.0))
    assert other.with_suffix(".json").read_bytes() == before


def test_what_is_no_proof_does_not_matter(tmp_path: Path) -> None:
    model = copied(".onnx", tmp_path)
    beside = proof_path(model)
    info = Recognizer(model, 1, None).info
    for text in ("[]", "{}", "{", '{"sha256": 7}'):
        beside.write_text(text)
        describe(model, dataclasses.replace(info, temperature=1.5))
        assert beside.read_text() == text
