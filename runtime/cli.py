"""`htrjand read`: images of pages or lines, in; their text, in any format, out."""

from __future__ import annotations

import os
import shutil
import signal
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import click

from ..options import FOLDER, LM, NEURAL_LM, PATH, language_models, warn

if TYPE_CHECKING:
    from .page.run import Run

OUTPUTS = ("txt", "json", "tsv", "hocr", "alto", "page", "pdf")
ENGINES = ("onnx", "tflite", "openvino")
STDIN = Path("-")


@click.command("read")
@click.argument("paths", nargs=-1, type=PATH)
@click.option("-i", "--input", "inputs", multiple=True, type=PATH, help="As PATHS. Repeatable.")
@click.option("-o", "--output", default="-", show_default=True, metavar="PATH",
              help="A file; or a folder (it is there, or ends in /): an output for each input. -: stdout.")  # fmt: skip
@click.option("-f", "--format", "form", type=click.Choice(OUTPUTS),
              help="Default: what the name of the output says, or txt.")  # fmt: skip
@click.option("--pages", "selection", metavar="1-3,7", help="Pages of each file, from 1; 5- is from the fifth on.")
@click.option("--page/--line", "page", default=None, help="What each image is. Default: told by its shape and lines.")
@click.option("--draw", type=FOLDER, help="Draw each page into this folder: its lines, their order, doubtful words.")
@click.option("--overwrite", is_flag=True, help="Write over files of -o's folder that are not from here, or edited.")
@click.option("-m", "--model", type=PATH, help="A model file. Default: the bundled student.")
@click.option("--engine", type=click.Choice(ENGINES), help="The format of the bundled models to read with.")
@click.option("--threads", type=click.IntRange(min=1),
              help="Threads to compute with, of each worker. Default: the cores, shared among them.")  # fmt: skip
@click.option("--workers", type=click.IntRange(min=1), default=1, show_default=True, help="Pages read at a time.")
@LM
@click.option("--no-lm", is_flag=True, help="Read each character by its image alone.")
@NEURAL_LM
@click.option("--beam", type=click.IntRange(min=1), default=64, show_default=True,
              help="Texts of a line followed at a time, with a language model.")  # fmt: skip
@click.option("--correct", "corrector", type=PATH,
              help="A corrector (htrjand correct export): changes doubtful lines, and tells of it.")  # fmt: skip
@click.option("--min-confidence", "least", type=click.FloatRange(0, 1), metavar="C",
              help="Tell on stderr, and by \"check\": true in JSON, of lines with a word below C.")  # fmt: skip
