"""Distortions that imitate other programs' preparation of lines: how they resize, convert to grey, and pad."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F

from ..runtime.image import WIDTH_MULTIPLE

Uniform = Callable[..., Tensor]  # a shape -> numbers in −1…1
MAX_SHARPENING = 2.5  # times the difference to a 3×3 mean, at most
COARSE = (24, 32, 40, 48)  # rows that a line has in a coarse scan; multiples of 8
MAX_STEP = 40.0  # grey levels by which the finest of a JPEG block's waves is rounded, at most; the coarsest by a tenth


def resampled(image: Tensor, share: float, uniform: Uniform) -> Tensor:
    """Makes some lines look as after a resize without antialiasing, which samples single points of a larger image.

    Such points keep the sharpness and the grain of the larger image; along rows and columns they lie on its pixels
    and between them by turns. Takes and returns float [N, 1, 64, W].

    Args:
        share: of the lines, which are chosen at random.
    """
    n, _, rows, width = image.shape
    if image.is_cuda:  # as many in each batch: to ask how many there are would wait for all that the GPU has to do
        chosen = uniform(n).argsort()[: round(share * n)]
    else:
        chosen = (uniform(n) * 0.5 + 0.5 < share).nonzero()[:, 0]
    gain, phase = uniform(n, 1, 1, 1) * 0.5 + 0.5, uniform(n, 4, 1, 1)
    if not len(chosen):
        return image
    x, gain, phase = image[chosen], gain[chosen], phase[chosen]  # M, 1, 64, W
    x = x + (x - blurred(x)) * (MAX_SHARPENING * gain)
    for dim, size in ((2, rows), (3, width)):
        shape = [1, 1, 1, 1]
        shape[dim] = size
        at = torch.arange(size, device=image.device).reshape(shape)
        step, start = phase[:, dim - 2 : dim - 1], phase[:, dim : dim + 1]  # M, 1, 1, 1
        between = (at * step + start).remainder(1.0) * 0.5  # up to half a pixel to the next
        x = torch.lerp(x, torch.cat([x.narrow(dim, 1, size - 1), x.narrow(dim, size - 1, 1)], dim), between)
    return image.index_copy(0, chosen, x)


def coarser(image: Tensor, share: float, uniform: Uniform) -> Tensor:
    """Makes some lines look as cut from a scan of few pixels, kept in a file of few bytes, and enlarged.

    Takes and returns float [N, 1, 64, W] in 0…255.

    Args:
        share: of the lines, which are chosen at random, as many in each batch; a quarter of them for each of `COARSE`.
    """
    n, _, rows, width = image.shape
    chosen = uniform(n).argsort()[: round(share * n)]
    strength = uniform(n, 1, 1, 1, 1, 1) * 0.5 + 0.5
    for height, lines in zip(COARSE, chosen.tensor_split(len(COARSE)), strict=True):
        if len(lines):
            columns = max(8, round(width * height / rows / 8) * 8)
            small = F.interpolate(image[lines], (height, columns), mode="bilinear", antialias=True)
            small = rounded_in_blocks(small.clamp(0, 255), strength[lines])
            large = F.interpolate(small, (rows, width), mode="bilinear")
            image = image.index_copy(0, lines, large)
    return image


def rounded_in_blocks(image: Tensor, strength: Tensor) -> Tensor:
    """What JPEG leaves of a picture: of each block of 8×8 pixels the waves, rounded, the finer the more.

    Args:
        image: float [N, 1, H, W], both sides multiples of 8.
        strength: of the rounding, 0 to 1 [N, 1, 1, 1, 1, 1].
    """
    n, _, rows, columns = image.shape
    place = torch.arange(8, device=image.device, dtype=image.dtype)
    waves = torch.cos((2 * place + 1) * place[:, None] * torch.pi / 16) / 2  # 8, 8: wave, place (DCT-II, orthonormal)
    waves[0] /= 2**0.5
    fineness = (place[:, None] + place) / 14  # 0 to 1
    steps = strength * MAX_STEP * (0.1 + 0.9 * fineness) + 1  # N, 1, 1, 1, 8, 8
    blocks = image.reshape(n, 1, rows // 8, 8, columns // 8, 8).transpose(3, 4)  # N, 1, H/8, W/8, 8, 8
    blocks = waves.T @ ((waves @ blocks @ waves.T / steps).round() * steps) @ waves
    return blocks.transpose(3, 4).reshape(n, 1, rows, columns)


def blurred(x: Tensor) -> Tensor:
    """The mean of each 3×3 neighbourhood [N, 1, H, W], its edges repeated; by sums, which is faster than avg_pool2d."""
    for dim in (2, 3):
        size = x.shape[dim]
        first, last = x.narrow(dim, 0, 1), x.narrow(dim, size - 1, 1)
        x = x + torch.cat([first, x.narrow(dim, 0, size - 1)], dim) + torch.cat([x.narrow(dim, 1, size - 1), last], dim)
    return x / 9


def other_grey(image: Tensor, levels: float, uniform: Uniform) -> Tensor:
    """Makes coloured ink and paper look as after another conversion to grey: dark, light and middle tones shift.

    Takes and returns float [N, 1, 64, W] in 0…255; `levels` is the most a tone shifts.
    """
    dark, light, middle = (uniform(image.shape[0], 1, 1, 1) * levels for _ in range(3))
    t = image / 255
    return image + dark + t * (light - dark + middle * (1 - t))


def padded_otherwise(
    image: Tensor, scaled_widths: Tensor, padded_widths: Tensor, share: float, uniform: Uniform
) -> Tensor:
    """Paints the padding of some lines white, black or in another grey.

    Args:
        image: float [N, 1, 64, W].
        scaled_widths: int [N], the columns of each line itself.
        padded_widths: int [N], those with its padding. All lines with 16 columns of padding or more are candidates.
        share: of the other lines that are candidates. A quarter of the candidates keep the paper's grey.
    """
    n, width = image.shape[0], image.shape[3]
    each = (n, 1, 1, 1)
    chosen = (uniform(*each) * 0.5 + 0.5 < share) | (padded_widths - scaled_widths >= WIDTH_MULTIPLE).reshape(each)
    kind, grey = uniform(*each), (uniform(*each) * 0.5 + 0.5) * 255
    grey = torch.where(kind < -0.5, 255.0, torch.where(kind < 0, 0.0, grey))
    column = torch.arange(width, device=image.device).reshape(1, 1, 1, -1)
    return torch.where(chosen & (kind < 0.5) & (column >= scaled_widths.reshape(each)), grey, image)
