"""`htrjand correct train`."""

from __future__ import annotations

from pathlib import Path

import click

from ...options import DEVICE, MAX_TIME, OUTPUT_FOLDER, RECIPE, log


@click.group("correct")
def correct() -> None:
    """A corrector of what was read: a small T5."""


@correct.command("train")
@RECIPE
@OUTPUT_FOLDER
@MAX_TIME
@DEVICE
def train(recipe: Path, output: Path, max_time: float | None, device: str) -> None:
    """Train a corrector as RECIPE (YAML) says, into OUTPUT. A run that was cut off goes on where it was saved."""
    from ..recipe_loader import load_recipe
    from .fit import train as fit
    from .recipe import CorrectRecipe

    click.echo(fit(load_recipe(CorrectRecipe, recipe), recipe, output, max_time, device, log))
