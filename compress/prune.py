"""Pruning: whole channels of the convolutions and hidden units of the feed-forward go; attention keeps its shape."""

from __future__ import annotations

import copy
import dataclasses
import warnings
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..runtime.errors import HtrjandError
from ..runtime.image import HEIGHT
from ..train.checkpoint import NOT_MEASURED, load_card, load_network, save_network, sha256, weights_of
from ..train.fit import Log, Machine, Outcome
from ..train.network import FRAME_STRIDE, Network, NetworkRecipe
from ..train.network.attention import AttentionBlock
from ..train.network.blocks import ConvBlock, Residual, squeezed
from ..train.network.model import normalise
from .distill import DistillRecipe, distil

ROUND = 4  # channels come in multiples of this: kernels read several at a time


@dataclass(frozen=True)
class PruneRecipe:
    """How much goes, and how what is left learns again."""

    weights: str = "student.safetensors"  # relative to the recipe
    ratio: float = 0.3  # share of the channels and hidden units that go
    steps: int = 1  # 1: at one go; more: in as many parts, each followed by its share of the lines
    distill: DistillRecipe = field(default_factory=DistillRecipe)  # of what is left, by the teacher

    def __post_init__(self) -> None:
        if not 0 <= self.ratio < 1:
            raise ValueError(f"ratio: from 0 to less than 1, got {self.ratio}")
        if self.steps < 1:
            raise ValueError(f"steps: 1 or more, got {self.steps}")
        if self.distill.inherit:
            raise ValueError("distill.inherit: false, since what was pruned begins from itself")


