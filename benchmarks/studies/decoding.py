"""What reading with a language model costs: ms a line, alone and in batches, of each decoder.

    python -m htrjand.benchmarks.studies.decoding -i $HTRJAND_DATA/lines --dataset copiste --limit 40

Greedy decoding, the compiled beam and the one in numpy have a process of one thread each, and take turns on the same
lines. Timed is `Recognizer`, from decoded grey pixels to text: `read_line`, then `read_lines` in batches.
"""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack
from functools import cache
from multiprocessing import get_context
from pathlib import Path
from statistics import median

import click

from ...runtime import HtrjandError, Recognizer
from ...runtime.decode import kernel
from ...runtime.image import Grey
from ..inputs import choose_lines
from ..machine import describe
from ..process import THREAD_SETTINGS
from ..watch import Watch

BATCH = 16  # lines: the network runs those of equal padded width together, the beam any
GREEDY, COMPILED, NUMPY = "greedy", "beam, compiled", "beam, numpy"
PATH = click.Path(path_type=Path)
Times = tuple[list[float], list[float]]  # ms a line: of each reading alone, and of each round in batches


@cache
def reader(decoder: str, model: str | None, lm: str) -> Recognizer:
    """The one reader of a process."""
    if decoder == NUMPY:
        kernel.library = lambda: None  # type: ignore[assignment]
    return Recognizer(model, 1, None if decoder == GREEDY else lm)


def read(decoder: str, model: str | None, lm: str, lines: Sequence[Grey]) -> Times:
    """Reads the lines one by one, then in batches."""
    recognizer, alone = reader(decoder, model, lm), []
    for line in lines:
        start = time.perf_counter()
        recognizer.read_line(line)
        alone.append(1000 * (time.perf_counter() - start))
    start = time.perf_counter()
    recognizer.read_lines(lines, BATCH)
    return alone, [1000 * (time.perf_counter() - start) / len(lines)]


def measure(
    model: str | None, lm: str, lines: Sequence[Grey], rounds: int, watch: Watch
) -> dict[str, tuple[float, float]]:
    """Of each decoder the median ms a line alone, and in batches; the compiled one only where it was compiled."""
    decoders = [decoder for decoder in (GREEDY, COMPILED, NUMPY) if decoder != COMPILED or kernel.library()]
    times: dict[str, Times] = {decoder: ([], []) for decoder in decoders}
    os.environ |= dict.fromkeys(THREAD_SETTINGS, "1")
    with ExitStack() as stack:
        pools = {name: stack.enter_context(ProcessPoolExecutor(1, get_context("spawn"))) for name in decoders}
        for turn in range(-1, rounds):  # the first is to warm up
            watch.probe()
            first = turn % len(decoders)
            for decoder in decoders[first:] + decoders[:first]:
                found = pools[decoder].submit(read, decoder, model, lm, lines).result()
                for kept, new in zip(times[decoder], found, strict=True):
                    kept += new if turn >= 0 else []
    return {decoder: (median(alone), median(batches)) for decoder, (alone, batches) in times.items()}


def table(found: dict[str, tuple[float, float]]) -> str:
    """The decoders as a Markdown table."""
    parts = [
        "| decoder | alone, ms a line | ÷ greedy | batches of 16, ms a line | ÷ greedy |",
        "|---|---:|---:|---:|---:|",
    ]
    for decoder, (alone, batches) in found.items():
        greedy = found[GREEDY]
        figures = f"{alone:.1f} | {alone / greedy[0]:.2f} | {batches:.1f} | {batches / greedy[1]:.2f}"
        parts.append(f"| {decoder} | {figures} |")
    return "\n".join(parts)


@click.command()
@click.option("-i", "--input", "files", multiple=True, required=True, type=PATH, help="Line files, or folders of them.")
@click.option("--split", default="val", show_default=True, type=click.Choice(["train", "val", "test"]))
@click.option("--dataset", "datasets", multiple=True, help="Only this dataset. Repeatable.")
@click.option("--limit", type=click.IntRange(1), help="At most so many lines a dataset, drawn at random (seeded).")
@click.option("-m", "--model", type=PATH, help="A model file. Default: the bundled student.")
@click.option("--lm", type=PATH, help="A language model. Default: the bundled one.")
@click.option("--rounds", type=click.IntRange(1), default=10, show_default=True, help="Turns of each decoder.")
def main(
    files: tuple[Path, ...], split: str, datasets: tuple[str, ...], limit: int | None, model: Path | None,
    lm: Path | None, rounds: int,
) -> None:  # fmt: skip
    """Print a Markdown table of what each decoder costs a line: medians, on one thread."""
    paths = None if model is None else str(model), "bundled" if lm is None else str(lm)
    opened = Recognizer(paths[0], 1, paths[1])
    if opened.language is None:
        raise HtrjandError(f"{opened.path}: no bundled language model is for it; name one by --lm")
    lines = [row.pixels() for row in choose_lines(files, split, datasets, limit)]
    watch = Watch()
    found = measure(*paths, lines, rounds, watch)
    reasons = [found["text"] for found in watch.finish()[1]]
    name, widths = opened.language.ngram.about["name"], [line.shape[1] for line in lines]
    conditions = [f"{len(lines)} lines, median width {median(widths):.0f}, {rounds} rounds, one thread"]
    conditions += [str(describe()["cpu"]), *(f"**{reason}**" for reason in reasons)]
    click.echo(f"{table(found)}\n\n{opened.path.name} with {name}: {'; '.join(conditions)}.")


if __name__ == "__main__":
    try:
        main()
    except HtrjandError as problem:
        raise SystemExit(f"decoding: {problem}") from problem
