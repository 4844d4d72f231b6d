"""A file is described anew: its metadata change, what it computes does not."""

from __future__ import annotations

import dataclasses
import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from htrjand.compress.qat import NOT_MEASURED
from htrjand.export import onnx as exporter
from htrjand.export.describe import describe
from htrjand.export.files import export_files
from htrjand.export.ort import convert
from htrjand.runtime import HtrjandError, ModelInfo, Recognizer, UsageError
from htrjand.runtime.formats import parts_of
from htrjand.runtime.info import LanguageFit, sha256, size_of
from htrjand.train.checkpoint import halve, load_card

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
        out.write_bytes(exporter.describe(changed, info).SerializeToString())
        exporter.seal(out)

    monkeypatch.setattr(exporter, "redescribe", harmful)
    content = model.read_bytes()
    with pytest.raises(HtrjandError, match="computes something else"):
        describe(model, dataclasses.replace(Recognizer(model, 1, None).info, temperature=2.0))
    assert model.read_bytes() == content


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
    begun = dataclasses.replace(card, **NOT_MEASURED)  # as pruning and fine-tuning begin
    assert (begun.temperature, begun.language_model, begun.cer) == (1.0, None, {})
