"""The attention half: self-attention beside attention that fades with distance, then a feed-forward."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

# Added to a masked score. Its e⁻⁶⁰ is nothing beside an unmasked one, and yet no underflow: results that small are slow
# on Intel's processors, and most scores of a long line are masked.
FAR = -60.0


class Attention(nn.Module):
    """Multi-head attention without its output projection, which the combined block shares.

    With `proxima` a head lowers its scores by distance: `softmax(QKᵀ/√d − softplus(λ_h)·|i−j|)·V`, λ learned,
    within `reach` positions; those beyond it are masked by −60. The HTR-JAND paper names Proxima attention and gives no
    formula; this one is ours.
    """

    def __init__(self, dim: int, inner: int, heads: int, proxima: bool, reach: int = 32) -> None:
        super().__init__()
        self.qkv = nn.Linear(dim, 3 * inner)
        self.heads = heads
        self.reach = reach
        # Initial slopes 1, 1/2, 1/4, …: some heads see as far as the next letter, some a word.
        slopes = torch.tensor([2.0**-h for h in range(heads)])
        self.fade = nn.Parameter(torch.log(torch.expm1(slopes))) if proxima else None

    def forward(self, x: Tensor, lines: int, padding: Tensor | None) -> Tensor:
        """Takes x [N·T, dim], N, and the bias that masks padding [N, 1, 1, T], or None; returns [N·T, inner].

        In bf16, and so in training, scores stay in bf16 and those beyond the band are not computed: attention is
        limited by memory there, and this makes it more than twice as fast.
        """
        n, t = lines, x.shape[0] // lines
        q, k, v = self.qkv(x).reshape(n, t, 3, self.heads, -1).permute(2, 0, 3, 1, 4)  # each N, H, T, D
        if q.dtype == torch.bfloat16:
            out = attend(q, k, v, padding) if self.fade is None else self.in_windows(q, k, v, padding)
            return out.transpose(1, 2).reshape(n * t, -1)
        scores = q @ k.transpose(-2, -1) * (1 / math.sqrt(q.shape[-1]))  # N, H, T, T
        if self.fade is not None:
            position = torch.arange(t, device=x.device, dtype=torch.float32)
            scores = scores + self.distance_bias(position[:, None] - position[None, :])
        if padding is not None:
            scores = scores + padding
        out = torch.softmax(scores, -1).to(v.dtype) @ v  # N, H, T, D
        joined: Tensor = out.transpose(1, 2).reshape(n * t, -1)  # N·T, inner
        return joined

    def distance_bias(self, offsets: Tensor) -> Tensor:
        """What is added to the scores of positions at these offsets [Q, K]: [H, Q, K]."""
        assert self.fade is not None
        distance = offsets.abs()
        beyond = (distance > self.reach).to(torch.float32)  # Q, K
        near = distance * (1 - beyond)
        bias: Tensor = beyond * FAR - F.softplus(self.fade)[:, None, None] * near
        return bias

    def in_windows(self, q: Tensor, k: Tensor, v: Tensor, padding: Tensor | None) -> Tensor:
        """Fading attention [N, H, T, D] by blocks of `reach` queries: each sees its own block and the two beside it."""
        n, heads, t, width = q.shape
        size, fill = self.reach, -t % self.reach
        q = F.pad(q, (0, 0, 0, fill)).reshape(n, heads, -1, size, width)  # N, H, B, size, D
        k, v = (F.pad(x, (0, 0, size, size + fill)).reshape(n, heads, -1, size, width) for x in (k, v))
        k, v = (torch.cat([x[:, :, :-2], x[:, :, 1:-1], x[:, :, 2:]], 3) for x in (k, v))  # N, H, B, 3·size, D
        position = torch.arange(3 * size, device=q.device, dtype=torch.float32)
        distances = self.distance_bias(position[size : 2 * size, None] - position[None, :])  # H, size, 3·size
        mask = q.new_zeros(n, t) if padding is None else padding[:, 0, 0].to(q.dtype)  # N, T
        mask = F.pad(mask, (size, size + fill), value=FAR).unfold(1, 3 * size, size)  # N, B, 3·size
        bias = (distances.to(q.dtype) + mask[:, :, None, None]).flatten(0, 1)  # N·B, H, size, 3·size
        q, k, v = (x.transpose(1, 2).flatten(0, 1) for x in (q, k, v))  # N·B, H, size or 3·size, D
        out = attend(q, k, v, bias).reshape(n, -1, heads, size, width)  # N, B, H, size, D
        return out.transpose(1, 2).reshape(n, heads, -1, width)[:, :, :t]


def attend(q: Tensor, k: Tensor, v: Tensor, bias: Tensor | None) -> Tensor:
    """`softmax(QKᵀ/√d + bias)·V` of Q [N, H, T, D], K and V [N, H, S, D], and a bias broadcast to [N, H, T, S]."""
    n, heads, t, width = q.shape
    if bias is None:
        bias = q.new_zeros(1, 1, 1, 1)
    bias = bias.to(q.dtype).expand(n, heads, -1, -1).flatten(0, 1)  # N·H, T or 1, S or 1
    q, k, v = (x.flatten(0, 1).contiguous() for x in (q, k, v))  # products of strided tensors are slower
    scores = torch.baddbmm(bias, q, k.transpose(1, 2), alpha=1 / math.sqrt(width))  # N·H, T, S
    return (torch.softmax(scores, -1) @ v).reshape(n, heads, t, width)


class AttentionBlock(nn.Module):
    """`x + W_o[MHSA(x) ‖ Prox(x)]`, then `x + FFN(x)`, both pre-norm.

    Each of the two attentions has half the width, so the pair costs what one of the full width would.
    """

    def __init__(
        self, dim: int, heads: int, feed: int, dropout: float, self_attention: bool = True, proxima: bool = True
    ) -> None:
        super().__init__()
        kinds = [kind for kind, wanted in ((False, self_attention), (True, proxima)) if wanted]
        self.attentions = nn.ModuleList(Attention(dim, dim // 2, heads, proxima=kind) for kind in kinds)
        self.norm = nn.LayerNorm(dim)
        self.out = nn.Linear(len(kinds) * (dim // 2), dim) if kinds else None
        self.feed_norm = nn.LayerNorm(dim)
        self.feed = nn.Sequential(nn.Linear(dim, feed), nn.ReLU(), nn.Linear(feed, dim))
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor, lines: int, padding: Tensor | None) -> Tensor:
        """Takes x [N·T, D], N, and what `Attention` takes; returns [N·T, D].

        Lines are joined because engines multiply matrices with a bias at one go, and stacks of them without.
        """
        if self.out is not None:
            y = self.norm(x)
            y = torch.cat([attention(y, lines, padding) for attention in self.attentions], -1)  # N·T, 2·inner
            x = x + self.dropout(self.out(y))
        x = x + self.dropout(self.feed(self.feed_norm(x)))
        return x
