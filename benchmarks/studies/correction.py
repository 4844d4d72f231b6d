"""What a corrector brings beside the n-gram, where it harms, and what it costs.

    python -m htrjand.benchmarks.studies.correction figures corrector.onnx -i lines/ --dataset copiste --split test -o correction.json
    python -m htrjand.benchmarks.studies.correction examples corrector.onnx -i lines/ --dataset copiste
    python -m htrjand.benchmarks.studies.correction rules corrector.onnx -i lines/
    python -m htrjand.benchmarks.studies.correction overlap -i lines/ --text text/fr.txt.xz --dataset copiste --split test

Each line goes through the reader once; its logits are read greedily and with the n-gram, and both readings are
corrected. `rules` tries when the corrector is to speak: on validation lines, as a choice.
"""  # noqa: E501

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import click
import numpy as np

from ...runtime import HtrjandError, Line
from ...runtime.decode import decode_greedy
from ...runtime.decode.beam import decode_beam
from ...runtime.decode.corrector import Corrector
from ...runtime.text import normalize
from ...train.data.error_rates import compare, summary
from ...train.data.lines import LineRow, neighbours
from ...train.data.marks import without_marks
from ...train.lm.texts import prose, transcriptions
from ..inputs import choose_lines
from .errors import as_written
from .language import BATCH, Lines, gain, line_options, markdown, save

PATH = click.Path(path_type=Path)
WAYS = ("greedy", "with language")
GRAM = 20  # characters of a piece that training text and test text are not to share


@dataclass(frozen=True)
class Read:
    """Lines of some datasets, as they were read in one way."""

    rows: Sequence[LineRow]
    lines: Sequence[Line]
    around: Sequence[tuple[str, str]]  # what was read before and after each line on its page


def read_both(lines: Lines) -> dict[str, Read]:
    """The lines greedily, then with the bundled n-gram; those are left out whose text is not what the image shows."""
    texts = [without_marks(row.text) for row in lines.rows]
    kept = [place for place, text in enumerate(texts) if text]
    rows = [replace(lines.rows[place], text=texts[place] or "") for place in kept]
    logits, widths = lines.logits, [(width, width) for width in lines.widths]
    info, language = lines.reader.info, lines.language(None)
    greedy = [decode_greedy(one, info, *width) for one, width in zip(logits, widths, strict=True)]
    parts = [slice(begin, begin + BATCH) for begin in range(0, len(logits), BATCH)]
    spoken = [line for part in parts for line in decode_beam(logits[part], info, language, widths[part])]
    found = {}
    for way, read in zip(WAYS, (greedy, spoken), strict=True):
        around = neighbours(lines.rows, [line.text for line in read])
        found[way] = Read(rows, [read[place] for place in kept], [around[place] for place in kept])
    return found


@click.group()
def main() -> None:
    """What a corrector brings."""


@main.command()
@click.argument("corrector", type=PATH)
@line_options
def figures(corrector: Path, lines: Lines, output: Path | None) -> None:
    """Print CER, WER, lines made better and worse, and milliseconds a line, of readings and of their corrections."""
    opened = Corrector(corrector, 1)
    document = {
        "corrector": corrector.name,
        "bytes": corrector.stat().st_size,
        "split": lines.rows[0].split,
        "datasets": compared(opened, read_both(lines)),
    }
    click.echo(table(document), nl=False)
    save(output, document)


@main.command()
@click.argument("corrector", type=PATH)
@line_options
@click.option("--show", type=click.IntRange(1), default=12, show_default=True, help="Of each kind.")
def examples(corrector: Path, lines: Lines, show: int, output: Path | None) -> None:
    """Print lines that the corrector made better, made worse, and changed without gain."""
    opened = Corrector(corrector, 1)
    found = {}
    for way, read in read_both(lines).items():
        kinds: dict[str, list[list[str]]] = {"better": [], "worse": [], "as wrong": []}
        for row, before, after in zip(read.rows, read.lines, opened.correct(read.lines, read.around), strict=True):
            if after.read is not None:
                change = edits(row, after) - edits(row, before)
                kind = "better" if change < 0 else "worse" if change > 0 else "as wrong"
                kinds[kind].append([row.dataset, normalize(row.text), before.text, after.text])
        for kind, some in kinds.items():
            click.echo(f"\n{way}, {kind}: {len(some)} lines\n")
            if some:
                click.echo(markdown(["dataset", "the line", "read", "corrected"], some[:show]), nl=False)
        found[way] = kinds
    save(output, {"corrector": corrector.name, "examples": found})


@main.command()
@click.argument("corrector", type=PATH)
@line_options
def rules(corrector: Path, lines: Lines, output: Path | None) -> None:
    """Print the CER of validation lines under rules of when to speak: doubt, most change, and what is kept."""
    opened, reads = Corrector(corrector, 1), read_both(lines)
    cells = []
    grid = itertools.product((0.3, 0.6, 0.9, 1.0), (0.1, 0.2, 0.3, 0.5), ((), ("digits",), ("digits", "capitals")))
    opened.texts = remembered(opened.texts)  # type: ignore[method-assign, assignment]
    for doubt, most, keep in grid:
        opened.info = replace(opened.info, doubt=doubt, most_change=most, keep=keep)
        row = [f"{doubt:g}", f"{most:g}", ", ".join(keep) or "nothing"]
        for read in reads.values():
            errors = [
                compare(one.text, line.text)
                for one, line in zip(read.rows, opened.correct(read.lines, read.around), strict=True)
            ]
            row.append(f"{summary(errors)['cer']:.2f}")
        cells.append(row)
    head = ["doubt", "most change", "kept", *WAYS]
    click.echo(markdown(head, cells), nl=False)
    save(output, {"corrector": corrector.name, "rules": [dict(zip(head, row, strict=True)) for row in cells]})


