"""The network in TensorFlow, built from its torch modules: the way to TFLite files that take lines of any width.

Whatever torch names (shapes, strides, heads, reach, …) is read off the modules. What a twin cannot know, that `forward`
has changed, the proof of the file finds: it compares values. Ops that hold weights stand in name scopes that are the
paths of their torch modules, and so do sums that int8 files make in int8.
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

from ..runtime.image import HEIGHT, WIDTH_MULTIPLE
from ..train.network import FRAME_STRIDE, Network
from ..train.network.attention import FAR, Attention, AttentionBlock
from ..train.network.blocks import ConvBlock, GatedConv2d, Residual, SqueezeExcite
from .fold import fold

Array = npt.NDArray[np.float32]
LEAST_SLOPE = 1e-30  # of a head's fading: what it is divided by must not be 0


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
        fading = self.fading(x) if network.recipe.proxima else None
        for block in network.attention:
            x = self.attention_block(x, block, fading)
        x = self.norm(x, network.norm)
        if joined > 1:
            x = tf.reshape(self.dense(x, network.split), [-1, dim])  # W/4, D
            x = tf.nn.relu(x + self.dense(columns, network.skip))
        return tf.reshape(self.dense(x, network.head), [1, -1, network.head.out_features])  # 1, W/4, V

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
            with self.scope(residual):
                x = tf.add(x, self.conv(tf.nn.relu(self.conv(x, into)), out), name="Sum")
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
            kernel = conv.weight.permute(2, 3, 1, 0) * factor  # rows, columns, inputs, outputs
            stride: tuple[int, ...] = conv.stride
            if conv.in_channels == 1 and falls_into_blocks(conv):
                x, kernel, stride = in_blocks(x, conv, kernel)
            elif any(conv.padding):
                x = tf.pad(x, [[0, 0], *([side, side] for side in conv.padding), [0, 0]])
            return tf.nn.bias_add(tf.nn.conv2d(x, numbers(kernel), stride, "VALID"), numbers(conv.bias * factor))

    def squeeze_excite(self, x: Any, module: SqueezeExcite, scale: Tensor) -> Any:
        """Squeeze-and-excitation of `scale` [C] times x."""
        if module.squeeze is None or module.excite is None:
            return x if bool((scale == 1).all()) else x * numbers(scale)
        mean = tf.reduce_mean(x, [1, 2])  # 1, C
        squeezed = tf.nn.relu(self.dense(mean, module.squeeze, module.squeeze.weight * scale))
        weight = tf.sigmoid(self.dense(squeezed, module.excite)) * numbers(scale)
        return x * tf.reshape(weight, [1, 1, 1, -1])

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
        inner = module.qkv.out_features // 3
        width = inner // module.heads
        parts = tf.reshape(self.dense(x, module.qkv), [-1, 3 * module.heads, width])
        q, k, v = tf.split(tf.transpose(parts, [1, 0, 2]), 3)  # each H, T, D
        scores = tf.matmul(q / math.sqrt(width), k, transpose_b=True)  # H, T, T
        if module.fade is not None:
            scores -= fading * numbers(F.softplus(module.fade)[:, None, None])
        out = tf.matmul(tf.nn.softmax(scores), v)  # H, T, D
        return tf.reshape(tf.transpose(out, [1, 0, 2]), [-1, inner])

    def fading(self, x: Any) -> Any:
        """What each head lowers its scores by, divided by its slope, for the tokens x [T, D]: float [T, T].

        Their distance; beyond the reach so much more that the head of the least slope, too, takes off 60 there. In
        torch every head takes off 60: other heads take off more here, which changes no probability by more than e⁻⁶⁰.
        """
        modules = [module for module in self.network.modules() if isinstance(module, Attention)]
        least = min(float(F.softplus(module.fade.detach()).min()) for module in modules if module.fade is not None)
        (reach,) = {module.reach for module in modules if module.fade is not None}
        distance = distances(x)
        return distance + tf.clip_by_value(distance - reach, 0.0, 1.0) * (-FAR / max(least, LEAST_SLOPE))

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
    patches = tf.reduce_mean(tf.reshape(image, [image.shape[1] // 4, 4, -1, 4]), [1, 3])
    low, high = tf.reduce_min(patches), tf.reduce_max(patches)
    return (high - image) / (high - low + 8)


def distances(x: Any) -> Any:
    """|i − j| of the tokens x [T, D]: float [T, T].

    Counted from the values of x, which are all above the least float: with a width known beforehand, the converter
    would write distances that follow from shapes alone into the file, heads · T² a block.
    """
    ones = tf.cast(x[:, 0] > tf.float32.min, tf.float32)
    at = tf.cumsum(ones)
    return tf.abs(tf.reshape(at, [-1, 1]) - tf.reshape(at, [1, -1]))


def falls_into_blocks(conv: nn.Conv2d) -> bool:
    """Whether a convolution's stride divides its kernel, and the line with its padding, both ways."""
    assert isinstance(conv.padding, tuple)
    sides = zip(conv.stride, conv.kernel_size, conv.padding, (HEIGHT, WIDTH_MULTIPLE), strict=True)
    return all(not (kernel % stride or (size + 2 * side) % stride) for stride, kernel, side, size in sides)


def in_blocks(x: Any, conv: nn.Conv2d, kernel: Tensor) -> tuple[Any, Tensor, tuple[int, int]]:
    """A convolution of one channel as one of stride 1 over blocks of pixels: its input, padded, its kernel and stride.

    XNNPACK keeps a pointer for each place of the kernel and each output, and writes them all for each new width: of
    this kernel 64, of the same in blocks 4. The blocks are as large as the stride.

    Args:
        x: [1, H, W, 1].
        kernel: [rows, columns, 1, C].
    """
    assert isinstance(conv.padding, tuple)
    (down, across), (rows, columns), (above, before) = conv.stride, conv.kernel_size, conv.padding
    height = x.shape[1]
    x = tf.pad(tf.reshape(x, [height, -1]), [[above, above], [before, before]])  # with channels XNNPACK pads slowly
    x = tf.reshape(x, [(height + 2 * above) // down, down, -1, across])
    x = tf.reshape(tf.transpose(x, [0, 2, 1, 3]), [1, x.shape[0], -1, down * across])
    kernel = kernel.reshape(rows // down, down, columns // across, across, -1).transpose(1, 2)
    return x, kernel.reshape(rows // down, columns // across, down * across, -1), (1, 1)


def numbers(tensor: Tensor) -> Array:
    """A weight as numpy has it."""
    array: Array = tensor.detach().numpy()
    return array
