"""`htrjand distill`."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from ..train.cli import run_options, tell
from ..train.recipe import load_recipe
from .distill import DistillRecipe, distil


@click.command("distill")
@click.argument("recipe", type=click.Path(path_type=Path))
@run_options
def distill(recipe: Path, output: Path, max_time: float | None, device: str, workers: int) -> None:
    """Train a student with a teacher as RECIPE (YAML) says, and the same student as long without, into OUTPUT.

    --max-time is for each of the two.
    """
    outcomes = distil(
        load_recipe(DistillRecipe, recipe), recipe, output, max_time=max_time, device=device, workers=workers,
        progress=sys.stderr.isatty(), say=lambda text: click.echo(text, err=True),
    )  # fmt: skip
    for name, outcome in outcomes.items():
        tell(name, outcome)
