"""What some lines of one hand are worth: the CER on that hand, and on others, before and after adapting weights to it.

    python -m htrjand.benchmarks.studies.adaptation leave-out cremma-mss-19:manuscrits-rviven peraire -i lines/ -o rest/
    python -m htrjand.benchmarks.studies.adaptation measure -i lines/cremma-mss-19.parquet --doc lettres-veuillot \\
        --others lines/copiste.parquet -o OUT

The first writes line files without some hands, to train weights that never saw them. The second takes one hand, keeps
some of its pages for the test, and adapts with 50, 100 and 200 lines drawn from the others. Nothing is chosen on the
test pages: a fifth of the drawn lines is held out for that. Greedily, and with the bundled n-gram where the weights say
that they read its languages.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from ...runtime.errors import HtrjandError, UsageError
from ...runtime.files import atomic_path
from ...runtime.recognizer import BUNDLED_LM, language_for
from ...runtime.text import json_text
from ...train import adapt
from ...train.checkpoint import load_card
from ...train.data.error_rates import cer
from ...train.data.lines import LineRow, parquet_files, read_lines, spread, write_lines
from ...train.fit import train
from ...train.reader import open_weights
from ...train.recipe import TrainRecipe
from ...train.recipe_loader import load_recipe
from .errors import as_written
from .language import Lines

TEST_SHARE = 0.3  # of the hand's lines, at least: whole pages
OTHERS = 200  # validation lines of other hands, of each file
PATH = click.Path(path_type=Path)


@click.group()
def main() -> None:
    """What some lines of one hand are worth."""


@main.command("leave-out")
@click.argument("hands", nargs=-1, required=True)
@click.option("-i", "--input", "lines", type=PATH, required=True, help="A folder of Parquet files of lines.")
@click.option("-o", "--output", type=PATH, required=True, help="A folder for the rest.")
def leave_out(hands: tuple[str, ...], lines: Path, output: Path) -> None:
    """Write the line files without HANDS: DATASET:DOCUMENT, or DATASET where all of it is one hand."""
    left = [hand.partition(":")[::2] for hand in hands]
    output.mkdir(parents=True, exist_ok=True)
    for path in parquet_files(lines):
        rows = list(read_lines(path))
        rest = [row for row in rows if not {(row.dataset, ""), (row.dataset, row.doc)} & set(left)]
        if rest:
            write_lines(output / path.name, rest)
        if len(rest) < len(rows):
            click.echo(f"{path.name}: {len(rows) - len(rest)} of {len(rows)} lines left out")


@main.command()
@click.option("-i", "--input", "lines", type=PATH, required=True, help="A Parquet file of lines.")
@click.option("-o", "--output", type=PATH, required=True, help="A folder.")
@click.option("--doc", help="One hand. Default: the document with the most lines.")
@click.option("--whole", is_flag=True, help="All documents of the file are one hand.")
@click.option("--from", "begin", default="student", show_default=True, help="Weights: a file, or released ones.")
@click.option("--recipe", type=PATH, default=adapt.RECIPE, help="Another than that of `htrjand train --from`.")
@click.option("--others", multiple=True, type=PATH, help="Validation lines of other hands, to see what is forgotten.")
@click.option("--left-out", is_flag=True, help="The weights saw the dataset, but not this hand: it was left out.")
@click.option("--count", "counts", type=click.IntRange(1), multiple=True, default=(50, 100, 200), show_default=True)
@click.option("--seed", type=int, default=1, show_default=True)
def measure(
    lines: Path, output: Path, doc: str | None, whole: bool, begin: str, recipe: Path, others: tuple[Path, ...],
    left_out: bool, counts: tuple[int, ...], seed: int,
) -> None:  # fmt: skip
    """Print a table of CER before and after adaptation, and write it to OUTPUT/adaptation.json."""
    weights = adapt.find_weights(begin)
    rows = as_written(read_lines(lines))
    doc = doc or Counter(row.doc for row in rows).most_common(1)[0][0]
    mine = [row for row in rows if whole or row.doc == doc]
    pool, test = divide(mine)
    if not test or len(pool) < max(counts):
        raise UsageError(
            f"{lines}: {len(pool)} lines to adapt with and {len(test)} to test on in {doc!r}; ask for fewer"
        )
    known = {entry.partition(":")[0] for entry in load_card(weights).training_data}
    if known & {row.dataset for row in mine if row.split == "train"} and not left_out:
        raise UsageError(
            f"{lines}: {weights.name} was trained on lines of this dataset; take a document of val or test, or say "
            "--left-out if this hand was not among them"
        )
    tests = {"hand": test} | {path.stem: spread(as_written(read_lines(path, "val")), OTHERS, 1) for path in others}
    output.mkdir(parents=True, exist_ok=True)
    found = [{"lines": 0, "cer": read(weights, tests), "lines_seen": 0}]
    loaded = load_recipe(TrainRecipe, recipe)
    for count in counts:
        drawn = output / f"{count}.parquet"
        write_lines(drawn, [replace(row, split="train") for row in spread(pool, count, seed)])
        changed = replace(
            loaded, begin=str(weights), network=load_card(weights).network, seed=seed,
            data=replace(loaded.data, files=(str(drawn.resolve()),)),
        )  # fmt: skip
        outcome = train(changed, recipe, output / f"run-{count}", log=lambda text: click.echo(text, err=True))
        found.append({"lines": count, "cer": read(outcome.weights, tests), "lines_seen": outcome.lines_seen})
    hand = lines.stem if whole else f"{lines.stem}: {doc}"
    result = {"hand": hand, "test_lines": len(test), "weights": weights.name, "rows": found}
    with atomic_path(output / "adaptation.json") as part:
        part.write_text(json_text(result, indent=1) + "\n", encoding="utf-8")
    click.echo(table(result))


def read(weights: Path, tests: dict[str, list[LineRow]]) -> dict[str, float]:
    """CER in percent of each group of lines, greedily and with the bundled n-gram."""
    reader, found = open_weights(weights), {}
    language = language_for(reader.info, BUNDLED_LM)
    ways = {"greedily": None} | ({"with the n-gram": language} if language else {})
    for name, rows in tests.items():
        lines = Lines(reader, rows)
        for way, spoken in ways.items():
            errors = lines.errors(lines.read(spoken)).values()
            found[f"{name} {way}"] = round(cer([line for some in errors for line in some]), 3)
    return found


def table(result: dict[str, Any]) -> str:
    """Markdown: a row a number of lines."""
    names = list(result["rows"][0]["cer"])
    first, *others = (name.removeprefix("hand ") for name in names)
    heads = [f"CER on its {result['test_lines']} test lines, %, {first}", *others]
    lines = [
        f"| lines of {result['hand']} | {' | '.join(heads)} | lines seen while adapting |",
        "|---:|" + "---:|" * (len(heads) + 1),
    ]
    for row in result["rows"]:
        cells = [f"{row['cer'][name]:.1f}" for name in names]
        lines.append(f"| {row['lines']} | {' | '.join(cells)} | {row['lines_seen']} |")
    return "\n".join(lines)


def divide(rows: list[LineRow]) -> tuple[list[LineRow], list[LineRow]]:
    """The lines of some pages of a hand, and those of its last pages by name."""
    pages = Counter(row.page for row in rows)
    held: set[str] = set()
    for page in sorted(pages, reverse=True):
        if sum(pages[name] for name in held) >= TEST_SHARE * len(rows):
            break
        held.add(page)
    return [row for row in rows if row.page not in held], [row for row in rows if row.page in held]


if __name__ == "__main__":
    try:
        main()
    except HtrjandError as problem:
        raise SystemExit(f"adaptation: {problem}") from problem
