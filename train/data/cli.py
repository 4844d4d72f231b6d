"""`htrjand data`: import, audit, show and synthesise lines."""

from __future__ import annotations

import re
import sys
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from ...options import CORE, DATASETS, FILE, PATH, format_option, log, warn, write_text

if TYPE_CHECKING:
    from .importers import Source
    from .importers.run import Outcome

Command = TypeVar("Command", bound=Callable[..., Any])
SPLIT = click.Choice(["train", "val", "test"])
LANGUAGE = re.compile(r"[A-Za-z]{2,3}(-[A-Za-z0-9]{1,8})*")  # the form of BCP 47


def files_argument(command: Command) -> Command:
    """FILES, one or more."""
    return click.argument("files", nargs=-1, required=True, type=PATH)(command)


@click.group("data")
def data() -> None:
    """Import, audit, show and synthesise lines of handwriting."""


@data.command()
@files_argument
@format_option("txt", "json")
@click.option("-o", "--output", type=FILE, default="-", help="A file. Default: -, stdout.")
@CORE
@click.option("--no-images", is_flag=True, help="Decode no image: faster, finds no broken or repeated ones.")
@click.pass_context
def audit(ctx: click.Context, files: tuple[Path, ...], form: str, output: Path, core: bool, no_images: bool) -> None:
    """Look through lines for what is wrong with them: FILES are Parquet files of lines, or folders of such.

    Exit status 1 where a test figure could not be believed: a document or an image (nearly the same one) stands in
    several splits, a line is broken, or a file cannot be read. All else is reported only: text of val and test that
    stands in train (formulas recur), rare characters, lines with more text than frames, repeated ids.
    """
    from ...runtime.text import json_text
    from .audit.run import audit as look_through
    from .audit.text import as_text

    with click.progressbar(  # shows nothing where stderr is no terminal
        length=count_lines(files), label="auditing", file=sys.stderr, hidden=not sys.stderr.isatty()
    ) as bar:
        report = look_through(files, core=core, images=not no_images, step=bar.update)
    text = json_text(report, indent=1) + "\n" if form == "json" else as_text(report)
    if str(output) == "-":
        click.echo(text, nl=False)
    else:
        write_text(output, text)
    ctx.exit(1 if report["voids"] else 0)


