"""The line detector: a grey page in, maps of its text lines at a quarter of the resolution out."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ...runtime.page.detect import STRIDE

TYPICAL_HEIGHT = 2.5  # ln of 12 pixels: where the heights begin to learn from
RARE = -3.0  # logit where the marks begin: one pixel in twenty belongs to a core


@dataclass(frozen=True)
class DetectorRecipe:
    """The shape of a network; its strides are 4, 8, 16, 32."""

    channels: tuple[int, ...] = (32, 48, 64, 64)  # of each stage
    blocks: tuple[int, ...] = (1, 1, 1, 1)  # residual blocks of each stage

    def __post_init__(self) -> None:
        if len(self.channels) != len(self.blocks) or len(self.channels) < 2:
            raise ValueError("channels, blocks: as many numbers in both, and at least two")
        if min(self.channels) < 1 or min(self.blocks) < 0:
            raise ValueError("channels: 1 or more; blocks: 0 or more")

    @property
    def multiple(self) -> int:
        """Height and width of an image must be multiples of this."""
        return STRIDE << (len(self.channels) - 1)


class Detector(nn.Module):
    """A feature pyramid of plain 3×3 convolutions: they quantise well and are in every format."""

    def __init__(self, recipe: DetectorRecipe) -> None:
        super().__init__()
        self.recipe = recipe
        widths = recipe.channels
        self.stem = nn.Sequential(
            nn.Conv2d(1, widths[0], 8, STRIDE, 2, bias=False), nn.BatchNorm2d(widths[0]), nn.ReLU()
        )
        self.stages = nn.ModuleList()
        for inputs, outputs, blocks in zip((widths[0], *widths), widths, recipe.blocks, strict=False):
            down = [convolution(inputs, outputs, 2)] if self.stages else []
            self.stages.append(nn.Sequential(*down, *(Residual(outputs) for _ in range(blocks))))
        self.narrow = nn.ModuleList(nn.Conv2d(coarse, fine, 1) for fine, coarse in pairwise(widths))
        self.merge = nn.ModuleList(convolution(fine, fine, 1) for fine in widths[:-1])
        self.marks = nn.Conv2d(widths[0], 2, 1)
        self.heights = nn.Conv2d(widths[0], 2, 1)
        nn.init.constant_(self.marks.bias, RARE)  # type: ignore[arg-type]
        nn.init.constant_(self.heights.bias, TYPICAL_HEIGHT)  # type: ignore[arg-type]

    def forward(self, image: Tensor) -> Tensor:
        """Maps of a page.

        Args:
            image: uint8 or float [N, 1, H, W], evened (`runtime/page/detect.py`); H and W multiples of 32.

        Returns:
            float32 [N, 4, H/4, W/4]: the probability of a line's core, that of a line's end, and the natural logarithms
            of the distances in pixels from the middle of the core up to the top of the line and down to its foot.
        """
        marks, heights = self.logits(image)
        return torch.cat([marks.sigmoid(), heights], dim=1)

    def logits(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """Logits of core and end, and the logarithms of the heights: float32 [N, 2, H/4, W/4] each."""
        x = self.stem(image.float() / 255)  # N, C, H/4, W/4
        levels = []
        for stage in self.stages:
            x = stage(x)
            levels.append(x)
        for number in range(len(levels) - 2, -1, -1):
            x = F.interpolate(self.narrow[number](x), scale_factor=2.0, mode="nearest")
            x = self.merge[number](x + levels[number])
        return self.marks(x).float(), self.heights(x).float()


class Residual(nn.Module):
    """`relu(x + BN(conv(relu(BN(conv(x))))))`."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = convolution(channels, channels, 1)
        self.second = nn.Sequential(nn.Conv2d(channels, channels, 3, 1, 1, bias=False), nn.BatchNorm2d(channels))

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(x + self.second(self.first(x)))


def convolution(inputs: int, outputs: int, stride: int) -> nn.Sequential:
    """A 3×3 convolution, batch norm and ReLU."""
    return nn.Sequential(nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU())
