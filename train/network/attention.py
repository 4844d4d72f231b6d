"""The attention half: self-attention beside attention that fades with distance, then a feed-forward."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

FAR = -1e4  # what a masked score is lowered by: zero after softmax in fp32 and bf16 alike, and finite everywhere


class Attention(nn.Module):
    """Multi-head attention without its output projection, which the combined block shares.

    With `proxima` a head lowers its scores by distance: `softmax(QKᵀ/√d − softplus(λ_h)·|i−j| + band)·V`, λ learned,
    band = 0 within `reach` positions and −10⁴ beyond. The HTR-JAND paper names Proxima attention and gives no formula;
    this one is ours.
    """

    def __init__(self, dim: int, inner: int, heads: int, proxima: bool, reach: int = 32) -> None:
        super().__init__()
        self.qkv = nn.Linear(dim, 3 * inner)
        self.heads = heads
        self.reach = reach
        # Slopes 1, 1/2, 1/4, … to begin with: some heads see the next letter, some a word.
        slopes = torch.tensor([2.0**-h for h in range(heads)])
        self.fade = nn.Parameter(torch.log(torch.expm1(slopes))) if proxima else None

    def forward(self, x: Tensor, padding: Tensor | None) -> Tensor:
        n, t, _ = x.shape
        q, k, v = self.qkv(x).reshape(n, t, 3, self.heads, -1).permute(2, 0, 3, 1, 4)  # each N, H, T, D
        scores = q @ k.transpose(-2, -1) * (1 / math.sqrt(q.shape[-1]))  # N, H, T, T
        if self.fade is not None:
            at = torch.arange(t, device=x.device, dtype=torch.float32)
            distance = (at[:, None] - at[None, :]).abs()  # T, T
            band = (distance > self.reach).to(torch.float32) * FAR
            scores = scores + (band - F.softplus(self.fade)[:, None, None] * distance)
        if padding is not None:
            scores = scores + padding
        out: Tensor = torch.softmax(scores, -1).to(v.dtype) @ v  # N, H, T, D
        return out.transpose(1, 2).reshape(n, t, -1)  # N, T, inner


class AttentionBlock(nn.Module):
    """`x + W_o[MHSA(x) ‖ Prox(x)]`, then `x + FFN(x)`, both pre-norm.

    The two attentions share the width between them, so the pair costs what one of the full width would.
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

    def forward(self, x: Tensor, padding: Tensor | None) -> Tensor:
        if self.out is not None:
            y = self.norm(x)
            y = torch.cat([attention(y, padding) for attention in self.attentions], -1)  # N, T, 2·inner
            x = x + self.dropout(self.out(y))
        x = x + self.dropout(self.feed(self.feed_norm(x)))
        return x  # N, T, D
