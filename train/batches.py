"""Lines into batches of few shapes: widths in buckets of 128 pixels, as many lines a batch as fit its columns.

oneDNN builds its kernels for each shape anew, so a training loop that meets a new shape at every step spends its time
there. A bucket's batch always holds the same number of lines.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import IterableDataset, get_worker_info

from ..runtime.errors import HtrjandError, UsageError
from ..runtime.image import WIDTH_MULTIPLE, pad_line
from .charset import check_frames, encode, frames_needed
from .lines import LineRow
from .network import FRAME_STRIDE

BUCKET = 128
MOST_LINES = 64  # a batch; short lines teach little more when there are more of them


@dataclass
class Batch:
    """`image` uint8 [N, 1, 64, W]; `sources` and `targets` int [N], columns before and after scaling; `width` of the
    bucket; `classes` int [ΣL], the texts end to end; `lengths` int [N]."""

    image: Tensor
    sources: Tensor
    targets: Tensor
    width: int
    classes: Tensor
    lengths: Tensor
    step: int


@dataclass(frozen=True)
class Example:
    """A line ready to be trained on: its row and its classes int64 [L]."""

    row: LineRow
    classes: np.ndarray

    @property
    def width(self) -> int:
        return padded(self.row.width * 64 / self.row.height)


def padded(width: float) -> int:
    """The next multiple of 16."""
    return -(-round(width) // WIDTH_MULTIPLE) * WIDTH_MULTIPLE


def examples(
    rows: Iterator[LineRow], charset: tuple[str, ...], too_narrow: str
) -> tuple[list[Example], dict[str, int]]:
    """Encodes the texts; returns the usable lines and how many were left out for which reason."""
    if too_narrow not in ("error", "skip"):
        raise UsageError(f"data.too_narrow: error or skip, not {too_narrow!r}")
    kept: list[Example] = []
    skipped = {"no text, or a character outside the charset": 0, "more text than frames": 0}
    for row in rows:
        classes = encode(row.text, charset)
        if classes is None:
            skipped["no text, or a character outside the charset"] += 1
            continue
        example = Example(row, classes)
        try:
            check_frames(row, classes, example.width)
        except HtrjandError:
            if too_narrow == "error":
                raise
            skipped["more text than frames"] += 1
            continue
        kept.append(example)
    return kept, skipped


class LineBatches(IterableDataset[Batch]):
    """An endless stream of batches, the same for a seed from whichever step it begins.

    Args:
        lines: what to draw from, shuffled anew each epoch.
        columns: of pixels in a batch.
        scale: each line is to be made this much wider or narrower at most; 0 for as it is.
        seed: of shuffling and scaling.
        start: the step to begin at.
        once: one pass in order of width instead, nothing repeated (for validation).
    """

    def __init__(
        self, lines: list[Example], columns: int, scale: float, seed: int = 0, start: int = 0, once: bool = False
    ) -> None:
        super().__init__()
        if not lines:
            raise HtrjandError("no line left to train on or to validate with; check data.lines, its splits and filters")
        self.lines, self.columns, self.scale, self.seed, self.start, self.once = (
            lines,
            columns,
            scale,
            seed,
            start,
            once,
        )

    def __iter__(self) -> Iterator[Batch]:
        worker = get_worker_info()  # several workers take turns, and the loader asks them in turn: the order stays
        place, workers = (worker.id, worker.num_workers) if worker else (0, 1)
        step = epoch = 0
        while True:
            plan = self.plan(epoch)
            first = max(0, self.start - step)
            for at, chosen in enumerate(plan[first:], step + first):
                if (at - self.start) % workers == place:
                    yield self.collate(chosen, at)
            step, epoch = step + len(plan), epoch + 1
            if self.once:
                return

    def plan(self, epoch: int) -> list[list[tuple[int, int]]]:
        """The batches of an epoch, each a list of (line, columns it shall fill)."""
        rng = np.random.default_rng((self.seed, epoch))
        buckets: dict[int, list[tuple[int, int]]] = {}
        for index in range(len(self.lines)) if self.once else rng.permutation(len(self.lines)):
            line = self.lines[index]
            least = frames_needed(line.classes) * FRAME_STRIDE
            target = max(padded(line.width * (1 + self.scale * rng.uniform(-1, 1))), padded(least))
            buckets.setdefault(bucket(target), []).append((int(index), target))
        batches: list[list[tuple[int, int]]] = []
        for width, chosen in buckets.items():
            size = min(MOST_LINES, max(1, self.columns // width))
            rest = -len(chosen) % size
            if rest and not self.once:  # whole batches only: some lines of the bucket come twice
                chosen = chosen + [chosen[i] for i in rng.integers(len(chosen), size=rest)]
            batches += [chosen[i : i + size] for i in range(0, len(chosen), size)]
        if not self.once:
            rng.shuffle(batches)
        return batches

    def collate(self, chosen: list[tuple[int, int]], step: int) -> Batch:
        lines = [self.lines[index] for index, _ in chosen]
        pixels = [pad_line(line.row.pixels()) for line in lines]
        width = bucket(max(target for _, target in chosen))
        canvas = max(width, *(p.shape[1] for p in pixels))
        return Batch(
            image=torch.from_numpy(np.stack([pad_line(p, canvas) for p in pixels])[:, None]),  # N, 1, 64, W
            sources=torch.tensor([p.shape[1] for p in pixels]),
            targets=torch.tensor([target for _, target in chosen]),
            width=width,
            classes=torch.from_numpy(np.concatenate([line.classes for line in lines])),
            lengths=torch.tensor([len(line.classes) for line in lines]),
            step=step,
        )


def bucket(width: int) -> int:
    """The next multiple of 128 pixels."""
    return -(-width // BUCKET) * BUCKET
