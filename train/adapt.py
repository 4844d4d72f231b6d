"""Adaptation of released weights to somebody's own lines: what they begin from, and characters they did not know."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from ..runtime.errors import UsageError

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


def grown(weights: dict[str, Tensor], classes: int) -> dict[str, Tensor]:
    """Weights whose heads have rows for `classes` classes, the old ones first and as they were.

    A new row begins as the mean of the old characters' (without the blank): a character like any other, not a silence.
    """
    result = dict(weights)
    for name in ("head.weight", "head.bias", "shortcut.weight", "shortcut.bias"):
        old = weights[name]
        more = classes - len(old)
        if more > 0:
            result[name] = torch.cat([old, old[1:].mean(0, keepdim=True).expand(more, *old.shape[1:])])
    return result
