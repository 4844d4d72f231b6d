"""What a neural language model brings: figures are those of reading with it, and weights are rated as it chooses."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from htrjand.benchmarks.inputs import choose_lines
from htrjand.benchmarks.studies.rescoring import main
from htrjand.runtime import Recognizer
from htrjand.runtime.decode import rescore
from htrjand.train.data.error_rates import cer, compare
from htrjand.train.lm.neural import train, write
from htrjand.train.lm.neural_recipe import NeuralLmRecipe

SAMPLE = Path(__file__).resolve().parents[3] / "benchmarks" / "sample" / "sample.parquet"


@pytest.fixture(scope="module")
def neural(tmp_path_factory: pytest.TempPathFactory, one_thread: None) -> Path:
    """One that has seen little: it changes readings, for better or worse."""
    folder = tmp_path_factory.mktemp("neural")
    recipe = NeuralLmRecipe(lines=(str(SAMPLE),), lines_share=1, hidden=32, total_characters=40_000, warm_up=5)
    write(*train(recipe, folder / "recipe.yaml", folder / "run", log=lambda _: None), folder / "tiny.nlm")
    return folder / "tiny.nlm"


def test_figures_are_those_of_reading(neural: Path, tmp_path: Path) -> None:
    command = ["figures", str(neural), "-i", str(SAMPLE), "--split", "test", "-o", str(tmp_path / "out.json")]
    done = CliRunner().invoke(main, command)
    assert done.exit_code == 0, done.output
    result = json.loads((tmp_path / "out.json").read_text(encoding="utf-8"))
    rows = choose_lines([SAMPLE], "test")
    found = {}
    for key, path in (("n-gram", None), ("neural", neural)):
        read = Recognizer(threads=1, neural_lm=path).read_lines([row.pixels() for row in rows])
        found[key] = [line.text for line in read]
        errors = [compare(row.text, line.text) for row, line in zip(rows, read, strict=True)]
        assert result["datasets"]["sample"][key]["cer"] == round(cer(errors), 3)
    assert found["n-gram"] != found["neural"]
    assert result["neural_lm"] == "tiny.nlm" and result["neural_lm_bytes"] == neural.stat().st_size
    assert all(result["milliseconds"][way] > 0 for way in ("n-gram", "neural"))
    assert "| sample | 32 |" in done.output and "ms a line" in done.output


def test_weights_are_rated_as_it_chooses(neural: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    command = ["weights", str(neural), "-i", str(SAMPLE), "--split", "test", "-o", str(tmp_path / "out.json")]
    done = CliRunner().invoke(main, [*command, "--show", "3"])
    assert done.exit_code == 0, done.output
    first, *rows = json.loads((tmp_path / "out.json").read_text(encoding="utf-8"))["rows"]
    assert len(rows) == 3 and rows == sorted(rows)
    lines = choose_lines([SAMPLE], "test")

    def rate(path: Path | None) -> float:
        read = Recognizer(threads=1, neural_lm=path).read_lines([row.pixels() for row in lines])
        return cer([compare(row.text, line.text) for row, line in zip(lines, read, strict=True)])

    assert first[0] == pytest.approx(rate(None)) and first[2] == 0
    for name, value in zip(("NGRAM", "NEURAL", "END", "BONUS"), rows[0][1:], strict=True):
        monkeypatch.setattr(rescore, name, value)
    assert rows[0][0] == pytest.approx(rate(neural))
