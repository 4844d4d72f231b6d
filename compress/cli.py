"""`htrjand distill`, `prune`, `sensitivity`, `search`, `qat` and `quantize`: from a teacher to a small int8 student."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from ..options import (
    FILE,
    MAX_CER_INCREASE,
    MAX_LINES_LOST,
    MAX_TIME,
    OUTPUT_FOLDER,
    PATH,
    PROOF_SPLIT,
    RECIPE,
    WORKERS,
    LineChoice,
    line_options,
    log,
    machine_options,
    print_outcome,
    write_text,
)

if TYPE_CHECKING:
    from ..train.data.lines import LineRow
    from ..train.fit import Machine
    from .quantize import Lines

MOST_COMPARED = 500  # training lines
Command = TypeVar("Command", bound=Callable[..., Any])
# The defaults of QuantizeRecipe, which a test holds equal: --help loads none of it.
CALIBRATE = click.option(
    "--calibrate",
    type=click.IntRange(1),
    default=128,
    show_default=True,
    help="Training lines, or pages of a line detector, for the ranges.",
)
JSON_FILE = click.option("-o", "--output", type=FILE, help="A JSON file for the same table.")


def trial_options(command: Command) -> Command:
    """The options of a verb that tries int8: it takes `lines` (pixels to calibrate on) and `rows` (to read)."""

    @functools.wraps(command)
    def with_lines(*args: Any, lines: LineChoice, calibrate: int, limit: int, **others: Any) -> Any:
        from ..train.data.lines import spread

        pixels = [row.pixels() for row in spread(lines.rows("train"), calibrate)]
        by_dataset: dict[str, list[LineRow]] = {}
        for row in lines.rows("val"):
            by_dataset.setdefault(row.dataset, []).append(row)
        rows = [row for name in sorted(by_dataset) for row in spread(by_dataset[name], limit)]
        return command(*args, lines=pixels, rows=rows, **others)

    limit = click.option(
        "--limit", type=click.IntRange(1), default=60, show_default=True, help="Validation lines a dataset, at most."
    )  # more take longer, and change little
    return line_options(CALIBRATE(limit(with_lines)))  # type: ignore[return-value]


@click.command("distill")
@RECIPE
@OUTPUT_FOLDER
@MAX_TIME
@machine_options
def distill(recipe: Path, output: Path, max_time: float | None, machine: Machine) -> None:
    """Train a small student with a teacher, and the same without.

    RECIPE (YAML) says how; both go into OUTPUT. --max-time is for each of the two.
    """
    from ..train.recipe_loader import load_recipe
    from .distill import DistillRecipe, distil

    outcomes = distil(load_recipe(DistillRecipe, recipe), recipe, output, max_time=max_time, machine=machine, log=log)
    for name, outcome in outcomes.items():
        print_outcome(name, outcome)


@click.command("prune")
@RECIPE
@OUTPUT_FOLDER
@click.option("--ratio", type=click.FloatRange(0, 1, max_open=True), help="Share that goes, in place of the recipe's.")
@click.option("--steps", type=click.IntRange(1), help="In how many parts, in place of the recipe's.")
@MAX_TIME
@machine_options
def prune(
    recipe: Path, output: Path, ratio: float | None, steps: int | None, max_time: float | None, machine: Machine
) -> None:
    """Take channels out of a network, and distil what is left.

    RECIPE (YAML) says which weights and how; the result goes into OUTPUT.
    """
    from dataclasses import replace

    from ..train.recipe_loader import load_recipe
    from .prune import PruneRecipe
    from .prune import prune as run_pruning

    loaded = load_recipe(PruneRecipe, recipe)
    if ratio is not None:
        loaded = replace(loaded, ratio=ratio)
    if steps is not None:
        loaded = replace(loaded, steps=steps)
    print_outcome("pruned", run_pruning(loaded, recipe, output, max_time=max_time, machine=machine, log=log))


@click.command("sensitivity")
@click.argument("model", type=PATH)
@trial_options
@JSON_FILE
def sensitivity(model: Path, output: Path | None, lines: Lines, rows: list[LineRow]) -> None:
    """Print what each layer costs when it alone is in int8.

    MODEL is an fp32 .onnx file. The most harmful layer comes first.
    """
    from .sensitivity import sensitivity as measure

    found = measure(model, lines, rows, log=log)
    write_json(output, found.to_dict())
    click.echo(found.markdown())


@click.command("search")
@click.argument("weights", type=PATH)
@trial_options
@JSON_FILE
@MAX_CER_INCREASE
def search(weights: Path, output: Path | None, budget: float, lines: Lines, rows: list[LineRow]) -> None:
    """Find the modules that have to stay in float.

    Tries int8 editions of WEIGHTS (.safetensors) until one is within the budget; where none is, `htrjand qat` is left.
    """
    from .search import search as find

    found = find(weights, lines, rows, budget, log=log)
    write_json(output, found.to_dict())
    click.echo(found.markdown())
    end = f"; no trial is within {budget:g} points: fine-tune with `htrjand qat`" if found.qat else ""
    click.echo(f"\nto keep in float: {', '.join(found.keep) or 'nothing'}{end}")


@click.command("qat")
@RECIPE
@OUTPUT_FOLDER
@MAX_TIME
@WORKERS
def qat(recipe: Path, output: Path, max_time: float | None, workers: int) -> None:
    """Fine-tune a network with the rounding of int8 simulated.

    RECIPE (YAML) says which weights and how; the result goes into OUTPUT. It runs in one process, on the CPU.
    """
    from ..train.fit import Machine
    from ..train.recipe_loader import load_recipe
    from .qat import QatRecipe
    from .qat import qat as run_qat

    machine = Machine("cpu", workers=workers, progress=sys.stderr.isatty())
    outcome = run_qat(load_recipe(QatRecipe, recipe), recipe, output, max_time=max_time, machine=machine, log=log)
    print_outcome("weights", outcome)


@click.command("quantize")
@click.argument("model", type=PATH)
@line_options
@click.option(
    "-o", "--output", type=FILE, required=True, help="A file of MODEL's format: .onnx, .xml (OpenVINO) or .tflite."
)
@CALIBRATE
@click.option(
    "--keep",
    multiple=True,
    help="A module to leave in float, by its name in the file. Repeatable.",
)
@PROOF_SPLIT
@MAX_CER_INCREASE
@MAX_LINES_LOST
def quantize(
    model: Path, lines: LineChoice, output: Path, calibrate: int, keep: tuple[str, ...], split: str, budget: float,
    page_budget: float,
) -> None:  # fmt: skip
    """Write an int8 edition of a float file, if it reads as well.

    It is calibrated on training lines (a line detector on training pages), and proven on those of --split; where it
    reads worse than --max-cer-increase allows, or finds fewer lines than --max-lines-lost does, nothing is written and
    the exit status is 1.
    """
    from ..export.kinds import is_detector
    from ..export.page_proof import PageReference
    from ..export.proof import AnyReference, Reference, summary_line
    from ..train.data.lines import spread
    from .quantize import QuantizeRecipe, quantize_proven

    reference: AnyReference
    if is_detector(model):
        samples = lines.page_images("train", calibrate)
        reference, budget = PageReference(model, list(lines.pages(split)), split), page_budget
    else:
        samples = [row.pixels() for row in spread(lines.rows("train"), calibrate)]
        reference = Reference(model, rows_to_compare(lines, split))
    proof = quantize_proven(model, samples, output, QuantizeRecipe(calibrate, keep), reference, budget)
    click.echo(f"{output}: {proof['bytes']:,} bytes, {summary_line(proof)}")


def rows_to_compare(lines: LineChoice, split: str) -> list[LineRow]:
    """The lines of a split; where there are none to validate with, some to train with: two files read the same ones."""
    from ..train.data.lines import spread

    rows = list(lines.rows(split))
    if not rows and split == "val" and (rows := spread(lines.rows("train"), MOST_COMPARED)):
        log(f"no validation lines: errors are compared on {len(rows):,} training lines")
    return rows


def write_json(output: Path | None, values: dict[str, Any]) -> None:
    """A JSON file, where one is asked for."""
    from ..runtime.text import json_text

    if output is not None:
        write_text(output, json_text(values, indent=1) + "\n")
