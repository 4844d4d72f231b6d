"""Muon: what it moves, how far, and that a run under it is stopped by numbers that are not finite."""

from __future__ import annotations

import copy
import math
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner
from generated import CPU, TINY

from htrjand.cli import main
from htrjand.runtime.errors import HtrjandError, UsageError
from htrjand.train import fit
from htrjand.train.batches import Batch
from htrjand.train.checkpoint import halve, load_card, load_network, load_tensors, save_network, weights_of, write_mean
from htrjand.train.module import MAX_SKIPPED_STEPS, STATE, TrainingModule
from htrjand.train.network import Network, NetworkRecipe
from htrjand.train.optimizers import BY_ADAMW, Muon, make_optimizer, orthogonal, set_rate
from htrjand.train.recipe import TrainRecipe
from htrjand.train.recipe_loader import load_recipe

SMALL = NetworkRecipe(channels=(12, 16, 16, 24), dim=32, heads=2, feed=64, blocks=2)


@pytest.mark.parametrize("shape", [(3, 40, 24), (3, 24, 40), (1, 16, 16)])
def test_singular_values_come_near_one(shape: tuple[int, ...]) -> None:
    torch.manual_seed(0)
    values = torch.linalg.svdvals(orthogonal(torch.randn(*shape) * 1e-3))
    assert values.min() > 0.5 and values.max() < 1.3


def test_a_step_keeps_the_directions_of_the_gradient_and_has_the_size_that_adamw_steps_have() -> None:
    torch.manual_seed(0)
    network = Network(SMALL, 5)
    before = {name: parameter.detach().clone() for name, parameter in network.named_parameters()}
    for parameter in network.parameters():
        parameter.grad = torch.randn_like(parameter)
    optimizer = make_optimizer(network, "muon", 1e-2, weight_decay=0.0, half=False)
    optimizer.step()
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None
        moved = (before[name] - parameter.detach()) / 1e-2
        if parameter.ndim > 1 and not name.startswith(BY_ADAMW):
            step, gradient = moved.flatten(1), parameter.grad.flatten(1)
            left, values, right = torch.linalg.svd(step, full_matrices=False)
            assert values.max() / values.min() < 2.5, name
            assert ((left.mT @ gradient @ right.mT).diagonal() > 0).all(), name  # down the gradient's own directions
            size = 0.2 * math.sqrt(max(step.shape)) * math.sqrt(min(step.shape) / step.numel())
            assert step.square().mean().sqrt() == pytest.approx(size, rel=0.35), name
        else:
            torch.testing.assert_close(moved, parameter.grad.sign(), atol=2e-2, rtol=0)


def test_matrices_are_muons_and_all_else_is_adamws() -> None:
    network = Network(SMALL, 5, origins=2)
    optimizer = make_optimizer(network, "muon", 1e-2, weight_decay=0.01, half=False)
    names = {id(parameter): name for name, parameter in network.named_parameters()}
    groups = [({names[id(p)] for p in group["params"]}, group) for group in optimizer.param_groups]
    (by_muon, muon), = [found for found in groups if found[1].get("muon")]  # fmt: skip
    rest = set().union(*(members for members, group in groups if not group.get("muon")))
    assert by_muon | rest == set(names.values()) and not by_muon & rest
    assert {"convs.1.conv.conv.weight", "neck.weight", "attention.1.feed.2.weight"} <= by_muon
    assert {"head.weight", "shortcut.weight", "origin.weight", "convs.0.conv.conv.weight", "norm.bias"} <= rest
    assert not any(name.endswith(("fade", "bias")) for name in by_muon)
    assert muon["weight_decay"] == pytest.approx(0.1)
    set_rate(optimizer.param_groups, 5e-3, 2e-3)
    assert [group["lr"] for group in optimizer.param_groups] == [5e-3 if g.get("muon") else 2e-3 for _, g in groups]


