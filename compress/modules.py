"""Which modules of a network int8 files quantise, in any format; and a form of it that torchao's PT2E can trace."""

from __future__ import annotations

import copy
from collections.abc import Iterator

from torch import Tensor, nn

from ..train.network import Network
from .quantize.in_float import stays_in_float
from .quantize.recipe import QuantizeRecipe


def weighted(network: Network) -> Iterator[str]:
    """The paths of all convolutions and linear layers."""
    for name, module in network.named_modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            yield name


def products(network: Network) -> list[str]:
    """The paths of those that a recipe can name, in order: not squeeze-and-excitation, nor heads for training only."""
    return [name for name in weighted(network) if ".se." not in name and name not in ("shortcut", "origin")]


def quantised(network: Network, recipe: QuantizeRecipe) -> list[str]:
    """The paths of those that int8 files quantise."""
    return [name for name in products(network) if not stays_in_float(name, recipe)]


def frozen(network: Network) -> Network:
    """A copy in eval mode whose batch norms are plain arithmetic; its parameters have the same names."""
    result = copy.deepcopy(network).eval()
    for module in list(result.modules()):
        for name, norm in list(module.named_children()):
            if isinstance(norm, nn.BatchNorm2d):
                setattr(module, name, FrozenNorm(norm))
    return result


class FrozenNorm(nn.Module):
    """A batch norm in plain arithmetic, with fixed statistics.

    PT2E would put a batch norm behind a convolution into training mode, and trace a hundred patterns to find it.
    """

    running_mean: Tensor
    running_var: Tensor

    def __init__(self, norm: nn.BatchNorm2d) -> None:
        super().__init__()
        self.weight, self.bias, self.eps = norm.weight, norm.bias, norm.eps
        self.register_buffer("running_mean", norm.running_mean)
        self.register_buffer("running_var", norm.running_var)

    def forward(self, x: Tensor) -> Tensor:
        scale = self.weight * (self.running_var + self.eps).rsqrt()  # C
        return x * scale[:, None, None] + (self.bias - self.running_mean * scale)[:, None, None]  # N, C, H, W
