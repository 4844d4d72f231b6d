"""`htrjand bench`: measure engines on lines and pages; and the verbs that make something of earlier results."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ..options import (
    DATASETS,
    FILE,
    FOLDER,
    LM,
    NEURAL_LM,
    PATH,
    Command,
    format_option,
    language_models,
    log,
    warn,
    write_text,
)

if TYPE_CHECKING:
    from .run import Settings

# As benchmarks/engines.py, runtime/image.py, benchmarks/report/compare.py and benchmarks/devices.py have them: tests
# hold them equal, for --help loads none of these.
ENGINES = ("bundled", "tesseract", "rapidocr")
MAX_WIDTH = 4096
SLOWER = 0.05
FORMS = ("txt", "md", "csv", "html")
BOARDS = ("zero2", "pi3", "pi4", "pi5", "here")
WIDTH = click.option(
    "--width", type=click.IntRange(16, MAX_WIDTH), default=1024, show_default=True, help="Columns of the line."
)


@dataclass(frozen=True)
class Measurement:
    """What `measure_options` say: what to read, how long, and where to write the result."""

    files: tuple[Path, ...]
    pages: tuple[Path, ...]
    split: str
    datasets: tuple[str, ...]
    limit: int | None
    lm: Path | None
    no_lm: bool
    neural_lm: str | None
    threads: tuple[int, ...]
    only: str | None
    width: int | None
    queries: int | None
    seconds: float | None
    quick: bool
    output: str
    form: str

    def of(self, engines: list[str]) -> list[str]:
        """Measures, writes and prints; returns the names of rows that could not be measured."""
        from ..runtime.decode.neural import NeuralLm
        from ..runtime.decode.ngram import Ngram
        from ..runtime.errors import UsageError
        from .document import as_json, file_name
        from .engines import takes_lm
        from .inputs import choose_lines, choose_pages
        from .report.tables import markdown, terminal
        from .run import run

        if self.width is not None and self.only == "accuracy":
            raise UsageError("--width cuts lines, so errors cannot be counted; leave out --only accuracy")
        ngram, neural = language_models(self.lm, self.no_lm, self.neural_lm)
        if self.lm and not any(map(takes_lm, engines)):
            raise UsageError("--lm is for model files, and none is measured; leave it out, or name one by -m")
        if neural and not any(map(takes_lm, engines)):
            raise UsageError("--neural-lm is for model files, and none is measured; leave it out, or name one by -m")
        if self.lm:
            Ngram(self.lm)  # what is no language model is an error before the long run
        if isinstance(neural, Path):
            NeuralLm(neural)
        output = check_output(self.output)
        bundled = not self.files and not self.pages
        split = None if self.split == "all" else self.split
        lines = choose_lines(self.files, split, self.datasets, self.limit, log) if self.files or bundled else []
        pages = choose_pages(self.pages, self.limit) if self.pages or (bundled and self.width is None) else []
        lm, neural_lm = (None if given is None else str(given) for given in (ngram, neural))
        result = run(engines, lines, self.settings(), lm, pages, neural_lm)
        shown = as_json(result) if self.form == "json" else {"md": markdown, "txt": terminal}[self.form]([result])
        click.echo(shown, nl=False)  # before the file: a full disk must not take a long run with it
        if output:
            output = output / file_name(result) if output.is_dir() else output
            write_text(output, as_json(result))
            log(f"wrote {output}")
        return list(dict.fromkeys(row["name"] for row in result["engines"] if "error" in row))

    def settings(self) -> Settings:
        """How long to measure."""
        from .machine import usable_cores
        from .run import Settings

        given: dict[str, Any] = {"queries": self.queries, "page_queries": self.queries, "seconds": self.seconds}
        quick = {"queries": 20, "page_queries": 3, "seconds": 1.0, "warm_up": 3, "cold_starts": 3, "batch_rounds": 2}
        return Settings(
            threads=tuple(dict.fromkeys(self.threads or ((1,) if self.quick else (1, usable_cores())))),
            latency=self.only != "accuracy",
            accuracy=self.only != "latency" and self.width is None,
            width=self.width,
            **(quick if self.quick else {}) | {key: value for key, value in given.items() if value is not None},
        )


OPTIONS: list[Callable[[Command], Command]] = [
    click.option(
        "-i", "--input", "files", multiple=True, type=PATH,
        help="Lines: a folder of images with .gt.txt beside them, a Parquet file, or a folder of these. Repeatable. "
        "Without -i and --pages: the bundled sample of both.",
    ),
    click.option(
        "--pages", multiple=True, type=FOLDER, help="Pages: a folder of images with .gt.txt beside them. Repeatable."
    ),
    click.option(
        "--split", default="test", show_default=True, type=click.Choice(["train", "val", "test", "all"]),
        help="Of Parquet files.",
    ),
    DATASETS,
    click.option("--limit", type=click.IntRange(1), help="At most so many lines a dataset, drawn at random (seeded)."),
    LM,
    click.option("--no-lm", is_flag=True, help="Greedy rows alone."),
    NEURAL_LM,
    click.option("--threads", multiple=True, type=click.IntRange(1), help="Repeatable. Default: 1, and all cores."),
    click.option("--only", type=click.Choice(["accuracy", "latency"]), help="Measure errors only, or speed only."),
    click.option("--width", type=click.IntRange(16, MAX_WIDTH), help="Cut or pad lines to this; latency only."),
    click.option("--queries", type=click.IntRange(1), help="Readings an engine, at least (100; of pages 20)."),
    click.option("--seconds", type=click.FloatRange(0), help="Seconds an engine, at least (10)."),
    click.option("--quick", is_flag=True, help="20 readings, 1 s, one thread: a look, marked as not valid."),
    click.option(
        "-o", "--output", default="-", metavar="PATH",
        help="Write the result here, as JSON: a file; or a folder (it is there, or ends in /), by its own name.",
    ),
    format_option("txt", "md", "json"),
]  # fmt: skip


def measure_options(command: Command) -> Command:
    """What to read, how long, and where to; the verb takes it as one `measure`."""

    @functools.wraps(command)
    def with_measure(*args: Any, **given: Any) -> Any:
        own = {name: given.pop(name) for name in tuple(given) if name not in Measurement.__dataclass_fields__}
        return command(*args, measure=Measurement(**given), **own)

    for option in reversed(OPTIONS):
        with_measure = option(with_measure)
    return with_measure  # type: ignore[return-value]


@click.group("bench", invoke_without_command=True)
@measure_options
@click.option("-m", "--model", "models", multiple=True, help="A model file. Repeatable.")
@click.option(
    "--engine", "named", multiple=True, type=click.Choice(ENGINES), help="The bundled model, or a peer. Repeatable."
)
@click.pass_context
def bench(context: click.Context, measure: Measurement, models: tuple[str, ...], named: tuple[str, ...]) -> None:
    """Measure error, speed, size and memory of models and peers.

    All read the same lines, and the same pages. Without -m and --engine: the bundled model and the peers that are
    installed. A model that reads with a language model has two rows: greedy, and with it; --neural-lm adds a third. A
    row asked for by name that fails makes the exit status 1; the other rows are measured all the same.
    """
    if context.invoked_subcommand:
        return
    from ..runtime.errors import HtrjandError
    from .engines import check_engine

    asked = [*models, *named]
    failed = measure.of([check_engine(engine) for engine in dict.fromkeys(asked or ENGINES)])
    if asked and failed:
        raise HtrjandError(f"{', '.join(failed)}: could not be measured; the result says why")


@bench.command("matrix")
@measure_options
def matrix(measure: Measurement) -> None:
    """Measure every bundled model file, each with the engine of its format.

    Pages are read with the line detector of the same format. A file whose engine is not installed is told, no more.
    """
    from ..runtime.bundled import bundled_models
    from ..runtime.recognizer import BUNDLED

    measure.of([str(path) for path in bundled_models() if path.stem == BUNDLED])


@bench.command("report")
@click.argument("results", nargs=-1, required=True, type=PATH)
@click.option("-o", "--output", "out", default="-", metavar="PATH",
              help="Write it here: .html is one page with charts, .csv a spreadsheet.")  # fmt: skip
@click.option("-f", "--format", "form", type=click.Choice(FORMS), help="Default: as -o is called, else txt.")
def report(results: tuple[Path, ...], out: str, form: str | None) -> None:
    """Put RESULTS of `htrjand bench -o` side by side: files, or folders of them.

    A file that is no result is told, and makes the exit status 1; the others are reported all the same.
    """
    from ..runtime.errors import HtrjandError
    from .report.figures import as_csv, load_all
    from .report.html import page
    from .report.tables import markdown, terminal

    output = check_output(out)
    if output and output.is_dir():
        raise HtrjandError(f"{output}: is a folder; name a file in it")
    form = form or form_of(output)
    found, problems, notes = load_all(results)
    for told in (*problems, *notes):
        warn(told)
    if not found:
        raise HtrjandError(f"{', '.join(map(str, results))}: no result of `htrjand bench` among these; check the paths")
    documents, names = [named.result for named in found], [named.name for named in found] if found[1:] else []
    text = {
        "txt": lambda: terminal(documents, names),
        "md": lambda: markdown(documents, names),
        "csv": lambda: as_csv(found),
        "html": lambda: page(found, [*problems, *notes]),
    }[form]()
    if output:
        write_text(output, text)
    else:
        click.echo(text, nl=False)
    if problems:
        raise HtrjandError("not everything is in the report; what is left out is told above")


def form_of(output: Path | None) -> str:
    """The form that a report's name says; text where it has no suffix."""
    from ..runtime.errors import UsageError

    if output is None or not output.suffix:
        return "txt"
    if output.suffix[1:] not in FORMS:
        known = ", ".join(f".{name}" for name in FORMS)
        raise UsageError(f"{output}: {output.suffix} names no format ({known}); say which by -f")
    return output.suffix[1:]


