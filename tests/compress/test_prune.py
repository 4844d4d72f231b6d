"""Pruning: what goes is what weighs least, what is left computes as it did, and learns again."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from click.testing import CliRunner
from generated import CPU, TINY
from torch import Tensor

from htrjand.cli import main
from htrjand.compress.prune import PruneRecipe, prune, prune_network, smaller
from htrjand.runtime.errors import UsageError
from htrjand.runtime.info import LanguageFit
from htrjand.train.checkpoint import load_card, load_network, save_network, sha256, weights_of
from htrjand.train.network import Network, NetworkRecipe
from htrjand.train.recipe_loader import load_recipe

WIDE = NetworkRecipe(channels=(16, 24, 32, 96), dim=32, heads=2, feed=64, blocks=2)


def kill(network: Network, conv: int, channel: int) -> None:
    """Makes a channel of a block small in all that writes and reads it, and its output nothing."""
    block, outputs = network.convs[conv], network.recipe.channels[conv]
    with torch.no_grad():
        for row in (channel, channel + outputs) if block.conv.gated else (channel,):
            block.conv.conv.weight[row] *= 1e-3
            block.conv.conv.bias[row] = 0
        block.norm.weight[channel] = block.norm.bias[channel] = 0
        if block.se.squeeze is not None:
            block.se.squeeze.weight[:, channel] = 0
            block.se.excite.weight[channel] = block.se.excite.bias[channel] = 0
        for residual in block.deeper:
            into, _, _, out, norm = residual.layers
            into.weight[:, channel] = 0
            out.weight[channel] = norm.weight[channel] = norm.bias[channel] = 0
        if conv + 1 < len(network.convs):
            network.convs[conv + 1].conv.conv.weight[:, channel] = 0
        else:
            network.neck.weight.view(len(network.neck.weight), outputs, -1)[:, channel] = 0


def image() -> Tensor:
    return torch.randint(0, 256, (2, 1, 64, 96), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)


@pytest.mark.parametrize(
    "change",
    [
        {}, {"gate": False}, {"squeeze_excite": False}, {"proxima": False}, {"self_attention": False},
        {"deeper": (0, 1, 0, 2)},
    ],
)  # fmt: skip
def test_channels_and_units_that_do_nothing_go_and_nothing_changes(change: dict[str, Any]) -> None:
    torch.manual_seed(0)
    recipe = replace(WIDE, **change)
    network = Network(recipe, 7).eval()
    with torch.no_grad():
        for residual in (*network.convs[1].deeper, *network.convs[3].deeper):
            into, norm, _, out, last = residual.layers
            last.weight.normal_(1, 0.1)  # it is nothing at first
            for unit in (1, 3) if len(norm.weight) == 12 else range(16, 32):
                into.weight[unit] *= 1e-3
                norm.weight[unit] = norm.bias[unit] = 0
                out.weight[:, unit] = 0
    for conv, channels in enumerate(((0, 5, 6, 15), (2, 9, 11, 23), (0, 1, 30, 31), tuple(range(40, 72)))):
        for channel in channels:
            kill(network, conv, channel)
    with torch.no_grad():
        for block in network.attention:
            for unit in (0, 7, 20, 63):
                block.feed[0].weight[unit] = block.feed[0].bias[unit] = 0
                block.feed[2].weight[:, unit] = 0
        if network.convs[3].se.squeeze is not None:  # two of its hidden units go too
            for unit in (1, 4):
                network.convs[3].se.squeeze.weight[unit] = network.convs[3].se.squeeze.bias[unit] = 0
                network.convs[3].se.excite.weight[:, unit] = 0
        target = replace(recipe, channels=(12, 20, 28, 64), feed=60)
        pruned = prune_network(network, target)
        assert pruned.recipe == target
        torch.testing.assert_close(pruned(image()), network(image()), atol=1e-4, rtol=1e-4)
        torch.testing.assert_close(
            pruned.shortcut(pruned.features(image(), None)), network.shortcut(network.features(image(), None)),
            atol=1e-4, rtol=1e-4,
        )  # fmt: skip


def test_the_network_it_is_made_from_stays_as_it_is() -> None:
    network = Network(WIDE, 7).eval()
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    prune_network(network, smaller(WIDE, 0.5))
    assert all(torch.equal(before[name], tensor) for name, tensor in network.state_dict().items())
    assert network.recipe == WIDE


def test_shares_are_rounded_and_something_is_always_left() -> None:
    assert smaller(WIDE, 0.0) == WIDE
    assert smaller(WIDE, 0.3).channels == (12, 16, 24, 68) and smaller(WIDE, 0.3).feed == 44
    assert smaller(WIDE, 0.99).channels == (4, 4, 4, 4)
    assert prune_network(Network(WIDE, 7), smaller(WIDE, 0.99))(image()).shape == (2, 24, 7)


def write_recipe(tiny_run: Path, path: Path, **changes: object) -> Path:
    body = "\n".join(
        "    " + line for line in TINY.replace("total_lines: 1600", "total_lines: 800").strip().splitlines()
    )
    head = {"weights": str(tiny_run / "run" / "weights.safetensors"), "ratio": 0.4} | changes
    text = "\n".join(f"{key}: {json.dumps(value)}" for key, value in head.items())
    teacher = json.dumps(str(tiny_run / "run" / "weights.safetensors"))
    lines = json.dumps([str(tiny_run / "lines.parquet")])
    body = body.replace("[lines.parquet]", lines)
    path.write_text(f"{text}\ndistill:\n  teacher: {teacher}\n  inherit: false\n  train:\n{body}\n", encoding="utf-8")
    return path


@pytest.mark.parametrize("steps", [1, 2])
def test_what_is_left_learns_to_read_again(tiny_run: Path, tmp_path: Path, steps: int) -> None:
    path = write_recipe(tiny_run, tmp_path / "prune.yaml", steps=steps)
    said: list[str] = []
    outcome = prune(load_recipe(PruneRecipe, path), path, tmp_path / "out", machine=CPU, log=said.append)
    network, card = load_network(outcome.weights)
    old, _ = load_network(tiny_run / "run" / "weights.safetensors")
    assert network.recipe == smaller(old.recipe, 0.4) != old.recipe
    before = [float(line.split()[1]) for line in said if line.startswith("before: ")]
    assert len(before) == steps, "each step measures what pruning left"
    assert outcome.val_cer < 20 and outcome.val_cer < before[0]
    assert {"pruned from", "teacher"} <= card.history.keys() and not card.cer


def test_the_verb(tiny_run: Path, tmp_path: Path) -> None:
    path = write_recipe(tiny_run, tmp_path / "prune.yaml", ratio=0.2)
    command = ["prune", str(path), "-o", str(tmp_path / "out"), "--ratio", "0.5", "--device", "cpu", "--workers", "0"]
    done = CliRunner().invoke(main, command)
    assert done.exit_code == 0, done.output
    assert "pruned: " in done.output
    network, _ = load_network(tmp_path / "out" / "student" / "weights.safetensors")
    assert network.recipe.channels == (8, 8, 8, 12)
    again = CliRunner().invoke(main, command)
    assert again.exit_code == 0 and "validation CER" in again.output, "a run that is done is not begun anew"


def test_what_was_pruned_from_other_weights_is_not_used(tiny_run: Path, tmp_path: Path) -> None:
    path = write_recipe(tiny_run, tmp_path / "prune.yaml")
    recipe = load_recipe(PruneRecipe, path)
    weights, begin = tiny_run / "run" / "weights.safetensors", tmp_path / "out" / "pruned.safetensors"
    network, card = load_network(weights)
    others = smaller(card.network, 0.2)
    leftovers = {
        "other weights": replace(card, network=smaller(card.network, 0.4), history={"pruned from": "0" * 64}),
        "another size": replace(card, network=others, history={"pruned from": sha256(weights)}),
    }
    for name, leftover in leftovers.items():
        save_network(begin, weights_of(prune_network(network, leftover.network)), leftover)
        short = replace(recipe.distill, train=replace(recipe.distill.train, total_lines=16, val_every=5))
        outcome = prune(replace(recipe, distill=short), path, tmp_path / "out", machine=CPU)
        found = load_card(begin)
        assert found.history["pruned from"] == sha256(weights) and found.network == smaller(card.network, 0.4), name
        assert load_card(outcome.weights).history["begins from"] == sha256(begin)
        shutil.rmtree(tmp_path / "out" / "student")
    begin.with_suffix(".json").unlink()  # cut off between the two
    prune(replace(recipe, distill=short), path, tmp_path / "out", machine=CPU)
    assert load_card(begin).history["pruned from"] == sha256(weights)


def test_what_was_found_with_the_weights_before_is_not_said_of_the_pruned(tiny_run: Path, tmp_path: Path) -> None:
    network, card = load_network(tiny_run / "run" / "weights.safetensors")
    fitted = LanguageFit("ab" * 32, 0.6, 1.25, 1.75)
    said = replace(card, cer={"printed": 1.0}, temperature=2.0, language_model=fitted)
    save_network(tmp_path / "said.safetensors", weights_of(network), said)
    path = write_recipe(tiny_run, tmp_path / "prune.yaml", weights="said.safetensors")
    recipe = load_recipe(PruneRecipe, path)
    short = replace(recipe.distill, train=replace(recipe.distill.train, total_lines=16, val_every=5))
    outcome = prune(replace(recipe, distill=short), path, tmp_path / "out", machine=CPU)
    for weights in (tmp_path / "out" / "pruned.safetensors", outcome.weights):
        found = load_card(weights)
        assert (found.cer, found.temperature, found.language_model) == ({}, 1.0, None), weights


def test_a_recipe_that_cannot_be(tiny_run: Path, tmp_path: Path) -> None:
    for changes, says in (({"ratio": 1.0}, "ratio: from 0"), ({"steps": 0}, "steps: 1 or more")):
        with pytest.raises(UsageError, match=says):
            load_recipe(PruneRecipe, write_recipe(tiny_run, tmp_path / "prune.yaml", **changes))
