"""The optimisers: Muon for matrices and kernels beside AdamW for all other parameters, or AdamW alone."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import AdamW, Optimizer

Groups = list[dict[str, Any]]
# AdamW's own even beside Muon: the first and last layers map pixels or classes, not features to features.
BY_ADAMW = ("head.", "shortcut.", "origin.", "convs.0.conv.")
MOMENTUM = 0.95
STEPS = 5  # of the Newton-Schulz iteration
# Coefficients that bring every singular value near 1, though not to it, in five steps: Jordan 2024, https://kellerjordan.github.io/posts/muon
QUINTIC = (3.4445, -4.7750, 2.0315)


class Muon(Optimizer):
    """Momentum with orthogonal updates, so that no direction of a matrix learns faster than another.

    Muon (Jordan 2024) updates matrices and kernels, each gradient flattened to (outputs, rest), with Nesterov's
    momentum; an update is scaled by `0.2·√max(rows, columns)`, so that its elements are as large as AdamW's (Liu 2025,
    arXiv 2502.16982). AdamW updates all other parameters. A parameter without a gradient stays. (torch's own Muon takes
    two dimensions only, and is not in every version that training runs with.)

    Args:
        matrices: parameter groups that Muon updates.
        rest: parameter groups that AdamW updates.
        rate: initial learning rate; see `set_rate`.
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
                self.update([p for p in group["params"] if p.grad is not None], group["lr"], group["weight_decay"])
        self.adamw.state = self.state  # one state for both, also after `load_state_dict`
        self.adamw.param_groups = [group for group in self.param_groups if not group.get("muon")]
        self.adamw.step()
        return loss

    def update(self, parameters: list[Tensor], rate: float, weight_decay: float) -> None:
        """Updates matrices and kernels; those of one shape, or of its transpose, are made orthogonal together."""
        if not parameters:
            return
        gradients: list[Tensor] = [parameter.grad for parameter in parameters]  # type: ignore[misc]
        for parameter in parameters:
            if "momentum" not in self.state[parameter]:
                self.state[parameter]["momentum"] = torch.zeros_like(parameter)
        momenta = [self.state[parameter]["momentum"] for parameter in parameters]
        torch._foreach_lerp_(momenta, gradients, 1 - MOMENTUM)
        nesterov = list(torch._foreach_lerp(gradients, momenta, MOMENTUM))
        shapes: dict[tuple[int, int], list[tuple[int, Tensor]]] = {}
        for index, matrix in enumerate(nesterov):
            flat = matrix.flatten(1)  # outputs, rest
            wide = flat if flat.shape[0] <= flat.shape[1] else flat.mT
            shapes.setdefault((wide.shape[0], wide.shape[1]), []).append((index, wide))
        for (rows, columns), members in shapes.items():
            stack = torch.stack([wide for _, wide in members])  # K, rows, columns
            steps = orthogonal(stack.bfloat16() if self.half else stack).to(stack.dtype) * (0.2 * math.sqrt(columns))
            for (index, _), step in zip(members, steps, strict=True):
                parameter = parameters[index]
                nesterov[index] = (step if parameter.shape[0] == rows else step.mT).reshape(parameter.shape)
        torch._foreach_mul_(parameters, 1 - rate * weight_decay)
        torch._foreach_add_(parameters, nesterov, alpha=-rate)


def orthogonal(matrices: Tensor) -> Tensor:
    """Brings the singular values of matrices [K, R, C] near 1, by a Newton-Schulz iteration of degree five.

    It takes the fewest multiplications where R ≤ C.
    """
    first, second, third = QUINTIC
    x: Tensor = matrices / (matrices.norm(dim=(1, 2), keepdim=True) + 1e-7)
    for _ in range(STEPS):
        square = x @ x.mT
        x = torch.baddbmm(x, torch.baddbmm(square, square, square, beta=second, alpha=third), x, beta=first)
    return x


def make_optimizer(
    network: nn.Module, kind: str, rate: float, weight_decay: float, half: bool, by_adamw: tuple[str, ...] = BY_ADAMW
) -> Optimizer:
    """The optimiser of the parameters of a network that are not frozen.

    Args:
        kind: muon or adamw.
        rate: initial learning rate; see `set_rate`.
        weight_decay: of matrices and kernels; ten times as much where Muon updates them.
        half: see `Muon`.
        by_adamw: beginnings or ends of the names of matrices that AdamW updates even beside Muon.
    """
    learning = [(name, parameter) for name, parameter in network.named_parameters() if parameter.requires_grad]
    by_muon = [p for name, p in learning if kind == "muon" and is_by_muon(name, p, by_adamw)]
    rest = [p for name, p in learning if kind != "muon" or not is_by_muon(name, p, by_adamw)]
    groups: Groups = [
        {"params": [p for p in rest if p.ndim > 1], "weight_decay": weight_decay},
        {"params": [p for p in rest if p.ndim <= 1], "weight_decay": 0.0},
    ]
    if kind == "adamw":
        return AdamW(groups, lr=rate)  # not fused: Lightning would not clip its gradients
    return Muon([{"params": by_muon, "weight_decay": 10 * weight_decay}], groups, rate, half)


def is_by_muon(name: str, parameter: Tensor, by_adamw: tuple[str, ...] = BY_ADAMW) -> bool:
    """Whether Muon updates a parameter: a matrix or kernel that is not left to AdamW (`make_optimizer`)."""
    return parameter.ndim > 1 and not name.startswith(by_adamw) and not name.endswith(by_adamw)


def set_rate(groups: Groups, rate: float, adamw_limit: float | None) -> None:
    """Sets the learning rate of every group; of those that AdamW updates, to at most `adamw_limit` if that is given."""
    for group in groups:
        group["lr"] = rate if adamw_limit is None or group.get("muon") else min(rate, adamw_limit)
