"""`htrjand train`."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from . import fit
from .recipe import TrainRecipe, load_recipe

Command = TypeVar("Command", bound=Callable[..., Any])


class Duration(click.ParamType[float]):
    """A length of time in seconds, from `90s`, `45m` or `2h`."""

    name = "time"

    def convert(self, value: str | float, param: click.Parameter | None, ctx: click.Context | None) -> float:
        units = {"s": 1, "m": 60, "h": 3600}
        try:
            seconds = value if isinstance(value, float) else float(value[:-1]) * units[value[-1:]]
        except (ValueError, KeyError):
            self.fail(f"{value!r} is no length of time; write 90s, 45m or 2h", param, ctx)
        if seconds <= 0:
            self.fail("must be more than nothing", param, ctx)
        return seconds


DURATION = Duration()


def run_options(command: Command) -> Command:
    """The options that every verb which trains takes."""
    for option in (
        click.option(
            "-o", "--output", type=click.Path(file_okay=False, path_type=Path), required=True, help="A folder."
        ),
        click.option("--max-time", type=DURATION, help="End within this time: 90s, 45m, 2h. The rate falls with it."),
        click.option("--device", type=click.Choice(["auto", "cpu", "gpu"]), default="auto", show_default=True),
        click.option("--workers", type=click.IntRange(0), default=1, show_default=True, help="Processes that decode."),
    ):
        command = option(command)
    return command


def tell(name: str, outcome: fit.Outcome) -> None:
    """The result on stdout: where the weights are, and what they are worth."""
    click.echo(
        f"{name}: {outcome.weights}  validation CER {outcome.val_cer:.2f} %  "
        f"{outcome.lines_seen} lines seen  {outcome.lines_per_second:.0f} lines a second"
    )


@click.command("train")
@click.argument("recipe", type=click.Path(path_type=Path))
@run_options
def train(recipe: Path, output: Path, max_time: float | None, device: str, workers: int) -> None:
    """Train a network as RECIPE (YAML) says. A run that was cut off goes on where it was saved."""
    outcome = fit.train(
        load_recipe(TrainRecipe, recipe), recipe, output, max_time=max_time, device=device, workers=workers,
        progress=sys.stderr.isatty(), say=lambda text: click.echo(text, err=True),
    )  # fmt: skip
    tell("weights", outcome)
