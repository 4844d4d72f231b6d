"""What verbs of the command line share: options, and how they report. Loading it loads click alone."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from .runtime.image import Grey
    from .train.data.lines import LineRow
    from .train.fit import Outcome
    from .train.page.pages import Page

Command = TypeVar("Command", bound=Callable[..., Any])

PATH = click.Path(path_type=Path)
FILE = click.Path(dir_okay=False, path_type=Path)
FOLDER = click.Path(file_okay=False, path_type=Path)
# Those of export/proof.py and export/page_proof.py, which a test holds equal: --help loads none of them.
BUDGET = 0.3  # points of CER
PAGE_BUDGET = 0.5  # points of recall and of precision


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


def files_option(use: str = "") -> Callable[[Command], Command]:
    """`-i`: files of lines, as `files`."""
    text = f"A Parquet file of lines, or a folder of them. Repeatable. {use}".strip()
    return click.option("-i", "--input", "files", multiple=True, type=PATH, help=text)


def format_option(*names: str) -> Callable[[Command], Command]:
    """`-f`: the form of what is printed, as `form`; the first name is the default."""
    return click.option("-f", "--format", "form", type=click.Choice(names), default=names[0], show_default=True)


LM = click.option(
    "--lm", type=PATH, help="A language model (htrjand lm build). Default: the bundled one, for its languages."
)
NEURAL_LM = click.option(
    "--neural-lm", metavar="FILE", help="A neural language model, or bundled: chooses among the best texts of a line."
)


def language_models(lm: Path | None, no_lm: bool, neural_lm: str | None) -> tuple[str | Path | None, str | Path | None]:
    """What a `Recognizer` takes as `lm` and `neural_lm`, of what --lm, --no-lm and --neural-lm say.

    Raises:
        UsageError: they ask for opposite things.
    """
    from .runtime.errors import UsageError

    if lm and no_lm:
        raise UsageError("--lm and --no-lm ask for opposite things; give one of them")
    if neural_lm and no_lm:
        raise UsageError("--neural-lm chooses among texts that the n-gram of --lm has found; leave out --no-lm")
    neural = Path(neural_lm) if neural_lm not in (None, "bundled") else neural_lm
    return None if no_lm else lm or "bundled", neural


RECIPE = click.argument("recipe", type=PATH)
OUTPUT_FOLDER = click.option("-o", "--output", type=FOLDER, required=True, help="A folder.")
MAX_TIME = click.option(
    "--max-time", type=Duration(), help="End within: 90s, 45m, 2h. The learning rate falls with it."
)
WORKERS = click.option(
    "--workers", type=click.IntRange(0), default=1, show_default=True, help="Threads that decode images."
)
DEVICE = click.option("--device", type=click.Choice(["auto", "cpu", "gpu"]), default="auto", show_default=True)
DATASETS = click.option("--dataset", "datasets", multiple=True, help="Only this dataset. Repeatable.")
CORE = click.option("--core", is_flag=True, help="Only lines that their files mark as core.")
PROOF_SPLIT = click.option(
    "--split", type=click.Choice(["val", "test"]), default="val", show_default=True, help="The lines to prove on."
)
MAX_CER_INCREASE = click.option(
    "--max-cer-increase", "budget", type=click.FloatRange(0), default=BUDGET, show_default=True,
    help="Percentage points of CER that a file may lose, on any dataset.",
)  # fmt: skip
MAX_LINES_LOST = click.option(
    "--max-lines-lost", "page_budget", type=click.FloatRange(0), default=PAGE_BUDGET, show_default=True,
    help="Percentage points of recall, and of precision, that the file of a line detector may lose.",
)  # fmt: skip


def machine_options(command: Command) -> Command:
    """What a training may use of this machine and others; the verb takes it as one `machine`."""

    @functools.wraps(command)
    def with_machine(*args: Any, device: str, devices: int, nodes: int, workers: int, **others: Any) -> Any:
        from .train.fit import Machine

        machine = Machine(device, devices, nodes, workers, progress=sys.stderr.isatty())
        return command(*args, machine=machine, **others)

    for option in (
        WORKERS,
        click.option("--nodes", type=click.IntRange(1), default=1, show_default=True, help="Machines of the run."),
        click.option("--devices", type=click.IntRange(1), default=1, show_default=True, help="GPUs, or CPU processes."),
        DEVICE,
    ):
        with_machine = option(with_machine)
    return with_machine  # type: ignore[return-value]


@dataclass(frozen=True)
class LineChoice:
    """The lines that `-i`, `--dataset`, `--exclude` and `--core` choose: without `-i` those of HTRJAND_DATA. For a line
    detector the first three choose pages."""

    files: tuple[Path, ...]
    datasets: tuple[str, ...]
    exclude: tuple[str, ...]
    core: bool

    def rows(self, split: str) -> Iterator[LineRow]:
        """The lines of a split, streamed."""
        from .train.data.lines import data_dir, read_lines

        for row in read_lines(self.files or (data_dir() / "lines",), split, core=self.core, exclude=self.exclude):
            if not self.datasets or row.dataset in self.datasets:
                yield row

    def pages(self, split: str) -> Iterator[Page]:
        """The pages of a split; without `-i` those of pagepacks/ in HTRJAND_DATA."""
        from .train.page.measure import chosen_pages

        return chosen_pages(self.page_files(), split, self.datasets, self.exclude)

    def page_images(self, split: str, count: int) -> list[Grey]:
        """Of so many pages of a split, drawn at random, the images."""
        from .train.page.measure import page_images

        return page_images(self.page_files(), split, count, self.datasets, self.exclude)

    def page_files(self) -> tuple[Path, ...]:
        from .train.data.lines import data_dir

        return self.files or (data_dir() / "pagepacks",)


def line_options(command: Command) -> Command:
    """The options that choose lines; the verb takes them as one `lines`."""

    @functools.wraps(command)
    def with_lines(
        *args: Any, files: tuple[Path, ...], datasets: tuple[str, ...], exclude: tuple[str, ...], core: bool,
        **others: Any,
    ) -> Any:  # fmt: skip
        return command(*args, lines=LineChoice(files, datasets, exclude, core), **others)

    for option in (
        CORE,
        click.option("--exclude", multiple=True, help="A dataset to leave out. Repeatable."),
        DATASETS,
        files_option("Default, but for export: lines/ in HTRJAND_DATA."),
    ):
        with_lines = option(with_lines)
    return with_lines  # type: ignore[return-value]


def log(message: object) -> None:
    """What a run says of its way, on stderr."""
    click.echo(message, err=True)


def warn(problem: object) -> None:
    """What went wrong: one line on stderr, after the program's name."""
    from .runtime.text import printable

    log(f"htrjand: {printable(' '.join(str(problem).split()))}")


def print_result(text: str) -> None:
    """A result on stdout; of a run in several processes once."""
    from lightning.pytorch.utilities import rank_zero_only

    rank_zero_only(click.echo)(text)


def print_outcome(name: str, outcome: Outcome) -> None:
    """What a training came to: where the weights are, and how they read."""
    print_result(
        f"{name}: {outcome.weights}  validation CER {outcome.val_cer:.2f} %  "
        f"{outcome.lines_seen} lines seen  {outcome.lines_per_second:.0f} lines a second"
    )


def write_text(path: Path, text: str) -> None:
    """A text file, whole or not at all."""
    from .runtime.files import atomic_path

    with atomic_path(path) as part:
        part.write_text(text, encoding="utf-8")
