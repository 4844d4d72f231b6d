"""`htrjand distill`, `prune` and `quantize`."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import click

from ..export.cli import Rows, proof_options, told
from ..export.proof import Reference
from ..train.cli import log, run_options, tell
from ..train.data.lines import spread
from ..train.fit import Machine
from ..train.recipe_loader import load_recipe
from .distill import DistillRecipe, distil
from .prune import PruneRecipe
from .prune import prune as run_pruning
from .quantize import QuantizeRecipe, quantize_proven


@click.command("distill")
@click.argument("recipe", type=click.Path(path_type=Path))
@run_options
def distill(recipe: Path, output: Path, max_time: float | None, machine: Machine) -> None:
    """Train a student with a teacher as RECIPE (YAML) says, and the same student as long without, into OUTPUT.

    --max-time is for each of the two.
    """
    loaded = load_recipe(DistillRecipe, recipe)
    outcomes = distil(loaded, recipe, output, max_time=max_time, machine=machine, log=log)
    for name, outcome in outcomes.items():
        tell(name, outcome)


@click.command("prune")
@click.argument("recipe", type=click.Path(path_type=Path))
@click.option("--ratio", type=click.FloatRange(0, 1, max_open=True), help="Share that goes, in place of the recipe's.")
@click.option("--steps", type=click.IntRange(1), help="In how many parts, in place of the recipe's.")
@run_options
def prune(
    recipe: Path, ratio: float | None, steps: int | None, output: Path, max_time: float | None, machine: Machine
) -> None:
    """Take channels and hidden units out of weights as RECIPE (YAML) says, and distil what is left, into OUTPUT."""
    loaded = load_recipe(PruneRecipe, recipe)
    if ratio is not None:
        loaded = replace(loaded, ratio=ratio)
    if steps is not None:
        loaded = replace(loaded, steps=steps)
    outcome = run_pruning(loaded, recipe, output, max_time=max_time, machine=machine, log=log)
    tell("pruned", outcome)


@click.command("quantize")
@click.argument("model", type=click.Path(path_type=Path))
@click.option(
    "-o",
    "--output",
    "out",
    type=click.Path(dir_okay=False, path_type=Path),
    required=True,
    help="A file of the float file's format: .onnx, .xml (OpenVINO) or .tflite.",
)
@click.option(
    "--calibrate",
    type=click.IntRange(1),
    default=QuantizeRecipe.calibrate,
    show_default=True,
    help="Training lines to see ranges on.",
)
@click.option(
    "--keep",
    multiple=True,
    help="A module to leave in float, by its name in the file. Repeatable. Default: " + ", ".join(QuantizeRecipe.keep),
)
@proof_options
def quantize(
    model: Path, out: Path, calibrate: int, keep: tuple[str, ...], split: str, budget: float, rows: Rows, given: bool
) -> None:
    """Write an int8 edition of MODEL (a float file) if it reads as well; else write nothing, with exit status 1."""
    recipe = QuantizeRecipe(calibrate, keep or QuantizeRecipe.keep)
    lines = [row.pixels() for row in spread(rows("train"), calibrate)]
    proof = quantize_proven(model, lines, out, recipe, Reference(model, list(rows(split))), budget)
    click.echo(f"{out}: {proof['bytes']:,} bytes, {told(proof)}")
