"""A corrector from its recipe to its file: trained for real, exported, proven, and read with."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
import tiny_corrector
import torch
from click.testing import CliRunner
from tiny_model import CHARSET
from torch.nn import functional as F

from htrjand.cli import main
from htrjand.export.corrector import Encoder, Step
from htrjand.export.corrector_proof import export_corrector, prove
from htrjand.export.onnx import put_metadata
from htrjand.runtime import HtrjandError, Recognizer, UsageError
from htrjand.runtime.decode.corrector import Corrector, with_text
from htrjand.runtime.decode.line import Character, Line
from htrjand.runtime.page.outputs.alto import alternatives
from htrjand.runtime.seal import seal
from htrjand.train.correct.fit import begin_from
from htrjand.train.correct.network import PAD, CorrectorCard, corrected, encode, load_corrector, logits_of, make_network
from htrjand.train.correct.recipe import CorrectorShape


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("corrector")
    found = tiny_corrector.train(folder)
    pairs = [{"text": pair.text, "read": pair.read, "dataset": pair.dataset} for pair in tiny_corrector.pairs()]
    (folder / "pairs.json").write_text(json.dumps({"train": pairs, "val": pairs}), "utf-8")
    return found


@pytest.fixture(scope="module")
def files(weights: Path) -> dict[str, Path]:
    """The same corrector as float and as int8 file; keeps nothing, and may change half of a line."""
    made = {}
    for precision in ("fp32", "int8"):
        made[precision] = weights.with_name(f"{precision}.onnx")
        command = ["correct", "export", str(weights), "-o", str(made[precision]), "--precision", precision]
        done = CliRunner().invoke(main, [*command, "--keep", "nothing", "--most-change", "0.5"])
        assert done.exit_code == 0, done.output
    return made


def line(text: str, confidence: float = 0.5) -> Line:
    return Line(text, confidence, tuple(Character(char, 0.9, 10.0 * i, 10.0 * i + 8) for i, char in enumerate(text)))


def test_it_learns_which_letter_is_misread(weights: Path) -> None:
    network, card = load_corrector(weights)
    wanted = [pair.text for pair in tiny_corrector.pairs()]
    assert corrected(network, [pair.read for pair in tiny_corrector.pairs()], card.charset) == wanted


def test_a_run_that_was_killed_ends_as_if_it_had_not_been(tmp_path: Path) -> None:
    def until(text: str) -> None:
        if text.startswith("step 200"):
            raise KeyboardInterrupt

    whole = tiny_corrector.train(tmp_path / "whole", total_lines=6_000)
    with pytest.raises(KeyboardInterrupt):
        tiny_corrector.train(tmp_path / "cut", until, total_lines=6_000)
    assert (tmp_path / "cut" / "state.safetensors").exists() and not (tmp_path / "cut" / "corrector.json").exists()
    again = tiny_corrector.train(tmp_path / "cut", total_lines=6_000)
    for name, tensor in load_corrector(whole)[0].state_dict().items():
        torch.testing.assert_close(load_corrector(again)[0].state_dict()[name], tensor, rtol=0, atol=0)


def test_the_exported_parts_compute_what_transformers_does() -> None:
    torch.manual_seed(0)
    shape = CorrectorShape(dim=48, head=16, heads=3, feed=64, encoder=2, decoder=2, buckets=8, distance=20)
    network = make_network(shape, 20).eval()
    sources = encode(["abcdefgh" * 5, "hgf"], [chr(97 + number) for number in range(20)])
    texts = torch.randint(3, 23, (2, 45))
    targets = F.pad(texts, (1, -1), value=PAD)
    with torch.no_grad():
        wanted = logits_of(network, sources, texts)  # N, T, V
        cross = Encoder(network)(sources)
        keys, values = torch.zeros(2, 2, 2, 3, 0, 16)
        for place in range(targets.shape[1]):
            logits, keys, values = Step(network)(sources, *cross, targets[:, place : place + 1], keys, values)
            torch.testing.assert_close(logits, wanted[:, place], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("precision", ["fp32", "int8"])
def test_a_file_corrects_as_its_network_does(files: dict[str, Path], weights: Path, precision: str) -> None:
    corrector = Corrector(files[precision], 1)
    read = [pair.read for pair in tiny_corrector.pairs()]
    assert corrector.texts(read) == [pair.text for pair in tiny_corrector.pairs()]
    assert [corrector.texts([text])[0] for text in read] == corrector.texts(read), "alone as together"
    assert corrector.info.precision == precision and corrector.info.charset == CHARSET[1:]
    proof = json.loads(files[precision].with_name(f"{precision}.onnx.proof.json").read_text())
    assert proof["cer_file"] == 0 and proof["cer_read"] > 10 and proof["lines"] == len(read)
    told = CliRunner().invoke(main, ["models", str(files[precision])])
    assert told.exit_code == 0 and "corrector" in told.output and "htrjand-corrector/1" in told.output


def test_what_stands_around_a_line_decides(tmp_path: Path) -> None:
    pairs = tiny_corrector.pairs_with_context()
    weights = tiny_corrector.train(tmp_path, known=pairs, context=True, clean=0.0)
    values = {"val": [{"text": pair.text, "read": pair.read} for pair in pairs]}
    (tmp_path / "pairs.json").write_text(json.dumps(values), "utf-8")
    rule = {"keep": (), "most_change": 1.0, "doubt": 1.0}
    export_corrector(weights, tmp_path / "c.onnx", "fp32", None, **rule)
    corrector = Corrector(tmp_path / "c.onnx", 1)
    assert corrector.info.context == 1
    found = corrector.correct([line(pair.read) for pair in pairs], [pair.around for pair in pairs])
    assert [one.text for one in found] == [pair.text for pair in pairs]
    again = corrector.correct([line(pairs[0].read)], [("b" * 40, "")])[0].text
    assert again == corrector.correct([line(pairs[0].read)], [("b" * 12, "")])[0].text, "cut to what it has seen"
    corrector.correct([line(pairs[0].read)])  # alone: nobody can tell the letter


def test_a_run_may_begin_from_weights_of_another(weights: Path, tmp_path: Path) -> None:
    known, card = load_corrector(weights)
    other = make_network(card.shape, len(card.charset))
    begin_from(other, card, weights)
    torch.testing.assert_close(other.state_dict(), known.state_dict())
    with pytest.raises(UsageError, match="of another shape or charset"):
        begin_from(other, replace(card, charset=card.charset[1:]), weights)


def test_int8_is_the_smaller_one(files: dict[str, Path]) -> None:
    assert files["int8"].stat().st_size < files["fp32"].stat().st_size


def test_a_file_that_corrects_otherwise_is_not_proven(files: dict[str, Path]) -> None:
    torch.manual_seed(1)
    other = make_network(tiny_corrector.SHAPE, len(CHARSET) - 1).eval()
    card = CorrectorCard(tiny_corrector.SHAPE, CHARSET[1:], longest=12)
    with pytest.raises(HtrjandError, match="are corrected otherwise than by the network"):
        prove(files["fp32"], other, card, [("abba", "aéba"), ("cab", "céb")], 0.3)


def test_when_it_speaks_and_when_it_does_not(files: dict[str, Path]) -> None:
    corrector = Corrector(files["fp32"], 1)
    sure, doubtful = line("aéba", 0.95), line("aéba", 0.4)
    corrector.info = replace(corrector.info, doubt=0.9)
    assert corrector.correct([sure]) == [sure]
    (found,) = corrector.correct([doubtful])
    assert (found.text, found.read, found.confidence) == ("abba", "aéba", 0.4)
    assert [item.x0 for item in found.characters] == [0.0, 10.0, 20.0, 30.0]
    assert corrector.correct([line("", 0.0), line("abba", 0.1)])[1].read is None, "nothing to correct"
    long = line("aéba" * 4, 0.1)
    assert corrector.correct([long]) == [long], "longer than it has seen"
    corrector.info = replace(corrector.info, most_change=0.2)
    assert corrector.correct([doubtful]) == [doubtful], "a quarter of it would change"
    assert corrector.correct([]) == []


@pytest.mark.parametrize(
    ("keep", "read", "text", "wanted"),
    [
        (("digits",), "le 3 mai 1g26", "le 5 mai 1926", "le 3 mai 1g26"),
        (("digits",), "le 3 moi", "le 5 mai", "le 3 mai"),
        (("capitals",), "a Pleu et rn", "a Dieu et un", "a Pleu et un"),
        (("capitals",), "Pleu vrut", "Pleu veut", "Pleu veut"),
        ((), "a Pleu 3", "a Dieu 5", "a Dieu 5"),
    ],
)
def test_what_stays_as_it_was_read(
    files: dict[str, Path], keep: tuple[str, ...], read: str, text: str, wanted: str
) -> None:
    corrector = Corrector(files["fp32"], 1)
    corrector.info = replace(corrector.info, keep=keep, most_change=1.0)
    assert corrector.allowed(read, text) == wanted


def test_a_text_without_an_end_stays(files: dict[str, Path]) -> None:
    corrector = Corrector(files["fp32"], 1)
    assert corrector.text_of([4, 5, 4, 5], "read") == "read"
    assert corrector.text_of([4, 2, 1], "read") == "read", "a character that has no sign"
    assert corrector.text_of([4, 5, 1, 0], "read") == "ab"


def test_places_of_a_corrected_line() -> None:
    found = with_text(line("abc"), "abxyzc")
    assert [(item.char, item.x0) for item in found.characters] == [
        ("a", 0), ("b", 10), ("x", 18), ("y", 18), ("z", 18), ("c", 20),
    ]  # fmt: skip
    shorter = with_text(line("abcd"), "ad")
    assert [item.x0 for item in shorter.characters] == [0, 30] and shorter.read == "abcd"
    replaced = with_text(line("abcd"), "axyd")
    assert [item.x0 for item in replaced.characters] == pytest.approx([0, 10, 19, 30])
    assert with_text(line("abc"), "abc").read is None


def test_a_reader_with_a_corrector(files: dict[str, Path], tiny_model: Path, draw, tmp_path: Path) -> None:
    image = draw("aéba")
    assert Recognizer(tiny_model, lm=None).read_line(image).text == "aéba"
    found = Recognizer(tiny_model, lm=None, corrector=files["int8"]).read_line(image)
    assert (found.text, found.read) == ("abba", "aéba") and found.to_dict()["read"] == "aéba"
    from PIL import Image

    Image.fromarray(image).save(tmp_path / "line.png")
    command = ["read", str(tmp_path / "line.png"), "-m", str(tiny_model), "--no-lm", "--correct", str(files["int8"])]
    done = CliRunner().invoke(main, [*command, "-v"])
    assert done.exit_code == 0 and done.stdout == "abba\n" and f"corrected by {files['int8']}" in done.stderr
    as_json = json.loads(CliRunner().invoke(main, [*command, "-f", "json"]).stdout)
    assert (as_json["text"], as_json["read"]) == ("abba", "aéba")
    page = CliRunner().invoke(main, [*command, "-f", "page", "--page"])
    assert page.exit_code == 0, page.output


def test_what_cannot_be_corrected_with(files: dict[str, Path], make_model, tmp_path: Path, weights: Path) -> None:
    other = make_model("other.onnx", charset=("", " ", "x", "b", "c", "é"))
    with pytest.raises(HtrjandError, match=r"int8.onnx: knows not x, which the reader tiny writes; take a corrector"):
        Recognizer(other, lm=None, corrector=files["int8"])
    german = make_model("german.onnx", languages=("de",))
    with pytest.raises(HtrjandError, match=r"int8.onnx: corrects fr, and the reader tiny reads de; take"):
        Recognizer(german, lm=None, corrector=files["int8"])
    with pytest.raises(HtrjandError, match=r"other.onnx: is a line reader, where a corrector is wanted"):
        Corrector(other)
    with pytest.raises(HtrjandError, match=r"int8.onnx: is a corrector, where a line reader is wanted"):
        Recognizer(files["int8"])
    cut = tmp_path / "cut.onnx"
    cut.write_bytes(files["int8"].read_bytes()[:-99])
    with pytest.raises(HtrjandError, match=r"cut.onnx: "):
        Corrector(cut)
    short = tmp_path / "short.onnx"
    model = onnx.load(files["fp32"])
    put_metadata(model, replace(Corrector(files["fp32"]).info, charset=CHARSET[1:4]))
    onnx.save(model, short)
    seal(short)
    with pytest.raises(
        HtrjandError, match=r"short.onnx: a charset of 3 does not match the weights, which tell 8 classes"
    ):
        Corrector(short)
    with pytest.raises(HtrjandError, match=r"weights.txt: no corrector; these are .onnx files"):
        Corrector(tmp_path / "weights.txt")
    done = CliRunner().invoke(main, ["correct", "export", str(weights), "-o", str(tmp_path / "c.tflite")])
    assert done.exit_code == 2 and "a corrector is an .onnx file" in done.stderr
    done = CliRunner().invoke(
        main,
        ["correct", "export", str(weights), "-o", str(tmp_path / "c.onnx"), "--pairs", str(tmp_path / "none.json")],
    )
    assert done.exit_code == 1 and "none.json: not the pairs of a training" in done.stderr


def test_cards_and_weights_belong_together(weights: Path, tmp_path: Path) -> None:
    for path in (weights, weights.with_suffix(".json")):
        (tmp_path / path.name).write_bytes(path.read_bytes())
    copy = tmp_path / weights.name
    card = json.loads(copy.with_suffix(".json").read_text())
    copy.with_suffix(".json").write_text(json.dumps(card | {"sha256": "0" * 64}))
    with pytest.raises(HtrjandError, match="not the weights that the .json beside it was written with"):
        load_corrector(copy)
    copy.with_suffix(".json").write_text(json.dumps(card | {"extra": 1}))
    with pytest.raises(HtrjandError, match="not the card of a corrector"):
        load_corrector(copy)
    copy.with_suffix(".json").unlink()
    with pytest.raises(HtrjandError, match="no such file; keep the .json beside"):
        load_corrector(copy)


def test_logits_of_the_file_are_finite_at_every_length(files: dict[str, Path]) -> None:
    corrector = Corrector(files["int8"], 1)
    for length in (1, 2, 12):
        (keys, _) = corrector.session.run_part(
            ["cross_keys", "cross_values"], corrector.least | {"text": np.full((1, length), 4, np.int64)}
        )
        assert keys.shape[3] == length and np.isfinite(keys).all()


@pytest.mark.parametrize(
    ("read", "text", "wanted"),
    [
        ("le petir chat", "le petit chat", {1: "petir"}),
        ("lepetit chat", "le petit chat", {0: "lepetit"}),
        ("le pe tit chat", "le petit chat", {1: "pe tit"}),
        ("le chat e", "le chat", {1: "e"}),
        ("le chat", "le grand chat", {}),
    ],
)
def test_what_was_read_in_the_place_of_a_word(read: str, text: str, wanted: dict[int, str]) -> None:
    assert alternatives(read.split(), text.split()) == wanted


def test_a_recipe_from_lines_to_weights(tiny_run: Path, tmp_path: Path) -> None:
    """The tiny reader knows its lines by heart: what it reads of validation lines is right, of distorted ones not."""
    (tmp_path / "book.txt").write_text("abc cab bac abba cab ca. a bb ccc bca cb cc ab a\n" * 20, "utf-8")
    recipe = tmp_path / "correct.yaml"
    text = f"""
