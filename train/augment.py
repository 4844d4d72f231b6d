"""Augmentation of a whole batch in torch: one warp, then ink, paper and noise."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from .pixels import Uniform, blurred, coarser, other_grey, padded_otherwise, resampled


@dataclass(frozen=True)
class AugmentRecipe:
    """How far each distortion may go; 0 switches it off."""

    scale: float = 0.2  # share of the width; drawn when batches are planned (`LineBatches`), since buckets depend on it
    slant: float = 0.35  # columns a row
    height: float = 0.15  # share of the height
    profile: float = 0.0  # share by which rows lie wider apart here and closer there: a hand's long or short loops
    shift: float = 4.0  # rows
    wave: float = 2.5  # rows; a wave is a few words long
    elastic: float = 1.5  # pixels
    thickness: float = 0.6  # weight of the eroded or dilated strokes, mixed with the line
    blur: float = 0.6  # weight of a 3×3 mean, mixed with the line
    contrast: float = 0.35  # greys are raised to a power from exp(−this) to exp(this)
    shade: float = 30.0  # grey levels of uneven light
    noise: float = 10.0  # grey levels
    coarse: float = 0.0  # share of lines that look as if scanned with few pixels and kept in a small file
    cutout: float = 0.3  # share of lines that lose a patch
    cutoff: float = 4.0  # rows that the crop may cut off above and below
    neighbours: float = 0.3  # share of lines with ink of other lines in their outermost rows
    resample: float = 0.3  # share of lines resized without antialiasing
    grey: float = 20.0  # grey levels by which another conversion to grey may move ink and paper
    padding: float = 0.3  # share of lines with padding in another grey than the paper's; planned like `scale`

    def times(self, strength: float) -> AugmentRecipe:
        """Every distortion multiplied by a strength."""
        return AugmentRecipe(**{name: value * strength for name, value in asdict(self).items()})


def augment(
    image: Tensor, source_widths: Tensor, scaled_widths: Tensor, width: int, recipe: AugmentRecipe, seed: int,
    padded_widths: Tensor | None = None,
) -> Tensor:  # fmt: skip
    """Distorts a batch of lines.

    Args:
        image: uint8 [N, 1, 64, W], each padded at the right with its paper's grey.
        source_widths: int [N], the columns of each line that are real.
        scaled_widths: int [N], the columns that each line is to fill in the result.
        width: columns of the result.
        recipe: how far it may go.
        seed: the same seed gives the same batch on one machine.
        padded_widths: int [N], the columns that the network takes for the line, padding included; None: the padding
            keeps the paper's grey.

    Returns:
        float [N, 1, 64, width] in 0…255.
    """
    generator = torch.Generator(image.device).manual_seed(seed)

    def uniform(*shape: int) -> Tensor:
        """Numbers in −1…1."""
        return torch.rand(*shape, generator=generator, device=image.device) * 2 - 1

    x = warp(image.float(), source_widths, scaled_widths, width, recipe, uniform)
    n = x.shape[0]
    each = (n, 1, 1, 1)  # one number for each line
    thick = uniform(*each) * recipe.thickness
    side = torch.where(thick > 0, -1.0, 1.0)  # the darkest of 3×3 makes strokes thicker, the brightest thinner
    x = torch.lerp(x, side * brightest(side * x), thick.abs())
    x = torch.lerp(x, blurred(x), (uniform(*each) * recipe.blur).clamp(min=0))
    x = 255 * (x.clamp(0, 255) / 255) ** torch.exp(uniform(*each) * recipe.contrast)
    light = F.interpolate(uniform(n, 1, 2, max(2, width // 128)), size=x.shape[2:], mode="bilinear", align_corners=True)
    x = x + light * recipe.shade
    x = x + uniform(1, *x.shape[1:]) * (uniform(*each).clamp(min=0) * recipe.noise)  # one grain, in many strengths
    x = crop(cut(x, scaled_widths, recipe, uniform), recipe, uniform)
    if recipe.coarse:
        x = coarser(x, recipe.coarse, uniform)
    if recipe.grey:
        x = other_grey(x, recipe.grey, uniform)
    if recipe.resample:
        x = resampled(x, recipe.resample, uniform)
    x = x.clamp(0, 255)
    if recipe.padding and padded_widths is not None:
        x = padded_otherwise(x, scaled_widths, padded_widths, recipe.padding, uniform)
    return x


def brightest(x: Tensor) -> Tensor:
    """The maximum of each 3×3 neighbourhood [N, 1, H, W], by rows and columns: several times faster than max_pool2d."""
    for dim in (2, 3):
        size = x.shape[dim]
        inner = torch.maximum(x.narrow(dim, 0, size - 2), x.narrow(dim, 2, size - 2))
        x = torch.cat(
            [x.narrow(dim, 0, 1), torch.maximum(inner, x.narrow(dim, 1, size - 2)), x.narrow(dim, size - 1, 1)], dim
        )
    return x


def warp(
    image: Tensor, source_widths: Tensor, scaled_widths: Tensor, width: int, recipe: AugmentRecipe, uniform: Uniform
) -> Tensor:
    """Scale, slant, height, profile, shift, wave and elastic pull in one bilinear sampling."""
    n, _, rows, columns = image.shape
    each = (n, 1, 1)
    row = torch.arange(rows, device=image.device).float()[None, :, None] - rows / 2  # 1, 64, 1
    column = torch.arange(width, device=image.device).float()[None, None, :]  # 1, 1, W'
    ratio = (source_widths.float() / scaled_widths.float()).reshape(each)
    phase = uniform(*each) * torch.pi + column * (0.004 + 0.004 * uniform(*each).abs()) * 2 * torch.pi
    y = row * (1 + uniform(*each) * recipe.height) + uniform(*each) * recipe.shift
    if recipe.profile:
        turn = 2 * torch.pi / rows  # one wave over the height
        y = y + uniform(*each) * recipe.profile / turn * torch.sin(row * turn + torch.pi * uniform(*each))
    y = y + uniform(*each) * recipe.wave * torch.sin(phase) + rows / 2  # N, 64, W'
    x = column * ratio + row * uniform(*each) * recipe.slant  # N, 64, W'
    pull = F.interpolate(uniform(n, 2, 4, max(2, width // 24)), size=(rows, width), mode="bilinear", align_corners=True)
    x, y = x + pull[:, 0] * 2 * recipe.elastic, y + pull[:, 1] * recipe.elastic
    grid = torch.stack([(2 * x + 1) / columns - 1, (2 * y + 1) / rows - 1], -1)  # N, 64, W', 2
    return F.grid_sample(image, grid, padding_mode="border", align_corners=False)


def cut(image: Tensor, scaled_widths: Tensor, recipe: AugmentRecipe, uniform: Uniform) -> Tensor:
    """Covers a patch of up to 12 columns with the line's brightness in some lines."""
    n, _, rows, width = image.shape
    middle = (uniform(n, 1, 1, 1) * 0.5 + 0.5) * scaled_widths.reshape(n, 1, 1, 1)
    half = 2 + 4 * uniform(n, 1, 1, 1).abs()
    top = uniform(n, 1, 1, 1) * rows
    column = torch.arange(width, device=image.device).reshape(1, 1, 1, -1)
    row = torch.arange(rows, device=image.device).reshape(1, 1, -1, 1)
    inside = ((column - middle).abs() < half) & (row > top) & (row < top + rows)
    chosen = uniform(n, 1, 1, 1) * 0.5 + 0.5 < recipe.cutout
    return torch.where(inside & chosen, image.mean((2, 3), keepdim=True), image)


