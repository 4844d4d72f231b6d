"""The convolutional half: gated convolutions with squeeze-and-excitation.

Padding changes no output in evaluation mode; in training mode it is part of the statistics of batch norm.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class GatedConv2d(nn.Module):
    """Fully gated convolution: `[a, b] = split(conv(x)); y = a · σ(b)` (Dauphin 2017; Flor 2020)."""

    def __init__(self, inputs: int, outputs: int, stride: tuple[int, int], gated: bool = True, kernel: int = 3) -> None:
        super().__init__()
        padding = (kernel - stride[1] + 1) // 2  # centres each output on its receptive field
        self.conv = nn.Conv2d(inputs, 2 * outputs if gated else outputs, kernel, stride, padding)
        self.gated = gated

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv(x)  # N, 2C | C, H, W
        return F.glu(x, dim=1) if self.gated else x  # N, C, H, W


class SqueezeExcite(nn.Module):
    """Channel weights from the mean over real columns: mean → C/16 → ReLU → C → σ (Hu 2018).

    The mask is multiplied into the weights, so that one multiplication scales the channels and zeroes the padding:
    the next convolution finds the zeros that it would find at the border of an unpadded line.
    """

    def __init__(self, channels: int, enabled: bool = True) -> None:
        super().__init__()
        hidden = squeezed(channels)
        self.squeeze = nn.Linear(channels, hidden) if enabled else None
        self.excite = nn.Linear(hidden, channels) if enabled else None

    def forward(self, x: Tensor, mask: Tensor | None) -> Tensor:
        if self.squeeze is None or self.excite is None:
            return x if mask is None else x * mask
        mean = x.mean((2, 3)) if mask is None else (x * mask).sum((2, 3)) / (mask.sum((2, 3)) * x.shape[2])  # N, C
        weight = torch.sigmoid(self.excite(F.relu(self.squeeze(mean))))[:, :, None, None]  # N, C, 1, 1
        return x * (weight if mask is None else weight * mask)  # N, C, H, W


def squeezed(channels: int) -> int:
    """Hidden units of squeeze-and-excitation; at least 4, or a narrow first block cannot tell ink from paper."""
    return max(4, channels // 16)


class Residual(nn.Module):
    """`x + BN(W · ReLU(BN(conv(x))))`, the convolution to half of the channels: depth at little cost (He 2016).

    It adds nothing until it is trained: the scale of its last batch norm begins at zero (Goyal 2017).
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(channels, channels // 2, 3, 1, 1, bias=False), nn.BatchNorm2d(channels // 2), nn.ReLU(),
            nn.Conv2d(channels // 2, channels, 1, bias=False), norm := nn.BatchNorm2d(channels),
        )  # fmt: skip
        nn.init.zeros_(norm.weight)

    def forward(self, x: Tensor, mask: Tensor | None) -> Tensor:
        """Takes and returns [N, C, H, W]; what `mask` [N, 1, 1, W] leaves out stays zero."""
        added: Tensor = self.layers(x)
        return x + (added if mask is None else added * mask)


class ConvBlock(nn.Module):
    """`SE(ReLU(BN(gated conv)))`, the block of the HTR-JAND paper, with a strided convolution in place of pooling.

    `deeper` residual blocks may follow.
    """

    def __init__(
        self, inputs: int, outputs: int, stride: tuple[int, int], gate: bool = True, squeeze_excite: bool = True,
        kernel: int = 3, deeper: int = 0,
    ) -> None:  # fmt: skip
        super().__init__()
        self.conv = GatedConv2d(inputs, outputs, stride, gate, kernel)
        self.norm = nn.BatchNorm2d(outputs)
        self.se = SqueezeExcite(outputs, squeeze_excite)
        self.deeper = nn.ModuleList(Residual(outputs) for _ in range(deeper))
        self.stride = stride

    def forward(self, x: Tensor, mask: Tensor | None) -> tuple[Tensor, Tensor | None]:
        """Takes x [N, C, H, W] and its columns' mask [N, 1, 1, W] or None; returns both at the block's stride."""
        if mask is not None:
            mask = mask[..., :: self.stride[1]]
        x = F.relu(self.norm(self.conv(x)))  # N, C, H/s, W/s
        real = None if mask is None else mask.to(x.dtype)
        x = self.se(x, real)
        for residual in self.deeper:
            x = residual(x, real)
        return x, mask
