"""Lines into batches of few shapes: widths in buckets of 128 pixels, as many lines a batch as fit its columns.

oneDNN builds its kernels for each shape anew, so a training loop that meets a new shape at every step spends its time
there. A bucket's batch always holds the same number of lines.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import IterableDataset, get_worker_info

from ..runtime.errors import HtrjandError, UsageError
from ..runtime.image import HEIGHT, WIDTH_MULTIPLE, Grey, pad_line
from .data.charset import check_frames, encode, frames_needed
from .data.lines import LineRow, Place, read_images
from .data.marks import without_marks
from .network import FRAME_STRIDE

BUCKET = 64  # columns
MOST_LINES = 64  # a batch; short lines teach little more when there are more of them
MOST_PADDING = 512  # columns beside a line, where a line is padded on purpose
DECODED = 4 << 30  # bytes of decoded lines that a process keeps for the next time they are shown, at most
POOL = 4096  # lines that a run which streams its images holds at a time, and mixes with each other


@dataclass
class Batch:
    """`image` uint8 [N, 1, 64, W]; `sources` and `fills` int [N], columns of the line before and after scaling;
    `targets` int [N], columns that the network takes for the line, padding included; `width` of the bucket; `classes`
    int [ΣL], the texts end to end; `lengths` int [N]; `origins` int [N], the number of each line's dataset; `number` of
    the batch, and the `step` it is for: of several processes each has a number of its own."""

    image: Tensor
    sources: Tensor
    fills: Tensor
    targets: Tensor
    width: int
    classes: Tensor
    lengths: Tensor
    origins: Tensor
    number: int
    step: int


class Room(NamedTuple):
    """The columns that a line is scaled to, and those that the network takes for it (a multiple of 16)."""

    fills: int
    target: int


@dataclass(frozen=True)
class Example:
    """A line ready to be trained on: its row, its classes int64 [L], and where its image stands if not in the row."""

    row: LineRow
    classes: np.ndarray
    place: Place | None = None

    @property
    def columns(self) -> int:
        """Columns of the image at 64 rows."""
        return max(1, round(self.row.width * HEIGHT / self.row.height))

    @property
    def width(self) -> int:
        """The same, padded."""
        return padded(self.columns)


def padded(width: float) -> int:
    """The next multiple of 16."""
    return -(-round(width) // WIDTH_MULTIPLE) * WIDTH_MULTIPLE


def examples(
    rows: Iterable[tuple[LineRow, Place]], charset: tuple[str, ...], too_narrow: str, marks: str = "keep"
) -> tuple[list[Example], dict[str, int]]:
    """Encodes the texts; returns the usable lines and how many were left out for which reason.

    A row without its image keeps the place of it; with `marks` "strip" a row has its text without editorial marks.
    """
    if too_narrow not in ("error", "skip"):
        raise UsageError(f"data.too_narrow: error or skip, not {too_narrow!r}")
    kept: list[Example] = []
    skipped = {
        "no text, or a character outside the charset": 0,
        "more text than frames": 0,
        "marked as struck, illegible or doubtful": 0,
    }
    for row, place in rows:
        if marks == "strip":
            text = without_marks(row.text)
            if text is None:
                skipped["marked as struck, illegible or doubtful"] += 1
                continue
            row = row if text == row.text else replace(row, text=text)
        classes = encode(row.text, charset)
        if classes is None:
            skipped["no text, or a character outside the charset"] += 1
            continue
        example = Example(row, classes, None if row.image else place)
        try:
            check_frames(row, classes, example.width)
        except HtrjandError:
            if too_narrow == "error":
                raise
            skipped["more text than frames"] += 1
            continue
        kept.append(example)
    return kept, skipped


def draws(lines: Sequence[Example], temperature: float, mix: Mapping[str, float]) -> dict[str, float]:
    """How often a line of each dataset is to come in an epoch, so that the epoch stays as long as there are lines.

    A dataset of n lines gets a share in proportion to `mix · n^(1/temperature)` (Arivazhagan 2019): 1 leaves the sizes
    as they are, more evens them out.
    """
    counts: dict[str, int] = {}
    for line in lines:
        counts[line.row.dataset] = counts.get(line.row.dataset, 0) + 1
    wanted = {name: mix.get(name, 1.0) * count ** (1 / temperature) for name, count in counts.items()}
    whole = sum(wanted.values())
    if not whole:
        raise UsageError("a stage's mix leaves no line; give one of its datasets more than 0")
    return {name: len(lines) * wanted[name] / whole / count for name, count in counts.items()}


@dataclass(frozen=True)
class Turn:
    """Which batches are this process's: those numbered `step · of + rank`."""

    rank: int = 0
    of: int = 1


