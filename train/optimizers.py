"""How weights move: Muon for matrices and kernels beside AdamW for the rest, or AdamW for all."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.optim import AdamW, Optimizer

from .network import Network

Groups = list[dict[str, Any]]
# What begins or ends the network is no map from features to features: its columns are pixels, or its rows classes.
BY_ADAMW = ("head.", "shortcut.", "origin.", "convs.0.conv.")
MOMENTUM = 0.95
STEPS = 5  # of Newton and Schulz
# Coefficients that bring every singular value near 1 in five steps, not to it: Jordan 2024, https://kellerjordan.github.io/posts/muon
QUINTIC = (3.4445, -4.7750, 2.0315)


class Muon(Optimizer):
    """Momentum whose steps are made orthogonal, so that no direction of a matrix learns faster than another.

    Matrices and kernels move by Muon (Jordan 2024), each gradient flattened to (outputs, rest), with Nesterov's
    momentum; a step is scaled by `0.2·√max(rows, columns)`, so that its elements are as large as AdamW's (Liu 2025,
    arXiv 2502.16982). All other parameters move by AdamW. A parameter without a gradient stays. (torch's own Muon takes
    two dimensions only, and is not in every version that training runs with.)

    Args:
        matrices: groups that Muon moves.
        rest: groups that AdamW moves.
        rate: to begin with; see `set_rate`.
        half: compute the orthogonal steps in bf16: faster where the processor multiplies in it.
    """

    def __init__(self, matrices: Groups, rest: Groups, rate: float, half: bool = False) -> None:
        self.adamw = AdamW(rest, lr=rate, fused=True)
        super().__init__([*self.adamw.param_groups, *({**group, "muon": True} for group in matrices)], {"lr": rate})
        self.half = half

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            if group.get("muon"):
                self.move([p for p in group["params"] if p.grad is not None], group["lr"], group["weight_decay"])
        self.adamw.state = self.state  # one state for both, whatever was loaded since
        self.adamw.param_groups = [group for group in self.param_groups if not group.get("muon")]
        self.adamw.step()
        return loss

    def move(self, parameters: list[Tensor], rate: float, weight_decay: float) -> None:
        """The steps of matrices and kernels; those of one shape, lying or standing, are made orthogonal together."""
        shapes: dict[tuple[int, int], list[tuple[Tensor, Tensor]]] = {}
        for parameter in parameters:
            assert parameter.grad is not None
            state = self.state[parameter]
            if "momentum" not in state:
                state["momentum"] = torch.zeros_like(parameter)
            momentum = state["momentum"].lerp_(parameter.grad, 1 - MOMENTUM)
            ahead = parameter.grad.lerp(momentum, MOMENTUM).flatten(1)  # outputs, rest
            lying = ahead if ahead.shape[0] <= ahead.shape[1] else ahead.mT
            shapes.setdefault((lying.shape[0], lying.shape[1]), []).append((parameter, lying))
        for (rows, columns), members in shapes.items():
            stack = torch.stack([lying for _, lying in members])  # K, rows, columns
            steps = orthogonal(stack.bfloat16() if self.half else stack).to(stack.dtype)
            for (parameter, _), step in zip(members, steps, strict=True):
                step = step if parameter.shape[0] == rows else step.mT  # outputs, rest
                parameter.mul_(1 - rate * weight_decay)
                parameter.add_(step.reshape(parameter.shape), alpha=-rate * 0.2 * math.sqrt(columns))


def orthogonal(matrices: Tensor) -> Tensor:
    """Matrices [K, R, C], their singular values brought near 1: Newton and Schulz's iteration of degree five.

    It multiplies least where R ≤ C.
    """
    first, second, third = QUINTIC
    x: Tensor = matrices / (matrices.norm(dim=(1, 2), keepdim=True) + 1e-7)
    for _ in range(STEPS):
        square = x @ x.mT
        x = torch.baddbmm(x, torch.baddbmm(square, square, square, beta=second, alpha=third), x, beta=first)
    return x


def make_optimizer(network: Network, kind: str, rate: float, weight_decay: float, half: bool) -> Optimizer:
    """The optimiser of a network's parameters that learn.

    Args:
        kind: muon or adamw.
        rate: to begin with; see `set_rate`.
        weight_decay: of matrices and kernels; Muon's is ten times as much, as its steps are.
        half: see `Muon`.
    """
    learning = [(name, parameter) for name, parameter in network.named_parameters() if parameter.requires_grad]
    by_muon = [p for name, p in learning if kind == "muon" and is_by_muon(name, p)]
    rest = [p for name, p in learning if kind != "muon" or not is_by_muon(name, p)]
    groups: Groups = [
        {"params": [p for p in rest if p.ndim > 1], "weight_decay": weight_decay},
        {"params": [p for p in rest if p.ndim <= 1], "weight_decay": 0.0},
    ]
    if kind == "adamw":
        return AdamW(groups, lr=rate)  # not fused: Lightning would not clip its gradients
    return Muon([{"params": by_muon, "weight_decay": 10 * weight_decay}], groups, rate, half)


def is_by_muon(name: str, parameter: Tensor) -> bool:
    """Whether Muon moves a parameter of a network: a matrix or kernel between the first convolution and the heads."""
    return parameter.ndim > 1 and not name.startswith(BY_ADAMW)


def set_rate(groups: Groups, rate: float, most_by_adamw: float | None) -> None:
    """Gives every group its rate; those that AdamW moves beside Muon at most `most_by_adamw`."""
    for group in groups:
        group["lr"] = rate if most_by_adamw is None or group.get("muon") else min(rate, most_by_adamw)