@data.command()
@files_argument
@click.option("-o", "--output", type=FILE, required=True, help="A .png file.")
@click.option("--count", type=click.IntRange(1), default=40, show_default=True, help="Lines on the sheet.")
@click.option("--columns", type=click.IntRange(1, 8), default=2, show_default=True, help="Lines side by side.")
@click.option("--split", type=SPLIT, help="Only lines of this split.")
@DATASETS
@CORE
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Another seed, other lines.")
@click.option("--font", type=PATH, help="A .ttf or .otf file. Default: the best one installed.")
@click.pass_context
def show(
    ctx: click.Context,
    files: tuple[Path, ...],
    output: Path,
    count: int,
    columns: int,
    split: str | None,
    datasets: tuple[str, ...],
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
    wanted = (row for row in read_lines(files, split, core=core) if not datasets or row.dataset in datasets)
    rows = spread(wanted, count, seed)
    if not rows:
        raise HtrjandError("no line of these files is of that split and dataset; ask for others")
    drawn, broken = [], 0
    for row in rows:
        try:
            drawn.append((row.pixels(), row))
        except HtrjandError as error:
            broken += 1
            warn(error)
    texts = [row.text for _, row in drawn]
    face = find_font(texts, font)
    picture = sheet(
        [(pixels, row.text) for pixels, row in drawn], columns, notes=[row.id for _, row in drawn], font=face
    )
    with atomic_path(output) as part:
        picture.save(part)
    if lacks := lacking("".join(texts), face):
        warn(
            f"the font {face.getname()[0]} lacks {' '.join(lacks)}: they stand as [code point]; "
            "name another by --font, or install DejaVu Sans"
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
@click.option("-o", "--output", type=FILE, required=True, help="A Parquet file.")
@click.option("--fonts", type=PATH, required=True, help="A folder of fonts: make fonts.")
@click.option("--count", type=click.IntRange(min=1), default=20_000, show_default=True, help="Lines to draw.")
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
    count: int,
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
        fonts, count, synthetic.parse_languages(lang), seed, synthetic.parse_difficulty(difficulty),
        tuple(synthetic.parse_text(text) for text in texts), prose, synthetic.parse_styles(style),
    )  # fmt: skip
    with click.progressbar(length=count, label="drawing", file=sys.stderr, hidden=not sys.stderr.isatty()) as bar:
        written, reasons = synthetic.synthesise(plan, output, workers, bar.update)
    click.echo(f"{output}: {written} lines")
    for reason, times in sorted(reasons.items()):
        log(f"passed over {times}: {reason}")


@data.command()
@files_argument
@click.option("-o", "--output", type=FILE, required=True, help="A Parquet file.")
@click.option("--count", type=click.IntRange(min=1), default=20_000, show_default=True, help="Lines to make.")
@click.option("-m", "--model", type=PATH, help="The model that finds the words. Default: the bundled one.")
@DATASETS
@click.option("--seed", type=click.IntRange(0), default=1, show_default=True)
def recombine(
    files: tuple[Path, ...], output: Path, count: int, model: Path | None, datasets: tuple[str, ...], seed: int
) -> None:
    """Put new lines together from the words of real ones: FILES are Parquet files of lines, or folders of such.

    Words of one document's training lines, in runs of one to three, make lines of the same hand with texts that no one
    wrote. They are all for training; their datasets have the names of the others, with -mixed.
    """
    from ...runtime import Recognizer
    from ...runtime.files import atomic_path
    from .lines import read_lines, write_lines
    from .recombine import recombine as put_together
    from .recombine import said

    rows = [row for row in read_lines(files, "train") if not datasets or row.dataset in datasets]
    made, left_out = put_together(rows, Recognizer(model, lm=None), count, seed)
    with atomic_path(output) as part:
        write_lines(part, made)
    click.echo(f"{output}: {len(made):,} lines")
    if left_out:
        log(f"left out {said(left_out)}")


@data.command("import")
@click.argument("source", type=PATH)
@click.option("-f", "--format", "form", help="One of those below. Default: what SOURCE looks like.")
@click.option("-o", "--output", type=FILE, required=True, help="A .parquet file.")
@click.option("--dataset", help="The name of the dataset. Default: that of SOURCE.")
@click.option("--split", type=SPLIT, help="All lines into this one.")
@click.option("--val-share", type=click.FloatRange(0, 1, max_open=True), default=0.1, show_default=True)
@click.option("--test-share", type=click.FloatRange(0, 1, max_open=True), default=0.0, show_default=True)
@click.option("--lang", help="The language of the lines, as BCP 47 writes it: fr, en, de-CH.")
@click.option("--images", type=PATH, help="A folder of images that are not beside their texts.")
@click.option("--image-column", default="", help="Of csv, tsv and hf. Default: the column with a usual name.")
@click.option("--text-column", default="", help="The same for the text.")
@click.option("--report", type=FILE, help="A JSON file: every line left out.")
def import_lines_of(
    form: str | None, output: Path, val_share: float, test_share: float, report: Path | None, **options: Any
) -> None:
    """Bring ground truth of any layout into one Parquet file of lines.

    \b
    page        PAGE XML with page images          iam         IAM: ascii/lines.txt, lines/
    alto        ALTO XML with page images          rimes       RIMES-2011
    gt          x.png with x.gt.txt                bentham     Bentham R0, ICFHR 2014
    csv, tsv    a table of image paths and texts   saint-gall  IAM-HistDB
    hf          Hugging Face dataset              washington  IAM-HistDB
    pages       Parquet files of pages

    Splits are those that the layout's own files tell. Where it tells none, whole documents (of one document: pages) are
    dealt out by --val-share and --test-share, in the same way each time. A line that cannot be used is left out and
    counted; the exit status is 1 only where not one line could be used, and then no file is written.
    """
    from ...runtime.errors import UsageError
    from ...runtime.text import json_text
    from .importers import import_lines
    from .importers.run import import_file

    if val_share + test_share >= 1:
        raise UsageError("--val-share and --test-share leave nothing to train on; give smaller ones")
    if output.suffix.lower() != ".parquet":
        raise UsageError(f"{output}: give a name that ends in .parquet")
    source, form = source_of(form, **options)
    if output.exists() and source.path.exists() and output.samefile(source.path):
        raise UsageError(f"{output}: is the source too; write to another file")
    warnings.filterwarnings("ignore", module="PIL")  # of a file that is half broken: it is read, or its line left out
    with click.progressbar(
        import_lines(source, form), label="importing", show_pos=True, file=sys.stderr, hidden=not sys.stderr.isatty()
    ) as found:
        outcome = import_file(found, output, val_share, test_share)
    log_outcome(outcome, output, {"val": val_share, "test": test_share})
    if report:
        values = outcome.as_dict(source=str(source.path), format=form, output=str(output))
        write_text(report, json_text(values, indent=1) + "\n")


def source_of(
    form: str | None, source: Path, dataset: str | None, lang: str | None, **others: Any
) -> tuple[Source, str]:
    """What to import, and its format."""
    from ...runtime.errors import UsageError
    from .importers import FORMATS, Source
    from .importers.guess import guess_format

    if form is None:
        form = guess_format(source)
        log(f"{source}: taken as {form} ({FORMATS[form].help})")
    if form not in FORMATS:
        raise UsageError(f"format {form!r}: it is one of {', '.join(FORMATS)}")
    if lang and not LANGUAGE.fullmatch(lang):
        raise UsageError(f"--lang {lang!r}: write it as fr, en or de-CH")
    if others["images"] and not others["images"].is_dir():
        raise UsageError(f"--images {others['images']}: no such folder")
    layout = FORMATS[form]
    name = dataset or (form if layout.named else (source.stem if source.is_file() else source.resolve().name))
    return Source(path=source, dataset=name, lang=lang or layout.lang, **others), form


def log_outcome(outcome: Outcome, output: Path, asked: Mapping[str, float]) -> None:
    """What was written, which splits are far from their share, and what was left out for which reason."""
    counts = ", ".join(f"{split} {count:,}" for split in SPLIT.choices if (count := outcome.splits[split]))
    log(
        f"{output}: {outcome.line_count:,} lines ({counts})" + (f", dealt out {outcome.dealt}" if outcome.dealt else "")
    )
    for split, share in asked.items():
        if outcome.dealt and outcome.splits[split] > 2 * share * outcome.line_count:
            given = outcome.splits[split] / outcome.line_count
            log(f"{split} has {given:.0%} of the lines, not {share:.0%}: no document is divided; see --{split}-share")
    for reason, count in outcome.skipped.most_common():
        log(f"left out {count:,}: {reason} (first: {outcome.examples[reason]})")
