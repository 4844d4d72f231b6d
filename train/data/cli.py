"""`htrjand data`: lines of anybody's into the line contract, looked over, shown, and drawn."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import click


@click.group("data")
def data() -> None:
    """Import, audit, show and synthesise lines of handwriting."""


@data.command()
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("-f", "--format", "form", type=click.Choice(["text", "json"]), default="text", show_default=True)
@click.option("-o", "--output", type=click.Path(dir_okay=False), default="-", help="A file. Default: -, stdout.")
@click.option("--core", is_flag=True, help="Only lines marked as core.")
@click.option("--no-images", is_flag=True, help="Decode no image: faster, finds no broken or repeated ones.")
@click.pass_context
def audit(ctx: click.Context, files: tuple[Path, ...], form: str, output: str, core: bool, no_images: bool) -> None:
    """Look through lines for what is wrong with them: FILES are Parquet files of lines, or folders of such.

    Exit status 1 where a test figure could not be believed: a document or an image (nearly the same one) stands in
    several splits, a line is broken, or a file cannot be read. All else is reported only: text of val and test that
    stands in train (formulas recur), rare characters, lines with more text than frames, repeated ids.
    """
    from ...runtime.files import atomic_path
    from .audit.run import audit as look_through
    from .audit.text import as_text

    with click.progressbar(  # shows nothing where stderr is no terminal
        length=count_lines(files), label="auditing", file=sys.stderr, hidden=not sys.stderr.isatty()
    ) as bar:
        report = look_through(files, core=core, images=not no_images, step=bar.update)
    text = json.dumps(report, ensure_ascii=False, indent=1) + "\n" if form == "json" else as_text(report)
    if output == "-":
        click.echo(text, nl=False)
    else:
        with atomic_path(output) as part:
            part.write_text(text, encoding="utf-8")
    ctx.exit(1 if report["voids"] else 0)


@data.command()
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("-o", "--output", type=click.Path(dir_okay=False, path_type=Path), required=True, help="A .png file.")
@click.option("--count", type=click.IntRange(1), default=40, show_default=True, help="Lines on the sheet.")
@click.option("--columns", type=click.IntRange(1, 8), default=2, show_default=True, help="Lines side by side.")
@click.option("--split", type=click.Choice(["train", "val", "test"]), help="Only lines of this split.")
@click.option("--dataset", multiple=True, help="Only lines of this dataset. Repeatable.")
@click.option("--core", is_flag=True, help="Only lines marked as core.")
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Another seed, other lines.")
@click.option("--font", type=click.Path(path_type=Path), help="A .ttf or .otf file. Default: the best one installed.")
@click.pass_context
def show(
    ctx: click.Context,
    files: tuple[Path, ...],
    output: Path,
    count: int,
    columns: int,
    split: str | None,
    dataset: tuple[str, ...],
    core: bool,
    seed: int,
    font: Path | None,
) -> None:
    """Draw random lines with their text beneath on one sheet: FILES are Parquet files of lines, or folders of such."""
    from ...runtime.errors import HtrjandError, UsageError
    from ...runtime.files import atomic_path
    from .audit.findings import many
    from .contact_sheet import find_font, lacking, sheet
    from .lines import read_lines, spread

    if output.suffix.lower() != ".png":
        raise UsageError(f"{output}: give a name that ends in .png")
    wanted = (row for row in read_lines(files, split, core=core) if not dataset or row.dataset in dataset)
    rows = spread(wanted, count, seed)
    if not rows:
        raise HtrjandError("no line of these files is of that split and dataset; ask for others")
    drawn, broken = [], 0
    for row in rows:
        try:
            drawn.append((row.pixels(), row))
        except HtrjandError as error:
            broken += 1
            click.echo(f"htrjand: {error}", err=True)
    texts = [row.text for _, row in drawn]
    face = find_font(texts, font)
    picture = sheet(
        [(pixels, row.text) for pixels, row in drawn], columns, notes=[row.id for _, row in drawn], font=face
    )
    with atomic_path(output) as part:
        picture.save(part)
    if lacks := lacking("".join(texts), face):
        click.echo(
            f"htrjand: the font {face.getname()[0]} lacks {' '.join(lacks)}: they stand as [code point]; "
            "name another by --font, or install DejaVu Sans",
            err=True,
        )
    click.echo(f"{output}: {many(len(drawn), 'line')}")
    ctx.exit(1 if broken else 0)


def count_lines(files: tuple[Path, ...]) -> int:
    """Rows of all files that can be read, for the bar."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    from .lines import parquet_files

    total = 0
    for path in parquet_files(files):
        try:
            total += pq.read_metadata(path).num_rows
        except (pa.ArrowException, OSError):
            continue  # the audit will say so
    return total


