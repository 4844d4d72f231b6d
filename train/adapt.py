"""What a run begins from: released weights, with new characters for somebody's own lines, or deeper for a teacher."""

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
    """A weights file, or one of the released by its name."""
    released = {path.stem: path for path in sorted(RELEASED.glob("*.safetensors"))}
    if name in released:
        return released[name]
    if not Path(name).is_file():
        raise UsageError(
            f"{name}: no such weights; give a .safetensors file, or one of {', '.join(released) or 'none'}"
        )
    return Path(name).resolve()


def fits(network: NetworkRecipe, earlier: NetworkRecipe) -> bool:
    """Whether weights of `earlier` can begin a network: the same shape, or more attention blocks."""
    free = {"blocks": 1, "dropout": 0.0, "layer_drop": 0.0}
    return network.blocks >= earlier.blocks and replace(network, **free) == replace(earlier, **free)  # type: ignore[arg-type]


@torch.no_grad()
def begin_from(network: Network, earlier: Network) -> None:
    """Puts the weights of an earlier network into one of more classes or more attention blocks, which reads as it did.

    A new class begins as the mean of the earlier characters (without the blank): a character like any other, not a
    silence. The earlier blocks keep their order, the first and the last their place; those between them add nothing
    until they have learnt something (net2deeper, Chen 2016), so that a student can become a teacher.
    """
    state = network.state_dict()  # the parameters themselves
    taken = grown(earlier.state_dict(), network.head.out_features)
    here, there = len(network.attention), len(earlier.attention)
    places = {round(block * (here - 1) / max(1, there - 1)): block for block in range(there)}
    for name in state:
        part, _, rest = name.partition(".")
        if part == "attention":
            block, _, rest = rest.partition(".")
            if int(block) not in places:
                if rest.startswith(("out.", "feed.2.")):  # what a block adds
                    state[name].zero_()
                continue
            rest = f"attention.{places[int(block)]}.{rest}"
            state[name].copy_(taken[rest])
        elif part != "origin":  # the head that names datasets is every run's own
            state[name].copy_(taken[name])


def grown(weights: dict[str, Tensor], classes: int) -> dict[str, Tensor]:
    """Weights whose heads have rows for `classes` classes, the old ones first and as they were."""
    result = dict(weights)
    for name in ("head.weight", "head.bias", "shortcut.weight", "shortcut.bias"):
        old = weights[name]
        more = classes - len(old)
        if more > 0:
            result[name] = torch.cat([old, old[1:].mean(0, keepdim=True).expand(more, *old.shape[1:])])
    return result