class Traceable(nn.Module):
    """The same layers as torch-pruning can follow them: the gate by `chunk`, the neck a convolution over all rows."""

    def __init__(self, network: Network) -> None:
        super().__init__()
        self.network = network
        channels, dim = network.recipe.channels[-1], network.recipe.dim
        self.neck = nn.Conv2d(channels, dim, (network.neck.in_features // channels, 1))
        self.neck.weight.data = network.neck.weight.data.reshape(self.neck.weight.shape)  # D, C, H, 1

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        x = normalise(image, None)
        for block in self.network.convs:
            assert isinstance(block, ConvBlock)
            x = block.conv.conv(x)
            if block.conv.gated:
                value, gate = x.chunk(2, 1)
                x = value * torch.sigmoid(gate)
            x = block.se(F.relu(block.norm(x)), None)
            for residual in block.deeper:
                x = residual(x, None)
        columns = self.neck(x)[:, :, 0].transpose(1, 2)  # N, W/4, D
        return self.network.scores(columns, None), self.network.shortcut(columns)


def smaller(recipe: NetworkRecipe, ratio: float) -> NetworkRecipe:
    """The recipe with a share of its channels and hidden units gone; what is left is a multiple of 4, at least 4."""

    def left(units: int) -> int:
        return min(units, max(ROUND, round(units * (1 - ratio) / ROUND) * ROUND))

    return dataclasses.replace(recipe, channels=tuple(map(left, recipe.channels)), feed=left(recipe.feed))


def prune_network(network: Network, target: NetworkRecipe) -> Network:
    """A network of the target's channels and hidden units, made of those units of `network` that weigh most.

    A unit's weight is the norm over all weights that write or read it (torch-pruning's `GroupMagnitudeImportance`,
    p = 2; Fang 2023, DepGraph). Squeeze-and-excitation keeps as many hidden units as a block of its new width has.

    Args:
        network: stays as it is.
        target: see `smaller`; in all but channels and feed as the network's own recipe.
    """
    import torch_pruning as tp

    traceable = Traceable(copy.deepcopy(network).eval().requires_grad_(True))
    inner = traceable.network
    kept: list[nn.Module] = [traceable.neck, inner.head, inner.shortcut]
    kept += [inner.split, inner.skip] if inner.recipe.token > FRAME_STRIDE else []
    kept += [block.se.squeeze for block in conv_blocks(inner) if block.se.squeeze is not None]
    ratios: dict[nn.Module, float] = {}
    for block, channels in zip(conv_blocks(inner), target.channels, strict=True):
        ratios[block.conv.conv] = ratios[block.norm] = gone(channels, block.norm.num_features)
        for residual in block.deeper:
            assert isinstance(residual, Residual)
            ratios[residual.layers[0]] = gone(channels // 2, block.norm.num_features // 2)
    for attention in attention_blocks(inner):
        kept += [attention.attentions, attention.feed[2], *([attention.out] if attention.out is not None else [])]
        ratios[attention.feed[0]] = gone(target.feed, network.recipe.feed)
    with warnings.catch_warnings(), torch.enable_grad():  # the trace is that of the gradients
        warnings.simplefilter("ignore")  # that attention holds parameters of its own: it is kept as it is
        pruner = tp.BasePruner(
            traceable, (torch.rand(1, 1, HEIGHT, 64) * 255,), tp.importance.GroupMagnitudeImportance(p=2),
            pruning_ratio=0.0, pruning_ratio_dict=ratios, ignored_layers=kept,
        )  # fmt: skip
        pruner.step()
    for squeeze in (block.se.squeeze for block in conv_blocks(inner)):
        while squeeze is not None and squeeze.out_features > squeezed(squeeze.in_features):
            weakest = int(squeeze.weight.norm(dim=1).argmin())
            pruner.DG.get_pruning_group(squeeze, tp.prune_linear_out_channels, idxs=[weakest]).prune()
    return rebuilt(traceable, target)


def gone(left: int, units: int) -> float:
    """The share that goes; a quarter of a unit less, so that no rounding takes one more."""
    return max(0.0, 1 - (left + 0.25) / units)


def rebuilt(pruned: Traceable, target: NetworkRecipe) -> Network:
    """A network of the target's shape with the weights of the pruned layers."""
    network = Network(target, pruned.network.head.out_features)
    weights = weights_of(pruned.network)
    weights["neck.weight"] = pruned.neck.weight.detach().flatten(1)  # D, C·H
    network.load_state_dict(weights, strict=False)  # counters of training are not kept
    return network.eval()


def conv_blocks(network: Network) -> list[ConvBlock]:
    """The convolution blocks, by their type."""
    return [block for block in network.convs if isinstance(block, ConvBlock)]


def attention_blocks(network: Network) -> list[AttentionBlock]:
    """The attention blocks, by their type."""
    return [block for block in network.attention if isinstance(block, AttentionBlock)]


def prune(
    recipe: PruneRecipe, recipe_path: Path, out: Path, *, max_time: float | None = None,
    machine: Machine | None = None, log: Log = print,
) -> Outcome:  # fmt: skip
    """Prunes weights as a recipe says, in steps, and lets a teacher teach what is left after each.

    Each step but the last has a folder of its own in `out`. A run that was cut off goes on; what an earlier run pruned
    from other weights, or to another size, is pruned anew.

    Args:
        max_time: seconds for all steps together.

    Raises:
        UsageError: what is pruned in `out` has learnt already from other weights, or by another recipe.
        HtrjandError: weights, teacher or lines cannot be read.
    """
    path = recipe_path.resolve().parent / recipe.weights
    first = load_card(path).network
    for step in range(1, recipe.steps + 1):
        folder = out if step == recipe.steps else out / f"step-{step}"
        begin = folder / "pruned.safetensors"
        target = smaller(first, recipe.ratio * step / recipe.steps)
        if not is_pruned(begin, sha256(path), target):
            network, card = load_network(path)
            pruned = prune_network(network, target)
            history = card.history | {"pruned from": sha256(path)}
            save_network(
                begin, weights_of(pruned), dataclasses.replace(card, network=target, history=history, **NOT_MEASURED)
            )
        share = dataclasses.replace(
            recipe.distill.train, begin=str(begin.resolve()), network=target,
            total_lines=-(-recipe.distill.train.total_lines // recipe.steps),
        )  # fmt: skip
        distilled = dataclasses.replace(recipe.distill, train=share, control=False)
        time = max_time / recipe.steps if max_time else None
        outcome = distil(distilled, recipe_path, folder, max_time=time, machine=machine, log=log)["student"]
        path = outcome.weights
    return outcome


def is_pruned(path: Path, origin: str, target: NetworkRecipe) -> bool:
    """Whether a file holds a network of the target's shape that was pruned from weights of the SHA-256 `origin`."""
    try:
        card = load_card(path)
    except HtrjandError:  # not there, or cut off between the weights and their card
        return False
    return card.network == target and card.history.get("pruned from") == origin