class LineBatches(IterableDataset[Batch]):
    """An endless stream of batches, the same for a seed from whichever step it begins.

    Args:
        lines: what to draw from, shuffled anew each epoch.
        columns: of pixels in a batch.
        scale: each line is to be made this much wider or narrower at most; 0 for as it is.
        seed: of shuffling and scaling.
        start: the step to begin at.
        once: one pass by buckets instead, nothing repeated (for validation).
        began: the step that the stream counts from.
        often: how often a line of each dataset comes in an epoch; 1 where it is not named.
        turn: which of several processes this is.
        origins: names of the datasets, in the order of their numbers.
        padding: share of lines that get more columns beside them than the next multiple of 16.
    """

    def __init__(
        self, lines: list[Example], columns: int, scale: float, seed: int | tuple[int, ...] = 0, start: int = 0,
        once: bool = False, *, began: int = 0, often: Mapping[str, float] | None = None, turn: Turn | None = None,
        origins: Sequence[str] = (), padding: float = 0.0,
    ) -> None:  # fmt: skip
        super().__init__()
        if not lines:
            raise HtrjandError("no line left to train on or to validate with; check data.files, its splits and filters")
        self.lines, self.columns, self.scale, self.once, self.padding = lines, columns, scale, once, padding
        self.seed = seed if isinstance(seed, tuple) else (seed,)
        self.start, self.began, self.often, self.turn = start, began, often or {}, turn or Turn()
        self.origins = {name: number for number, name in enumerate(origins)}
        self.groups: dict[Place | None, list[int]] = {}  # lines by the row group of their image; None: in memory
        for index, line in enumerate(lines):
            self.groups.setdefault(line.place and line.place._replace(row=0), []).append(index)
        self.held: dict[Place, list[bytes]] = {}
        self.decoded: dict[int, Grey] = {}
        self.room_left = DECODED

    def __iter__(self) -> Iterator[Batch]:
        worker = get_worker_info()  # several workers take turns, and the loader asks them in turn: the order stays
        place, workers = (worker.id, worker.num_workers) if worker else (0, 1)
        number, epoch = self.began * self.turn.of, 0
        while True:
            for width, chosen in self.plan(epoch):
                step = number // self.turn.of
                mine = number % self.turn.of == self.turn.rank and (step - self.start) % workers == place
                if step >= self.start and mine:
                    yield self.collate(chosen, width, number)
                number += 1
            epoch += 1
            if self.once:
                return

    def plan(self, epoch: int) -> Iterator[tuple[int, list[tuple[int, Room]]]]:
        """The batches of an epoch: a width, and (line, columns it shall have) for each; a pool of lines at a time."""
        rng = np.random.default_rng((*self.seed, epoch))
        groups = list(self.groups.values())
        order = range(len(groups)) if self.once else rng.permutation(len(groups))
        pool: list[int] = []
        for place, group in enumerate(order, 1):
            pool += groups[group]
            if len(pool) >= POOL or place == len(groups):
                self.held.clear()
                yield from self.batches(pool, rng)
                pool = []

    def batches(self, pool: Sequence[int], rng: np.random.Generator) -> list[tuple[int, list[tuple[int, Room]]]]:
        """The lines of a pool, as often as each is to come, in batches of one bucket each."""
        buckets: dict[int, list[tuple[int, Room]]] = {}
        for place in range(len(pool)) if self.once else rng.permutation(len(pool)):
            index = pool[place]
            line = self.lines[index]
            often = self.often.get(line.row.dataset, 1.0)
            times = int(often) + int(rng.uniform() < often % 1) if often != 1 else 1
            for _ in range(times):
                room = self.room(line, rng)
                buckets.setdefault(bucket(room.target), []).append((int(index), room))
        batches: list[tuple[int, list[tuple[int, Room]]]] = []
        carried: list[tuple[int, Room]] = []
        for width in sorted(buckets):
            chosen = carried + buckets[width]
            size = min(MOST_LINES, max(1, self.columns // width))
            rest = len(chosen) % size
            carried = []
            if rest and not self.once:  # whole batches only: what is over goes into the next wider bucket,
                if width < max(buckets):
                    chosen, carried = chosen[:-rest], chosen[-rest:]
                else:  # and in the widest some lines come twice
                    chosen = chosen + [chosen[i] for i in rng.integers(len(chosen), size=size - rest)]
            batches += [(width, chosen[i : i + size]) for i in range(0, len(chosen), size)]
        if not self.once:
            rng.shuffle(batches)
        return batches

    def room(self, line: Example, rng: np.random.Generator) -> Room:
        """How wide a line is to be this time: half of those that are padded get up to a quarter of their own width."""
        fills = round(line.columns * (1 + self.scale * rng.uniform(-1, 1)))
        if self.scale:
            fills = max(fills, frames_needed(line.classes) * FRAME_STRIDE)
        more = 0.0
        if self.padding and rng.uniform() < self.padding:
            if rng.uniform() < 0.5:
                more = rng.uniform(0, fills / 4)
            else:  # few columns as often as many
                more = WIDTH_MULTIPLE * (MOST_PADDING / WIDTH_MULTIPLE) ** rng.uniform()
        return Room(fills, padded(fills + more))

    def collate(self, chosen: list[tuple[int, Room]], width: int, number: int) -> Batch:
        lines = [self.lines[index] for index, _ in chosen]
        pixels = [self.pixels(index) for index, _ in chosen]
        beyond = 0 if self.once else 1  # a column of paper: a distortion that looks beyond a line finds it there
        canvas = max(width, *(padded(p.shape[1] + beyond) for p in pixels))
        return Batch(
            image=torch.from_numpy(np.stack([pad_line(p, canvas) for p in pixels])[:, None]),  # N, 1, 64, W
            sources=torch.tensor([p.shape[1] for p in pixels]),
            fills=torch.tensor([room.fills for _, room in chosen]),
            targets=torch.tensor([room.target for _, room in chosen]),
            width=width,
            classes=torch.from_numpy(np.concatenate([line.classes for line in lines])),
            lengths=torch.tensor([len(line.classes) for line in lines]),
            origins=torch.tensor([self.origins.get(line.row.dataset, 0) for line in lines]),
            number=number,
            step=number // self.turn.of,
        )

    def pixels(self, index: int) -> Grey:
        """The image of a line, uint8 [64, W]; kept where there is room, unless the run streams its images."""
        if index in self.decoded:
            return self.decoded[index]
        line = self.lines[index]
        found = self.row(line).pixels()
        if line.place is None and found.nbytes <= self.room_left:
            self.decoded[index] = found
            self.room_left -= found.nbytes
        return found

    def row(self, line: Example) -> LineRow:
        """A line's row with its image, read from its file where it was left there; a pool stays in memory."""
        if line.place is None:
            return line.row
        group = line.place._replace(row=0)
        if group not in self.held:
            self.held[group] = read_images(group.path, group.group)
        return replace(line.row, image=self.held[group][line.place.row])


def bucket(width: int) -> int:
    """The next multiple of `BUCKET` columns."""
    return -(-width // BUCKET) * BUCKET
