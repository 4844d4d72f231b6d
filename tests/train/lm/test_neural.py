"""Neural language models: trained in the test, written, and computed without torch."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from generated import printed_row

from htrjand.cli import main
from htrjand.runtime.decode.neural import EDGE, NeuralLm
from htrjand.runtime.errors import HtrjandError, UsageError
from htrjand.runtime.seal import PATTERN, seal
from htrjand.train.data.lines import write_lines
from htrjand.train.lm.neural import CharLstm, Texts, bits, train, write
from htrjand.train.lm.neural_recipe import NeuralLmRecipe
from htrjand.train.recipe_loader import load_recipe

PROSE = "abba abba cabb\n" * 40 + "dabb abba\n" * 40
SMALL = NeuralLmRecipe(
    lines=("lines.parquet",), prose={"prose.txt": 1}, languages=("fr",), licence="CC0", embedding=8, hidden=24,
    batch_texts=16, length=12, total_characters=60_000, warm_up=5, val_every=50,
)  # fmt: skip
Trained = tuple[CharLstm, Texts, dict[str, float]]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, one_thread: None) -> Path:
    folder = tmp_path_factory.mktemp("neural")
    (folder / "prose.txt").write_text(PROSE, encoding="utf-8")
    texts = ["abba cabb", "cabb dabb", "abba abba", "dabb cabb"]
    rows = [printed_row(text, f"{split}-{text}", split) for split in ("train", "val") for text in texts]
    write_lines(folder / "lines.parquet", rows)
    return folder


@pytest.fixture(scope="module")
def trained(folder: Path) -> Trained:
    return train(SMALL, folder / "recipe.yaml", folder / "run", log=lambda _: None)


@pytest.fixture(scope="module")
def file(folder: Path, trained: Trained) -> Path:
    write(*trained, folder / "tiny.nlm")
    return folder / "tiny.nlm"


def test_it_learns_what_comes_next(trained: Trained) -> None:
    network, texts, found = trained
    assert texts.sources == ["printed: 4 lines", "prose.txt"]
    blank = bits(CharLstm(texts.classes, 8, 24), texts.validation())
    assert blank["mean"] > 5 and found["mean"] < 1.5, "five letters and a space"
    assert found == bits(network, texts.validation())


def test_without_torch_it_says_the_same(trained: Trained, file: Path) -> None:
    """Texts that share a beginning, that are prefixes of each other, empty, or hold what the model does not know."""
    network, texts, _ = trained
    model = NeuralLm(file)
    given = ["abba abba", "abba cabb", "abba", "", "dabb", "ab☃a", "abba abba"]
    logs, ends = model.said([model.encode(text) for text in given])
    for text, found, end in zip(given, logs, ends, strict=True):
        codes = torch.from_numpy(np.concatenate([[EDGE], texts.encode(text), [EDGE]]).astype(np.int64))
        with torch.no_grad():
            wanted = torch.log_softmax(network(codes[None, :-1]), -1)[0].gather(1, codes[1:, None])[:, 0].numpy()
        np.testing.assert_allclose([*found, end], wanted, atol=0.15, err_msg=text)
        (alone,), (its_end,) = model.said([model.encode(text)])
        np.testing.assert_allclose([*alone, its_end], [*found, end], atol=1e-4)
    assert sum(logs[0]) > sum(logs[5]), "a snowman is less likely"
    assert [len(found) for found in model.said([])] == [0, 0]


def test_the_file_says_what_it_is(file: Path, trained: Trained) -> None:
    about = NeuralLm(file).about
    assert about["name"] == "tiny" and about["languages"] == ["fr"] and about["licence"] == "CC0"
    assert about["sources"] == ["printed: 4 lines", "prose.txt"] and about["splits"] == ["train"]
    assert about["bits"] == {name: round(value, 3) for name, value in trained[2].items()}
    shown = CliRunner().invoke(main, ["lm", "show", str(file)])
    assert shown.exit_code == 0 and "htrjand-neural-lm/1" in shown.stdout and "printed: 4 lines" in shown.stdout


def test_a_run_that_was_cut_off_goes_on_to_the_same_weights(folder: Path, trained: Trained) -> None:
    path, out = folder / "recipe.yaml", folder / "cut"

    class Cut(Exception):
        pass

    def cut(text: str) -> None:
        if text.startswith("step 50"):
            raise Cut

    with pytest.raises(Cut):
        train(SMALL, path, out, log=cut)
    network, _, found = train(SMALL, path, out, log=lambda _: None)
    for name, weight in network.state_dict().items():
        torch.testing.assert_close(weight, trained[0].state_dict()[name], msg=name)
    assert found == pytest.approx(trained[2])
    with pytest.raises(UsageError, match="holds a run of another recipe"):
        train(replace(SMALL, hidden=32), path, out, log=lambda _: None)


def test_a_run_begins_from_a_file(folder: Path, file: Path, trained: Trained, tmp_path: Path) -> None:
    """What the file knew it knows from the start."""
    (folder / "more.txt").write_text(PROSE, encoding="utf-8")
    begun = replace(
        SMALL, begin=file.name, total_characters=1, rate=1e-9, adamw_rate=1e-9, prose={"more.txt": 1},
        languages=("de",), licence="",
    )  # fmt: skip
    network, texts, found = train(begun, folder / "recipe.yaml", tmp_path / "run", log=lambda _: None)
    assert found["mean"] == pytest.approx(trained[2]["mean"], abs=0.03), "eight bits"
    write(network, texts, found, tmp_path / "again.nlm")
    before, after = NeuralLm(file), NeuralLm(tmp_path / "again.nlm")
    assert (after.about["hidden"], after.about["embedding"]) == (24, 8)
    assert after.about["sources"] == ["printed: 4 lines", "prose.txt", "more.txt"], "of both"
    assert (after.about["languages"], after.about["licence"]) == (["fr", "de"], "CC0")
    np.testing.assert_allclose(after.given, before.given, atol=1e-5)
    np.testing.assert_allclose(after.recurrent, before.recurrent, atol=1e-5)
    np.testing.assert_allclose(after.head, before.head, atol=1e-5)
    with pytest.raises(UsageError, match=r"hidden: tiny\.nlm has 24"):
        train(replace(SMALL, begin=file.name, hidden=25), folder / "recipe.yaml", tmp_path / "no", log=lambda _: None)
    with pytest.raises(HtrjandError, match=r"none\.nlm: no such language model"):
        train(replace(SMALL, begin="none.nlm"), folder / "recipe.yaml", tmp_path / "none", log=lambda _: None)


def test_the_command_trains_and_scores(folder: Path) -> None:
    recipe = folder / "recipe.yaml"
    small = "hidden: 16\nbatch_texts: 16\nlength: 10\nwarm_up: 5\ntotal_characters: 25000\n"
    recipe.write_text(f"lines: [lines.parquet]\nlines_share: 1\n{small}", encoding="utf-8")
    output = folder / "lines.nlm"
    done = CliRunner().invoke(main, ["lm", "train", str(recipe), "-o", str(output)])
    assert done.exit_code == 0, done.output
    assert f"{output}: {output.stat().st_size:,} bytes" in done.stdout
    scored = CliRunner().invoke(main, ["lm", "score", str(output), str(folder / "lines.parquet")])
    assert "36 characters" in scored.stdout
    found = float(scored.stdout.split(": ")[1].split()[0])
    assert found == pytest.approx(NeuralLm(output).about["bits"]["lines"], abs=0.03) and found < 4


@pytest.mark.parametrize(
    ("keys", "problem"),
    [
        ("lines_share: 0.5", "1 where there is no prose"),
        ("prose: {prose.txt: 0}", "a number above 0"),
        ("hidden: 0", "hidden"),
        ("lines_share: 1\ndecay_start: 1", "less than 1"),
        ("lines_share: 1\nseed: -1", "0 or more"),
        ("lines_share: 1\noptimizer: sgd", "muon or adamw"),
    ],
)
def test_a_recipe_that_cannot_be_is_named(tmp_path: Path, keys: str, problem: str) -> None:
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(keys + "\n", encoding="utf-8")
    with pytest.raises(UsageError, match=problem):
        load_recipe(NeuralLmRecipe, recipe)


def test_the_command_takes_no_other_name_and_leaves_other_folders_alone(folder: Path, tmp_path: Path) -> None:
    recipe = folder / "recipe.yaml"
    recipe.write_text("lines: [lines.parquet]\nlines_share: 1\nhidden: 8\ntotal_characters: 10\n", encoding="utf-8")
    for name in ("lm", "lm.onnx"):
        refused = CliRunner().invoke(main, ["lm", "train", str(recipe), "-o", str(tmp_path / name)])
        assert refused.exit_code and "give it that suffix" in refused.stderr
    assert not list(tmp_path.iterdir())
    (tmp_path / "lines").mkdir()
    assert CliRunner().invoke(main, ["lm", "train", str(recipe), "-o", str(tmp_path / "lines.nlm")]).exit_code == 0
    assert not list((tmp_path / "lines").iterdir())
    assert {path.name for path in tmp_path.iterdir()} == {"lines", "lines.nlm", "lines.nlm.run"}


def test_only_what_is_learnt_from_is_named_and_has_to_be_there(folder: Path) -> None:
    path = folder / "recipe.yaml"
    alone = Texts(replace(SMALL, lines_share=1, prose={"none.txt": 1}), path)
    assert alone.sources == ["printed: 4 lines"] and alone.shares == [1]
    prose = Texts(replace(SMALL, lines_share=0, lines=("none.parquet",)), path)
    assert prose.sources == ["prose.txt"] and prose.shares == [0, 1]
    assert bits(CharLstm(prose.classes, 8, 8), prose.validation()) == {}, "no validation lines, no mean"


def test_texts_that_are_not_there_are_named(folder: Path, tmp_path: Path) -> None:
    path = folder / "recipe.yaml"
    (folder / "empty.txt").write_text("\n", encoding="utf-8")
    for recipe, problem in (
        (replace(SMALL, exclude=("printed",)), "lines.parquet: no line of the split train"),
        (replace(SMALL, prose={"empty.txt": 1}), "empty.txt: no text"),
    ):
        with pytest.raises(HtrjandError, match=problem):
            train(recipe, path, tmp_path, log=lambda _: None)


def test_a_damaged_file_is_refused(file: Path, tmp_path: Path) -> None:
    content = file.read_bytes()
    other = tmp_path / "other.nlm"
    for damaged in (content[:-9], content[:3000] + bytes([content[3000] ^ 1]) + content[3001:], b"no model"):
        other.write_bytes(damaged)
        with pytest.raises(HtrjandError, match=r"other\.nlm: "):
            NeuralLm(other)
    for before, after in (
        (b'"hidden": 24', b'"hidden": 23'),
        (b'"hidden": 24', b'"hidden": -4'),
        (b"neural-lm/1", b"neural-lm/2"),
        (b'"a", "b"', b'"a", "a"'),
        (b'"bias": ["float32", ', b'"bias": ["float32", 9999999999999999999999'),
    ):
        assert before in content
        other.write_bytes(content.replace(before, after).replace(digits(content), b"0" * 64))
        seal(other)
        with pytest.raises(HtrjandError, match=r"other\.nlm: .*(can be used|not 'htrjand-neural-lm/1')"):
            NeuralLm(other)


def digits(content: bytes) -> bytes:
    """Of the seal."""
    found = PATTERN.search(content)
    assert found
    return found[1]