@bench.command("compare")
@click.argument("first", type=FILE)
@click.argument("second", type=FILE)
@click.option(
    "--slower",
    type=click.FloatRange(0),
    default=SLOWER,
    show_default=True,
    help="Share by which quiet runs of the same code may differ.",
)
@click.option(
    "--rows",
    nargs=2,
    metavar="NAME NAME",
    help="Of FIRST this row, of SECOND that, as reports name them; the files may be one: --rows bundled mine-int8.onnx",
)
@format_option("txt", "md")
def compare(first: Path, second: Path, slower: float, rows: tuple[str, str] | None, form: str) -> None:
    """Tell whether SECOND is worse than FIRST: more errors, or slower, beyond the noise. Exit status 1 if so.

    Both have to be measured on the same items. A row is worse where the whole 95 % interval of a paired bootstrap over
    the items is. Of runs that were disturbed, or of two machines, only ratios between rows are compared.
    """
    from ..runtime.errors import HtrjandError
    from .document import load_result
    from .report.compare import compare as compare_results
    from .report.compare import findings_table
    from .report.layout import markdown_rows, terminal_rows

    findings, notes = compare_results(load_result(first), load_result(second), slower, rows or ("", ""))
    for note in notes:
        log(note)
    if not findings:
        raise HtrjandError(
            f"{first}, {second}: no figure stands in both for the same number of threads; measure both alike"
        )
    table = findings_table(findings)
    click.echo("\n".join(markdown_rows(table) if form == "md" else terminal_rows(table)))
    if worse := [one for one in findings if one.worse]:
        told = "; ".join(f"{one.row}: {one.figure}" for one in worse)
        raise HtrjandError(f"{second}: worse than {first} beyond the noise: {told}")
    log("nothing is worse beyond the noise")


