"""`htrjand bench`: measure engines on real lines; `htrjand bench report`: tables out of earlier results."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import click

from ..options import DATASETS, FILE, PATH, files_option, format_option, write_text

ENGINES = ("bundled", "tesseract", "rapidocr")  # as benchmarks/engines.py has them, and the width runtime/image.py:
MAX_WIDTH = 4096  # tests hold them equal, for --help loads neither


@click.group("bench", invoke_without_command=True)
@files_option()
@click.option("--split", default="test", show_default=True, type=click.Choice(["train", "val", "test", "all"]))
@DATASETS
@click.option("--limit", type=click.IntRange(1), help="At most so many lines a dataset, drawn at random (seeded).")
@click.option("-m", "--model", "models", multiple=True, help="A model file. Repeatable.")
@click.option(
    "--engine", "named", multiple=True, type=click.Choice(ENGINES), help="The bundled model, or a peer. Repeatable."
)
@click.option(
    "--lm", type=PATH, help="A language model (htrjand lm build). Default: the bundled one, for its languages."
)
@click.option("--no-lm", is_flag=True, help="Greedy rows alone.")
@click.option("--threads", multiple=True, type=click.IntRange(1), help="Repeatable. Default: 1, and all cores.")
@click.option("--only", type=click.Choice(["accuracy", "latency"]), help="Measure errors only, or speed only.")
@click.option("--width", type=click.IntRange(16, MAX_WIDTH), help="Cut or pad lines to these columns; latency only.")
@click.option("--queries", type=click.IntRange(1), help="Readings an engine, at least (100).")
@click.option("--seconds", type=click.FloatRange(0), help="Seconds an engine, at least (10).")
@click.option("--quick", is_flag=True, help="20 readings, 1 s, 3 cold starts, one thread: a look, marked as not valid.")
@click.option("-o", "--output", type=PATH, help="Write the whole result here, as JSON.")
@format_option("md", "json")
@click.pass_context
def bench(
    context: click.Context, files: tuple[Path, ...], split: str, datasets: tuple[str, ...], limit: int | None,
    models: tuple[str, ...], named: tuple[str, ...], lm: Path | None, no_lm: bool, threads: tuple[int, ...],
    only: str | None, width: int | None, queries: int | None, seconds: float | None, quick: bool, output: Path | None,
    form: str,
) -> None:  # fmt: skip
    """Measure error, speed, size and memory of models and peers.

    All read the same lines. Without -m and --engine: the bundled model and the peers that are installed. A model that
    reads with a language model has two rows: greedy, and with it. A row asked for by name that fails makes the exit
    status 1; the other rows are measured all the same.
    """
    if context.invoked_subcommand:
        return
    from dataclasses import replace

    from ..runtime.decode.ngram import Ngram
    from ..runtime.errors import HtrjandError, UsageError
    from ..runtime.recognizer import BUNDLED_LM
    from .engines import check_engine, takes_lm
    from .machine import usable_cores
    from .report import markdown
    from .run import Settings, choose_lines, run

    if not files:
        raise UsageError("no lines to measure on; name a Parquet file or a folder of them by -i")
    asked = [*models, *named]
    engines = [check_engine(engine) for engine in dict.fromkeys(asked or ENGINES)]
    if width is not None and only == "accuracy":
        raise UsageError("--width cuts lines, so errors cannot be counted; leave out --only accuracy")
    if lm and no_lm:
        raise UsageError("--lm and --no-lm ask for opposite things; give one of them")
    if lm and not any(map(takes_lm, engines)):
        raise UsageError("--lm is for model files, and none is measured; leave it out, or name one by -m")
    if lm:
        Ngram(lm)  # what is no language model is an error before the long run
    output = check_output(output)
    settings = Settings(
        threads=tuple(dict.fromkeys(threads or ((1,) if quick else (1, usable_cores())))),
        latency=only != "accuracy",
        accuracy=only != "latency" and width is None,
        width=width,
    )
    if quick:
        settings = replace(settings, queries=20, seconds=1.0, warm_up=3, cold_starts=3)
    if queries is not None:
        settings = replace(settings, queries=queries)
    if seconds is not None:
        settings = replace(settings, seconds=seconds)
    rows = choose_lines(files, None if split == "all" else split, datasets, limit)
    result = run(engines, rows, settings, None if no_lm else str(lm or BUNDLED_LM))
    if output:
        write_text(output, as_json(result))
    click.echo(as_json(result) if form == "json" else markdown([result]), nl=False)
    failed = list(dict.fromkeys(row["name"] for row in result["engines"] if "error" in row))
    if asked and failed:
        raise HtrjandError(f"{', '.join(failed)}: could not be measured; the result says why")


@bench.command("report")
@click.argument("results", nargs=-1, required=True, type=FILE)
def report(results: tuple[Path, ...]) -> None:
    """Print a Markdown table for each result that `htrjand bench -o` wrote."""
    from .report import load_result, markdown

    click.echo(markdown([load_result(path) for path in results]), nl=False)


def check_output(output: Path | None) -> Path | None:
    """The file to write, None for `-`; one that cannot be written is an error before the long run, not after it."""
    from ..runtime.errors import HtrjandError

    if output is None or str(output) == "-":
        return None
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise HtrjandError(f"{output}: cannot be written ({error.strerror}); choose another place") from error
    if output.is_dir() or not os.access(output.parent, os.W_OK):
        raise HtrjandError(f"{output}: cannot be written; name a file in a folder that you may write to")
    return output


def as_json(result: dict[str, Any]) -> str:
    """The document as indented JSON."""
    from ..runtime.text import json_text

    return json_text(result, indent=1) + "\n"
