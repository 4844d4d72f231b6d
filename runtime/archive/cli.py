"""`htrjand archive`: any number of pages, read on one machine or many."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from ...options import FILE, LM, NEURAL_LM, PATH, language_models, log, warn
from ..cli import ENGINES

EVERY = 60  # seconds between two lines that say how far it is, where they go into a log


class ReadsByDefault(click.Group):
    """A group whose first verb may be left out."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if args and args[0] not in self.commands and args[0] not in ("-h", "--help"):
            args = ["read", *args]
        return super().parse_args(ctx, args)


@click.group("archive", cls=ReadsByDefault)
def archive() -> None:
    """Read any number of pages, on one machine or many; `archive SRC DST` is `archive read SRC DST`."""


@archive.command("read")
@click.argument("source")
@click.argument("target")
@click.option("--address", help="A Ray cluster to join: auto, or host:port. Default: Ray is started here.")
@click.option("--workers", type=click.IntRange(min=1), help="Pages read at a time. Default: one for each core.")
@click.option("-f", "--format", "form", type=click.Choice(("alto", "page")), help="Write each page as XML besides.")
@click.option("--page/--line", "page", default=None, help="What each image is. Default: told by its shape and lines.")
@click.option("-m", "--model", type=PATH, help="A model file. Default: the bundled student.")
@click.option("--engine", type=click.Choice(ENGINES), help="The format of the bundled models to read with.")
@LM
@click.option("--no-lm", is_flag=True, help="Read each character by its image alone.")
@NEURAL_LM
@click.option("--beam", type=click.IntRange(min=1), default=64, show_default=True, help="Texts of a line followed.")
@click.option("--block", type=click.IntRange(min=1), default=256, show_default=True,
              help="Files that are written down together, at most; of 256 MiB, or one larger file.")  # fmt: skip
@click.pass_context
def read(
    ctx: click.Context, source: str, target: str, address: str | None, workers: int | None, form: str | None,
    page: bool | None, model: Path | None, engine: str | None, lm: Path | None, no_lm: bool,
    neural_lm: str | None, beam: int, block: int,
) -> None:  # fmt: skip
    """Read all pages of SOURCE that are not read yet into TARGET.

    SOURCE is a folder, an address such as s3://bucket/scans, or a Parquet file of images. TARGET is a folder or an
    address; it gets Parquet files with a row a page. The same command goes on where a run ended, and reads what is new
    or changed since. A page that cannot be read is a row with its error.
    """
    from ..page.batch import How
    from ..page.run import Models
    from .run import archive as run
    from .worker import Task

    ngram, neural = language_models(lm, no_lm, neural_lm)
    ngram, neural = (path.absolute() if isinstance(path, Path) else path for path in (ngram, neural))
    models = Models.choose(model and model.absolute(), engine, ngram, beam, neural_lm=neural)
    how = How(None if page is None else "page" if page else "line")
    shown = 0

    def show(files: int, pages: int, failed: int, seconds: float) -> None:
        nonlocal shown
        left = "" if not pages else f", {clock(seconds / pages * max(0, files - pages))} left"
        text = f"{pages} of {files} read, {failed} failed, {pages / max(seconds, 1e-9):.2f} a second{left}"
        if sys.stderr.isatty():
            shown = 1
            click.echo(f"\r{text}  ", nl=False, err=True)
        elif seconds // EVERY > shown:  # in a log a line now and then
            shown = int(seconds // EVERY)
            warn(text)

    task = Task(source, target, models, how, form)
    try:
        done = run(task, workers=workers, address=address, block=block, log=warn, show=show)
    except KeyboardInterrupt:
        warn("stopped; the same command reads the rest")
        ctx.exit(130)
    if shown and sys.stderr.isatty():
        click.echo(err=True)
    log(f"{done.pages} pages read, {done.failed} failed, {done.before} files read before; {done.seconds:.1f} s")
    ctx.exit(1 if done.failed else 0)


@archive.command("report")
@click.argument("target")
@click.option("-o", "--output", type=FILE, default="archive.html", show_default=True, help="The page.")
@click.option("--source", help="Where the images are now. Default: where they were read from.")
def report(target: str, output: Path, source: str | None) -> None:
    """Write what was read into TARGET as one page: failures, confidence, the least sure lines, a search."""
    from ..files import atomic_path
    from .report import report as page

    html = page(target, source)
    with atomic_path(output) as part:
        part.write_text(html, encoding="utf-8")
    log(str(output))


def clock(seconds: float) -> str:
    """`1:02:03`, or `2:03`."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