reader: {tiny_run}/run/weights.safetensors
data: {{files: [{tiny_run}/lines.parquet]}}
strength: 1.5
readings: 40
texts: [book.txt]
shape: {{dim: 16, head: 8, heads: 2, feed: 32, encoder: 1, decoder: 1}}
total_lines: 160
batch_lines: 16
warm_up: 2
"""
    recipe.write_text(text, "utf-8")
    command = ["correct", "train", str(recipe), "-o", str(tmp_path / "out")]
    done = CliRunner().invoke(main, command)
    assert done.exit_code == 0 and done.stdout.endswith(f"{tmp_path}/out/corrector.safetensors\n"), done.output
    pairs = json.loads((tmp_path / "out" / "pairs.json").read_text("utf-8"))
    assert len(pairs["train"]) >= 80 and len(pairs["train"]) % 2 == 0, (
        "read greedily, and drawn; the reader has no n-gram"
    )
    assert all(pair["text"] == pair["read"] for pair in pairs["val"]) and len(pairs["val"]) == 8
    assert any(pair["text"] != pair["read"] for pair in pairs["train"])
    card = load_corrector(tmp_path / "out" / "corrector.safetensors")[1]
    assert (card.lines_seen, card.charset, card.texts) == (160, (" ", "a", "b", "c"), ("book.txt",))
    again = CliRunner().invoke(main, command)
    assert again.exit_code == 0 and "reading 40 distorted lines" not in again.output, "all of it is done"
    recipe.write_text(text.replace("readings: 40", "readings: 50"), "utf-8")
    refused = CliRunner().invoke(main, command)
    assert refused.exit_code == 2 and "holds a run of another recipe" in refused.stderr
    (tmp_path / "out" / "state.safetensors").unlink()
    anew = CliRunner().invoke(main, command)
    assert anew.exit_code == 0 and "reading 50 distorted lines" in anew.output, "pairs of another recipe are not taken"


def test_recipes_that_cannot_be(tmp_path: Path) -> None:
    for text, message in (
        ("prose: 0.5", "texts: files of prose, or prose: 0"),
        ("prose: 0\nclean: 2", "prose and clean: shares from 0 to 1"),
        ("prose: 0\nshape: {heads: 0}", "heads: 1 or more, got 0"),
    ):
        (tmp_path / "bad.yaml").write_text(text, "utf-8")
        done = CliRunner().invoke(main, ["correct", "train", str(tmp_path / "bad.yaml"), "-o", str(tmp_path / "out")])
        assert done.exit_code == 2 and message in done.stderr
