"""Adaptation: new characters without losing the old, early layers as they were, and somebody's own few lines."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner
from generated import CPU, TINY, printed_row

from htrjand.cli import main
from htrjand.compress.distill import inherit
from htrjand.runtime.errors import UsageError
from htrjand.runtime.info import LanguageFit
from htrjand.train.adapt import RECIPE, begin_from, find_weights, fits
from htrjand.train.checkpoint import load_card, load_network, load_tensors, read_rest, save_network, weights_of
from htrjand.train.data.lines import read_lines, write_lines
from htrjand.train.fit import train
from htrjand.train.module import TrainingModule
from htrjand.train.network import Network, NetworkRecipe
from htrjand.train.reader import open_weights
from htrjand.train.recipe import TrainRecipe
from htrjand.train.recipe_loader import load_recipe

NEW = ("dab cad", "dd ab", "bad", "cab dd", "ad da b", "db")  # of a hand whose d the network never saw


@pytest.fixture
def mine(tmp_path: Path) -> Path:
    """Lines with a new character, each text twice, none of them for validation."""
    write_lines(
        tmp_path / "mine.parquet", [printed_row(text, f"mine-{i}", "train", "mine") for i, text in enumerate(2 * NEW)]
    )
    return tmp_path / "mine.parquet"


def test_new_characters_are_learnt_and_the_old_keep_their_place(tiny_run: Path, mine: Path, tmp_path: Path) -> None:
    network, card = load_network(tiny_run / "run" / "weights.safetensors")
    fitted = LanguageFit("ab" * 32, 0.6, 1.25, 1.75)
    weights = tmp_path / "said.safetensors"
    save_network(
        weights,
        weights_of(network),
        replace(card, temperature=2.0, language_model=fitted, languages=("fr", "de"), licence="CC BY 4.0"),
    )
    short = TINY.replace("total_lines: 1600", "total_lines: 1500").replace("data: {files: [lines.parquet]}\n", "")
    recipe = tmp_path / "adapt.yaml"
    recipe.write_text(short + "grow: true\nfreeze: 2\ndata: {hold_out: 0.2}\n", encoding="utf-8")
    command = ["train", str(recipe), "--from", str(weights), "-i", str(mine), "-o", str(tmp_path / "run")]
    done = CliRunner().invoke(main, [*command, "--device", "cpu", "--workers", "0"])
    assert done.exit_code == 0, done.output
    assert "some of the training lines are held out" in done.output

    adapted = tmp_path / "run" / "weights.safetensors"
    assert load_card(adapted).charset == (*load_card(weights).charset, "d")
    assert load_card(adapted).history["begins from"]
    assert (load_card(adapted).temperature, load_card(adapted).language_model) == (1.0, None), "fitted to other weights"
    assert load_card(adapted).languages == ("fr", "de", "en"), "of the first weights, and of the lines"
    assert load_card(adapted).licence == "CC BY 4.0"
    assert load_card(adapted).training_data == ("mine: 10 lines", "printed: 8 lines")
    before, after = load_tensors(weights), load_tensors(adapted)
    frozen = [name for name in before if name.startswith(("convs.0.", "convs.1."))]
    assert frozen and all(torch.equal(before[name], after[name]) for name in frozen), "statistics among them"
    assert not torch.equal(before["convs.2.conv.conv.weight"], after["convs.2.conv.conv.weight"])
    reader = open_weights(adapted)
    rows = [row for row in read_lines(mine)]
    assert [reader.read_line(row.image).text for row in rows[:4]] == list(NEW[:4])


def test_a_grown_head_reads_as_before_until_it_is_trained(tiny_run: Path) -> None:
    network, card = load_network(tiny_run / "run" / "weights.safetensors")
    image = torch.randint(0, 256, (1, 1, 64, 256), dtype=torch.uint8)
    with torch.no_grad():
        before = network(image)
        more = Network(card.network, len(card.charset) + 3).eval()
        begin_from(more, network)
        after = more(image)
    torch.testing.assert_close(before, after[..., : len(card.charset)], atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(after[..., -1], before[..., 1:].mean(-1), atol=1e-4, rtol=1e-4)


def test_a_deeper_network_reads_as_the_one_it_began_from_and_gives_it_back(tiny_run: Path) -> None:
    shape = NetworkRecipe(channels=(12, 16, 16, 24), dim=32, heads=2, feed=64, blocks=2)
    more = replace(shape, blocks=5, layer_drop=0.5, deeper=(1, 0, 2, 0))
    shallow, deep = Network(shape, 5).eval(), Network(more, 5, origins=3).eval()
    assert fits(deep.recipe, shape) and not fits(shape, deep.recipe)
    assert fits(replace(more, deeper=(1, 1, 2, 0)), more) and not fits(replace(more, deeper=(2, 2, 1, 0)), more)
    begin_from(deep, shallow)
    image = torch.randint(0, 256, (2, 1, 64, 256), dtype=torch.uint8)
    with torch.no_grad():
        torch.testing.assert_close(deep(image), shallow(image), atol=1e-5, rtol=1e-5)
    back = Network(shape, 5)
    inherit(back, deep)
    assert all(
        torch.equal(a, b) for a, b in zip(back.state_dict().values(), shallow.state_dict().values(), strict=True)
    )


def test_the_bundled_recipe_adapts_without_being_named(tiny_run: Path, mine: Path, tmp_path: Path) -> None:
    recipe = load_recipe(TrainRecipe, RECIPE)
    assert recipe.grow and recipe.pull and recipe.patience and recipe.data.hold_out
    command = ["train", "--from", str(tiny_run / "run" / "weights.safetensors"), "-i", str(mine)]
    done = CliRunner().invoke(main, [*command, "-o", str(tmp_path / "run"), "--device", "cpu", "--max-time", "2s"])
    assert done.exit_code == 0, done.output
    used = json.loads((tmp_path / "run" / "recipe.json").read_text())
    assert used["network"]["dim"] == 32, "the network is that of the weights"


def test_what_is_missing_is_said(tiny_run: Path, mine: Path, tmp_path: Path) -> None:
    def refusal(*arguments: str) -> str:
        done = CliRunner().invoke(main, ["train", *arguments, "-o", str(tmp_path / "run"), "--device", "cpu"])
        assert done.exit_code == 2, done.output
        return done.output

    assert "name a recipe, or give --from and -i" in refusal("--from", "student")
    assert "none-such: no such weights; give a .safetensors file" in refusal("--from", "none-such", "-i", str(mine))
    shutil.copy(tiny_run / "tiny.yaml", tmp_path / "other.yaml")
    changed = (tmp_path / "other.yaml").read_text().replace("dim: 32", "dim: 16")
    (tmp_path / "other.yaml").write_text(changed + f"begin: {tiny_run}/run/weights.safetensors\n")
    with pytest.raises(UsageError, match="network differs"):
        train(load_recipe(TrainRecipe, tmp_path / "other.yaml"), tmp_path / "other.yaml", tmp_path / "run", machine=CPU)


def test_released_weights_have_names() -> None:
    assert find_weights("student").name == "student.safetensors"
    assert load_card(find_weights("teacher")).network.blocks == 6


def test_weights_that_are_kept_are_drawn_back_to_the_first(tiny_run: Path, mine: Path, tmp_path: Path) -> None:
    weights = tiny_run / "run" / "weights.safetensors"
    short = TINY.replace("total_lines: 1600", "total_lines: 1500").replace("val_every: 50", "val_every: 10000")
    recipe = tmp_path / "adapt.yaml"
    recipe.write_text(
        short.replace("data: {files: [lines.parquet]}\n", "") + "grow: true\npull: 0.25\ndata: {hold_out: 0.2}\n",
        encoding="utf-8",
    )
    begun = replace(
        load_recipe(TrainRecipe, recipe), begin=str(weights), network=load_card(weights).network,
        data=replace(load_recipe(TrainRecipe, recipe).data, files=(str(mine),)),
    )  # fmt: skip
    torch.manual_seed(begun.seed)
    first = Network(begun.network, len(load_card(weights).charset) + 1)
    begin_from(first, load_network(weights)[0])
    module = TrainingModule(begun, first, load_card(weights), tmp_path / "out", None)
    wanted = {}
    for name, tensor in module.average.state_dict().items():
        before = tensor.clone()
        if tensor.is_floating_point():
            tensor.add_(torch.randn_like(tensor))
            wanted[name] = 0.25 * before + 0.75 * tensor
    module.draw_back()
    assert len(wanted) > 20
    for name, tensor in wanted.items():
        torch.testing.assert_close(module.kept.state_dict()[name], tensor)
    train(begun, recipe, tmp_path / "run", machine=CPU, log=lambda _: None)
    state, kept = (
        load_tensors(tmp_path / "run" / "state.safetensors"),
        load_tensors(tmp_path / "run" / "weights.safetensors"),
    )
    assert read_rest(tmp_path / "run" / "state.safetensors")["validations_since_best"] == 0, "read better than before"
    old, name = load_tensors(weights)["neck.weight"], "neck.weight"
    torch.testing.assert_close(kept[name], 0.25 * old + 0.75 * state[f"ema.{name}"])


def test_nothing_is_drawn_back_without_first_weights(tiny_run: Path, tmp_path: Path) -> None:
    recipe = tmp_path / "new.yaml"
    recipe.write_text(TINY + "pull: 0.3\n", encoding="utf-8")
    done = CliRunner().invoke(main, ["train", str(recipe), "-i", str(tiny_run / "lines.parquet"), "-o", str(tmp_path)])
    assert done.exit_code == 2 and "pull draws towards the weights of `begin`, and none are named" in done.stderr