@bench.command("floor")
@click.argument("models", nargs=-1, required=True, type=FILE)
@WIDTH
@format_option("txt", "md")
def floor(models: tuple[Path, ...], width: int, form: str) -> None:
    """Tell how far MODELS (.onnx) are from what this machine could do, and where their time goes.

    Multiply-adds and bytes of every operator, this machine's rate of a large product through the same engine, the
    time that the multiply-adds would take at it, and how many times as long the model takes. One thread.
    """
    from .floor import floor_tables, look
    from .report.layout import filled, markdown_rows, terminal_rows

    for caption, table in floor_tables(*look(models, width)):
        click.echo(f"{caption if form == 'md' else filled(caption)}\n")
        click.echo("\n".join(markdown_rows(table) if form == "md" else terminal_rows(table)) + "\n")


@bench.command("estimate")
@click.argument("models", nargs=-1, required=True, type=FILE)
@click.option("--device", required=True, type=click.Choice(BOARDS), help="A board; here: this machine, and the error.")
@WIDTH
@format_option("txt", "md", "json")
def estimate(models: tuple[Path, ...], device: str, width: int, form: str) -> None:
    """Estimate how long MODELS (.onnx) would take on a board that is not at hand.

    From multiply-adds and bytes by kind of operator, and published rates of one core. Not a measurement: no report
    takes it. With `--device here` the rates of this machine are measured, and how wrong such an estimate is.
    """
    from ..runtime.text import json_text
    from .estimate import caption, estimate_table, estimates
    from .report.layout import filled, markdown_rows, terminal_rows

    found = estimates(models, device, width)
    table = estimate_table(found)
    if form == "json":
        click.echo(json_text(found, indent=1))
    else:
        click.echo(f"{caption(found) if form == 'md' else filled(caption(found))}\n")
        click.echo("\n".join(markdown_rows(table) if form == "md" else terminal_rows(table)))


def check_output(output: str) -> Path | None:
    """The file to write, or its folder; None for `-`. One that cannot be written is an error before the long run."""
    from ..runtime.errors import HtrjandError
    from ..runtime.page.jobs import is_folder

    if output == "-":
        return None
    path, folder = Path(output), is_folder(output)
    try:
        (path if folder else path.parent).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise HtrjandError(f"{output}: cannot be written ({error.strerror}); choose another place") from error
    if not os.access(path if folder else path.parent, os.W_OK):
        raise HtrjandError(f"{output}: cannot be written; name a file in a folder that you may write to")
    return path
