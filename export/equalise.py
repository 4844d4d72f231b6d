"""The same network in other numbers, which eight bits can hold."""

from __future__ import annotations

import copy

import torch

from ..train.network import Network
from ..train.network.blocks import ConvBlock

FAINTEST = 1e-3  # of the mean norm; a channel whose weights are nearly nothing stays so


@torch.no_grad()
def equalise(network: Network) -> Network:
    """A copy in which every channel that a gate multiplies has weights as large as those of the gates.

    In int8 all channels of a convolution's answer share one scale. A trained network has channels with weights thirty
    times as large as others, which the batch norm behind the gate evens out: too late. Here they are even from the
    start, and the scale of the batch norm makes up for it. In eval mode the network computes what it did.
    """
    network = copy.deepcopy(network)
    for block in network.convs:
        assert isinstance(block, ConvBlock)
        if block.conv.gated:
            conv, norm = block.conv.conv, block.norm
            assert conv.bias is not None and norm.running_mean is not None
            values, gates = conv.weight.flatten(1).norm(dim=1).chunk(2)  # C each
            factor = gates.mean() / values.clamp_min(FAINTEST * values.mean())
            conv.weight[: len(factor)] *= factor[:, None, None, None]
            conv.bias[: len(factor)] *= factor
            norm.running_mean *= factor
            norm.weight.div_(factor)
    return network
