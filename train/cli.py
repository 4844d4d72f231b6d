"""`htrjand train`."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import click
from lightning.pytorch.utilities import rank_zero_only

from ..runtime.errors import UsageError
from . import adapt, fit
from .checkpoint import load_card
from .recipe import TrainRecipe
from .recipe_loader import load_recipe

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
    """The options that every verb which trains takes; those of the machine come as one `machine`."""

    @functools.wraps(command)
    def with_machine(*args: Any, device: str, devices: int, nodes: int, workers: int, **options: Any) -> Any:
        machine = fit.Machine(device, devices, nodes, workers, progress=sys.stderr.isatty())
        return command(*args, machine=machine, **options)

    for option in (
        click.option(
            "-o", "--output", type=click.Path(file_okay=False, path_type=Path), required=True, help="A folder."
        ),
        click.option("--max-time", type=DURATION, help="End within this time: 90s, 45m, 2h. The rate falls with it."),
        click.option("--device", type=click.Choice(["auto", "cpu", "gpu"]), default="auto", show_default=True),
        click.option("--devices", type=click.IntRange(1), default=1, show_default=True, help="GPUs, or CPU processes."),
        click.option("--nodes", type=click.IntRange(1), default=1, show_default=True, help="Machines of the run."),
        click.option("--workers", type=click.IntRange(0), default=1, show_default=True, help="Threads that decode."),
    ):  # fmt: skip
        with_machine = option(with_machine)
    return with_machine  # type: ignore[return-value]


@rank_zero_only
def tell(name: str, outcome: fit.Outcome) -> None:
    """The result on stdout: where the weights are, and what they are worth."""
    click.echo(
        f"{name}: {outcome.weights}  validation CER {outcome.val_cer:.2f} %  "
        f"{outcome.lines_seen} lines seen  {outcome.lines_per_second:.0f} lines a second"
    )


def log(text: str) -> None:
    """What a run says of its way, on stderr."""
    click.echo(text, err=True)


@click.command("train")
@click.argument("recipe", type=click.Path(path_type=Path), required=False)
@click.option(
    "--from", "begin", metavar="WEIGHTS", help="Begin from these: a .safetensors file, or student or teacher."
)
@click.option(
    "-i", "--input", "files", multiple=True, type=click.Path(path_type=Path), help="In place of its lines."
)  # fmt: skip
@click.option(
    "--total-lines", "total", type=click.IntRange(1), help="In place of the recipe's; may change under `decay_start`."
)  # fmt: skip
@run_options
def train(
    recipe: Path | None, begin: str | None, files: tuple[Path, ...], total: int | None, output: Path,
    max_time: float | None, machine: fit.Machine,
) -> None:  # fmt: skip
    """Train a network as RECIPE (YAML) says. A run that was cut off goes on where it was saved.

    Without RECIPE, weights are adapted to some lines: htrjand train --from student -i mine.parquet -o runs/mine
    """
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
    if total:
        loaded = replace(loaded, total_lines=total)
    tell("weights", fit.train(loaded, path, output, max_time=max_time, machine=machine, log=log))
