"""Weights and temperatures, fitted on lines of the sample that are called validation lines here."""

from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from htrjand.cli import main
from htrjand.runtime import Recognizer
from htrjand.runtime.decode.language import BONUS, TEMPERATURE, WEIGHT
from htrjand.runtime.recognizer import bundled_ngram
from htrjand.train.data.lines import read_lines, write_lines
from htrjand.train.data.reliability import judge_words
from htrjand.train.lm import fit as fitting
from htrjand.train.lm.build import LmRecipe, build

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two models and a file of validation lines; both models are fitted."""
    folder = tmp_path_factory.mktemp("fit")
    rows = list(read_lines(ROOT / "benchmarks/sample/sample.parquet", "test"))[:16]
    write_lines(folder / "lines.parquet", [dataclasses.replace(row, split="val") for row in rows])
    for name in ("runtime/models/htrjand-student-int8.onnx", "train/weights/student.safetensors"):
        shutil.copy(ROOT / name, folder)
    shutil.copy(ROOT / "train/weights/student.json", folder)
    models = [str(folder / "htrjand-student-int8.onnx"), str(folder / "student.safetensors")]
    done = CliRunner().invoke(main, ["lm", "fit", *models, "-i", str(folder / "lines.parquet")])
    assert done.exit_code == 0, done.output
    (folder / "printed.txt").write_text(done.stdout, encoding="utf-8")
    return folder


def test_what_was_fitted_stands_in_the_file_and_is_read_with(folder: Path) -> None:
    reader = Recognizer(folder / "htrjand-student-int8.onnx", 1)
    fitted = reader.info.language_model
    assert fitted and fitted.seal == bundled_ngram().seal and reader.language
    assert 0.2 <= fitted.weight <= 1.2 and 0.25 <= fitted.bonus <= 2.75
    used = reader.language
    assert (used.weight, used.bonus, used.temperature) == (fitted.weight, fitted.bonus, fitted.temperature)
    printed = (folder / "printed.txt").read_text("utf-8")
    assert f"weight {fitted.weight:g}, bonus {fitted.bonus:g}, temperature {fitted.temperature:g}" in printed
    assert f"temperature {reader.info.temperature:g}\n" in printed


def test_with_another_ngram_it_reads_by_the_defaults(folder: Path) -> None:
    (folder / "text.txt").write_text("la poste est ouverte\n" * 9, encoding="utf-8")
    build([folder / "text.txt"], folder / "other.lm", LmRecipe(size=None))
    used = Recognizer(folder / "htrjand-student-int8.onnx", 1, folder / "other.lm").language
    assert used and (used.weight, used.bonus, used.temperature) == (WEIGHT, BONUS, TEMPERATURE)


def test_the_fit_is_the_best_of_its_neighbours(folder: Path) -> None:
    """Chosen by CER, and each temperature by the loss over words: no other that was tried is better."""
    rows = list(read_lines(folder / "lines.parquet", "val"))
    reader = Recognizer(folder / "htrjand-student-int8.onnx", 1)
    images, fitted = [row.pixels() for row in rows], reader.language
    assert fitted
    texts = [row.text for row in rows]

    def read(**changes: float) -> list:
        reader.language = dataclasses.replace(fitted, **changes)
        return reader.read_lines(images, 16)

    def cer(**changes: float) -> float:
        return fitting.mean_cer(rows, [line.text for line in read(**changes)])

    greedy = Recognizer(folder / "htrjand-student-int8.onnx", 1, None)
    assert cer() < fitting.mean_cer(rows, [line.text for line in greedy.read_lines(images, 16)])
    for weight in fitting.WEIGHTS:
        assert cer() <= cer(weight=weight, bonus=fitting.BONUSES[2])
    best = judge_words(texts, read()).loss()
    for temperature in (0.5, 1.0, 4.0):
        assert best <= judge_words(texts, read(temperature=temperature)).loss()


def test_the_mean_is_over_datasets(folder: Path) -> None:
    row = next(iter(read_lines(folder / "lines.parquet", "val")))
    rows = [dataclasses.replace(row, dataset=name, text="abcd") for name in ("a", "a", "a", "b")]
    assert fitting.mean_cer(rows, ["abcd", "abcd", "abcd", ""]) == pytest.approx(50)


def test_weights_have_it_in_their_card(folder: Path) -> None:
    from htrjand.train.checkpoint import load_card, load_network

    card = load_card(folder / "student.safetensors")
    assert card.language_model and card.language_model.seal == bundled_ngram().seal
    load_network(folder / "student.safetensors")  # the card still fits the weights
    assert np.isfinite(card.temperature)


def test_lines_of_no_use(folder: Path) -> None:
    model = folder / "htrjand-student-int8.onnx"
    content = model.read_bytes()
    sample = ROOT / "benchmarks/sample/sample.parquet"  # has none of validation
    done = CliRunner().invoke(main, ["lm", "fit", str(model), "-i", str(sample)])
    assert done.exit_code == 1 and f"{model}: no validation line to fit on; check -i" in done.stderr
    done = CliRunner().invoke(main, ["lm", "fit", str(model), "-i", str(sample), "--lm", str(folder / "text.txt")])
    assert done.exit_code == 1 and model.read_bytes() == content
