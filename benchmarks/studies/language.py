"""What a language model brings to reading, what its size costs, and where it harms.

    python -m htrjand.benchmarks.studies.language figures -i lines/ --dataset copiste --split test -o figures.json
    python -m htrjand.benchmarks.studies.language sizes small.lm large.lm -i lines/ --plot docs/language-size.svg
    python -m htrjand.benchmarks.studies.language examples -i lines/

Lines are chosen as by `htrjand bench`: all of a split. Each goes through the network once, and its logits are read
greedily and with the language model.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from functools import wraps
from pathlib import Path
from typing import Any

import click
import numpy as np

from ...runtime import HtrjandError, Recognizer, UsageError
from ...runtime.decode import decode_greedy
from ...runtime.decode.beam import WIDTH, decode_beam
from ...runtime.decode.language import Language
from ...runtime.decode.ngram import Ngram
from ...runtime.decode.rescore import Rescorer
from ...runtime.files import atomic_path
from ...runtime.recognizer import BUNDLED_LM, language_for
from ...runtime.text import json_text
from ...train.data.error_rates import RESAMPLES, LineErrors, cer, compare, percent, summary
from ...train.data.lines import LineRow
from ..inputs import choose_lines
from .changes import changes, harmed_lines
from .plot import COLOURS, Axis, Curve, svg

BATCH = 16  # lines at a time
PATH = click.Path(path_type=Path)


class Lines:
    """Lines that went through a network once, to be read in several ways."""

    def __init__(self, reader: Recognizer, rows: Sequence[LineRow]) -> None:
        images = [row.pixels() for row in rows]
        self.rows, self.reader = rows, reader
        self.widths = [image.shape[1] for image in images]
        self.logits = reader.logits(images, BATCH)  # of each line [T, V]

    def language(self, ngram: Path | None) -> Language:
        """That of a file, or the bundled one, as the model reads with it."""
        language = language_for(self.reader.info, ngram or BUNDLED_LM)
        if language is None:
            raise UsageError(f"{self.reader.path}: the bundled language model is of other languages; name one by --lm")
        return language

    def read(self, language: Language | None = None, beam: int = WIDTH, rescorer: Rescorer | None = None) -> list[str]:
        """The texts, greedy or with a language model, of which so many texts of a line are followed at a time; the
        best of these by a rescorer, if one is given."""
        info = self.reader.info
        widths = [(width, width) for width in self.widths]
        if language is None:
            return [decode_greedy(one, info, *width).text for one, width in zip(self.logits, widths, strict=True)]
        return [
            line.text
            for part in (slice(begin, begin + BATCH) for begin in range(0, len(widths), BATCH))
            for line in decode_beam(self.logits[part], info, language, widths[part], beam, rescorer)
        ]

    def errors(self, texts: Sequence[str]) -> dict[str, list[LineErrors]]:
        """Those of the texts read, by dataset."""
        found: dict[str, list[LineErrors]] = {}
        for row, text in zip(self.rows, texts, strict=True):
            found.setdefault(row.dataset, []).append(compare(row.text, text))
        return found


def line_options(command: Callable[..., None]) -> Callable[..., None]:
    """The options that name a model and lines, handed on as `lines`, and `-o`."""

    @wraps(command)
    def with_lines(
        *args: Any, model: Path | None, files: tuple[Path, ...], datasets: tuple[str, ...], split: str,
        limit: int | None, threads: int, **others: Any,
    ) -> None:  # fmt: skip
        rows = choose_lines(files, split, datasets, limit)
        command(*args, lines=Lines(Recognizer(model, threads, lm=None), rows), **others)

    for option in (
        click.option("-o", "--output", type=PATH, help="Write the figures here, as JSON."),
        click.option("--threads", type=click.IntRange(1), default=1, show_default=True),
        click.option("--limit", type=click.IntRange(1), help="Lines of each dataset at most."),
        click.option("--split", type=click.Choice(("train", "val", "test")), default="val", show_default=True),
        click.option("--dataset", "datasets", multiple=True, help="Only this dataset. Repeatable."),
        click.option("-i", "--input", "files", multiple=True, required=True, type=PATH, help="Lines. Repeatable."),
        click.option("--model", "-m", type=PATH, help="A model file. Default: the bundled one."),
    ):
        with_lines = option(with_lines)
    return with_lines


LM = click.option("--lm", "ngram", type=PATH, help="A language model. Default: the bundled one.")


@click.group()
def main() -> None:
    """What a language model brings to reading, what its size costs, and where it harms."""


@main.command()
@line_options
@LM
@click.option("--beam", type=click.IntRange(1), default=WIDTH, show_default=True, help="Texts followed at a time.")
def figures(lines: Lines, ngram: Path | None, beam: int, output: Path | None) -> None:
    """Print CER and WER, greedy and with language, and what language takes off, with 95 % intervals."""
    language = lines.language(ngram)
    before, after = lines.errors(lines.read()), lines.errors(lines.read(language, beam))
    found = {name: compared(before[name], after[name]) for name in before}
    click.echo(figures_table(found), nl=False)
    save(output, described(lines, language) | {"datasets": found})


@main.command()
@click.argument("ngrams", nargs=-1, required=True, type=PATH)
@line_options
@click.option("--plot", type=PATH, help="Write a plot here, as SVG.")
def sizes(ngrams: tuple[Path, ...], lines: Lines, plot: Path | None, output: Path | None) -> None:
    """Print CER against the size of n-grams.

    All are read with at the weights that a model has for an n-gram it was not fitted to.
    """
    greedy = rates(lines, lines.read())
    found = sorted((size_of(path, lines) for path in ngrams), key=lambda size: (size.languages, size.bytes))
    click.echo(sizes_table(found, greedy), nl=False)
    if plot:
        with atomic_path(plot) as part:
            part.write_text(sizes_plot(found), encoding="utf-8")
    save(output, {
        "model": lines.reader.path.name, "split": lines.rows[0].split, "greedy": greedy,
        "sizes": [asdict(size) for size in found],
    })  # fmt: skip


@main.command()
@line_options
@LM
@click.option("--show", type=click.IntRange(0), default=20, show_default=True, help="Lines to print at most.")
@click.option("--alike", is_flag=True, help="Let digits and capitals count as much as other characters.")
def examples(lines: Lines, ngram: Path | None, show: int, alike: bool, output: Path | None) -> None:
    """Print which kinds of character language mends and harms, and the lines that it harms most."""
    language = lines.language(ngram)
    if alike:
        language = replace(language, scales=np.ones_like(language.scales))
    greedy, spoken = lines.read(), lines.read(language)
    counts, harmed = changes(lines.rows, greedy, spoken), harmed_lines(lines.rows, greedy, spoken)
    keys = ("characters", "wrong", "mended", "harmed", "added", "added later")
    cells = [[kind, *(f"{found[key]:,}" for key in keys)] for kind, found in counts.items()]
    click.echo(markdown(["kind", *keys], cells))
    shown = [[line.dataset, f"{line.more}", line.reference, line.first, line.second] for line in harmed[:show]]
    click.echo(f"{len(harmed)} of {len(lines.rows)} lines have more errors with language:\n")
    click.echo(markdown(["dataset", "more", "the line", "greedy", "with language"], shown), nl=False)
    save(output, described(lines, language) | {
        "lines": len(lines.rows), "kinds": counts, "harmed": [asdict(line) for line in harmed],
    })  # fmt: skip


def compared(
    before: Sequence[LineErrors], after: Sequence[LineErrors], names: tuple[str, str] = ("greedy", "language")
) -> dict[str, Any]:
    """The figures of one dataset, read in two ways of these names, and what the second takes off."""
    pairs = list(zip(before, after, strict=True))
    return {
        names[0]: summary(before),
        names[1]: summary(after),
        "cer_gain": gain([a.character_edits - b.character_edits for a, b in pairs], [a.characters for a in before]),
        "wer_gain": gain([a.word_edits - b.word_edits for a, b in pairs], [a.words for a in before]),
    }


def gain(fewer: Sequence[int], lengths: Sequence[int]) -> dict[str, float]:
    """By how many points an error rate falls, with its 95 % interval.

    A paired bootstrap: in each draw both readings are compared on the same lines, so that how hard the lines are
    does not widen the interval.

    Args:
        fewer: edits of each line that are no longer needed; below 0 where there are more.
        lengths: of the reference of each line.
    """
    edits, whole = np.array(fewer), np.array(lengths)
    random = np.random.default_rng(0)
    draws = (random.integers(len(edits), size=len(edits)) for _ in range(RESAMPLES))
    low, high = np.percentile([100 * edits[drawn].sum() / max(1, whole[drawn].sum()) for drawn in draws], [2.5, 97.5])
    return {"points": round(percent(edits, whole), 3), "low": round(float(low), 3), "high": round(float(high), 3)}


def figures_table(found: dict[str, dict[str, Any]], heads: tuple[str, str] = ("greedy", "with language")) -> str:
    """A row a dataset, of what `compared` found."""
    cells = []
    for name, row in found.items():
        first, second = list(row.values())[:2]
        rates = [f"{one['cer']:.2f} ({one['cer_low']:.1f}–{one['cer_high']:.1f})" for one in (first, second)]
        less, less_wer = (
            f"{one['points']:.2f} ({one['low']:.1f} to {one['high']:.1f})" for one in (row["cer_gain"], row["wer_gain"])
        )
        words = [f"{one['wer']:.1f}" for one in (first, second)]
        cells.append([name, f"{first['lines']}", *rates, less, *words, less_wer])
    one, other = heads
    return markdown(["dataset", "lines", f"CER, %, {one}", other, "less", f"WER, %, {one}", other, "less"], cells)


@dataclass(frozen=True)
class Size:
    """An n-gram, and the CER with it in percent: of each dataset, and `mean`, that of the datasets."""

    name: str
    languages: str
    bytes: int
    ngrams: int
    weight: float
    bonus: float
    cer: dict[str, float]


def size_of(path: Path, lines: Lines) -> Size:
    """Reads the lines with the n-gram of a file."""
    ngram = Ngram(path)
    language, about = Language.of(ngram, lines.reader.info), ngram.about
    return Size(
        path.name, ", ".join(about["languages"]), path.stat().st_size, sum(about["ngrams"]), language.weight,
        language.bonus, rates(lines, lines.read(language)),
    )  # fmt: skip


def rates(lines: Lines, texts: Sequence[str]) -> dict[str, float]:
    """CER in percent of each dataset, and the mean of these."""
    found = {name: cer(errors) for name, errors in lines.errors(texts).items()}
    found["mean"] = sum(found.values()) / len(found)
    return {name: round(rate, 3) for name, rate in found.items()}


def sizes_table(sizes: Sequence[Size], greedy: dict[str, float]) -> str:
    """A row an n-gram, below reading without one."""
    cells = [["greedy", "0", *(f"{rate:.2f}" for rate in greedy.values())]]
    cells += [[one.languages, f"{one.bytes:,}", *(f"{rate:.2f}" for rate in one.cer.values())] for one in sizes]
    return markdown(["languages", "bytes", *greedy], cells)


def sizes_plot(sizes: Sequence[Size]) -> str:
    """SVG: the mean CER against the size, doubled from tick to tick; a curve for n-grams of the same languages."""
    groups = [[one for one in sizes if one.languages == name] for name in dict.fromkeys(one.languages for one in sizes)]
    groups.sort(key=lambda members: -members[0].cer["mean"])  # labels of the first stand above it
    curves = []
    for members, colour in zip(groups, COLOURS * len(groups), strict=False):
        points = [(math.log2(one.bytes / 1e6), one.cer["mean"]) for one in members]
        curves.append(Curve(members[0].languages, colour, points, [f"{one.cer['mean']:.1f}" for one in members]))
    places = [math.log2(size.bytes / 1e6) for size in sizes]
    ticks = {float(power): f"{2.0**power:g}" for power in range(math.floor(min(places)), math.ceil(max(places)) + 1)}
    across = Axis.around("size of the n-gram, MB", [*places, *ticks], ticks)
    return svg(curves, across, Axis.around("CER, %", [size.cer["mean"] for size in sizes]))


def described(lines: Lines, language: Language) -> dict[str, Any]:
    """What was read with, for JSON."""
    ngram = language.ngram
    return {
        "model": lines.reader.path.name, "lm": ngram.path.name, "lm_bytes": ngram.path.stat().st_size,
        "weight": language.weight, "bonus": language.bonus, "split": lines.rows[0].split,
    }  # fmt: skip


def markdown(head: Sequence[str], cells: Sequence[Sequence[str]]) -> str:
    """A Markdown table; columns that hold figures alone stand at the right."""
    escaped = [[cell.replace("|", "\\|") for cell in row] for row in cells]
    figures = [all(row[column][:1] in "-0123456789" for row in cells) for column in range(len(head))]
    rows = [head, ["---:" if right else "---" for right in figures], *escaped]
    return "".join(f"| {' | '.join(row)} |\n" for row in rows)


def save(path: Path | None, result: dict[str, Any]) -> None:
    """Writes a result as JSON, where a path is given."""
    if path:
        with atomic_path(path) as part:
            part.write_text(json_text(result, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    try:
        main()
    except HtrjandError as problem:
        raise SystemExit(f"language: {problem}") from problem