@data.command()
@click.option("-o", "--output", type=click.Path(dir_okay=False, path_type=Path), required=True, help="A Parquet file.")
@click.option("--fonts", type=click.Path(path_type=Path), required=True, help="A folder of fonts: make fonts.")
@click.option("--lines", type=click.IntRange(min=1), default=20_000, show_default=True)
@click.option("--lang", default="fr,en,de", show_default=True, help="Languages; with shares: fr:5,en:3,de:2.")
@click.option("--seed", type=click.IntRange(min=0), default=1, show_default=True)
@click.option("--difficulty", default="mixed", show_default=True, help="0 to 1, easy, medium, hard, or mixed.")
@click.option("--text", "texts", multiple=True, help="LANG=FILE: prose, or a list of words; .xz, .gz. Repeatable.")
@click.option("--prose", type=click.FloatRange(0, 1), default=0.7, show_default=True, help="Share of prose, if given.")
@click.option("--style", default="hand", show_default=True, help="hand, print, typewriter; or print:3,typewriter:2.")
@click.option("--workers", type=click.IntRange(min=1), default=1, show_default=True, help="Processes that draw.")
def synth(
    output: Path,
    fonts: Path,
    lines: int,
    lang: str,
    seed: int,
    difficulty: str,
    texts: tuple[str, ...],
    prose: float,
    style: str,
    workers: int,
) -> None:
    """Draw synthetic lines of handwriting from fonts, or of print and of typewriters.

    The same options give the same lines, whatever the number of workers. A hand's lines are all in one split; the test
    hands of the bundled sample are left out. The dataset of handwriting is `synthetic`, of all else `synthetic-print`.
    """
    from .synth import lines as synthetic

    plan = synthetic.Plan(
        fonts, lines, synthetic.parse_languages(lang), seed, synthetic.parse_difficulty(difficulty),
        tuple(synthetic.parse_text(text) for text in texts), prose, synthetic.parse_styles(style),
    )  # fmt: skip
    with click.progressbar(length=lines, label="drawing", file=sys.stderr, hidden=not sys.stderr.isatty()) as bar:
        written, reasons = synthetic.synthesise(plan, output, workers, bar.update)
    click.echo(f"{output}: {written} lines")
    for reason, count in sorted(reasons.items()):
        click.echo(f"passed over {count}: {reason}", err=True)


@data.command("import")
@click.argument("source", type=click.Path(path_type=Path))
@click.option("-f", "--format", "form", help="One of those below. Default: what SOURCE looks like.")
@click.option("-o", "--output", type=click.Path(dir_okay=False, path_type=Path), required=True, help="A .parquet file.")
@click.option("--dataset", help="The name of the data set. Default: that of SOURCE.")
@click.option("--split", type=click.Choice(["train", "val", "test"]), help="All lines into this one.")
@click.option("--val-share", type=click.FloatRange(0, 1, max_open=True), default=0.1, show_default=True)
@click.option("--test-share", type=click.FloatRange(0, 1, max_open=True), default=0.0, show_default=True)
@click.option("--lang", help="The language of the lines, as BCP 47 writes it: fr, en, de-CH.")
@click.option("--images", type=click.Path(path_type=Path), help="A folder of images that are not beside their texts.")
@click.option("--image-column", default="", help="Of csv, tsv and hf. Default: the column with a usual name.")
@click.option("--text-column", default="", help="The same for the text.")
@click.option("--report", type=click.Path(dir_okay=False, path_type=Path), help="A JSON file: every line left out.")
def import_lines_of(form: str | None, output: Path, report: Path | None, **options: Any) -> None:
    """Bring ground truth of any layout into one Parquet file of lines.

    \b
    page        PAGE XML with page images          iam         IAM: ascii/lines.txt, lines/
    alto        ALTO XML with page images          rimes       RIMES-2011
    gt          x.png with x.gt.txt                bentham     Bentham R0, ICFHR 2014
    csv, tsv    a table of image paths and texts   saint-gall  IAM-HistDB
    hf          Hugging Face data set              washington  IAM-HistDB

    Splits are those that the layout's own files tell. Where it tells none, whole documents (of one document: pages) are
    dealt out by --val-share and --test-share, in the same way each time. A line that cannot be used is left out and
    counted; the exit status is 1 only where not one line could be used, and then no file is written.
    """
    from .importers.command import run

    run(form=form, output=output, report=report, **options)