def test_a_loaded_state_goes_on_as_before() -> None:
    def steps(network: Network, optimizer: torch.optim.Optimizer, seed: int) -> None:
        generator = torch.Generator().manual_seed(seed)
        for _ in range(2):
            for parameter in network.parameters():
                parameter.grad = torch.randn(parameter.shape, generator=generator)
            optimizer.step()

    torch.manual_seed(1)
    first, second = Network(SMALL, 5), Network(SMALL, 5)
    one, other = (make_optimizer(network, "muon", 1e-2, 0.01, half=True) for network in (first, second))
    steps(first, one, 1)
    second.load_state_dict(first.state_dict())
    other.load_state_dict(copy.deepcopy(one.state_dict()))  # a state that is loaded is shared otherwise
    steps(first, one, 2)
    steps(second, other, 2)
    for name, tensor in first.state_dict().items():
        assert torch.equal(tensor, second.state_dict()[name]), name


def test_muon_and_adamw_are_chosen_by_the_recipe(tiny_run: Path, tmp_path: Path) -> None:
    for text, kind in ((TINY, Muon), (TINY + "optimizer: adamw\n", torch.optim.AdamW)):
        path = tmp_path / "recipe.yaml"
        path.write_text(text, encoding="utf-8")
        recipe = load_recipe(TrainRecipe, path)
        network, card = load_network(tiny_run / "run" / "weights.safetensors")
        module = TrainingModule(recipe, network.requires_grad_(True), card, tmp_path, None)
        assert type(module.configure_optimizers()) is kind
    path.write_text(TINY + "optimizer: sgd\n", encoding="utf-8")
    with pytest.raises(UsageError, match="optimizer: one of muon, adamw, got 'sgd'"):
        load_recipe(TrainRecipe, path)


def test_a_run_goes_on_under_its_own_optimiser_only(tiny_run: Path) -> None:
    path = tiny_run / "adamw.yaml"
    path.write_text(TINY + "optimizer: adamw\n", encoding="utf-8")
    with pytest.raises(UsageError, match='another recipe \\(optimizer: "muon" saved, "adamw" given\\)'):
        fit.train(load_recipe(TrainRecipe, path), path, tiny_run / "run", machine=CPU)


class Poisoned(TrainingModule):
    """A network in training some of whose losses are no numbers."""

    bad: range

    def losses(self, image: torch.Tensor, batch: Batch) -> dict[str, torch.Tensor]:
        terms = super().losses(image, batch)
        return {name: term * (math.nan if batch.step in self.bad else 1) for name, term in terms.items()}


def poisoned(monkeypatch: pytest.MonkeyPatch, bad: range) -> None:
    Poisoned.bad = bad
    monkeypatch.setattr(fit, "TrainingModule", Poisoned)


