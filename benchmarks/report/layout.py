"""A table of texts, laid out as Markdown or for a terminal."""

from __future__ import annotations

import shutil
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import zip_longest

from ...runtime.text import printable

HEADING = 12  # characters, where a column's heading is broken
GAP = "  "
WIDTH = 120


@dataclass(frozen=True)
class Table:
    """Cells as text: a header, rows, and how many columns at the left hold words."""

    header: list[str]
    rows: list[list[str]]
    words: int

    def of(self, columns: Sequence[int]) -> Table:
        """Some of its columns, those of words among them."""
        rows = [[row[column] for column in columns] for row in (self.header, *self.rows)]
        return Table(rows[0], rows[1:], self.words)


def markdown_rows(table: Table) -> list[str]:
    """The lines of a Markdown table; numbers stand at the right."""
    rule = ["---"] * table.words + ["---:"] * (len(table.header) - table.words)
    cells = [table.header, rule, *table.rows]
    return ["| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in cells]


def terminal_width() -> int:
    """Columns of the terminal, or a usual number where there is none."""
    return shutil.get_terminal_size((WIDTH, 0)).columns


def filled(text: str, indent: str = "") -> str:
    """A paragraph broken to the width of the terminal; its further lines are indented by `indent`."""
    return textwrap.fill(printable(text), terminal_width(), subsequent_indent=indent)


def terminal_rows(table: Table) -> list[str]:
    """The lines of a table for the terminal. One that is wider goes on below, with its words again."""
    width, widths = terminal_width(), column_widths(table)
    words = list(range(table.words))
    parts: list[list[int]] = [[]]
    for column in range(table.words, len(table.header)):
        taken = sum(widths[other] + len(GAP) for other in [*words, *parts[-1]])
        if taken + widths[column] > width and parts[-1]:
            parts.append([])
        parts[-1].append(column)
    blocks = [aligned(table.of([*words, *part])) for part in parts]
    return [line for block in blocks for line in ("", *block)][1:]


def aligned(table: Table) -> list[str]:
    """The lines of a table with columns of one width each, its header broken over lines."""
    heads = [textwrap.wrap(title, HEADING) for title in table.header]
    levels = [list(level) for level in zip_longest(*(reversed(lines) for lines in heads), fillvalue="")][::-1]
    widths = column_widths(table)
    rows = [*levels, ["-" * width for width in widths], *([printable(cell) for cell in row] for row in table.rows)]
    return [
        GAP.join(
            cell.ljust(width) if column < table.words else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]


def column_widths(table: Table) -> list[int]:
    """Characters of the widest cell of each column."""
    heads = [textwrap.wrap(title, HEADING) or [""] for title in table.header]
    return [
        max(len(cell) for cell in (*heads[column], *(printable(row[column]) for row in table.rows)))
        for column in range(len(table.header))
    ]
