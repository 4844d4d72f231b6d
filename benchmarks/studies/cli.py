"""`htrjand ablate`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from ...options import MAX_TIME, OUTPUT_FOLDER, RECIPE, log, machine_options, print_result

if TYPE_CHECKING:
    from ...train.fit import Machine


@click.command("ablate")
@RECIPE
@OUTPUT_FOLDER
@MAX_TIME
@machine_options
def ablate(recipe: Path, output: Path, max_time: float | None, machine: Machine) -> None:
    """Train a network, and the same without each of its parts.

    RECIPE (YAML) says how; prints one table, and writes it into OUTPUT. --max-time is for each run. Runs that are done
    are not done again.
    """
    from ...train.recipe_loader import load_recipe
    from .ablate import AblateRecipe, table
    from .ablate import ablate as run_ablation

    rows = run_ablation(load_recipe(AblateRecipe, recipe), recipe, output, max_time=max_time, machine=machine, log=log)
    print_result(table(rows))