def crop(image: Tensor, recipe: AugmentRecipe, uniform: Uniform) -> Tensor:
    """Imitates a line's crop at its upper and lower edge: it cuts ink off, and shows some of the neighbouring lines."""
    n = len(image)
    size = max(8, math.ceil(recipe.cutoff))  # rows that may change at an edge
    row = torch.arange(size, device=image.device).reshape(1, 1, -1, 1)
    paper = image.mean((2, 3), keepdim=True)  # N, 1, 1, 1
    paper = torch.maximum(paper, image.amax((2, 3), keepdim=True) * 0.9)  # a line full of ink has a dark mean
    upper, inner, lower = (image[:, :, at] for at in (slice(size), slice(size, -size), slice(-size, None)))
    edges = []
    for edge, opposite, away in ((upper, lower, row), (lower, upper, size - 1 - row)):  # away: rows from the border
        lost = (uniform(n, 1, 1, 1) * 2 - 1).clamp(min=0) * recipe.cutoff  # in one line of four
        kept = torch.where(away < lost, paper, edge)
        reach = 4 + 4 * uniform(n, 1, 1, 1)  # rows
        other = opposite.roll(1, 0)  # the lower edge of another line of the batch above this one, and the reverse
        chosen = (uniform(n, 1, 1, 1) * 0.5 + 0.5 < recipe.neighbours) & (away < reach)
        edges.append(torch.where(chosen, torch.minimum(kept, other), kept))
    return torch.cat([edges[0], inner, edges[1]], 2)
