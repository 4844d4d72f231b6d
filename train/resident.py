"""Lines kept decoded on a GPU, so that a step there takes no image from the processor."""

from __future__ import annotations

import multiprocessing
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from ..runtime.image import HEIGHT, paper_grey
from .batches import Batch, Chosen
from .data.lines import LineRow
from .examples import Example, padded
from .network import FRAME_STRIDE

CHUNK = 256  # lines that a process decodes at a time

Decoded = tuple[npt.NDArray[np.uint8], list[int], list[int]]  # pixels end to end, widths, greys of the papers


@dataclass
class ResidentBatch(Batch):
    """A batch on a GPU, but for what the CTC loss asks for on the processor, where it waits for no GPU.

    Attributes:
        classes: int [N, L], a text a row, filled up with blanks.
        lengths: int [N], on the processor.
        frames: int [N], of the network for each line, on the processor.
    """

    frames: Tensor


class ResidentLines:
    """All lines of a run as one tensor of pixels on a device: some 40 kB a line.

    Args:
        lines: their rows hold the images.
        device: where the pixels are kept and batches are made. Processes are forked to decode, so no GPU may be in use
            yet.
    """

    def __init__(self, lines: Sequence[Example], device: torch.device) -> None:
        chunks = [[line.row for line in lines[at : at + CHUNK]] for at in range(0, len(lines), CHUNK)]
        # Not a Pool: it ends its processes by SIGTERM, and an inherited handler may not let them end.
        with ProcessPoolExecutor(mp_context=multiprocessing.get_context("fork")) as pool:
            parts: list[Decoded] = list(pool.map(decode, chunks))
        self.widths = np.concatenate([widths for _, widths, _ in parts])
        self.lengths = np.array([len(line.classes) for line in lines])
        texts = np.zeros((len(lines), self.lengths.max()), np.int16)
        for row, line in zip(texts, lines, strict=True):
            row[: len(line.classes)] = line.classes
        self.device = device
        self.pixels = torch.cat([torch.from_numpy(pixels).to(device) for pixels, _, _ in parts])
        self.starts = torch.from_numpy(np.concatenate([[0], np.cumsum(self.widths * HEIGHT)[:-1]])).to(device)
        self.papers = torch.from_numpy(np.concatenate([papers for _, _, papers in parts]).astype(np.uint8)).to(device)
        self.texts = torch.from_numpy(texts).to(device)
        self.rows = torch.arange(HEIGHT, device=device)[:, None]

    def batch(self, chosen: Chosen, width: int, number: int) -> ResidentBatch:
        """The batch of a plan of `LineBatches`, made on the device; it tells no datasets apart."""
        index = np.array([line for line, _ in chosen])
        source = self.widths[index]
        canvas = max(width, padded(int(source.max()) + 1))
        scaled = [widths.scaled for _, widths in chosen]
        host = torch.from_numpy(np.stack([index, source, scaled, [widths.padded for _, widths in chosen]]))
        pinned = host.pin_memory() if self.device.type == "cuda" else host
        lines, sources, scaled_widths, padded_widths = pinned.to(self.device, non_blocking=True)
        column = torch.arange(canvas, device=self.device)
        each = sources[:, None, None]
        at = self.starts[lines][:, None, None] + self.rows * each + torch.minimum(column, each - 1)  # N, 64, W
        image = torch.where(column < each, self.pixels[at], self.papers[lines][:, None, None])
        lengths = torch.from_numpy(self.lengths[index])
        return ResidentBatch(
            image[:, None], sources, scaled_widths, padded_widths, width,
            self.texts[lines, : int(lengths.max())].long(), lengths, torch.zeros_like(lengths), number, number,
            host[3] // FRAME_STRIDE,
        )  # fmt: skip


def decode(rows: Sequence[LineRow]) -> Decoded:
    """Pixels, widths and greys of the papers of some rows."""
    images = [row.pixels() for row in rows]
    flat = np.concatenate([image.ravel() for image in images])
    return flat, [image.shape[1] for image in images], [paper_grey(image) for image in images]
