"""`htrjand train`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from ..options import MAX_TIME, OUTPUT_FOLDER, PATH, files_option, log, machine_options, print_outcome

if TYPE_CHECKING:
    from .fit import Machine


@click.command("train")
@click.argument("recipe", type=PATH, required=False)
@files_option("In place of the recipe's.")
@OUTPUT_FOLDER
@click.option(
    "--from", "begin", metavar="WEIGHTS", help="Begin from these: a .safetensors file, or student, the released one."
)
@click.option(
    "--total-lines",
    type=click.IntRange(1),
    help="Lines the run sees, in place of the recipe's; with decay_start in the recipe, of a resumed run too.",
)
@MAX_TIME
@machine_options
def train(
    recipe: Path | None, files: tuple[Path, ...], output: Path, begin: str | None, total_lines: int | None,
    max_time: float | None, machine: Machine,
) -> None:  # fmt: skip
    """Train a network as RECIPE (YAML) says, into OUTPUT. A run that was cut off goes on where it was saved.

    Without RECIPE, weights are adapted to some lines: htrjand train --from student -i mine.parquet -o runs/mine
    """
    from dataclasses import replace

    from ..runtime.errors import UsageError
    from . import adapt, fit
    from .checkpoint import load_card
    from .recipe import TrainRecipe
    from .recipe_loader import load_recipe

    if recipe is None and not (begin and files):
        raise UsageError("name a recipe, or give --from and -i to adapt weights to lines")
    path = recipe or adapt.RECIPE
    loaded = load_recipe(TrainRecipe, path)
    if files:
        loaded = replace(
            loaded, data=replace(loaded.data, files=tuple(str(path.resolve()) for path in files), val_files=())
        )
    if begin:
        weights = adapt.find_weights(begin)
        loaded = replace(loaded, begin=str(weights), network=loaded.network if recipe else load_card(weights).network)
    if total_lines:
        loaded = replace(loaded, total_lines=total_lines)
    print_outcome("weights", fit.train(loaded, path, output, max_time=max_time, machine=machine, log=log))
