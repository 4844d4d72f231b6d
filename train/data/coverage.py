"""Which lines a charset covers: `python -m htrjand.train.data.coverage western -i lines/`.

Prints two Markdown tables: lines kept and left out of each dataset, and how many kept lines hold each character.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import click

from ...runtime.text import normalize
from .charset import CHARSETS
from .lines import SPLITS, LineRow, placed_lines
from .marks import without_marks

COLUMNS = 8  # characters side by side


@dataclass
class Coverage:
    """Counts of lines of one dataset: kept, left out for their marks, left out for characters outside the charset."""

    kept: int = 0
    marked: int = 0
    outside: int = 0
    missing: Counter[str] = field(default_factory=Counter)  # character outside the charset -> lines


def cover(rows: Iterable[LineRow], charset: Iterable[str]) -> tuple[dict[str, Coverage], Counter[str]]:
    """The coverage of each dataset, and for each character of the charset how many kept lines hold it."""
    known = frozenset(charset)
    found: dict[str, Coverage] = {}
    holding: Counter[str] = Counter()
    for row in rows:
        counts = found.setdefault(row.dataset, Coverage())
        text = without_marks(row.text)
        chars = set(normalize(text or ""))
        if text is None:
            counts.marked += 1
        elif not chars or not chars <= known:
            counts.outside += 1
            counts.missing.update(chars - known)
        else:
            counts.kept += 1
            holding.update(chars)
    return found, holding


def table(found: dict[str, Coverage]) -> list[str]:
    """Markdown rows: a dataset each, and their sum."""
    total = Coverage()
    for counts in found.values():
        total.kept, total.marked = total.kept + counts.kept, total.marked + counts.marked
        total.outside += counts.outside
        total.missing.update(counts.missing)
    rows = ["| dataset | kept | marked | outside | characters outside, with lines |", "|---|---:|---:|---:|---|"]
    for name, counts in [*sorted(found.items()), ("all", total)]:
        common = sorted(counts.missing.items(), key=lambda item: (-item[1], item[0]))[:10]
        missing = ", ".join(f"{visible(char)} {count}" for char, count in common)
        rows.append(f"| {name} | {counts.kept:,} | {counts.marked:,} | {counts.outside:,} | {missing} |")
    return rows


def characters(holding: Counter[str], charset: Iterable[str]) -> list[str]:
    """Markdown rows: each character of a charset with the number of lines that hold it, most frequent first."""
    chars = sorted(filter(None, charset), key=lambda char: -holding[char])
    cells = [f"{visible(char)} {holding[char]:,}" for char in chars]
    rows = [cells[at : at + COLUMNS] for at in range(0, len(cells), COLUMNS)]
    rows[-1] += [""] * (COLUMNS - len(rows[-1]))
    return ["|" + " |" * COLUMNS, "|" + "---|" * COLUMNS, *(f"| {' | '.join(row)} |" for row in rows)]


def visible(char: str) -> str:
    """A character as Markdown shows it."""
    return "space" if char == " " else f"`{char}`" if char != "|" else "`\\|`"


@click.command()
@click.argument("name", type=click.Choice(sorted(CHARSETS)))
@click.option("-i", "--input", "files", multiple=True, required=True, type=click.Path(path_type=Path))
@click.option("--split", type=click.Choice(SPLITS), default="train", show_default=True)
@click.option("--exclude", multiple=True, help="A dataset to leave out. Repeatable.")
def main(name: str, files: tuple[Path, ...], split: str, exclude: tuple[str, ...]) -> None:
    """Print which lines a charset keeps, without editorial marks, and how many hold each of its characters."""
    rows = (row for row, _ in placed_lines(files, split, exclude=exclude, images=False))
    found, holding = cover(rows, CHARSETS[name])
    click.echo("\n".join([*table(found), "", *characters(holding, CHARSETS[name])]))


if __name__ == "__main__":
    main()
