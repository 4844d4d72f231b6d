"""Weights that a run begins from: with more classes for new characters, or more attention blocks for a teacher."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from ..runtime.errors import UsageError
from .network import Network, NetworkRecipe

RECIPE = Path(__file__).parent / "recipes" / "adapt.yaml"
RELEASED = Path(__file__).parent / "weights"


def find_weights(name: str) -> Path:
    """The path of a weights file, or of released weights by their name; UsageError where there is neither."""
    released = {path.stem: path for path in sorted(RELEASED.glob("*.safetensors")) if path.stem != "detector"}
    if name in released:
        return released[name]
    if not Path(name).is_file():
        raise UsageError(
            f"{name}: no such weights; give a .safetensors file, or one of {', '.join(released) or 'none'}"
        )
    return Path(name).resolve()


def fits(network: NetworkRecipe, earlier: NetworkRecipe) -> bool:
    """Whether weights of `earlier` can begin a network: the same shape, or more attention or residual blocks."""
    ignored = {"blocks": 1, "deeper": (), "dropout": 0.0, "layer_drop": 0.0}
    new, old = ((shape.deeper or (0,) * len(shape.channels)) for shape in (network, earlier))
    if any(more < before for more, before in zip(new, old, strict=False)):
        return False
    return network.blocks >= earlier.blocks and replace(network, **ignored) == replace(earlier, **ignored)  # type: ignore[arg-type]


@torch.no_grad()
def begin_from(network: Network, earlier: Network) -> None:
    """Copies weights into a network with more classes or more blocks, which then reads as the earlier one.

    A new class begins as the mean of the earlier characters, the blank left out, so that it is not taken for a blank.
    The earlier blocks keep their order, and the first and the last stay first and last; new ones between them add
    nothing until they are trained (net2deeper, Chen 2016), as new residual blocks do. So a student can become a
    teacher.
    """
    state = network.state_dict()  # shares memory with the parameters
    weights = with_classes(earlier.state_dict(), network.head.out_features)
    new, old = len(network.attention), len(earlier.attention)
    source = {round(block * (new - 1) / max(1, old - 1)): block for block in range(old)}  # new block: old block
    for name in state:
        part, _, rest = name.partition(".")
        if part == "attention":
            block, _, rest = rest.partition(".")
            if int(block) not in source:
                if rest.startswith(("out.", "feed.2.")):  # the layers whose outputs a block adds
                    state[name].zero_()
                continue
            state[name].copy_(weights[f"attention.{source[int(block)]}.{rest}"])
        elif part != "origin" and (name in weights or ".deeper." not in name):
            state[name].copy_(weights[name])  # not of the head that names datasets, nor of new residual blocks


def with_classes(weights: dict[str, Tensor], classes: int) -> dict[str, Tensor]:
    """Weights whose heads have a row for each of `classes` classes, the earlier ones first and unchanged."""
    result = dict(weights)
    for name in ("head.weight", "head.bias", "shortcut.weight", "shortcut.bias"):
        old = weights[name]
        more = classes - len(old)
        if more > 0:
            result[name] = torch.cat([old, old[1:].mean(0, keepdim=True).expand(more, *old.shape[1:])])
    return result