@main.command()
@click.option("-i", "--input", "files", multiple=True, required=True, type=PATH, help="Line files. Repeatable.")
@click.option("--text", "texts", multiple=True, type=PATH, help="Prose. Repeatable.")
@click.option("--dataset", "datasets", multiple=True, help="Only this dataset's lines. Repeatable.")
@click.option("--split", type=click.Choice(("val", "test")), default="test", show_default=True)
def overlap(files: tuple[Path, ...], texts: tuple[Path, ...], datasets: tuple[str, ...], split: str) -> None:
    """Print which share of lines holds a piece of 20 characters that training lines or prose hold, too."""
    rows = as_written(choose_lines(files, split, datasets))
    wanted: dict[str, set[str]] = {piece: set() for row in rows for piece in pieces(normalize(row.text))}
    sources: list[tuple[str, Iterator[str]]] = [(path.name, prose(path, 0)) for path in texts]
    sources.insert(0, ("training lines", itertools.chain.from_iterable(map(transcriptions, files))))
    for name, source in sources:
        for text in source:
            for piece in pieces(text):
                if piece in wanted:
                    wanted[piece].add(name)
    names = [name for name, _ in sources]
    cells = []
    for dataset in dict.fromkeys(row.dataset for row in rows):
        own = [
            set().union(*(wanted[piece] for piece in pieces(normalize(row.text))))
            for row in rows
            if row.dataset == dataset
        ]
        cells.append(
            [dataset, f"{len(own)}", *(f"{100 * sum(name in one for one in own) / len(own):.1f}" for name in names)]
        )
    click.echo(markdown(["dataset", "lines", *(f"in {name}, %" for name in names)], cells), nl=False)


def pieces(text: str) -> Iterator[str]:
    """All pieces of `GRAM` characters."""
    return (text[place : place + GRAM] for place in range(len(text) - GRAM + 1))


Texts = Callable[[Sequence[str], Sequence[tuple[str, str]]], list[str]]


def remembered(texts: Texts) -> Texts:
    """The same function, which computes each text and what is around it once."""
    known: dict[tuple[str, tuple[str, str]], str] = {}

    def found(read: Sequence[str], around: Sequence[tuple[str, str]]) -> list[str]:
        wanted = list(zip(read, around, strict=True))
        new = [one for one in dict.fromkeys(wanted) if one not in known]
        for begin in range(0, len(new), BATCH):
            part = new[begin : begin + BATCH]
            known.update(zip(part, texts([text for text, _ in part], [beside for _, beside in part]), strict=True))
        return [known[one] for one in wanted]

    return found


def edits(row: LineRow, line: Line) -> int:
    """Wrong characters of a line."""
    return compare(row.text, line.text).character_edits


def compared(corrector: Corrector, reads: dict[str, Read]) -> dict[str, dict[str, Any]]:
    """The figures of each dataset: each way of reading, and the same corrected."""
    found: dict[str, dict[str, Any]] = {}
    for way, read in reads.items():
        corrected, seconds = [], []
        for line, around in zip(read.lines, read.around, strict=True):
            start = time.perf_counter()
            corrected += corrector.correct([line], [around])
            seconds.append(time.perf_counter() - start)
        for dataset in dict.fromkeys(row.dataset for row in read.rows):
            chosen = [place for place, row in enumerate(read.rows) if row.dataset == dataset]
            before = [compare(read.rows[place].text, read.lines[place].text) for place in chosen]
            after = [compare(read.rows[place].text, corrected[place].text) for place in chosen]
            fewer = [one.character_edits - other.character_edits for one, other in zip(before, after, strict=True)]
            found.setdefault(dataset, {})[way] = {
                "read": summary(before), "corrected": summary(after),
                "cer_gain": gain(fewer, [one.characters for one in before]),
                "changed": round(100 * float(np.mean([corrected[place].read is not None for place in chosen])), 1),
                "better": round(100 * float(np.mean(np.array(fewer) > 0)), 1),
                "worse": round(100 * float(np.mean(np.array(fewer) < 0)), 1),
                "ms": round(1000 * float(np.mean([seconds[place] for place in chosen])), 2),
            }  # fmt: skip
    return found


def table(document: dict[str, Any]) -> str:
    """A row a dataset and way of reading."""
    cells = []
    for dataset, ways in document["datasets"].items():
        for way, one in ways.items():
            before, after, less = one["read"], one["corrected"], one["cer_gain"]
            cells.append([
                dataset, way, f"{before['lines']}", f"{before['cer']:.2f}", f"{after['cer']:.2f}",
                f"{less['points']:.2f} ({less['low']:.1f} to {less['high']:.1f})", f"{before['wer']:.1f}",
                f"{after['wer']:.1f}", f"{one['better']:.1f}", f"{one['worse']:.1f}", f"{one['ms']:.1f}",
            ])  # fmt: skip
    head = ["dataset", "read", "lines", "CER, %", "corrected", "less", "WER, %", "corrected",
            "lines better, %", "worse, %", "ms a line"]  # fmt: skip
    return markdown(head, cells)


if __name__ == "__main__":
    try:
        main()
    except HtrjandError as problem:
        raise SystemExit(f"correction: {problem}") from problem
