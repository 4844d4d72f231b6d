"""A network without the batch norms right behind a convolution: they scale and shift, which the convolution can do."""

from __future__ import annotations

import copy
from typing import TypeVar

from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

Module = TypeVar("Module", bound=nn.Module)


def fold(network: Module) -> Module:
    """A copy in eval mode that computes the same; of each `Sequential` convolutions and batch norms are joined."""
    network = copy.deepcopy(network).eval()
    for module in list(network.modules()):
        if isinstance(module, nn.Sequential):
            for place in range(1, len(module)):
                conv, norm = module[place - 1], module[place]
                if isinstance(conv, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d):
                    module[place - 1], module[place] = fuse_conv_bn_eval(conv, norm), nn.Identity()
    return network
