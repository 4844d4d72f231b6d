"""Other people's pixels: padding that a batch is planned with, its grey, and resizing without antialiasing."""

from __future__ import annotations

import numpy as np
import torch
from generated import printed_row
from torch import Tensor

from htrjand.train.augment import AugmentRecipe, augment
from htrjand.train.batches import BUCKET, LineBatches
from htrjand.train.data.charset import FRAME_STRIDE, frames_needed
from htrjand.train.examples import Example, padded
from htrjand.train.pixels import coarser, other_grey, padded_otherwise, resampled, rounded_in_blocks

OFF = dict.fromkeys(AugmentRecipe.__dataclass_fields__, 0.0)


def some_lines(count: int) -> list[Example]:
    rows = [printed_row("ab " * (1 + i % 9), str(i)) for i in range(count)]
    return [Example(row, np.array([1, 2] * (len(row.text) // 3))) for row in rows]


def uniform(*shape: int) -> Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(sum(shape))) * 2 - 1


def test_without_padding_a_line_ends_at_the_next_multiple_of_16() -> None:
    batch = next(iter(LineBatches(some_lines(40), 2048, 0.2)))
    assert batch.padded_widths.tolist() == [padded(fills) for fills in batch.scaled_widths.tolist()]
    assert not (batch.padded_widths % 16).any()
    plain = next(iter(LineBatches(some_lines(40), 2048, 0.0)))
    assert torch.equal(plain.scaled_widths, plain.source_widths)


def test_padded_lines_are_planned_wider_and_stay_within_their_bucket() -> None:
    lines = some_lines(200)
    plain = LineBatches(lines, 4096, 0.2, seed=1)
    wide = LineBatches(lines, 4096, 0.2, seed=1, padding=0.5)
    more = []
    for width, chosen in wide.plan(0):
        for index, widths in chosen:
            assert widths.padded % 16 == 0 and widths.scaled <= widths.padded <= width and width % BUCKET == 0
            assert widths.scaled >= frames_needed(lines[index].classes) * FRAME_STRIDE
            more.append(widths.padded - padded(widths.scaled))
    assert 0.3 < np.mean(np.array(more) > 0) < 0.6
    assert max(more) > 300 and max(more) <= 528
    assert all(widths.padded == padded(widths.scaled) for _, chosen in plain.plan(0) for _, widths in chosen)


def test_padded_batches_are_the_same_from_any_step() -> None:
    lines = some_lines(40)
    whole = iter(LineBatches(lines, 2048, 0.2, seed=3, padding=0.5))
    first = [next(whole) for _ in range(20)]
    for start in (1, 13):
        batch = next(iter(LineBatches(lines, 2048, 0.2, seed=3, start=start, padding=0.5)))
        assert torch.equal(batch.image, first[start].image)
        assert torch.equal(batch.padded_widths, first[start].padded_widths)
        assert torch.equal(batch.scaled_widths, first[start].scaled_widths)


def test_padding_has_one_grey_and_leaves_the_line_alone() -> None:
    image = torch.full((64, 1, 64, 96), 200.0)
    fills, seen = torch.full((64,), 40), torch.full((64,), 80)
    found = padded_otherwise(image, fills, seen, 0.0, uniform)
    assert (found[..., :40] == 200).all()
    beyond = found[..., 40:]
    assert (beyond.amax((2, 3)) == beyond.amin((2, 3))).all()
    greys = beyond[:, 0, 0, 0].tolist()
    assert {0.0, 200.0, 255.0} <= set(greys) and len(set(greys)) > 6, "black, as it was, white, and others"
    few = padded_otherwise(image, fills, torch.full((64,), 48), 0.0, uniform)
    assert (few == 200).all(), "eight columns are no padding on purpose"


def test_what_the_network_sees_as_padding_is_shown_in_its_grey() -> None:
    batch = next(iter(LineBatches(some_lines(40), 2048, 0.0, padding=1.0)))
    recipe = AugmentRecipe(**OFF | {"padding": 1.0})
    found = augment(batch.image, batch.source_widths, batch.scaled_widths, batch.width, recipe, 1, batch.padded_widths)
    usual = augment(batch.image, batch.source_widths, batch.scaled_widths, batch.width, recipe, 1)
    for line, plain, fills in zip(found, usual, batch.scaled_widths.tolist(), strict=True):
        assert torch.equal(line[..., :fills], plain[..., :fills])
    assert not torch.equal(found, usual)


def test_resampling_sharpens_and_touches_only_its_share() -> None:
    image = torch.full((32, 1, 64, 96), 220.0)
    image[..., 30:34, :] = 60  # a stroke with soft edges
    image[..., 29, :] = image[..., 34, :] = 140
    found = resampled(image, 0.5, uniform)
    changed = [not torch.equal(a, b) for a, b in zip(found, image, strict=True)]
    assert 4 < sum(changed) < 28
    assert found.min() < 60 and found.max() > 220
    assert resampled(image, 0.0, uniform) is image


def test_another_grey_moves_tones_by_some_levels_and_keeps_their_order() -> None:
    ramp = torch.arange(256.0).expand(16, 1, 64, 256)
    found = other_grey(ramp, 20.0, uniform)
    assert 5 < (found - ramp).abs().max() <= 25
    assert (found.diff(dim=3) > 0).all()


def test_coarse_lines_keep_their_tone_and_lose_what_is_fine() -> None:
    lines = torch.from_numpy(np.stack([printed_row("ab cab " * 4, str(i)).pixels() for i in range(8)])[:, None]).float()
    coarse = coarser(lines, 1.0, uniform)
    assert coarse.shape == lines.shape
    assert (coarse.mean((2, 3)) - lines.mean((2, 3))).abs().max() < 4
    edges, left = (image.diff(dim=3).abs().amax((1, 2, 3)) for image in (lines, coarse))
    assert (left < 0.75 * edges).all()
    half = coarser(lines, 0.5, uniform)
    assert sum(torch.equal(before, after) for before, after in zip(lines, half, strict=True)) == 4


def test_rounding_in_blocks_is_small_where_weak_and_leaves_flat_paper() -> None:
    noise = torch.rand(2, 1, 16, 24, generator=torch.Generator().manual_seed(1)) * 255
    weak, strong = (torch.full((2, 1, 1, 1, 1, 1), value) for value in (0.0, 1.0))
    errors = [(rounded_in_blocks(noise, strength) - noise).abs().mean() for strength in (weak, strong)]
    assert errors[0] < 0.4 < 3 < errors[1]
    flat = torch.full((2, 1, 16, 24), 200.0)
    assert (rounded_in_blocks(flat, strong) - flat).abs().max() < 3
