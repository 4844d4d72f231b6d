"""A network that reads as before, and whose layers eight bits are too few for."""

from __future__ import annotations

import torch

from htrjand.train.network import Network


@torch.no_grad()
def widen(network: Network, block: int, scale: float) -> None:
    """Makes one channel between two convolution blocks `scale` times as large; the next block takes it back.

    In float nothing changes. In int8 the other channels have the levels left that one channel's range leaves them.
    """
    one, next_one = network.convs[block], network.convs[block + 1]
    one.norm.weight[0] *= scale  # type: ignore[index, union-attr, operator]
    one.norm.bias[0] *= scale  # type: ignore[index, union-attr, operator]
    one.se.squeeze.weight[:, 0] /= scale  # type: ignore[index, union-attr, operator]
    next_one.conv.conv.weight[:, 0] /= scale  # type: ignore[index, union-attr, operator]
