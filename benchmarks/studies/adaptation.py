"""What some lines of one hand are worth: the CER on that hand before and after weights are adapted to it.

    python -m htrjand.benchmarks.studies.adaptation -i lines/modern-roman.parquet --doc bnf-ms-dupuy-63 -o OUT

Takes one document (the largest, unless `--doc` names one), keeps some of its pages for the test, and adapts with 50,
100 and 200 lines drawn from the others. Nothing is chosen on the test pages: a fifth of the drawn lines is held out for
that.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from ...train.data.lines import LineRow

TEST_SHARE = 0.3  # of the document's lines, at least: whole pages


@click.command()
@click.option("-i", "--input", "lines", type=click.Path(path_type=Path), required=True, help="A Parquet file of lines.")
@click.option("-o", "--output", type=click.Path(path_type=Path), required=True, help="A folder.")
@click.option("--doc", help="One hand. Default: the document with the most lines.")
@click.option("--from", "begin", default="student", show_default=True, help="Weights: a file, or released ones.")
@click.option("--count", "counts", type=click.IntRange(1), multiple=True, default=(50, 100, 200), show_default=True)
@click.option("--seed", type=int, default=1, show_default=True)
def main(lines: Path, output: Path, doc: str | None, begin: str, counts: tuple[int, ...], seed: int) -> None:
    """Print a table of CER on one hand before and after adaptation, and write it to OUTPUT/adaptation.json."""
    from dataclasses import replace

    from ...runtime.errors import UsageError
    from ...runtime.files import atomic_path
    from ...runtime.text import json_text
    from ...train.adapt import RECIPE, find_weights
    from ...train.checkpoint import load_card
    from ...train.data.lines import read_lines, spread, write_lines
    from ...train.fit import train
    from ...train.reader import open_weights, read_rows
    from ...train.recipe import TrainRecipe
    from ...train.recipe_loader import load_recipe

    weights = find_weights(begin)
    doc = doc or Counter(row.doc for row in read_lines(lines)).most_common(1)[0][0]
    pool, test = divide([row for row in read_lines(lines) if row.doc == doc])
    if not test or len(pool) < max(counts):
        raise UsageError(
            f"{lines}: {len(pool)} lines to adapt with and {len(test)} to test on in {doc!r}; ask for fewer"
        )
    known = {entry.partition(":")[0] for entry in load_card(weights).training_data}
    if known & {row.dataset for row in test}:
        raise UsageError(f"{lines}: {weights.name} was trained on lines of this dataset; take another")
    output.mkdir(parents=True, exist_ok=True)
    found = [{"lines": 0, "cer": read_rows(open_weights(weights), test).cer(), "lines_seen": 0}]
    recipe = load_recipe(TrainRecipe, RECIPE)
    for count in counts:
        drawn = output / f"{count}.parquet"
        with atomic_path(drawn) as part:
            write_lines(part, [replace(row, split="train") for row in spread(pool, count, seed)])
        changed = replace(
            recipe, begin=str(weights), network=load_card(weights).network, seed=seed,
            data=replace(recipe.data, files=(str(drawn.resolve()),)),
        )  # fmt: skip
        outcome = train(changed, RECIPE, output / f"run-{count}", log=lambda text: click.echo(text, err=True))
        cer = read_rows(open_weights(outcome.weights), test).cer()
        found.append({"lines": count, "cer": cer, "lines_seen": outcome.lines_seen})
    result = {"document": f"{lines.stem}: {doc}", "test_lines": len(test), "weights": weights.name, "rows": found}
    with atomic_path(output / "adaptation.json") as part:
        part.write_text(json_text(result, indent=1) + "\n", encoding="utf-8")
    click.echo(
        f"| lines of the hand | CER on its {len(test)} test lines, % | lines seen while adapting |\n|---:|---:|---:|"
    )
    for row in found:
        click.echo(f"| {row['lines']} | {row['cer']:.1f} | {row['lines_seen']} |")


def divide(rows: list[LineRow]) -> tuple[list[LineRow], list[LineRow]]:
    """The lines of some pages of a document, and those of its last pages by name."""
    pages = Counter(row.page for row in rows)
    held: set[str] = set()
    for page in sorted(pages, reverse=True):
        if sum(pages[name] for name in held) >= TEST_SHARE * len(rows):
            break
        held.add(page)
    return [row for row in rows if row.page not in held], [row for row in rows if row.page in held]


if __name__ == "__main__":
    from ...runtime.errors import HtrjandError

    try:
        main()
    except HtrjandError as problem:
        raise SystemExit(f"adaptation: {problem}") from problem
