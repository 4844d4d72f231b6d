"""The network's size and cost, and that padding leaves no trace."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from htrjand.train.network import STUDENT, TEACHER, Network, NetworkRecipe

CLASSES = 120
SMALL = NetworkRecipe(channels=(12, 16, 16, 24), dim=32, heads=2, feed=64, blocks=2)
EARLIER = NetworkRecipe(stem=False, token=8, channels=(8, 12, 16, 16, 24), dim=32, heads=2, feed=64, blocks=2)
PARTS = ("gate", "squeeze_excite", "self_attention", "proxima")


def parameters(recipe: NetworkRecipe) -> int:
    return sum(parameter.numel() for parameter in Network(recipe, CLASSES).parameters())


def seasoned(recipe: NetworkRecipe) -> Network:
    """A network whose batch norms have statistics, as after training."""
    torch.manual_seed(0)
    network = Network(recipe, CLASSES)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.normal_()  # type: ignore[union-attr]
            module.running_var.uniform_(0.5, 2)  # type: ignore[union-attr]
    return network.eval()


def test_parameters() -> None:
    assert parameters(TEACHER) <= 1_500_000
    assert parameters(STUDENT) <= 780_000
    assert 0.45 <= parameters(STUDENT) / parameters(TEACHER) <= 0.55


def test_the_student_takes_at_most_550_million_multiply_adds_a_line() -> None:
    image = torch.zeros(1, 1, 64, 1024, dtype=torch.uint8)
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        Network(STUDENT, CLASSES).eval()(image)
    assert 0.2e9 < counter.get_total_flops() / 2 <= 0.55e9


SHAPES = {"whole": SMALL, "of the second edition": EARLIER} | {
    f"without {part}": dataclasses.replace(SMALL, **{part: False}) for part in PARTS
}


@pytest.mark.parametrize("shape", SHAPES)
def test_padding_leaves_no_trace(shape: str) -> None:
    network = seasoned(SHAPES[shape])
    widths = torch.tensor([64, 336, 512, 240])
    lines = [torch.randint(0, 256, (1, 1, 64, int(width)), dtype=torch.uint8) for width in widths]
    batch = torch.randint(0, 256, (4, 1, 64, 640), dtype=torch.uint8)  # whatever stands in the padding
    for place, line in zip(batch, lines, strict=True):
        place[..., : line.shape[3]] = line[0]
    with torch.no_grad():
        together = network(batch, widths)
        for scores, line in zip(together, lines, strict=True):
            alone = network(line)[0]  # T, V
            torch.testing.assert_close(scores[: len(alone)], alone, atol=1e-4, rtol=0)


def test_a_frame_for_four_pixels() -> None:
    network = seasoned(SMALL)
    assert network(torch.zeros(3, 1, 64, 48, dtype=torch.uint8)).shape == (3, 12, CLASSES)


def test_gradients_reach_every_parameter() -> None:
    network = Network(STUDENT, CLASSES)
    widths = torch.tensor([256, 192])
    columns = network.features(torch.rand(2, 1, 64, 256) * 255, widths)
    logits, shortcut = network.scores(columns, widths), network.shortcut(columns)
    (logits.square().mean() + shortcut.square().mean()).backward()  # type: ignore[no-untyped-call]
    without = [n for n, p in network.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]
    # A bias of all keys shifts every score of a query alike: softmax cancels it. It is a third of each qkv bias.
    assert without == []


def test_contrast_and_brightness_of_the_paper_change_little() -> None:
    network = seasoned(SMALL)
    line = torch.randint(0, 256, (1, 1, 64, 256)).float()
    with torch.no_grad():
        same = network(line * 0.5 + 60) - network(line)
    assert same.abs().max() < 0.5 * network(line).std()


def test_each_switch_takes_its_part_away() -> None:
    for part in PARTS:
        assert parameters(dataclasses.replace(SMALL, **{part: False})) < parameters(SMALL)


def test_a_shape_that_cannot_be_is_refused() -> None:
    with pytest.raises(ValueError, match="4 numbers"):
        NetworkRecipe(channels=(8, 8))
    with pytest.raises(ValueError, match="multiple"):
        NetworkRecipe(dim=30, heads=4)
