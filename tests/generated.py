"""Printed lines that tests train and measure on."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from htrjand.train.data.lines import LineRow
from htrjand.train.fit import Machine

CPU = Machine("cpu", progress=False)

# A network that learns eight lines in seconds; nothing is distorted, so that they can be learnt by heart.
TINY = """
data: {files: [lines.parquet]}
network: {channels: [12, 16, 16, 24], dim: 32, heads: 2, feed: 64, blocks: 1}
augment: {scale: 0, slant: 0, height: 0, shift: 0, wave: 0, elastic: 0, thickness: 0, blur: 0, contrast: 0, shade: 0,
  noise: 0, cutout: 0, cutoff: 0, neighbours: 0, resample: 0, grey: 0, padding: 0}
total_lines: 1600
batch_columns: 2048
peak_rate: 5.0e-3
warm_up: 20
val_every: 50
save_every: 20
bf16: false
ema: 0.95
"""
TEXTS = ("abc cab", "bac abba", "cab ca", "a bb ccc", "bca cb", "cc ab a", "abab c", "b a c b")


def printed(text: str, noise: int = 0, size: int = 40) -> np.ndarray:
    """A text in Pillow's own font as uint8 [64, W]."""
    font = ImageFont.load_default(size)
    image = Image.new("L", (int(font.getlength(text)) + 24, 64), 220)
    ImageDraw.Draw(image).text((12, 6), text, font=font, fill=40)
    grain = np.random.default_rng(noise).normal(0, 4, (64, image.width))
    return np.clip(np.asarray(image) + grain, 0, 255).astype(np.uint8)


def printed_row(text: str, name: str, split: str = "train", dataset: str = "printed") -> LineRow:
    """The same as a row of the line contract."""
    pixels = printed(text, noise=sum(map(ord, text)))  # a text always looks the same: it can be learnt by heart
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "PNG")
    height, width = pixels.shape
    return LineRow(name, dataset, "doc", "page", split, "en", text, stream.getvalue(), width, height)
