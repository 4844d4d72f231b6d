"""`htrjand sensitivity`, `search` and `qat`: what eight bits harm, what to leave in float, how to repair the rest."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click
from lightning.pytorch.utilities import rank_zero_only

from ..export.proof import BUDGET
from ..runtime.files import atomic_path
from ..train.cli import log, run_options, tell
from ..train.data.lines import LineRow, data_dir, read_lines, spread
from ..train.fit import Machine
from ..train.recipe_loader import load_recipe
from .qat import QatRecipe
from .qat import qat as run_qat
from .quantize import Lines, QuantizeRecipe

Command = TypeVar("Command", bound=Callable[..., Any])
LIMIT = 60  # lines a dataset: more take longer, and change little


def line_options(command: Command) -> Command:
    """The options that choose lines, for a verb that takes `lines` (training, to calibrate) and `rows` (val)."""

    @functools.wraps(command)
    def with_lines(
        *args: Any, data: tuple[Path, ...], datasets: tuple[str, ...], calibrate: int, limit: int, **rest: Any
    ) -> Any:
        paths = data or (data_dir() / "lines",)
        train = (row for row in read_lines(paths, "train") if not datasets or row.dataset in datasets)
        lines = [row.pixels() for row in spread(train, calibrate)]
        by_dataset: dict[str, list[LineRow]] = {}
        for row in read_lines(paths, "val"):
            if not datasets or row.dataset in datasets:
                by_dataset.setdefault(row.dataset, []).append(row)
        rows = [row for name in sorted(by_dataset) for row in spread(by_dataset[name], limit)]
        return command(*args, lines=lines, rows=rows, **rest)

    file, number, some = click.Path(path_type=Path), click.IntRange(1), QuantizeRecipe.calibrate
    for option in (
        click.option("-i", "--lines", "data", multiple=True, type=file, help="Parquet files or folders."),
        click.option("--dataset", "datasets", multiple=True, help="Only this dataset. Repeatable."),
        click.option("--calibrate", type=number, default=some, show_default=True, help="Training lines."),
        click.option("--limit", type=number, default=LIMIT, show_default=True, help="Validation lines a dataset."),
    ):
        with_lines = option(with_lines)
    return with_lines  # type: ignore[return-value]


@click.command("sensitivity")
@click.argument("model", type=click.Path(path_type=Path))
@click.option("-o", "--output", type=click.Path(dir_okay=False, path_type=Path), help="A JSON file of the same.")
@line_options
def sensitivity(model: Path, output: Path | None, lines: Lines, rows: list[LineRow]) -> None:
    """Print what each layer of MODEL (fp32 .onnx) costs when it alone is in int8, the most harmful first."""
    from .sensitivity import sensitivity as measure

    found = measure(model, lines, rows, say=log)
    write(output, found.to_dict())
    click.echo(found.markdown())


@click.command("search")
@click.argument("weights", type=click.Path(path_type=Path))
@click.option("-o", "--output", type=click.Path(dir_okay=False, path_type=Path), help="A JSON file of the same.")
@click.option("--max-cer-increase", "budget", type=click.FloatRange(0), default=BUDGET, show_default=True)
@line_options
def search(weights: Path, output: Path | None, budget: float, lines: Lines, rows: list[LineRow]) -> None:
    """Find what is to stay in float when WEIGHTS (.safetensors) are quantised, or that they need `htrjand qat`."""
    from .search import search as find

    found = find(weights, lines, rows, budget, say=log)
    write(output, found.to_dict())
    click.echo(found.markdown())
    end = f"; no trial is within {budget:g} points: fine-tune with `htrjand qat`" if found.qat else ""
    click.echo(f"\nto keep in float: {', '.join(found.keep) or 'nothing'}{end}")


@click.command("qat")
@click.argument("recipe", type=click.Path(path_type=Path))
@run_options
def qat(recipe: Path, output: Path, max_time: float | None, machine: Machine) -> None:
    """Fine-tune weights as RECIPE (YAML) says until they bear eight bits, into OUTPUT. It runs on the CPU."""
    loaded = load_recipe(QatRecipe, recipe)
    tell("weights", run_qat(loaded, recipe, output, max_time=max_time, machine=machine, log=log))


@rank_zero_only
def write(output: Path | None, values: dict[str, Any]) -> None:
    """A JSON file, where one is asked for."""
    if output is not None:
        with atomic_path(output) as part:
            part.write_text(json.dumps(values, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