@click.option("-v", "--verbose", is_flag=True, help="Tell on stderr which files are read with, by which engine.")
@click.pass_context
def read(
    ctx: click.Context, paths: tuple[Path, ...], inputs: tuple[Path, ...], output: str, form: str | None,
    selection: str | None, page: bool | None, draw: Path | None, overwrite: bool, model: Path | None,
    engine: str | None, threads: int | None, workers: int, lm: Path | None, no_lm: bool, beam: int,
    neural_lm: str | None, corrector: Path | None, least: float | None, verbose: bool,
) -> None:  # fmt: skip
    """Read the text of pages and lines.

    PATHS are images, TIFF files of many pages, PDFs, folders of these, or - for standard input. Whether an image is a
    page or one line is told by itself. What cannot be read is named on stderr; the rest is read all the same, and the
    exit status is 1.

    With -o, a run that was stopped goes on when the same command is given again: pages that are read are not read
    again, unless an option, the model or the image has changed. To begin anew, remove the output.
    """
    if neural_lm:  # before numpy is loaded, whose threads cost more than they bring beside those of the engine
        os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    from .errors import UsageError
    from .page.batch import How
    from .page.inputs import page_numbers
    from .page.jobs import check_outputs, find_jobs, is_folder, output_for, plan
    from .page.outputs import output_of
    from .page.run import Models, Run

    if not (paths or inputs):
        raise click.UsageError("name images, PDFs or folders of them; or - for standard input")
    ngram, neural = language_models(lm, no_lm, neural_lm)
    form = output_for(form, output)
    to_stdout = output == "-"
    if form == "pdf" and to_stdout and sys.stdout.isatty():
        raise UsageError("a PDF is not for a terminal; name a file by -o")
    wanted = page_numbers(selection) if selection else None
    models = Models.choose(model, engine, ngram, beam, corrector, neural)
    how = How(None if page is None else "page" if page else "line", least, draw)
    warnings.filterwarnings("ignore", module="PIL")  # of a file that is half broken: it is read, or an error tells why
    with from_stdin([*inputs, *paths]) as (named, stdin):
        failed: list[str] = []

        def tell(problem: object) -> None:
            warn(str(problem).replace(str(stdin), "standard input") if stdin else problem)

        def fail(name: str, error: Exception) -> None:
            tell(error)
            failed.append(name)

        jobs = find_jobs(named, wanted, models.stamp(how, form), fail)
        targets = [] if to_stdout else plan(jobs, output, output_of(form))
        check_outputs(jobs, targets, draw, named)
        run = Run(
            form,
            how,
            models,
            workers,
            threads,
            len(jobs) + len(failed),
            failed,
            tell,
            progress(to_stdout),
            stdin,
            verbose,
        )
        with terminable(), stopping(ctx, run, not to_stdout):
            if to_stdout:
                run.print(jobs, sys.stdout.buffer)
            else:
                run.write(targets, Path(output) if is_folder(output) else None, overwrite)
        if run.failed and run.total > 1:
            tell(f"{len(run.failed)} of {run.total} could not be read: {', '.join(run.failed)}")
        if run.total > 1 or not to_stdout:
            warn(run.summary())
    ctx.exit(1 if run.failed else 0)


@contextmanager
def from_stdin(paths: Sequence[Path]) -> Iterator[tuple[list[Path], Path | None]]:
    """The paths, with a file of what came by standard input in the place of `-`; and that file."""
    from .errors import UsageError

    if STDIN not in paths:
        yield list(paths), None
        return
    if sys.stdin.isatty():
        raise UsageError("- is standard input: give it an image, as in `htrjand read - <scan.png`")
    with tempfile.TemporaryDirectory(prefix="htrjand-") as folder:
        copy = Path(folder) / "stdin"
        with copy.open("wb") as stream:
            shutil.copyfileobj(sys.stdin.buffer, stream)
        yield [copy if path == STDIN else path for path in paths], copy


@contextmanager
def stopping(ctx: click.Context, run: Run, kept: bool) -> Iterator[None]:
    """Says how far a run came that is stopped, by a signal or because it cannot write."""
    try:
        yield
    except BrokenPipeError:
        raise
    except BaseException as error:
        if run.done or isinstance(error, KeyboardInterrupt):
            rest = "; the same command reads the rest" if kept and run.done else ""
            warn(f"stopped: {run.done} of {run.total} are read{rest}")
        if isinstance(error, KeyboardInterrupt):
            ctx.exit(128 + (error.args or (signal.SIGINT,))[0])
        raise


@contextmanager
def terminable() -> Iterator[None]:
    """SIGTERM ends the block as Ctrl-C does: by a KeyboardInterrupt, with the signal's number."""

    def stop(number: int, _: object) -> NoReturn:
        raise KeyboardInterrupt(number)

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def progress(to_stdout: bool) -> Callable[[int], AbstractContextManager[Callable[[int], object]]]:
    """For a number of pages, a bar on stderr, where that is a terminal and the results do not go there too."""

    @contextmanager
    def bar(length: int) -> Iterator[Callable[[int], object]]:
        if not sys.stderr.isatty() or (to_stdout and sys.stdout.isatty()):
            yield lambda _: None
            return
        with click.progressbar(length=length, label="reading", show_pos=True, file=sys.stderr) as shown:
            yield shown.update

    return bar
