"""On how many lines two model files read another text, greedily and with the n-gram.

    python -m htrjand.benchmarks.studies.formats_alike -i lines/copiste.parquet -i lines/poilus.parquet --count 50

Without `-m` the bundled files of every format are compared, and the ONNX file as ORT.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from itertools import combinations
from pathlib import Path

import click

from ...export.ort import convert
from ...runtime import HtrjandError, Recognizer
from ...runtime.bundled import bundled_models
from ...runtime.recognizer import BUNDLED
from ...train.data.error_rates import character_errors, percent
from ...train.data.lines import LineRow, read_lines, spread

Texts = dict[str, list[str]]  # decoder → what it reads of each line
DECODERS = ("greedy", "n-gram")


def texts_of(reader: Recognizer, rows: Sequence[LineRow]) -> Texts:
    """What a reader reads with both decoders; it is left without its language."""
    lines = [row.pixels() for row in rows]
    with_language = [line.text for line in reader.read_lines(lines)]
    reader.language = None
    return {"greedy": [line.text for line in reader.read_lines(lines)], "n-gram": with_language}


def compared(one: Sequence[str], other: Sequence[str]) -> tuple[int, float]:
    """Lines that differ between two readings, and the characters that do, in percent."""
    counts = [character_errors(a, b) for a, b in zip(one, other, strict=True)]
    different = sum(a != b for a, b in zip(one, other, strict=True))
    return different, percent([edits for edits, _ in counts], [length for _, length in counts])


def markdown(texts: dict[str, Texts], rows: Sequence[LineRow]) -> str:
    """Two Markdown tables: how far the files differ from each other, and what each is worth."""
    heads = " | ".join(f"{decoder}: other texts | other characters, %" for decoder in DECODERS)
    table = f"| {len(rows)} lines | {heads} |\n|---|---:|---:|---:|---:|\n"
    for one, other in combinations(texts, 2):
        cells = (compared(texts[one][decoder], texts[other][decoder]) for decoder in DECODERS)
        table += f"| {one} and {other} | {' | '.join(f'{lines} | {share:.2f}' for lines, share in cells)} |\n"
    table += "\n| CER, % | " + " | ".join(texts) + " |\n|---|" + "---:|" * len(texts) + "\n"
    wanted = [row.text for row in rows]
    for decoder in DECODERS:
        rates = (f"{compared(wanted, found[decoder])[1]:.2f}" for found in texts.values())
        table += f"| {decoder} | {' | '.join(rates)} |\n"
    return table


@click.command()
@click.option("--model", "-m", "models", multiple=True, type=click.Path(path_type=Path), help="Repeatable.")
@click.option("-i", "--input", "files", multiple=True, required=True, type=click.Path(path_type=Path), help="Lines.")
@click.option("--split", type=click.Choice(("train", "val", "test")), default="val", show_default=True)
@click.option("--count", type=click.IntRange(1), default=50, show_default=True, help="Lines, in equal shares of -i.")
@click.option("--threads", type=click.IntRange(1), default=1, show_default=True)
def main(models: tuple[Path, ...], files: tuple[Path, ...], split: str, count: int, threads: int) -> None:
    """Print on how many lines model files read another text than each other."""
    rows: list[LineRow] = []
    for place, path in enumerate(files):
        share = (count - len(rows)) // (len(files) - place)
        rows += spread(read_lines(path, split), share)
    with tempfile.TemporaryDirectory() as folder:
        chosen = list(models) or [path for path in bundled_models() if path.stem == BUNDLED]
        for path in [] if models else [path for path in chosen if path.suffix == ".onnx"]:
            chosen.append(Path(folder) / f"{path.stem}.ort")
            convert(path, chosen[-1])
        alike = len({path.stem for path in chosen}) == 1
        names = [path.suffix[1:] if alike else path.name for path in chosen]
        texts = [texts_of(Recognizer(path, threads), rows) for path in chosen]
        click.echo(markdown(dict(zip(names, texts, strict=True)), rows))


if __name__ == "__main__":
    try:
        main()
    except HtrjandError as problem:
        raise SystemExit(f"formats_alike: {problem}") from problem
