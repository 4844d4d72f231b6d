"""`htrjand ablate`."""

from __future__ import annotations

from pathlib import Path

import click
from lightning.pytorch.utilities import rank_zero_only

from ...train.cli import log, run_options
from ...train.fit import Machine
from ...train.recipe_loader import load_recipe
from .ablate import AblateRecipe, table
from .ablate import ablate as run_ablation


@click.command("ablate")
@click.argument("recipe", type=click.Path(path_type=Path))
@run_options
def ablate(recipe: Path, output: Path, max_time: float | None, machine: Machine) -> None:
    """Train what RECIPE (YAML) says, and the same without each of its parts; print one table.

    --max-time is for each run. Runs that are done are not done again.
    """
    rows = run_ablation(load_recipe(AblateRecipe, recipe), recipe, output, max_time=max_time, machine=machine, log=log)
    rank_zero_only(click.echo)(table(rows))
