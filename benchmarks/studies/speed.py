"""Lines a second of training, and where the time goes: `make bench-train`.

    python -m htrjand.benchmarks.studies.speed

Teacher and student take turns on the same lines: noise, as wide as real lines are on average.
All happens in one thread here; in training another one decodes.
Every run is added to a file, to show the best of the last ones: on a shared machine the best says most.
"""

from __future__ import annotations

import io
import json
import os
import statistics
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click
import numpy as np
import torch
from PIL import Image

from ...runtime.files import atomic_path
from ...runtime.image import load_line, pad_line
from ...runtime.text import json_text
from ...train.augment import AugmentRecipe, augment
from ...train.batches import Batch, bucket
from ...train.losses import ctc_loss
from ...train.network import STUDENT, TEACHER, Network, NetworkRecipe
from ...train.optimizers import make_optimizer
from ...train.precision import bf16_is_quick

MEAN_WIDTH = 800  # columns: the mean of the training lines of core, 785, padded
CHARACTERS = 39  # of such a line
CLASSES = 116
COLUMNS = 7_168  # of a batch, as in the recipes
LAST = 10  # runs that the best is taken of
PARTS = ("data", "augment", "forward", "loss", "backward", "update")


class Clock:
    """Seconds spent in each part of a step."""

    def __init__(self) -> None:
        self.spent = dict.fromkeys(PARTS, 0.0)

    @contextmanager
    def __call__(self, part: str) -> Iterator[None]:
        start = time.perf_counter()
        yield
        self.spent[part] += time.perf_counter() - start


def encoded(count: int) -> list[bytes]:
    """Images of noise of the mean width as WebP."""
    rng = np.random.default_rng(0)
    images = []
    for _ in range(count):
        stream = io.BytesIO()
        grain = rng.integers(0, 255, (16, MEAN_WIDTH // 4), dtype=np.uint8)
        Image.fromarray(grain).resize((MEAN_WIDTH, 64)).save(stream, "WEBP", quality=80)
        images.append(stream.getvalue())
    return images


def decoded(images: list[bytes], seed: int) -> Batch:
    """The batch that training would make of them."""
    rng = np.random.default_rng(seed)
    count, width = len(images), bucket(MEAN_WIDTH)
    pixels = np.stack([pad_line(load_line(image), width) for image in images])[:, None]  # N, 1, 64, W
    widths = torch.full((count,), MEAN_WIDTH)
    return Batch(
        torch.from_numpy(pixels), widths, widths, widths, width,
        torch.from_numpy(rng.integers(1, CLASSES, count * CHARACTERS)),
        torch.full((count,), CHARACTERS), torch.zeros(count, dtype=torch.int64), seed, seed,
    )  # fmt: skip


class Loop:
    """A network and its optimiser, taken a step at a time."""

    def __init__(self, recipe: NetworkRecipe) -> None:
        torch.manual_seed(0)
        self.network = Network(recipe, CLASSES).train()
        self.optimizer = make_optimizer(self.network, "muon", 1e-4, 0.01, half=bf16_is_quick())
        self.images = encoded(COLUMNS // bucket(MEAN_WIDTH))
        self.steps = 0

    def step(self, clock: Clock) -> int:
        """One step; returns its lines."""
        with clock("data"):
            batch = decoded(self.images, self.steps)
        with clock("augment"):
            image = augment(
                batch.image,
                batch.source_widths,
                batch.scaled_widths,
                batch.width,
                AugmentRecipe(),
                self.steps,
                batch.padded_widths,
            )
        with clock("forward"), torch.autocast("cpu", torch.bfloat16, enabled=bf16_is_quick()):
            columns = self.network.features(image, batch.padded_widths)
            logits, shortcut = self.network.scores(columns, batch.padded_widths), self.network.shortcut(columns).float()
        with clock("loss"):
            loss = ctc_loss(logits, batch) + 0.1 * ctc_loss(shortcut, batch)
        with clock("backward"):
            self.optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
        with clock("update"):
            torch.nn.utils.clip_grad_norm_(self.network.parameters(), 1.0)
            self.optimizer.step()
        self.steps += 1
        return len(batch.lengths)


def measure(seconds: float) -> dict[str, dict[str, Any]]:
    """Lines a second of both networks in turns, and the share of each part, in percent of the time.

    The median is over rounds of four steps each.
    """
    loops = {"teacher": Loop(TEACHER), "student": Loop(STUDENT)}
    for loop in loops.values():
        loop.step(Clock())  # oneDNN builds its kernels
    clocks = {name: Clock() for name in loops}
    rates: dict[str, list[float]] = {name: [] for name in loops}
    end = time.perf_counter() + seconds
    while time.perf_counter() < end or not rates["student"]:
        for name, loop in loops.items():
            start = time.perf_counter()
            lines = sum(loop.step(clocks[name]) for _ in range(4))
            rates[name].append(lines / (time.perf_counter() - start))
    result: dict[str, dict[str, Any]] = {}
    for name, clock in clocks.items():
        whole = sum(clock.spent.values())
        shares = {part: round(100 * spent / whole, 1) for part, spent in clock.spent.items()}
        result[name] = {
            "lines_per_second": round(statistics.median(rates[name]), 1),
            "best_round": round(max(rates[name]), 1),
            "rounds": len(rates[name]),
            "share": shares,
        }
    return result


@click.command()
@click.option("--seconds", type=click.FloatRange(min=0), default=60.0, show_default=True, help="For both together.")
@click.option("--threads", type=click.IntRange(1), help="Of torch. Default: one a core.")
@click.option("--history", type=click.Path(path_type=Path), default="out/bench-train.json", show_default=True)
def main(seconds: float, threads: int | None, history: Path) -> None:
    """Print lines a second of training for teacher and student, and the share of each part."""
    if threads:
        torch.set_num_threads(threads)
    runs = json.loads(history.read_text(encoding="utf-8")) if history.exists() else []
    found = measure(seconds)
    load = round(os.getloadavg()[0], 1) if hasattr(os, "getloadavg") else None
    runs.append({"threads": torch.get_num_threads(), "torch": torch.__version__, "load": load} | found)
    history.parent.mkdir(parents=True, exist_ok=True)
    with atomic_path(history) as part:
        part.write_text(json_text(runs, indent=1) + "\n", encoding="utf-8")
    same = [run for run in runs if run["threads"] == torch.get_num_threads()][-LAST:]
    print(f"lines of {MEAN_WIDTH}×64, {torch.get_num_threads()} threads, torch {torch.__version__}, load {load}")
    print(f"{'':9}{'lines/s':>9}{'best':>7}  " + "".join(f"{part:>10}" for part in PARTS))
    for name, row in found.items():
        best = max(run[name]["best_round"] for run in same)
        shares = "".join(f"{row['share'][part]:>8} %" for part in PARTS)
        print(f"{name:9}{row['lines_per_second']:>9}{best:>7}  {shares}")
    print(f"median of {found['student']['rounds']} rounds; best: of the last {len(same)} runs", file=sys.stderr)


if __name__ == "__main__":
    main()
