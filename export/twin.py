"""The network in TensorFlow, built from its torch modules: the way to TFLite files that take lines of any width.

Whatever torch names (shapes, strides, heads, reach, …) is read off the modules. What a twin cannot know, that `forward`
has changed, the proof of the file finds: it compares values. Ops that hold weights stand in name scopes that are the
paths of their torch modules.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt
import tensorflow as tf
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..runtime.image import HEIGHT
from ..train.network import FRAME_STRIDE, Network
from ..train.network.attention import FAR, Attention, AttentionBlock
from ..train.network.blocks import ConvBlock, GatedConv2d, Residual, SqueezeExcite
from .fold import fold

Array = npt.NDArray[np.float32]


def twin(network: Network, width: int | None = None) -> Any:
    """The network as a `tf.function` from `image` uint8 [1, 1, 64, W] to `logits` float32 [1, W/4, V].

    Args:
        network: in eval mode.
        width: the only width of lines; None for any.
    """
    built = Twin(network)

    def recognise(image: Any) -> dict[str, Any]:
        return {"logits": built(image, -1 if width is None else width)}

    return tf.function(recognise, [tf.TensorSpec([1, 1, HEIGHT, width], tf.uint8, name="image")])


class Twin:
    """Computes what `Network.forward` does, for one line and without its axis of batches behind the convolutions."""

    def __init__(self, network: Network) -> None:
        self.network = network = fold(network)
        self.names = {module: name for name, module in network.named_modules()}

    def __call__(self, image: Any, width: int) -> Any:
        network, joined = self.network, self.network.recipe.token // FRAME_STRIDE
        x = normalise(tf.cast(tf.reshape(image, [1, HEIGHT, width, 1]), tf.float32))  # 1, H, W, C from here on
        for block in network.convs:
            x = self.conv_block(x, block)
        rows, channels = x.shape[1], x.shape[3]
        x = tf.reshape(tf.transpose(x, [0, 2, 1, 3]), [-1, rows * channels])  # W/4, H·C where torch has C·H
        weight = network.neck.weight.reshape(-1, channels, rows).transpose(1, 2).flatten(1)
        columns = self.dense(x, network.neck, weight)  # W/4, D
        dim = columns.shape[1]
        x = tf.reshape(columns, [-1, joined * dim])[:, :dim] if joined > 1 else columns  # T, D: every second, or each
        fading = distances(x) if network.recipe.proxima else None
        for block in network.attention:
            x = self.attention_block(x, block, fading)
        x = self.norm(x, network.norm)
        if joined > 1:
            x = tf.reshape(self.dense(x, network.split), [-1, dim])  # W/4, D
            x = tf.nn.relu(x + self.dense(columns, network.skip))
        return self.dense(x, network.head)[None]  # 1, W/4, V

    def conv_block(self, x: Any, block: nn.Module) -> Any:
        """Batch norm is a scale and a shift. Behind a gate the scale, as far as it is positive, waits for
        squeeze-and-excitation, which scales channels anyway; its sign, or all of it, goes into the convolution."""
        assert isinstance(block, ConvBlock)
        norm, conv = block.norm, block.conv
        assert norm.running_var is not None and norm.running_mean is not None
        scale = norm.weight / (norm.running_var + norm.eps).sqrt()
        shift = norm.bias - norm.running_mean * scale
        later = scale.abs().clamp_min(1e-6) if conv.gated else torch.ones_like(scale)
        x = tf.nn.relu(self.gated_conv(x, conv, scale / later) + numbers(shift / later))
        x = self.squeeze_excite(x, block.se, later)
        for residual in block.deeper:
            assert isinstance(residual, Residual)
            into, _, _, out, _ = residual.layers
            x += self.conv(tf.nn.relu(self.conv(x, into)), out)
        return x

    def gated_conv(self, x: Any, module: GatedConv2d, scale: Tensor) -> Any:
        """`scale` [C] times the gated convolution."""
        factor = torch.cat([scale, scale.new_ones(module.conv.out_channels - len(scale))])  # of values, then of gates
        x = self.conv(x, module.conv, factor)
        if not module.gated:
            return x
        value, gate = tf.split(x, 2, axis=-1)
        return value * tf.sigmoid(gate)

    def conv(self, x: Any, conv: nn.Module, factor: Tensor | float = 1.0) -> Any:
        """`factor` (of each output) times a convolution."""
        assert isinstance(conv, nn.Conv2d) and conv.bias is not None and isinstance(conv.padding, tuple)
        with self.scope(conv):
            border = [[0, 0], *([side, side] for side in conv.padding), [0, 0]]
            x = tf.pad(x, border) if any(conv.padding) else x
            kernel = numbers(conv.weight.permute(2, 3, 1, 0) * factor)  # rows, columns, inputs, outputs
            return tf.nn.bias_add(tf.nn.conv2d(x, kernel, conv.stride, "VALID"), numbers(conv.bias * factor))

    def squeeze_excite(self, x: Any, module: SqueezeExcite, scale: Tensor) -> Any:
        """Squeeze-and-excitation of `scale` [C] times x."""
        if module.squeeze is None or module.excite is None:
            return x if bool((scale == 1).all()) else x * numbers(scale)
        mean = tf.reduce_mean(x, [1, 2])  # 1, C
        squeezed = tf.nn.relu(self.dense(mean, module.squeeze, module.squeeze.weight * scale))
        weight = tf.sigmoid(self.dense(squeezed, module.excite)) * numbers(scale)
        return x * weight[:, None, None]

    def attention_block(self, x: Any, block: nn.Module, fading: Any) -> Any:
        assert isinstance(block, AttentionBlock)
        if block.out is not None:
            y = self.norm(x, block.norm)
            y = tf.concat([self.attention(y, attention, fading) for attention in block.attentions], -1)
            x += self.dense(y, block.out)
        into, _, out = block.feed
        return x + self.dense(tf.nn.relu(self.dense(self.norm(x, block.feed_norm), into)), out)  # T, D

    def attention(self, x: Any, module: nn.Module, fading: Any) -> Any:
        assert isinstance(module, Attention)
        heads = module.heads
        inner = module.qkv.out_features // 3
        q, k, v = (tf.reshape(part, [-1, heads, inner // heads]) for part in tf.split(self.dense(x, module.qkv), 3, -1))
        scores = tf.matmul(tf.transpose(q, [1, 0, 2]) / math.sqrt(inner // heads), tf.transpose(k, [1, 2, 0]))
        if module.fade is not None:
            beyond = tf.cast(fading > module.reach, tf.float32)  # T, T
            near = fading * (1 - beyond)
            scores += beyond * FAR - numbers(F.softplus(module.fade)[:, None, None]) * near  # H, T, T
        out = tf.matmul(tf.nn.softmax(scores), tf.transpose(v, [1, 0, 2]))  # H, T, D
        return tf.reshape(tf.transpose(out, [1, 0, 2]), [-1, inner])

    def norm(self, x: Any, module: nn.LayerNorm) -> Any:
        centred = x - tf.reduce_mean(x, -1, keepdims=True)
        variance = tf.reduce_mean(tf.square(centred), -1, keepdims=True)
        with self.scope(module):
            return centred * tf.math.rsqrt(variance + module.eps) * numbers(module.weight) + numbers(module.bias)

    def dense(self, x: Any, module: nn.Module, weight: Tensor | None = None) -> Any:
        assert isinstance(module, nn.Linear)
        with self.scope(module):
            x = tf.matmul(x, numbers(module.weight if weight is None else weight).T)
            return x if module.bias is None else tf.nn.bias_add(x, numbers(module.bias))

    def scope(self, module: nn.Module) -> Any:
        return tf.name_scope(f"{self.names[module]}/")  # ending so, it is taken as it is, never numbered


def normalise(image: Any) -> Any:
    """As the network's `normalise`, of [1, 64, W, 1]."""
    patches = tf.nn.avg_pool2d(image, 4, 4, "VALID")
    low, high = tf.reduce_min(patches), tf.reduce_max(patches)
    return (high - image) / (high - low + 8)


def distances(x: Any) -> Any:
    """|i − j| of the tokens x [T, D]: float [T, T].

    Counted from the values of x, which are all above the least float: with a width known beforehand, the converter
    would write distances that follow from shapes alone into the file, heads · T² a block.
    """
    ones = tf.cast(x[:, 0] > tf.float32.min, tf.float32)
    at = tf.cumsum(ones)
    return tf.abs(at[:, None] - at[None, :])


def numbers(tensor: Tensor) -> Array:
    """A weight as numpy has it."""
    array: Array = tensor.detach().numpy()
    return array
