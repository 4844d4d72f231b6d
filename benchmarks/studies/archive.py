"""What an archive run costs beside the plain loop, whether its workers keep to their memory, and what many cores would do.

    python -m htrjand.benchmarks.studies.archive speed $HTRJAND_DATA/pagepacks --count 200 -o archive-speed.json
    python -m htrjand.benchmarks.studies.archive memory benchmarks/sample/page.png --count 1000
    python -m htrjand.benchmarks.studies.archive simulate archive-speed.json
    python -m htrjand.benchmarks.studies.archive large --pages 100000

`speed` reads the same pages by `htrjand read` and by `htrjand archive`, each in processes of its own, one after the
other. `simulate` computes, from those times, what cannot be run here; its figures are no measurements. `large` makes up
the results of many pages, and times what a driver does with them.
"""  # noqa: E501

from __future__ import annotations

import heapq
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import numpy as np
import pyarrow.parquet as pq

from ...runtime.archive.report import report
from ...runtime.archive.results import Results, files_to_read, table_of
from ...runtime.archive.run import BLOCK, blocks_of, files_a_block
from ...runtime.archive.store import Entry, Store
from ...runtime.archive.worker import Task, Worker, base_row, block_of, files_of
from ...runtime.page.batch import How
from ...runtime.page.run import Models
from .language import markdown, save
from .page_memory import resident

PATH = click.Path(path_type=Path)


@click.group()
def main() -> None:
    """What an archive run costs."""


@main.command()
@click.argument("packs", type=PATH)
@click.option("--count", type=click.IntRange(1), default=200, show_default=True, help="Pages.")
@click.option("-o", "--output", type=PATH)
def speed(packs: Path, count: int, output: Path | None) -> None:
    """Print pages a second of the plain loop and of archive runs, over the same pages of a folder of Parquet files."""
    with tempfile.TemporaryDirectory() as folder:
        scans = Path(folder) / "scans"
        scans.mkdir()
        for name, image in pages_in(packs, count):
            (scans / name).write_bytes(image)
        found: dict[str, Any] = {"pages": len(list(scans.iterdir()))}
        for workers in ("1", "2"):
            for verb in ("read", "archive"):
                out = f"{folder}/{verb}-{workers}"
                where = ["-o", f"{out}/", "-f", "json", "--threads", "1"] if verb == "read" else [out]
                command = [sys.executable, "-m", "htrjand", verb, str(scans), *where, "--page", "--workers", workers]
                begun = time.perf_counter()
                subprocess.run(command, check=True, capture_output=True)
                one: dict[str, Any] = {"seconds": round(time.perf_counter() - begun, 1)}
                if verb == "archive":
                    times = [row["seconds"] for row in Results(Store(out)).rows(["seconds"])]
                    one |= {"page_seconds": [round(value, 3) for value in times]}
                found[f"{verb}, {workers}"] = one
    click.echo(speed_table(found), nl=False)
    save(output, found)


def pages_in(packs: Path, count: int) -> list[tuple[str, bytes]]:
    """So many images, from all of the files in turn."""
    files = sorted(packs.glob("*.parquet"))
    columns = [pq.read_table(path, columns=["image"])["image"] for path in files]
    places = [(row, number) for number, column in enumerate(columns) for row in range(len(column))]
    return [
        (f"{files[number].stem}-{row:03}.jpg", columns[number][row].as_py()) for row, number in sorted(places)[:count]
    ]


def speed_table(found: dict[str, Any]) -> str:
    """Pages a second, what an archive run has of the plain loop's, and how much of its time a worker read in."""
    cells = []
    for name in ("read, 1", "archive, 1", "read, 2", "archive, 2"):
        one, workers = found[name], int(name[-1])
        share, reading = "", ""
        if "page_seconds" in one:
            share = f"{100 * found[f'read, {workers}']['seconds'] / one['seconds']:.0f}"
            reading = f"{100 * sum(one['page_seconds']) / workers / one['seconds']:.0f}"
        cells.append([name, f"{one['seconds']:.1f}", f"{found['pages'] / one['seconds']:.2f}", share, reading])
    head = ["verb, workers", "seconds", "pages/s", "of the plain loop's, %", "of the time reading, %"]
    return markdown(head, cells)


