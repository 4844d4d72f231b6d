"""The short cuts that attention takes in bf16 come to what its formula says."""

from __future__ import annotations

import pytest
import torch

from htrjand.train.network.attention import FAR, Attention, attend


@pytest.mark.parametrize("tokens", [3, 32, 77])
@pytest.mark.parametrize("proxima", [False, True])
@pytest.mark.parametrize("padded", [False, True])
def test_the_quick_way_is_the_same_attention(tokens: int, proxima: bool, padded: bool) -> None:
    torch.manual_seed(0)
    attention = Attention(dim=16, inner=16, heads=2, proxima=proxima)
    x = torch.randn(2 * tokens, 16)
    real = torch.arange(tokens) < torch.tensor([[tokens], [max(1, tokens - 40) if padded else tokens]])  # N, T
    padding = (~real).float()[:, None, None] * FAR if padded else None
    exact = attention(x, 2, padding).reshape(2, tokens, -1)
    with torch.autocast("cpu", torch.bfloat16):
        quick = attention(x, 2, padding).reshape(2, tokens, -1)
    assert quick.dtype == torch.bfloat16
    torch.testing.assert_close(quick.float()[real], exact[real], atol=0.03, rtol=0.03)
    q, k, v = attention.qkv(x).reshape(2, tokens, 3, 2, -1).permute(2, 0, 3, 1, 4)
    found = attention.in_windows(q, k, v, padding) if proxima else attend(q, k, v, padding)
    torch.testing.assert_close(found.transpose(1, 2).reshape(exact.shape)[real], exact[real])


def test_the_fade_learns_the_same_in_windows() -> None:
    torch.manual_seed(0)
    attention = Attention(dim=16, inner=16, heads=2, proxima=True, reach=8)
    assert attention.fade is not None
    x, gradients = torch.randn(2 * 29, 16), []
    for quick in (False, True):
        q, k, v = attention.qkv(x).reshape(2, 29, 3, 2, -1).permute(2, 0, 3, 1, 4)
        windows = attention.in_windows(q, k, v, None).transpose(1, 2).reshape(x.shape)
        found = windows if quick else attention(x, 2, None)
        gradients.append(torch.autograd.grad(found.sin().sum(), [attention.fade, attention.qkv.weight]))
    torch.testing.assert_close(gradients[1], gradients[0])


def test_what_is_masked_comes_to_nothing_without_underflow() -> None:
    """Most scores of a long line are masked, and results below the smallest normal number are slow on Intel."""
    attention = Attention(dim=16, inner=16, heads=2, proxima=True)
    position = torch.arange(600.0)
    weights = torch.softmax(attention.distance_bias(position[:, None] - position), -1)  # H, T, T
    masked = (position[:, None] - position).abs() > attention.reach
    assert weights[:, masked].max() < 1e-25 and weights[:, masked].min() > 1e6 * torch.finfo(torch.float32).tiny
