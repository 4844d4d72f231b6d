"""The recogniser: grey pixels in, logits of the classes for every 4 pixels of width out."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ...runtime.image import HEIGHT
from ..data.charset import FRAME_STRIDE
from .attention import FAR, AttentionBlock
from .blocks import ConvBlock

# Stride of each block in rows and columns: 64 rows become 4, and a column of the CNN is 4 pixels wide.
STRIDES = ((2, 2), (2, 2), (2, 1), (2, 1), (1, 1))
# With a stem, whose stride is 4 by 4: the two blocks that it replaces have few channels over large maps, and are slow.
STEM_STRIDES = ((4, 4), (2, 1), (2, 1), (1, 1))
STEM_KERNEL = 8


@dataclass(frozen=True)
class NetworkRecipe:
    """The shape of a network. The last four keys switch off a part each, for ablations.

    Weights of the first two editions have no stem and tokens of 8 pixels; they can still be loaded.
    """

    stem: bool = True  # begin with a plain convolution: kernel 8×8, stride 4
    token: int = FRAME_STRIDE  # pixels of width in a token of attention: 4, or 8, which are split into frames again
    channels: tuple[int, ...] = (48, 64, 80, 96)  # of each convolution block
    deeper: tuple[int, ...] = ()  # residual blocks after each convolution block; none: 0 each
    dim: int = 128  # of the attention blocks
    heads: int = 4  # of each of the two attentions in a block
    feed: int = 424  # hidden units of the feed-forward
    blocks: int = 2  # of attention
    dropout: float = 0.0  # in attention and feed-forward, in training
    layer_drop: float = 0.0  # chance that a training step leaves out a block between the first and the last (Fan 2020)
    gate: bool = True  # gated convolutions
    squeeze_excite: bool = True  # in each convolution block
    self_attention: bool = True  # over the whole line
    proxima: bool = True  # attention that fades with distance

    def __post_init__(self) -> None:
        if min(self.dim, self.heads, self.feed, self.blocks, *self.channels) < 1:
            raise ValueError("channels, dim, heads, feed and blocks: 1 or more")
        if not (0 <= self.dropout < 1 and 0 <= self.layer_drop < 1):
            raise ValueError("dropout and layer_drop: from 0 to less than 1")
        if len(self.channels) != len(self.strides):
            blocks = len(self.strides)
            raise ValueError(f"channels: {blocks} numbers, one a convolution block; got {len(self.channels)}")
        if self.deeper and (len(self.deeper) != len(self.channels) or min(self.deeper) < 0):
            raise ValueError(f"deeper: none, or {len(self.channels)} numbers from 0, one a convolution block")
        if self.token not in (FRAME_STRIDE, 2 * FRAME_STRIDE):
            raise ValueError(f"token: {FRAME_STRIDE} or {2 * FRAME_STRIDE} pixels, got {self.token}")
        if self.dim % (2 * self.heads):
            raise ValueError(f"dim: a multiple of twice the heads ({2 * self.heads}); got {self.dim}")

    @property
    def strides(self) -> tuple[tuple[int, int], ...]:
        """Stride of each convolution block in rows and columns."""
        return STEM_STRIDES if self.stem else STRIDES


STUDENT = NetworkRecipe()
TEACHER = dataclasses.replace(STUDENT, blocks=6)


class Network(nn.Module):
    """Gated CNN, combined attention, CTC head.

    Args:
        recipe: its shape.
        classes: characters and the blank (class 0).
        origins: datasets that an additional head, for training, tells apart; 0 for no such head.
    """

    def __init__(self, recipe: NetworkRecipe, classes: int, origins: int = 0) -> None:
        super().__init__()
        self.recipe = recipe
        self.convs = nn.ModuleList()
        deeper = recipe.deeper or (0,) * len(recipe.channels)
        for inputs, outputs, stride, more in zip(
            (1, *recipe.channels), recipe.channels, recipe.strides, deeper, strict=False
        ):
            stem = recipe.stem and not self.convs
            gate, squeeze_excite = recipe.gate and not stem, recipe.squeeze_excite and not stem
            kernel = STEM_KERNEL if stem else 3
            self.convs.append(ConvBlock(inputs, outputs, stride, gate, squeeze_excite, kernel, more))
        rows = HEIGHT // math.prod(down for down, _ in recipe.strides)
        self.neck = nn.Linear(rows * recipe.channels[-1], recipe.dim)
        self.attention = nn.ModuleList(
            AttentionBlock(recipe.dim, recipe.heads, recipe.feed, recipe.dropout, recipe.self_attention, recipe.proxima)
            for _ in range(recipe.blocks)
        )
        self.norm = nn.LayerNorm(recipe.dim)
        if recipe.token > FRAME_STRIDE:
            self.split = nn.Linear(recipe.dim, 2 * recipe.dim)  # one token of 8 pixels into two frames of 4
            self.skip = nn.Linear(recipe.dim, recipe.dim, bias=False)  # from each column of 4 pixels to its frame
        self.head = nn.Linear(recipe.dim, classes)
        self.shortcut = nn.Linear(recipe.dim, classes)  # CTC on the CNN alone, for training (Retsinas 2022)
        self.origin = nn.Linear(recipe.dim, origins) if origins else None

    def forward(self, image: Tensor, widths: Tensor | None = None) -> Tensor:
        """Logits of each frame.

        Args:
            image: uint8 or float [N, 1, 64, W], 0 = black, W a multiple of 16.
            widths: int [N], the real columns of each line (multiples of 16); None: all columns of all lines are real.

        Returns:
            float32 logits [N, W/4, V].
        """
        return self.scores(self.features(image, widths), widths)

    def features(self, image: Tensor, widths: Tensor | None) -> Tensor:
        """The CNN's features of each column of 4 pixels [N, W/4, D]: input of `shortcut` and `scores`."""
        mask = None
        if widths is not None:
            mask = column_mask(widths, image.shape[3])  # N, 1, 1, W
        x = normalise(image.float(), mask)
        for conv in self.convs:
            x, mask = conv(x, mask)  # N, C, H/s, W/s
        n, _, _, width = x.shape
        x = x.permute(0, 3, 1, 2).reshape(n * width, -1)  # N·W/4, C·H
        columns: Tensor = self.neck(x)  # N·W/4, D
        return columns.reshape(n, width, -1)

    def scores(self, columns: Tensor, widths: Tensor | None) -> Tensor:
        """Logits [N, W/4, V] from the CNN's columns [N, W/4, D]."""
        token = self.recipe.token
        x = columns[:, :: token // FRAME_STRIDE]  # N, T, D
        n, t, _ = x.shape
        padding = None
        if widths is not None:
            real = torch.arange(t, device=x.device) < widths[:, None] // token  # N, T
            padding = (~real).float()[:, None, None, :] * FAR  # N, 1, 1, T
        x = x.reshape(n * t, -1)  # N·T, D
        for number, block in enumerate(self.attention):
            inner = 0 < number < len(self.attention) - 1
            if self.training and inner and torch.rand(()) < self.recipe.layer_drop:
                continue
            x = block(x, n, padding)
        x = self.norm(x)
        if token > FRAME_STRIDE:
            x = self.split(x)  # N·T, 2·D
            x = F.relu(x.reshape(-1, columns.shape[2]) + self.skip(columns.flatten(0, 1)))  # N·W/4, D
        logits: Tensor = self.head(x)  # N·W/4, V
        return logits.float().reshape(n, columns.shape[1], -1)


def pooled(columns: Tensor, widths: Tensor) -> Tensor:
    """The mean of the real columns [N, D] of columns [N, W/4, D]."""
    real = (torch.arange(columns.shape[1], device=columns.device) < widths[:, None] // FRAME_STRIDE).float()  # N, T
    return (columns.float() * real[..., None]).sum(1) / real.sum(1, keepdim=True)


def column_mask(widths: Tensor, width: int) -> Tensor:
    """1 over the real columns of each line and 0 over its padding: float [N, 1, 1, width]."""
    return (torch.arange(width, device=widths.device) < widths[:, None]).float()[:, None, None, :]


def normalise(image: Tensor, mask: Tensor | None) -> Tensor:
    """Maps ink towards 1 and paper towards 0, by the darkest and the brightest 4×4 patch of each line.

    Not by mean and deviation, which depend on how much is written. Takes and returns float [N, 1, 64, W].
    """
    patches = F.avg_pool2d(image, 4)  # N, 1, 16, W/4
    dark = bright = patches
    if mask is not None:
        padding = (1 - mask[..., ::4]) * 1e4
        dark, bright = patches + padding, patches - padding
    low = dark.amin((2, 3), keepdim=True)  # N, 1, 1, 1
    high = bright.amax((2, 3), keepdim=True)
    ink = (high - image) / (high - low + 8)  # 8 grey levels keep the noise of an empty line small
    return ink if mask is None else ink * mask
