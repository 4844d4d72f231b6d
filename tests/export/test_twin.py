"""The TensorFlow twin computes what the torch network does, whichever of its parts are there."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import htrjand.export.tflite  # noqa: F401  TensorFlow is silent from here on
from htrjand.export.equalise import equalise
from htrjand.export.twin import twin
from htrjand.train.network import Network, NetworkRecipe
from htrjand.train.network.attention import Attention
from htrjand.train.network.blocks import ConvBlock

RECIPE = NetworkRecipe(channels=(8, 12, 16, 24), deeper=(1, 0, 2, 0), dim=16, heads=2, feed=20, blocks=2)
WIDTHS = (16, 64, 336, 800, 1024, 2048, 4096)
OFF: list[tuple[str, ...]] = [
    (), ("gate",), ("squeeze_excite",), ("self_attention",), ("proxima",), ("self_attention", "proxima"),
    ("gate", "squeeze_excite"),
]  # fmt: skip


def network(*off: str, **changes: Any) -> Network:
    """A network of random numbers, its norms and biases too; some scales are negative, and one is nothing."""
    torch.manual_seed(1)
    built = Network(dataclasses.replace(RECIPE, **{name: False for name in off}, **changes), 9).eval()
    with torch.no_grad():
        for module in built.modules():
            if isinstance(module, nn.BatchNorm2d | nn.LayerNorm):
                module.weight.normal_(1, 0.5)
                module.bias.normal_(0, 0.5)
            if isinstance(module, nn.BatchNorm2d):
                module.running_mean.normal_(0, 0.3)
                module.running_var.uniform_(0.1, 2)
                module.weight[0], module.weight[1] = 0, -1
            if isinstance(module, Attention) and module.fade is not None:
                module.fade.normal_(0, 1)
    return built


def differs(built: Network, other: Any, width: int) -> float:
    """The largest difference of a logit, on noise; the twin has the other layout of memory all the way."""
    image = np.random.default_rng(width).integers(0, 256, (1, 1, 64, width), dtype=np.uint8)
    with torch.inference_mode():
        expected = built(torch.from_numpy(image)).numpy()
    found = other(image)["logits"].numpy()
    assert found.shape == expected.shape == (1, width // 4, 9)
    return float(np.abs(found - expected).max() / np.abs(expected).max())


@pytest.fixture(scope="module")
def unchanged() -> Any:
    return twin(network())


def test_it_computes_the_same_at_all_widths(unchanged: Any) -> None:
    built = network()
    assert max(differs(built, unchanged, width) for width in WIDTHS) < 1e-5
    assert differs(built, twin(built, 336), 336) < 1e-5


@pytest.mark.parametrize("off", OFF, ids=lambda off: " ".join(off) or "nothing")
def test_it_computes_the_same_without_any_part(off: tuple[str, ...]) -> None:
    built = network(*off)
    assert differs(built, twin(built), 336) < 1e-5
    assert differs(built, twin(equalise(built)), 336) < 1e-5


@pytest.mark.parametrize(
    "shape",
    [
        {"channels": (7, 9, 11, 13), "dim": 24, "heads": 3, "feed": 11, "blocks": 1},
        {"channels": (5, 7, 9, 11, 13), "deeper": (), "stem": False, "token": 8},  # the second edition's
    ],
)
def test_it_reads_shapes_off_the_modules(shape: dict[str, Any]) -> None:
    built = network(**shape)
    for block in built.attention:
        for attention in block.attentions:
            attention.reach = 3
    built.norm.eps = 0.5
    built.convs[2].norm.eps = 0.5
    assert differs(built, twin(built), 336) < 1e-5


def test_heads_that_fade_fast_and_slowly_mask_what_is_beyond_their_reach() -> None:
    """What a head lowers is one table times its slope: the least one decides how far beyond the reach it has to go."""
    built = network()
    with torch.no_grad():
        for attention in (a for block in built.attention for a in block.attentions if a.fade is not None):
            attention.fade.copy_(torch.tensor([-12.0, 3.0]))  # slopes of 0.000006 and 3
    assert differs(built, twin(built), 800) < 1e-5


@pytest.mark.parametrize(
    "name",
    [
        name
        for name, module in network().named_modules()
        if list(module.parameters(recurse=False)) and name != "shortcut"  # that one is for training
    ],
)
def test_every_weight_counts(name: str, unchanged: Any) -> None:
    """What changes in torch, and not in the twin, is seen; else equality would say little."""
    built, other = network(), unchanged
    before = differs(built, other, 64)
    with torch.no_grad():
        for parameter in built.get_submodule(name).parameters(recurse=False):
            parameter.mul_(3).add_(1)
    assert differs(built, other, 64) > 100 * before


def test_another_way_forward_is_seen(unchanged: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        ConvBlock, "forward", lambda self, x, mask: (self.se(torch.tanh(self.norm(self.conv(x))), mask), mask)
    )
    assert differs(network(), unchanged, 64) > 1e-2


def test_equalised_channels_weigh_the_same_and_the_network_is_left_alone() -> None:
    built = network()
    with torch.no_grad():
        built.convs[1].conv.conv.weight[3] *= 50
        built.convs[1].conv.conv.weight[2] = 0
    before = {name: tensor.clone() for name, tensor in built.state_dict().items()}
    even = equalise(built)
    norms = even.convs[1].conv.conv.weight.flatten(1).norm(dim=1)
    torch.testing.assert_close(norms[[0, 1, 3]], norms[8:].mean().expand(3))
    assert norms[2] == 0
    image = torch.randint(0, 256, (1, 1, 64, 96), dtype=torch.uint8)
    torch.testing.assert_close(even(image), built(image), atol=1e-4, rtol=1e-4)
    assert all(torch.equal(before[name], tensor) for name, tensor in built.state_dict().items())
