"""Where the errors come from: lines learnt against lines never seen, and the worst ones to look at.

    python -m htrjand.benchmarks.studies.errors gap student teacher -i lines/
    python -m htrjand.benchmarks.studies.errors worst student -i lines/ -o runs/worst

Weights are files, or released ones by their names. All is read greedily.
"""

from __future__ import annotations

import base64
import html
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

import click

from ...runtime import HtrjandError
from ...runtime.files import atomic_path
from ...runtime.text import normalize
from ...train.adapt import find_weights
from ...train.data.error_rates import character_errors
from ...train.data.lines import LineRow, parquet_files, read_lines, spread
from ...train.data.marks import without_marks
from ...train.reader import open_weights, read_rows

LINES = click.option("-i", "--input", "lines", type=click.Path(path_type=Path), required=True, help="Parquet files.")
DATASETS = click.option("--dataset", "datasets", multiple=True, help="Repeatable. Default: all.")
PAGE = """<!doctype html><meta charset="utf-8"><title>{title}</title>
<style>body {{ font: 16px sans-serif }} img {{ display: block; max-width: 100% }} i {{ color: #a00 }}</style>
<h1>{title}</h1>
"""
ROW = '<p><img src="data:image/{kind};base64,{image}" alt="">{text}<br><i>{read}</i></p>\n'


@click.group()
def main() -> None:
    """Where the errors come from."""


@main.command()
@click.argument("weights", nargs=-1, required=True)
@LINES
@DATASETS
@click.option("--limit", type=click.IntRange(1), default=200, show_default=True, help="Lines of a dataset and split.")
def gap(weights: tuple[str, ...], lines: Path, datasets: tuple[str, ...], limit: int) -> None:
    """CER on training lines, undistorted, beside that on validation lines, by dataset."""
    readers = {name: open_weights(find_weights(name)) for name in weights}
    heads = [f"{name}, {split}" for name in weights for split in ("train", "val")]
    click.echo(f"| dataset | lines | {' | '.join(heads)} |\n|---|---:|{'---:|' * len(heads)}")
    for path in chosen(lines, datasets):
        parts = [spread(as_written(read_lines(path, split)), limit, 1) for split in ("train", "val")]
        if not all(parts):
            continue
        cers = [read_rows(reader, part).cer() for reader in readers.values() for part in parts]
        counts = ", ".join(str(len(part)) for part in parts)
        click.echo(f"| {path.stem} | {counts} | {' | '.join(f'{cer:.1f}' for cer in cers)} |")


@main.command()
@click.argument("weights")
@LINES
@DATASETS
@click.option("--split", default="val", show_default=True, type=click.Choice(["train", "val"]))
@click.option("--count", type=click.IntRange(1), default=20, show_default=True, help="Lines of a sheet.")
@click.option("--limit", type=click.IntRange(1), help="Lines of a dataset that are read. Default: all.")
@click.option("-o", "--output", type=click.Path(path_type=Path), required=True, help="A folder for the sheets.")
def worst(
    weights: str, lines: Path, datasets: tuple[str, ...], split: str, count: int, limit: int | None, output: Path
) -> None:
    """Write the lines with the most errors a character: image, transcription and what was read, a page a dataset.

    Prints how large a share of all errors these lines have.
    """
    reader = open_weights(find_weights(weights))
    output.mkdir(parents=True, exist_ok=True)
    for path in chosen(lines, datasets):
        rows = as_written(read_lines(path, split))
        rows = spread(rows, limit, 1) if limit else rows
        if not rows:
            continue
        texts = read_rows(reader, rows).texts
        counts = [character_errors(row.text, text) for row, text in zip(rows, texts, strict=True)]
        order = sorted(range(len(rows)), key=lambda line: -counts[line][0] / max(1, counts[line][1]))[:count]
        file = output / f"{path.stem}-{split}.html"
        with atomic_path(file) as part:
            part.write_text(sheet(file.stem, [(rows[line], texts[line]) for line in order]), encoding="utf-8")
        share = sum(counts[line][0] for line in order) / max(1, sum(edits for edits, _ in counts))
        documents = Counter(rows[line].doc for line in order)
        click.echo(
            f"{file}: {len(order)} of {len(rows)} lines, {100 * share:.0f} % of the errors, {len(documents)} documents"
        )


def chosen(lines: Path, datasets: Sequence[str]) -> list[Path]:
    """The files of some datasets, or all of them."""
    return [path for path in parquet_files(lines) if not datasets or path.stem in datasets]


def as_written(rows: Iterable[LineRow]) -> list[LineRow]:
    """The lines whose text is what the image shows, as a person would type it."""
    texts = ((row, without_marks(row.text)) for row in rows)
    return [replace(row, text=text) for row, text in texts if text]


def sheet(title: str, lines: Sequence[tuple[LineRow, str]]) -> str:
    """A page that needs no other file: of each line the image, the transcription, and the text that was read."""
    rows = [
        ROW.format(
            kind="png" if row.image.startswith(b"\x89PNG") else "webp",
            image=base64.b64encode(row.image).decode(),
            text=html.escape(normalize(row.text)),
            read=html.escape(text),
        )
        for row, text in lines
    ]
    return PAGE.format(title=html.escape(title)) + "".join(rows)


if __name__ == "__main__":
    try:
        main()
    except HtrjandError as problem:
        raise SystemExit(f"errors: {problem}") from problem
