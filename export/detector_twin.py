"""The detector in TensorFlow, built from its torch modules: the way to TFLite files that take pages of any size.

As in `export/twin.py`, shapes are read off the modules, and ops that hold weights stand in name scopes that are the
paths of their modules, and so do sums that int8 files make in int8.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import tensorflow as tf
from torch import Tensor, nn

from ..train.page.network import Detector, Residual
from .fold import fold


def detector_twin(network: Detector) -> Any:
    """The network as a `tf.function` from `image` uint8 [1, 1, H, W] to `maps` float32 [1, 4, H/4, W/4]."""
    built = Twin(fold(network))

    def detect(image: Any) -> dict[str, Any]:
        return {"maps": built(image)}

    return tf.function(detect, [tf.TensorSpec([1, 1, None, None], tf.uint8, name="image")])


class Twin:
    """Computes what `Detector.forward` does, with channels last.

    Args:
        network: without batch norms.
    """

    def __init__(self, network: Detector) -> None:
        self.network = network
        self.names = {module: name for name, module in network.named_modules()}

    def __call__(self, image: Any) -> Any:
        network = self.network
        x = tf.expand_dims(tf.squeeze(image, 1), -1)  # 1, H, W, 1
        x = tf.cast(x, tf.float32) / 255
        x = self.layer(x, network.stem)  # 1, H/4, W/4, C
        levels = []
        for stage in network.stages:
            x = self.layer(x, stage)
            levels.append(x)
        steps = zip(network.narrow, network.merge, levels[:-1], strict=True)
        for narrow, merge, level in reversed(list(steps)):
            x = self.layer(doubled(self.layer(x, narrow)) + level, merge)
        maps = tf.concat([tf.sigmoid(self.layer(x, network.marks)), self.layer(x, network.heights)], -1)
        return tf.transpose(maps, [0, 3, 1, 2])  # 1, 4, H/4, W/4

    def layer(self, x: Any, module: nn.Module) -> Any:
        if isinstance(module, nn.Sequential):
            for part in module:
                x = self.layer(x, part)
            return x
        if isinstance(module, Residual):
            with tf.name_scope(f"{self.names[module]}/"):
                return tf.nn.relu(tf.add(x, self.layer(self.layer(x, module.first), module.second), name="Sum"))
        if isinstance(module, nn.ReLU):
            return tf.nn.relu(x)
        if isinstance(module, nn.Identity):
            return x
        assert isinstance(module, nn.Conv2d) and module.bias is not None and isinstance(module.padding, tuple)
        with tf.name_scope(f"{self.names[module]}/"):
            same = max(module.stride) == 1  # else TensorFlow pads the far side alone
            if not same:
                x = tf.pad(x, [[0, 0], *([side, side] for side in module.padding), [0, 0]])
            kernel = numbers(module.weight.permute(2, 3, 1, 0))  # rows, columns, inputs, outputs
            return tf.nn.bias_add(
                tf.nn.conv2d(x, kernel, module.stride, "SAME" if same else "VALID"), numbers(module.bias)
            )


def doubled(x: Any) -> Any:
    """Nearest upsampling by two of [1, H, W, C]: four copies of each pixel, side by side.

    TFLite's own resizing wants a size that is computed; its output then has no shape beforehand, and XNNPACK leaves it.
    """
    return tf.nn.depth_to_space(tf.concat([x, x, x, x], -1), 2)


def numbers(tensor: Tensor) -> npt.NDArray[np.float32]:
    """A weight as numpy has it."""
    array: npt.NDArray[np.float32] = tensor.detach().numpy()
    return array