@main.command()
@click.argument("image", type=PATH)
@click.option("--count", type=click.IntRange(20), default=1000, show_default=True, help="Times that it is read.")
@click.option("-o", "--output", type=PATH)
def memory(image: Path, count: int, output: Path | None) -> None:
    """Print the memory of a worker that reads the same page again and again."""
    held: list[float] = []
    with tempfile.TemporaryDirectory() as folder:
        scans = Path(folder) / "scans"
        scans.mkdir()
        shutil.copy(image, scans / image.name)
        models = Models.choose(None, None, "bundled", 64)
        worker = Worker(Task(str(scans), f"{folder}/out", models, How("page")), Meter(held))
        entry = Entry(image.name, image.stat().st_size, 0)
        for begin in range(0, count, BLOCK):
            files = block_of([entry] * min(BLOCK, count - begin))["files"]
            worker({"block": np.array([f"b{begin}"]), "files": np.array([files], object)})
    parts = {f"{at}": round(held[at - 1], 1) for at in (10, count // 4, count // 2, count)}
    click.echo(
        markdown(["pages read", "memory, MB"], [[key, f"{value:.1f}"] for key, value in parts.items()]), nl=False
    )
    save(output, {"memory_mb": parts})


class Meter:
    """In the place of the tally that a worker tells of each file: keeps this process's memory then, in MB."""

    def __init__(self, held: list[float]) -> None:
        self.held, self.add = held, self

    def remote(self, pages: int, failed: int) -> None:
        self.held.append(resident(os.getpid()) / 1024)


@dataclass(frozen=True)
class Costs:
    """What a simulation takes for granted; times in seconds."""

    pages: Sequence[float]  # reading a page, as measured; drawn from with replacement
    store: float = 0.05  # a request to the store: two a page, and ten a block
    start: float = 8.0  # of a worker: its process, the model, the first page
    hands_out: float = 100.0  # blocks a second that the driver hands out
    bandwidth: float = 2_000.0  # pages a second that the store gives to all


def simulated(cores: int, pages: int, costs: Costs, seed: int = 1) -> dict[str, float]:
    """Hours, pages a second, and the share of the cores' time in which they read, of a run of so many pages."""
    size = files_a_block(pages, cores)
    random, blocks = np.random.default_rng(seed), -(-pages // size)
    times = random.choice(np.array(costs.pages), (blocks, size)).sum(1)
    overhead = costs.store * (2 * size + 10)
    free = [costs.start] * cores
    heapq.heapify(free)
    ended = handed = 0.0
    for number in range(blocks):
        handed = max(heapq.heappop(free), handed + 1 / costs.hands_out, number * size / costs.bandwidth)
        done = handed + float(times[number]) + overhead
        ended = max(ended, done)
        heapq.heappush(free, done)
    return {"hours": ended / 3600, "pages_per_second": pages / ended, "busy": float(times.sum()) / (ended * cores)}


@main.command()
@click.argument("measured", type=PATH)
@click.option("--pages", type=click.IntRange(1), default=1_000_000, show_default=True)
def simulate(measured: Path, pages: int) -> None:
    """Print what a run would take on 10, 100 and 1,000 cores, from the page times of `speed`."""
    costs = Costs(json.loads(measured.read_text(encoding="utf-8"))["archive, 1"]["page_seconds"])
    cells = []
    for cores in (10, 100, 1000):
        found = simulated(cores, pages, costs)
        cells.append(
            [f"{cores:,}", f"{found['hours']:.1f}", f"{found['pages_per_second']:.1f}", f"{100 * found['busy']:.0f}"]
        )
    click.echo(markdown(["cores", "hours", "pages/s", "of the cores' time reading, %"], cells), nl=False)


@main.command()
@click.option("--pages", type=click.IntRange(1), default=100_000, show_default=True)
def large(pages: int) -> None:
    """Print how long made-up results of so many pages of 30 lines take: to divide, to look through, to report."""
    with tempfile.TemporaryDirectory() as folder:
        results, random = Results(Store(folder)), np.random.default_rng(1)
        results.claim({"source": f"{folder}/scans", "models": {}})
        entries = [Entry(f"box {n // 500}/scan {n:08}.jpg", 1_000_000 + n, 10**18 + n) for n in range(pages)]
        blocks, cells = blocks_of(entries, 10, BLOCK), []
        begun = time.perf_counter()
        for block in blocks:
            results.commit(block["block"], [table_of([made_up(entry, random) for entry in files_of(block["files"])])])
        written = time.perf_counter() - begun
        size = sum(entry.size for entry in results.store.entries("pages"))

        def timed(name: str, step: Callable[[], object]) -> None:
            begun = time.perf_counter()
            step()
            most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
            cells.append([name, f"{time.perf_counter() - begun:.1f}", f"{most:.0f}"])

        timed("divide into blocks", lambda: blocks_of(entries, 10, BLOCK))
        timed("see what is read", lambda: files_to_read(entries, results.done()))
        timed("report", lambda: report(folder))
        click.echo(f"{pages:,} pages, {len(blocks):,} blocks, {size / 1e6:.0f} MB, written in {written:.0f} s")
        click.echo(markdown(["step", "seconds", "most memory by then, MB"], cells), nl=False)


def made_up(entry: Entry, random: np.random.Generator) -> dict[str, Any]:
    """A row with 30 lines of eight words."""
    lines, boxes = [], random.integers(0, 4000, (30, 6, 2)).astype(float).tolist()
    for words, sure, points in zip(random.integers(0, 10**6, (30, 8)), random.random(30), boxes, strict=True):
        text = " ".join(f"{word:x}" for word in words)
        lines.append({"text": text, "confidence": float(sure), "polygon": points[:4], "baseline": points[4:]})
    text = "\n".join(line["text"] for line in lines)
    return base_row(entry, 1) | {"width": 4000, "height": 4000, "turned": 0, "text": text, "confidence": 0.5,
                                 "lines": lines, "seconds": 0.5}  # fmt: skip


if __name__ == "__main__":
    main()
