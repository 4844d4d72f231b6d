"""The report of an audit as text: a table, each finding with a few examples, and what to do about them."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from .findings import RARE, Report, many

EXAMPLES = 5  # shown of each finding; the JSON report has all
HEADS = ("dataset", "split", "lines", "docs", "pages", "chars", "width", "frames/char", "too narrow", "text in train")


def as_text(report: Report) -> str:
    """The report as aligned lines of text."""
    return "\n".join(sections(report)) + "\n"


def sections(report: Report) -> Iterator[str]:
    """The rows of the report; findings without examples are left out."""
    yield from table(report["splits"])
    yield ""
    yield "width: mean, at 64 px high.  frames/char: p1 p50 p99.  too narrow: lines with more text than frames."
    yield "text in train: share of the text of val and test, in stretches of 20 characters, that also stands in train."

    yield from listed("unreadable files", report["unreadable files"])
    yield from listed(
        "documents in several splits",
        (f"{doc['dataset']}  {doc['doc']}  {counts(doc['lines'])}" for doc in report["documents in several splits"]),
    )
    yield from listed("images in several splits", map(group, report["images in several splits"]))
    yield from listed("images repeated within a split", map(group, report["images repeated within a split"]))
    for what in ("documents", "lines"):
        title = f"{what} with their text in train"
        yield from listed(f"{title} (half of it or more)", map(share_and_name, report[title]))
    for reason, faulty in report["faults"].items():
        yield from listed(reason, map(line_name, faulty))
    yield from listed(
        "repeated ids",
        (f"{row['dataset']}  {row['id']}  {many(row['lines'], 'line')}" for row in report["repeated ids"]),
    )
    yield from charset(report["characters"])

    yield ""
    if not report["images looked at"]:
        yield "The images were not looked at."
    if not report["voids"]:
        yield f"Clean: {many(report['lines'], 'line')}, and nothing that voids an evaluation."
    else:
        yield "These void an evaluation:"
        yield from (f"- {sentence}" for sentence in report["voids"])


def table(rows: Sequence[Report]) -> Iterator[str]:
    """One row for each split of each dataset, the columns aligned."""
    cells = [HEADS, *map(row_cells, rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    for row in cells:
        padded = [
            cell.ljust(n) if i < 2 else cell.rjust(n) for i, (cell, n) in enumerate(zip(row, widths, strict=True))
        ]
        yield "  ".join(padded).rstrip()


def row_cells(row: Report) -> tuple[str, ...]:
    """The cells of one row of the table."""
    frames = [f"{value:.1f}" for value in row["frames a character"].values() if value is not None]
    numbers = (f"{row[name]:,}" for name in ("lines", "documents", "pages", "characters", "mean width"))
    share = "" if row["text in train"] is None else percent(row["text in train"])
    return (row["dataset"], row["split"], *numbers, " ".join(frames), f"{row['more text than frames']:,}", share)


def listed(title: str, items: Iterable[str]) -> Iterator[str]:
    """The title of a finding with its count, then the first examples."""
    items = list(items)
    if items:
        yield f"\n{title}: {len(items):,}"
        yield from (f"  {item}" for item in items[:EXAMPLES])
        if len(items) > EXAMPLES:
            yield f"  … and {len(items) - EXAMPLES:,} more"


def charset(found: Mapping[str, Any]) -> Iterator[str]:
    """The characters of train, and every unusual one by its name."""
    train = found["train"]
    yield f"\ncharacters of train, the commonest first: {len(train)}"
    yield f"  {''.join(visible(char) for char in train)}"
    yield from listed(f"rare in train (fewer than {RARE} times)", named(found["rare in train"]))
    missing = found["not in train"]
    yield from listed("characters not in train", (f"{name(char)}  {counts(missing[char])}" for char in missing))
    yield from listed("combining marks that NFC leaves", named(found["combining"]))
    yield from listed("control and invisible characters", named(found["control"]))


def named(chars: Mapping[str, int]) -> Iterator[str]:
    """Characters by their names, with counts."""
    return (f"{name(char)}  {n:,}" for char, n in chars.items())


def name(char: str) -> str:
    """A character, its code point and its name."""
    return f"{visible(char)}  U+{ord(char):04X} {unicodedata.name(char, '')}".rstrip()


def visible(char: str) -> str:
    """The character itself: a combining one on a dotted circle, a control character as �."""
    category = unicodedata.category(char)[0]
    return f"◌{char}" if category == "M" else "�" if category == "C" else char


def group(lines: Sequence[Report]) -> str:
    """The lines of one image, the first three by name."""
    more = f"  … {len(lines) - 3} more" if len(lines) > 3 else ""
    return "  =  ".join(map(line_name, lines[:3])) + more


def share_and_name(row: Report) -> str:
    """A line or a document, after the share of its text that occurs in train."""
    return f"{percent(row['share']):>5}  {line_name(row)}"


def line_name(row: Report) -> str:
    """Dataset, split and id of a line, or name of a document."""
    return f"{row['dataset']} {row['split']}  {row.get('id', row['doc'])}"


def counts(of: Mapping[str, int]) -> str:
    return ", ".join(f"{n:,} in {what}" for what, n in of.items())


def percent(share: float) -> str:
    return f"{100 * share:.1f} %"
