"""What a corrector brings, by a tiny one that mends what a tiny reader reads."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import tiny_corrector
from click.testing import CliRunner
from tiny_model import CHARSET

from htrjand.benchmarks.studies.correction import Read, compared, main, remembered, table
from htrjand.runtime.decode.corrector import Corrector
from htrjand.runtime.decode.line import Character, Line
from htrjand.train.data.lines import LineRow, neighbours, write_lines


class Mending(Corrector):
    """Takes every é for an a: no network is asked."""

    def __init__(self) -> None:
        from htrjand.runtime.decode.corrector_info import CorrectorInfo

        self.info = CorrectorInfo("mending", "1", CHARSET[1:], doubt=0.9, most_change=1.0, keep=())

    def texts(self, read, around=None):
        return [text.replace("é", "a") for text in read]


def row(text: str, name: str = "words", split: str = "test") -> LineRow:
    return LineRow(text, name, "doc", "page", split, "fr", text, b"", 64, 64)


def line(text: str, confidence: float = 0.5) -> Line:
    return Line(text, confidence, tuple(Character(char, confidence, i, i + 1) for i, char in enumerate(text)))


def test_better_worse_and_unchanged_lines_are_counted() -> None:
    rows = [row("abba"), row("béc"), row("cab"), row("baba")]
    lines = [line("ébba"), line("béc"), line("céb", 0.95), line("bébé")]  # mended, harmed, not doubted, mended
    found = compared(Mending(), {"greedy": Read(rows, lines, [("", "")] * 4)})["words"]["greedy"]
    assert (found["better"], found["worse"], found["changed"]) == (50, 25, 75)
    assert found["read"]["cer"] == pytest.approx(100 * 4 / 14, abs=0.01)
    assert found["corrected"]["cer"] == pytest.approx(100 * 2 / 14, abs=0.01)
    assert found["cer_gain"]["points"] == pytest.approx(100 * 2 / 14, abs=0.01)
    text = table({"datasets": {"words": {"greedy": found}}})
    assert "| words | greedy | 4 | 28.57 | 14.29 |" in text


def test_what_was_corrected_once_is_known() -> None:
    asked: list[str] = []

    def texts(read, around):
        asked.extend(zip(read, around, strict=True))
        return [text.upper() for text in read]

    known, one, other = remembered(texts), ("", ""), ("x", "")
    assert known(["a", "b", "a"], [one] * 3) == ["A", "B", "A"] and known(["b", "b"], [one, other]) == ["B", "B"]
    assert asked == [("a", one), ("b", one), ("b", other)]


def test_neighbours_are_of_the_same_page() -> None:
    rows = [replace(row("a"), page=page) for page in "1122"]
    assert neighbours(rows, list("abcd")) == [("", "b"), ("a", ""), ("", "d"), ("c", "")]


def test_pieces_that_training_knows(tmp_path: Path) -> None:
    long = "une ligne assez longue pour deux"
    rows = [row(long), row("une autre ligne, toute nouvelle ici"), replace(row(long + " fois"), split="train", id="t")]
    write_lines(tmp_path / "words.parquet", rows)
    (tmp_path / "prose.txt").write_text("Voici une autre ligne, toute nouvelle.\n", "utf-8")
    done = CliRunner().invoke(
        main, ["overlap", "-i", str(tmp_path / "words.parquet"), "--text", str(tmp_path / "prose.txt")]
    )
    assert done.exit_code == 0, done.output
    assert "| words | 2 | 50.0 | 50.0 |" in done.output


def test_the_commands_run_on_a_real_corrector(tmp_path: Path) -> None:
    """One that knows the bundled reader's charset and was never trained: it changes nothing that it may not."""
    import torch

    from htrjand.export.corrector import export
    from htrjand.export.corrector_proof import info_of
    from htrjand.runtime import Recognizer
    from htrjand.train.correct.network import CorrectorCard, make_network, save_corrector

    torch.manual_seed(0)
    charset = Recognizer().info.charset[1:]
    card = CorrectorCard(tiny_corrector.SHAPE, charset, ("fr",), version="1", longest=80)
    network = make_network(tiny_corrector.SHAPE, len(charset)).eval()
    save_corrector(tmp_path / "c.safetensors", network.state_dict(), card)
    export(network, info_of(card, tmp_path / "c.safetensors", "fp32", {}), tmp_path / "c.onnx")
    sample = Path(__file__).parents[3] / "benchmarks/sample/sample.parquet"
    options = [str(tmp_path / "c.onnx"), "-i", str(sample), "--split", "test", "--limit", "3"]
    done = CliRunner().invoke(main, ["figures", *options, "-o", str(tmp_path / "out.json")])
    assert done.exit_code == 0, done.output
    for ways in json.loads((tmp_path / "out.json").read_text())["datasets"].values():
        assert ways["greedy"]["read"]["cer"] == ways["greedy"]["corrected"]["cer"], "no end: nothing is changed"
    done = CliRunner().invoke(main, ["rules", *options])
    assert done.exit_code == 0 and len(done.output.splitlines()) == 2 + 4 * 4 * 3
    done = CliRunner().invoke(main, ["examples", *options])
    assert done.exit_code == 0 and "greedy, better: 0 lines" in done.output
