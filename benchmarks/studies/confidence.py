"""Whether confidences are chances: calibration errors, a reliability plot, and errors among the surest lines.

    python -m htrjand.benchmarks.studies.confidence -i $HTRJAND_DATA/lines/copiste.parquet … --split test \\
      -o docs/confidence.svg --kept docs/confidence-kept.svg
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path

import click
import numpy as np

from ...runtime import Line, Recognizer
from ...runtime.files import atomic_path
from ...train.data.error_rates import LineErrors, cer, compare
from ...train.data.lines import LineRow
from ...train.data.reliability import BINS, Judged, judge_lines, judge_words
from ..inputs import choose_lines
from .plot import COLOURS, Axis, Curve, svg

PATH = click.Path(path_type=Path)
BATCH = 16
DOUBTFUL = 0.5  # words below it are what `read --min-confidence 0.5` asks to check


def readings(model: Path | None, rows: Sequence[LineRow]) -> dict[str, list[Line]]:
    """The lines as both decoders read them, with temperatures of 1 and as fitted: by the name of a row of the table."""
    images = [row.pixels() for row in rows]
    reader = Recognizer(model, lm=None)
    fitted = reader.info.temperature
    found = {}
    for name, temperature in (("greedy, temperature 1", 1.0), (f"greedy, {fitted:g}", fitted)):
        reader.info = dataclasses.replace(reader.info, temperature=temperature)
        found[name] = reader.read_lines(images, BATCH)
    reader = Recognizer(model)
    if reader.language:
        fitted = reader.language.temperature
        for name, temperature in (("with language, temperature 1", 1.0), (f"with language, {fitted:g}", fitted)):
            reader.language = dataclasses.replace(reader.language, temperature=temperature)
            found[name] = reader.read_lines(images, BATCH)
    return found


def row_of(name: str, references: Sequence[str], lines: Sequence[Line]) -> str:
    """A row of the table."""
    words, whole = judge_words(references, lines), judge_lines(references, lines)
    doubtful = words.confidences < DOUBTFUL
    cells = (
        name, f"{words.right.mean():.2f}", f"{words.error():.3f}", f"{words.ranking():.3f}", f"{doubtful.mean():.2f}",
        f"{doubtful[~words.right].mean():.2f}", f"{doubtful[words.right].mean():.2f}",
        f"{whole.right.mean():.2f}", f"{whole.error():.3f}", f"{whole.ranking():.3f}",
    )  # fmt: skip
    return f"| {' | '.join(cells)} |"


def reliability(name: str, colour: str, judged: Judged) -> Curve:
    """Share of words that are right against their mean confidence, of ten equal ranges."""
    place = np.minimum((judged.confidences * BINS).astype(np.intp), BINS - 1)
    used = [chosen for chosen in range(BINS) if (place == chosen).any()]
    points = [
        (float(judged.confidences[place == chosen].mean()), float(judged.right[place == chosen].mean()))
        for chosen in used
    ]
    return Curve(name, colour, points, [""] * len(points))


def kept(name: str, colour: str, errors: Sequence[LineErrors], lines: Sequence[Line]) -> Curve:
    """CER of the surest lines against the share of lines that they are."""
    order = np.argsort([-line.confidence for line in lines], kind="stable")
    counts = [max(1, round(len(lines) * share / 10)) for share in range(1, 11)]
    points = [(count / len(lines), cer([errors[index] for index in order[:count]])) for count in counts]
    return Curve(name, colour, points, [f"{error:.1f}" for _, error in points])


def pictures(references: Sequence[str], found: Mapping[str, Sequence[Line]]) -> tuple[str, str]:
    """The reliability plot of words, and the errors of the surest lines; both SVG."""
    ticks = {share / 5: f"{share / 5:g}" for share in range(6)}
    colours = dict(zip(found, COLOURS, strict=False))
    curves = [reliability(name, colours[name], judge_words(references, lines)) for name, lines in found.items()]
    ideal = Curve("as it should be", "#999999", [(0.0, 0.0), (1.0, 1.0)], ["", ""])
    first = svg(
        [ideal, *curves], Axis("confidence of a word", 0, 1, ticks), Axis("share right", 0, 1, ticks), names_left=True
    )
    fitted = list(found)[1::2]
    ranked = [
        kept(
            name,
            colours[name],
            [compare(*pair) for pair in zip(references, texts(found[name]), strict=True)],
            found[name],
        )
        for name in fitted
    ]
    top = max(error for curve in ranked for _, error in curve.points)
    up = {float(value): str(value) for value in range(0, int(top) + 5, 5)}
    second = svg(
        ranked,
        Axis("share of lines kept, the surest first", 0, 1, ticks),
        Axis("CER, %", 0, max(up), up),
        names_left=True,
    )
    return first, second


def texts(lines: Sequence[Line]) -> list[str]:
    """What was read."""
    return [line.text for line in lines]


@click.command()
@click.option("-m", "--model", type=PATH, help="A model file. Default: the bundled student.")
@click.option("-i", "--input", "files", multiple=True, type=PATH, required=True, help="Lines. Repeatable.")
@click.option("--split", default="test", show_default=True, type=click.Choice(["val", "test"]))
@click.option("--dataset", "datasets", multiple=True, help="Only this dataset. Repeatable.")
@click.option("-o", "--output", type=PATH, help="The reliability plot (.svg).")
@click.option("--kept", "kept_output", type=PATH, help="The errors of the surest lines (.svg).")
def main(
    model: Path | None, files: tuple[Path, ...], split: str, datasets: tuple[str, ...], output: Path | None,
    kept_output: Path | None,
) -> None:  # fmt: skip
    """Print how well confidences of words and lines are calibrated."""
    rows = choose_lines(files, split, datasets)
    references = [row.text for row in rows]
    found = readings(model, rows)
    click.echo(
        f"{len(rows)} lines\n\n"
        "| | words right | calibration error | ranking | below 0.5 | of the wrong | of the right | lines right | "
        f"calibration error | ranking |\n|---|{'---:|' * 9}"
    )
    for name, lines in found.items():
        click.echo(row_of(name, references, lines))
    first, second = pictures(references, found)
    for path, picture in ((output, first), (kept_output, second)):
        if path:
            with atomic_path(path) as part:
                part.write_text(picture, encoding="utf-8")


if __name__ == "__main__":
    main()
