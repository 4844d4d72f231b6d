"""A detector that learnt drawn pages, as files of every format: equal to torch, in eight bits, by the verbs."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from click.testing import CliRunner, Result
from drawn import drawn_page

from htrjand.cli import main
from htrjand.compress.quantize import QuantizeRecipe, quantize_proven
from htrjand.export.files import convert_file, export_files
from htrjand.export.fold import fold
from htrjand.export.page_proof import PageReference
from htrjand.export.proof import BudgetError, proof_of
from htrjand.runtime import HtrjandError, UsageError
from htrjand.runtime.kinds import info_of
from htrjand.runtime.page.detector import LineDetector
from htrjand.train.page.augment import PageAugmentRecipe
from htrjand.train.page.fit import train_detector
from htrjand.train.page.measure import chosen_pages, page_images, score_pages
from htrjand.train.page.network import DetectorRecipe
from htrjand.train.page.recipe import DetectorTrainRecipe, PageDataRecipe
from htrjand.train.page.session import open_detector
from htrjand.train.page.weights import load_detector

PLAIN = PageAugmentRecipe(scale=0.1, stretch=0, turn=1, together=0, bleed=0, ruled=0, shade=0, blur=0)
TINY = DetectorTrainRecipe(
    data=PageDataRecipe(files=("pages.parquet",)), network=DetectorRecipe((12, 12, 16, 16), (1, 1, 1, 1)),
    augment=PLAIN, crop=256, batch=4, steps=80, warm_up=5, peak_rate=1e-2, ema=0.9, val_every=1000, save_every=40,
)  # fmt: skip
SUFFIXES = (".onnx", ".tflite", ".xml")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eight pages to learn from and one to validate on (pages.parquet), and what learnt them (weights.safetensors)."""
    folder = tmp_path_factory.mktemp("detector")
    rows = [drawn_page(0, width=576, height=1024) for _ in range(8)] + [drawn_page(0, "val", width=576, height=1024)]
    pq.write_table(pa.Table.from_pylist(rows), folder / "pages.parquet")
    train_detector(TINY, Path("tiny.yaml"), folder, data_folder=folder, log=lambda line: None)
    card = {"name": "drawn-detector", "version": "1", "licence": "CC0", "training_data": ["drawn: 8 pages"]}
    (folder / "weights.json").write_text(json.dumps(card), encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def reference(folder: Path) -> PageReference:
    return PageReference(folder / "weights.safetensors", list(chosen_pages([folder / "pages.parquet"], "val")))


@pytest.fixture(scope="module")
def files(folder: Path, reference: PageReference) -> dict[str, Path]:
    """A float file of every format, proven."""
    outs = [folder / f"fp32{suffix}" for suffix in (*SUFFIXES, ".ort")]
    for proof in export_files(reference.path, outs, reference=reference):
        assert max(proof["largest difference of a map"].values()) < 1e-3
        assert len(proof["largest difference of a map"]) == 9 and proof["tolerance"] == 1e-3
        assert proof["found"]["all"]["file"] == proof["found"]["drawn"]["reference"] and proof["split"] == "val"
    return {out.suffix: out for out in outs}


def test_batch_norms_are_folded(reference: PageReference) -> None:
    network = load_detector(reference.path)
    folded = fold(network)
    assert not [module for module in folded.modules() if isinstance(module, torch.nn.BatchNorm2d)]
    image = torch.randint(0, 256, (1, 1, 64, 96), dtype=torch.uint8)
    with torch.inference_mode():
        assert torch.allclose(network(image), folded(image), atol=1e-5)


@pytest.mark.parametrize("suffix", [*SUFFIXES, ".ort"])
def test_float_files_find_what_torch_finds(files: dict[str, Path], reference: PageReference, suffix: str) -> None:
    detector, page = LineDetector(files[suffix], 1), reference.rows[0].image
    assert detector.info.name == "drawn-detector" and detector.info.training_data == ("drawn: 8 pages",)
    expected, found = open_detector(reference.path).detect(page), detector.detect(page)
    assert len(found) == len(expected) == 12
    for a, b in zip(expected, found, strict=True):
        assert np.allclose(a.baseline[[0, -1]], b.baseline[[0, -1]], atol=1)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_eight_bits_find_the_lines(files: dict[str, Path], folder: Path, reference: PageReference, suffix: str) -> None:
    out = folder / f"int8{suffix}"
    images = page_images([folder / "pages.parquet"], "train", 8)
    loose = 20  # points: of so few lines two, on processors whose sums of eight bits saturate
    proof = quantize_proven(files[suffix], images, out, QuantizeRecipe(8, ()), reference, loose)
    assert proof["calibration pages"] == 8 and proof["precision"] == info_of(out).precision == "int8"
    assert proof["bytes"] < 0.6 * files[suffix].stat().st_size or suffix == ".xml"  # whose weights lie beside it
    assert set(proof["in float"]) == ({"marks", "heights"} if suffix != ".xml" else set())
    assert score_pages(LineDetector(out).detect, reference.rows)["all"].recall >= 90
    kept = folder / f"kept{suffix}"
    proof = quantize_proven(files[suffix], images, kept, QuantizeRecipe(8, ("stages.0",)), reference, loose)
    assert {"stages.0.0.first.0", "stages.0.0.second.0"} <= set(proof["in float"])


def test_a_file_that_finds_fewer_lines_is_not_released(files: dict[str, Path], folder: Path, reference: PageReference):
    """Calibrated on white paper, it finds nothing."""
    out, white = folder / "white.onnx", [np.full((512, 512), 255, np.uint8)] * 8
    with pytest.raises(BudgetError, match=r"white.onnx: .* % recall where weights.safetensors has .* points worse"):
        quantize_proven(files[".onnx"], white, out, QuantizeRecipe(8, ()), reference)
    assert not out.exists()
    with pytest.raises(HtrjandError, match="7 calibration pages are too few"):
        quantize_proven(files[".onnx"], white[:7], out, QuantizeRecipe(8, ()), reference)
    with pytest.raises(HtrjandError, match="no page to compare its errors on"):
        quantize_proven(files[".onnx"], white, out, QuantizeRecipe(8, ()), dataclasses.replace(reference, rows=()))


def test_other_weights_fail_the_proof(files: dict[str, Path], folder: Path) -> None:
    other = load_detector(folder / "weights.safetensors")
    with torch.no_grad():
        other.marks.bias += 0.1  # type: ignore[operator]
    from htrjand.train.page.weights import save_detector

    save_detector(other, folder / "other.safetensors")
    with pytest.raises(HtrjandError, match="its maps differ from those of other.safetensors"):
        convert_file(files[".onnx"], folder / "other.ort", PageReference(folder / "other.safetensors"))
    assert not (folder / "other.ort").exists()


def test_a_width_is_for_line_readers(folder: Path) -> None:
    with pytest.raises(UsageError, match="is a line detector, whose pages have any size"):
        export_files(folder / "weights.safetensors", [folder / "wide.tflite"], width=512)


def htrjand(*arguments: object) -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def test_the_verbs_take_a_detector_as_they_take_a_reader(folder: Path, tmp_path: Path, tiny_model: Path) -> None:
    weights, pages = folder / "weights.safetensors", folder / "pages.parquet"
    done = htrjand("export", weights, "-o", tmp_path / "d.onnx", "-i", pages)
    assert done.exit_code == 0 and "recall" in done.stdout and "on 12 val lines" in done.stdout, done.output
    quantize = ("quantize", tmp_path / "d.onnx", "-o", tmp_path / "d8.onnx", "-i", pages, "--calibrate", 8)
    done = htrjand(*quantize, "--max-lines-lost", 10)
    assert done.exit_code == 0 and proof_of(tmp_path / "d8.onnx")["budget"] == 10, done.output
    done = htrjand("prove", tmp_path / "d8.onnx", "--against", weights, "-i", pages, "--max-lines-lost", 10)
    assert done.exit_code == 0, done.output
    proof = proof_of(tmp_path / "d8.onnx")
    assert proof["reference"]["file"] == "weights.safetensors" and proof["calibration pages"] == 8
    done = htrjand("models", tmp_path / "d8.onnx", tiny_model)
    assert "kind            line detector" in done.stdout and "kind            line reader" in done.stdout
    kinds = {row.split("\t")[1] for row in htrjand("models").stdout.splitlines()}
    assert kinds == {"line detector", "line reader", "n-gram", "neural language model"}
    done = htrjand("prove", tiny_model, "--against", weights, "-i", pages)
    assert done.exit_code == 1 and "is a line reader, where a line detector is wanted" in done.stderr
    done = htrjand("export", weights, "-o", tmp_path / "e.onnx", "-i", pages, "--split", "test")
    assert done.exit_code == 1 and "no test page to prove on" in done.stderr
    done = htrjand("detector", "score", tmp_path / "d8.onnx", "-i", pages)
    assert done.exit_code == 0 and "drawn " in done.stdout and "(12 lines)" in done.stdout


def test_a_card_of_other_weights_is_refused(folder: Path, tmp_path: Path) -> None:
    weights = tmp_path / "w.safetensors"
    weights.write_bytes((folder / "weights.safetensors").read_bytes())
    (tmp_path / "w.json").write_text('{"name": "x", "found": {"a": [90, 80]}, "sha256": "00"}', encoding="utf-8")
    with pytest.raises(HtrjandError, match="w.json: its figures are those of other weights; measure these: htrjand"):
        export_files(weights, [tmp_path / "w.onnx"])
    (tmp_path / "w.json").write_text('{"nam": "x"}', encoding="utf-8")
    with pytest.raises(HtrjandError, match="w.json: not the card of a line detector .*unknown key nam"):
        export_files(weights, [tmp_path / "w.onnx"])


def test_scores_of_weights_go_into_their_card(folder: Path, tmp_path: Path) -> None:
    weights, row = tmp_path / "w.safetensors", drawn_page(0, "test", width=576, height=1024)
    weights.write_bytes((folder / "weights.safetensors").read_bytes())
    (tmp_path / "w.json").write_text('{"name": "x", "found": {"a": [90, 80]}, "sha256": "00"}', encoding="utf-8")
    pq.write_table(pa.Table.from_pylist([row]), tmp_path / "test.parquet")
    done = htrjand("detector", "score", weights, "-i", tmp_path / "test.parquet", "--split", "test", "--card")
    assert done.exit_code == 0, done.output
    card = json.loads((tmp_path / "w.json").read_text(encoding="utf-8"))
    assert card["name"] == "x" and list(card["found"]) == ["drawn"] and card["found"]["drawn"][0] >= 95
    export_files(weights, [tmp_path / "w.onnx"])
    assert list(LineDetector(tmp_path / "w.onnx").info.found) == ["drawn"]