def test_steps_that_are_not_finite_are_left_out_and_counted(
    tiny_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    poisoned(monkeypatch, range(7, 12))
    path, said = tiny_run / "tiny.yaml", list[str]()
    recipe = replace(load_recipe(TrainRecipe, path), total_lines=300)
    fit.train(recipe, path, tmp_path / "run", machine=CPU, log=said.append)
    assert "5 steps left out, their gradients not finite" in said[-1]
    for name, tensor in load_tensors(tmp_path / "run" / STATE).items():
        assert tensor.isfinite().all(), name


def test_many_such_steps_end_the_run_and_the_last_good_state_is_kept(
    tiny_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    poisoned(monkeypatch, range(25, 1000))
    path = tiny_run / "tiny.yaml"
    recipe = replace(load_recipe(TrainRecipe, path), save_every=10)
    with pytest.raises(HtrjandError, match=f"{MAX_SKIPPED_STEPS} steps in a row had no finite gradient"):
        fit.train(recipe, path, tmp_path / "run", machine=CPU)
    state = load_tensors(tmp_path / "run" / STATE)
    assert all(tensor.isfinite().all() for tensor in state.values())
    monkeypatch.undo()
    assert fit.train(recipe, path, tmp_path / "run", machine=CPU).lines_seen >= recipe.total_lines, "and it can go on"


def test_a_held_rate_falls_at_the_end_and_the_run_may_be_prolonged(tiny_run: Path, tmp_path: Path) -> None:
    path = tiny_run / "tiny.yaml"
    recipe = replace(load_recipe(TrainRecipe, path), decay_start=0.8, total_lines=200, peak_rate=1.0, warm_up=0)
    network, card = load_network(tiny_run / "run" / "weights.safetensors")
    module = TrainingModule(recipe, network, card, tmp_path, None)
    for seen, rate in ((0, 1.0), (160, 1.0), (180, 0.5), (200, 0.0)):
        module.lines_seen = seen
        assert module.rate() == pytest.approx(rate)
    calm = replace(recipe, peak_rate=5e-3)
    assert fit.train(calm, path, tmp_path / "run", machine=CPU).lines_seen < 220
    assert fit.train(replace(calm, total_lines=400), path, tmp_path / "run", machine=CPU).lines_seen >= 400


def test_the_command_line_prolongs_a_run_whose_rate_is_held(tiny_run: Path) -> None:
    (tiny_run / "held.yaml").write_text(
        TINY.replace("total_lines: 1600", "total_lines: 120") + "decay_start: 0.8\n", encoding="utf-8"
    )
    command = ["train", str(tiny_run / "held.yaml"), "-o", str(tiny_run / "held"), "--device", "cpu", "--workers", "0"]
    seen = []
    for more in ([], ["--total-lines", "240"]):
        done = CliRunner().invoke(main, [*command, *more])
        assert done.exit_code == 0, done.output
        seen.append(load_card(tiny_run / "held" / "weights.safetensors").lines_seen)
    assert 0 < seen[0] < 240 <= seen[1]


@pytest.mark.parametrize(("warm_up", "kept"), [(True, 0.1), (False, 0.9)])
def test_the_average_of_weights_forgets_the_first_ones_soon_or_as_any(
    tiny_run: Path, tmp_path: Path, warm_up: bool, kept: float
) -> None:
    path, first = tiny_run / "tiny.yaml", tiny_run / "run" / "weights.safetensors"
    recipe = replace(
        load_recipe(TrainRecipe, path), begin=str(first), total_lines=1, peak_rate=1e-3, ema=0.9, ema_warm_up=warm_up
    )
    fit.train(recipe, path, tmp_path / "run", machine=CPU)
    state, name = load_tensors(tmp_path / "run" / STATE), "neck.weight"
    before, after = load_tensors(first)[name], state[f"model.{name}"]
    assert not torch.equal(before, after)
    torch.testing.assert_close(state[f"ema.{name}"], kept * before + (1 - kept) * after)


def test_weights_in_half_precision_are_read_like_any_others(tiny_run: Path, tmp_path: Path) -> None:
    whole, half = tiny_run / "run" / "weights.safetensors", tmp_path / "half.safetensors"
    halve(whole, half)
    assert half.stat().st_size < 0.65 * whole.stat().st_size
    (first, card), (second, its) = load_network(whole), load_network(half)
    assert card == its
    image = torch.randint(0, 256, (2, 1, 64, 256), dtype=torch.uint8)
    with torch.no_grad():
        torch.testing.assert_close(first(image), second(image), atol=0.05, rtol=0.01)
    assert not torch.equal(first.neck.weight, second.neck.weight)


def test_the_mean_of_weights_and_of_a_run_is_written_in_half_precision(tiny_run: Path, tmp_path: Path) -> None:
    """Of a run's saved state it takes the moving average, not the weights that are in training."""
    weights, state = tiny_run / "run" / "weights.safetensors", tiny_run / "run" / "state.safetensors"
    other, out = tmp_path / "other.safetensors", tmp_path / "mean.safetensors"
    network, card = load_network(weights)
    said = replace(card, languages=("fr", "de"), licence="CC BY 4.0")
    save_network(other, {name: tensor + 1 for name, tensor in weights_of(network).items()}, said)
    command = [sys.executable, "-m", "htrjand.train.checkpoint", *map(str, (state, other, other, out))]
    subprocess.run(command, check=True)
    mean, its = load_network(out)
    saved = load_tensors(state)
    for name, tensor in weights_of(mean).items():
        wanted = (2 * (weights_of(network)[name] + 1) + saved[f"ema.{name}"]) / 3
        torch.testing.assert_close(tensor, wanted, rtol=2e-3, atol=2e-3)
    assert (its.val_cer, its.charset) == (None, card.charset)
    assert (its.languages, its.licence) == (("fr", "de"), "CC BY 4.0"), "the run names none"
    save_network(other, weights_of(network), replace(card, charset=card.charset[::-1]))
    with pytest.raises(HtrjandError, match=r"other\.safetensors: of another network or charset than .*weights"):
        write_mean([weights, other], tmp_path / "n.safetensors")
