"""Lines into batches of few shapes: widths in buckets of 64 columns, as many lines in a batch as fit its columns.

oneDNN builds its kernels anew for each shape, so a training loop that meets a new shape at every step spends its time
there. All batches of a bucket hold the same number of lines.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from threading import Lock
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from ..runtime.errors import HtrjandError
from ..runtime.image import WIDTH_MULTIPLE, Grey, pad_line
from .data.charset import frames_needed
from .data.lines import LineRow, Place, read_images
from .examples import Example, padded
from .network import FRAME_STRIDE

BUCKET = 64  # columns
MAX_LINES = 64  # in a batch; a batch of more short lines than this teaches little more
MAX_PADDING = 512  # columns beside a line, where a line is padded on purpose
CACHE_BYTES = 4 << 30  # of decoded lines that a process keeps for later epochs, at most
SHUFFLE_POOL = 4096  # lines that a run which streams its images holds at a time, and shuffles among each other


@dataclass
class Batch:
    """Lines of one bucket of widths.

    Attributes:
        image: uint8 [N, 1, 64, W], each line padded at the right.
        source_widths: int [N], columns of each line in `image`.
        scaled_widths: int [N], columns that it is to fill once it is scaled.
        padded_widths: int [N], columns that the network takes for the line: as scaled, and padding; multiples of 16.
        width: columns of the scaled batch, a multiple of `BUCKET`.
        classes: int [ΣL], the texts end to end.
        lengths: int [N], the characters of each text.
        origins: int [N], the number of each line's dataset.
        number: of the batch in the stream that all processes share.
        step: of the optimiser, for which each process takes one batch.
    """

    image: Tensor
    source_widths: Tensor
    scaled_widths: Tensor
    padded_widths: Tensor
    width: int
    classes: Tensor
    lengths: Tensor
    origins: Tensor
    number: int
    step: int


class LineWidths(NamedTuple):
    """The columns that a line is scaled to, and those that the network takes for it (a multiple of 16)."""

    scaled: int
    padded: int


@dataclass(frozen=True)
class Shard:
    """The batches that one of several processes takes: those numbered `step · world_size + rank`."""

    rank: int = 0
    world_size: int = 1


Chosen = list[tuple[int, LineWidths]]  # the lines of a batch by their index, with the widths drawn for them
RowGroups = dict[Place, list[bytes]]  # encoded images by the row group that holds them


class LineBatches:
    """An endless stream of batches, the same for a seed from whichever step it starts.

    Args:
        lines: to draw from, shuffled anew each epoch.
        columns: of pixels in a batch.
        scale: how far the width of a line may change, as a share of it; 0 leaves widths as they are.
        seed: of shuffling and scaling.
        first_step: the step that the first batch of the stream is for.
        start: the step to start at; batches for earlier steps are planned but not made.
        single_pass: every line once, in the order of the buckets, and then the end (for validation).
        repeats: how often a line of each dataset comes in an epoch; 1 where it is not named.
        shard: which of several processes this is.
        origins: names of the datasets, in the order of their numbers.
        padding: share of lines that get more columns beside them than up to the next multiple of 16.
        workers: threads that make batches ahead; with 0 each is made when it is asked for.
        max_lines: in a batch.
    """

    def __init__(
        self, lines: list[Example], columns: int, scale: float, seed: int | tuple[int, ...] = 0, *,
        first_step: int = 0, start: int = 0, single_pass: bool = False, repeats: Mapping[str, float] | None = None,
        shard: Shard | None = None, origins: Sequence[str] = (), padding: float = 0.0, workers: int = 0,
        max_lines: int = MAX_LINES,
    ) -> None:  # fmt: skip
        if not lines:
            raise HtrjandError("no line left to train on or to validate with; check data.files, its splits and filters")
        self.lines, self.columns, self.scale, self.padding = lines, columns, scale, padding
        self.seed = seed if isinstance(seed, tuple) else (seed,)
        self.first_step, self.start, self.single_pass, self.workers = first_step, start, single_pass, workers
        self.repeats, self.shard, self.max_lines = repeats or {}, shard or Shard(), max_lines
        self.origins = {name: number for number, name in enumerate(origins)}
        self.by_row_group: dict[Place | None, list[int]] = {}  # lines by where their image is; None: in memory
        for index, line in enumerate(lines):
            self.by_row_group.setdefault(line.place and line.place._replace(row=0), []).append(index)
        self.row_groups: RowGroups = {}  # of the pool that is being shown
        self.decoded: dict[int, Grey] = {}
        self.cache_left = CACHE_BYTES
        self.lock = Lock()  # of the two caches

    def __iter__(self) -> Iterator[Batch]:
        """Threads, not processes, make batches ahead: Pillow decodes without the GIL, and threads share the caches.

        A process forked while TensorFlow, LiteRT and OpenVINO are loaded may crash. One started afresh takes seconds
        and a copy of all lines. Neither was quicker than a thread.
        """
        if not self.workers:
            for chosen, width, number in self.planned():
                yield self.collate(chosen, width, number, self.row_groups)
            return
        pool = ThreadPoolExecutor(self.workers, "decode")
        ahead: deque[Future[Batch]] = deque()
        try:
            for chosen, width, number in self.planned():
                ahead.append(pool.submit(self.collate, chosen, width, number, self.row_groups))
                if len(ahead) > 2 * self.workers:
                    yield ahead.popleft().result()
            while ahead:
                yield ahead.popleft().result()
        finally:
            pool.shutdown(cancel_futures=True)

    def planned(self) -> Iterator[tuple[Chosen, int, int]]:
        """This process's batches from `start` on: their lines, width and number."""
        rank, world_size = self.shard.rank, self.shard.world_size
        number, epoch = self.first_step * world_size, 0
        while True:
            for width, chosen in self.plan(epoch):
                if number >= self.start * world_size and number % world_size == rank:
                    yield chosen, width, number
                number += 1
            epoch += 1
            if self.single_pass:
                return

    def plan(self, epoch: int) -> Iterator[tuple[int, Chosen]]:
        """All batches of an epoch, of whichever process: a width, and the lines; planned a pool of lines at a time."""
        rng = np.random.default_rng((*self.seed, epoch))
        groups = list(self.by_row_group.values())
        order = range(len(groups)) if self.single_pass else rng.permutation(len(groups))
        pool: list[int] = []
        for count, group in enumerate(order, 1):
            pool += groups[group]
            if len(pool) >= SHUFFLE_POOL or count == len(groups):
                self.row_groups = {}  # not cleared: a batch of the last pool may still be made in a thread
                yield from self.batches(pool, rng)
                pool = []

    def batches(self, pool: Sequence[int], rng: np.random.Generator) -> list[tuple[int, Chosen]]:
        """The lines of a pool, repeated as they should be, in batches of one bucket each."""
        buckets: dict[int, Chosen] = {}
        for index in pool if self.single_pass else rng.permutation(pool).tolist():
            line = self.lines[index]
            repeats = self.repeats.get(line.row.dataset, 1.0)
            times = int(repeats) + int(rng.uniform() < repeats % 1) if repeats != 1 else 1
            for _ in range(times):
                widths = self.draw_widths(line, rng)
                buckets.setdefault(bucket(widths.padded), []).append((index, widths))
        batches: list[tuple[int, Chosen]] = []
        carried: Chosen = []
        for width in sorted(buckets):
            chosen = carried + buckets[width]
            size = min(self.max_lines, max(1, self.columns // width))
            rest = len(chosen) % size
            carried = []
            if rest and not self.single_pass:  # whole batches only: the rest goes into the next wider bucket,
                if width < max(buckets):
                    chosen, carried = chosen[:-rest], chosen[-rest:]
                else:  # and the widest is filled up with lines that come twice
                    chosen = chosen + [chosen[i] for i in rng.integers(len(chosen), size=size - rest)]
            batches += [(width, chosen[i : i + size]) for i in range(0, len(chosen), size)]
        if not self.single_pass:
            rng.shuffle(batches)
        return batches

    def draw_widths(self, line: Example, rng: np.random.Generator) -> LineWidths:
        """How wide a line is to be this time: half of those that are padded get up to a quarter of their own width."""
        scaled = round(line.columns * (1 + self.scale * rng.uniform(-1, 1)))
        if self.scale:
            scaled = max(scaled, frames_needed(line.classes) * FRAME_STRIDE)
        padding = 0.0
        if self.padding and rng.uniform() < self.padding:
            if rng.uniform() < 0.5:
                padding = rng.uniform(0, scaled / 4)
            else:  # uniform in its logarithm, from 16 columns to the most
                padding = WIDTH_MULTIPLE * (MAX_PADDING / WIDTH_MULTIPLE) ** rng.uniform()
        return LineWidths(scaled, padded(scaled + padding))

    def collate(self, chosen: Chosen, width: int, number: int, row_groups: RowGroups) -> Batch:
        """Decodes and pads the lines of a batch."""
        lines = [self.lines[index] for index, _ in chosen]
        images = [self.pixels(index, row_groups) for index, _ in chosen]
        beyond = 0 if self.single_pass else 1  # a column of paper for distortions that look beyond a line
        canvas = max(width, *(padded(image.shape[1] + beyond) for image in images))
        return Batch(
            image=torch.from_numpy(np.stack([pad_line(image, canvas) for image in images])[:, None]),  # N, 1, 64, W
            source_widths=torch.tensor([image.shape[1] for image in images]),
            scaled_widths=torch.tensor([widths.scaled for _, widths in chosen]),
            padded_widths=torch.tensor([widths.padded for _, widths in chosen]),
            width=width,
            classes=torch.from_numpy(np.concatenate([line.classes for line in lines])),
            lengths=torch.tensor([len(line.classes) for line in lines]),
            origins=torch.tensor([self.origins.get(line.row.dataset, 0) for line in lines]),
            number=number,
            step=number // self.shard.world_size,
        )

    def pixels(self, index: int, row_groups: RowGroups) -> Grey:
        """The image of a line, uint8 [64, W]; cached while there is room, unless the run streams its images."""
        if index in self.decoded:
            return self.decoded[index]
        line = self.lines[index]
        image = self.row(line, row_groups).pixels()
        if line.place is None:
            with self.lock:
                if index not in self.decoded and image.nbytes <= self.cache_left:
                    self.decoded[index] = image
                    self.cache_left -= image.nbytes
        return image

    def row(self, line: Example, row_groups: RowGroups) -> LineRow:
        """A line's row with its image, read from its file where it was left there, with all others of its row group."""
        if line.place is None:
            return line.row
        group = line.place._replace(row=0)
        with self.lock:
            if group not in row_groups:
                row_groups[group] = read_images(group.path, group.group)
        return replace(line.row, image=row_groups[group][line.place.row])


def bucket(width: int) -> int:
    """The next multiple of `BUCKET` columns."""
    return -(-width // BUCKET) * BUCKET
