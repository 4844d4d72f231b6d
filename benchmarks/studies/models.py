"""Several models on the same lines: CER by dataset, by language, and the mean of the datasets.

    python -m htrjand.benchmarks.studies.models student-int8.onnx teacher.onnx -i lines/ --split test -o models.json

Lines whose transcription says other than the image (struck, illegible, doubtful) are left out. Each model reads
greedily, and with the bundled n-gram.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import click
import numpy as np
import numpy.typing as npt

from ...runtime import HtrjandError, Recognizer
from ...runtime.files import atomic_path
from ...runtime.text import json_text
from ...train.data.error_rates import RESAMPLES, LineErrors, percent
from ...train.data.lines import LineRow
from ..inputs import choose_lines
from .errors import as_written
from .language import Lines, markdown

PATH = click.Path(path_type=Path)
MEAN = "mean of the data sets"
DECODERS = ("greedy", "with language")


@click.command()
@click.argument("models", nargs=-1, required=True, type=PATH)
@click.option("-i", "--input", "files", multiple=True, required=True, type=PATH, help="Lines. Repeatable.")
@click.option("--dataset", "datasets", multiple=True, help="Only this dataset. Repeatable.")
@click.option("--split", type=click.Choice(("train", "val", "test")), default="val", show_default=True)
@click.option("--limit", type=click.IntRange(1), help="Lines of each dataset at most.")
@click.option("-o", "--output", type=click.Path(path_type=Path), help="Write the figures here, as JSON.")
def main(
    models: tuple[Path, ...], files: tuple[Path, ...], datasets: tuple[str, ...], split: str, limit: int | None,
    output: Path | None,
) -> None:  # fmt: skip
    """Print a table of CER with 95 % intervals; of several models the last ones without."""
    rows = as_written(choose_lines(files, split, datasets, limit))
    rows, languages = by_language(rows)
    found = {}
    for path in models:
        lines = Lines(Recognizer(path, 1, lm=None), rows)
        for decoder, texts in zip(DECODERS, (lines.read(), lines.read(lines.language(None))), strict=True):
            found[f"{path.stem}, {decoder}"] = figures(lines.errors(texts), languages)
        click.echo(f"{path.name}: done", err=True)
    document = {"split": split, "readers": found}
    click.echo(table(document), nl=False)
    if output:
        with atomic_path(output) as part:
            part.write_text(json_text(document, indent=1) + "\n", encoding="utf-8")


def by_language(rows: Sequence[LineRow]) -> tuple[list[LineRow], dict[str, str]]:
    """The lines, and the language of each dataset; one of several languages is divided into as many."""
    found: dict[str, set[str]] = defaultdict(set)
    for row in rows:
        found[row.dataset].add(row.lang)
    divided = [
        replace(row, dataset=f"{row.dataset}, {row.lang}") if len(found[row.dataset]) > 1 else row for row in rows
    ]
    return divided, {row.dataset: row.lang for row in divided}


def figures(errors: Mapping[str, Sequence[LineErrors]], languages: Mapping[str, str]) -> dict[str, dict[str, float]]:
    """CER in percent with its 95 % interval: of each dataset, of each language, and the mean of the datasets.

    Intervals are of a bootstrap over the lines of each dataset.

    Args:
        errors: of the lines of each dataset.
        languages: of each dataset.
    """
    random = np.random.default_rng(0)
    counts = {
        name: np.array([(line.character_edits, line.characters) for line in some]) for name, some in errors.items()
    }
    draws = {
        name: some[random.integers(len(some), size=(RESAMPLES, len(some)))].sum(1) for name, some in counts.items()
    }
    sums = {name: some.sum(0, keepdims=True) for name, some in counts.items()}
    groups: dict[str, list[str]] = defaultdict(list)
    for name in counts:
        groups[languages[name]].append(name)
    rows = {name: row([name], counts, sums, draws) for name in counts}
    rows |= {
        f"all of {language}": row(names, counts, sums, draws)
        for language, names in sorted(groups.items()) if len(names) > 1
    }  # fmt: skip
    mean = [np.mean([percents(some[name]) for name in counts], 0) for some in (sums, draws)]
    return rows | {MEAN: described(mean[0], mean[1], sum(map(len, counts.values())))}


Counts = Mapping[str, npt.NDArray[Any]]


def row(names: Sequence[str], counts: Counts, sums: Counts, draws: Counts) -> dict[str, float]:
    """The figures of some datasets together, each line counting by its characters."""
    whole, drawn = (percents(np.sum([some[name] for name in names], 0)) for some in (sums, draws))
    return described(whole, drawn, sum(len(counts[name]) for name in names))


def percents(sums: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Edits a hundred characters, of sums [N, 2]."""
    return np.array([percent(edits, length) for edits, length in sums])


def described(whole: npt.NDArray[Any], drawn: npt.NDArray[Any], lines: int) -> dict[str, float]:
    """A CER, its interval, and how many lines it is of."""
    low, high = np.percentile(drawn, [2.5, 97.5])
    return {
        "cer": round(float(whole[0]), 3),
        "low": round(float(low), 3),
        "high": round(float(high), 3),
        "lines": lines,
    }


def table(document: Mapping[str, Any]) -> str:
    """A row a dataset, language and mean; the first model with intervals."""
    readers: dict[str, dict[str, dict[str, float]]] = document["readers"]
    cells = []
    for name, first in next(iter(readers.values())).items():
        row = [name, f"{first['lines']:,}"]
        for place, one in enumerate(rows[name] for rows in readers.values()):
            interval = f" ({one['low']:.1f}–{one['high']:.1f})" if place < len(DECODERS) else ""
            row.append(f"{one['cer']:.1f}{interval}")
        cells.append(row)
    return markdown(["", "lines", *(name.removeprefix("htrjand-") for name in readers)], cells)


if __name__ == "__main__":
    try:
        main()
    except HtrjandError as problem:
        raise SystemExit(f"models: {problem}") from problem
