"""Writes imported lines to one Parquet file, in two passes, so that memory does not grow with their number.

The first pass writes a temporary file as lines come, with empty splits where the layout has none. Once all documents
are known, the second one copies it with a split for each document. The output appears only when it is complete.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory

import pyarrow as pa
import pyarrow.parquet as pq

from ....runtime.errors import HtrjandError
from ....runtime.files import atomic_path
from ..lines import ROW_GROUP, SCHEMA, SPLITS, LineRow, to_table
from . import Found, Skipped
from .splits import deal

LISTED = 100_000  # skipped lines that a report lists at most

Unit = tuple[str, str, str]  # dataset, document, page


@dataclass
class Outcome:
    """What an import wrote and what it skipped."""

    splits: Counter[str] = field(default_factory=Counter)  # split → lines
    skipped: Counter[str] = field(default_factory=Counter)  # reason → lines
    examples: dict[str, str] = field(default_factory=dict)  # reason → where it occurred first
    skips: list[Skipped] = field(default_factory=list)  # the first `LISTED`
    units: Counter[Unit] = field(default_factory=Counter)  # number of lines without a split from the layout
    dealt: str = ""  # how those were assigned to splits; empty where the layout gives all splits

    @property
    def line_count(self) -> int:
        """How many lines were written."""
        return sum(self.splits.values())

    def skip(self, skipped: Skipped) -> None:
        """Counts one that was skipped."""
        self.skipped[skipped.reason] += 1
        self.examples.setdefault(skipped.reason, skipped.where)
        if len(self.skips) < LISTED:
            self.skips.append(skipped)

    def as_dict(self, **more: object) -> dict[str, object]:
        """The report as plain values."""
        counts = {
            "lines": self.line_count,
            "splits": dict(self.splits),
            "skipped": dict(self.skipped),
            "dealt": self.dealt,
        }
        skips = [{"where": skipped.where, "reason": skipped.reason} for skipped in self.skips]
        return more | counts | {"skips": skips}


def import_file(found: Iterable[Found], output: Path, val_share: float = 0.1, test_share: float = 0.0) -> Outcome:
    """Writes the lines of `import_lines` to a Parquet file, which appears only when it is complete.

    Args:
        found: lines, and what was skipped.
        output: the Parquet file.
        val_share: share of the lines without a split that become validation lines; documents are never divided.
        test_share: the same for test lines.

    Raises:
        HtrjandError: no line could be used; nothing is written.
    """
    outcome = Outcome()
    with atomic_path(output) as part, TemporaryDirectory(prefix=".import-", dir=part.parent) as folder:
        first = Path(folder) / "lines.parquet"
        with writer(first) as target:
            rows = kept(found, outcome)
            while group := list(islice(rows, ROW_GROUP)):
                target.write_table(to_table(group))
        if not outcome.line_count:
            raise HtrjandError(f"{output}: not written, for no line could be used ({reasons(outcome)})")
        if outcome.units:
            splits = splits_of_units(outcome, val_share, test_share)
            copy(first, part, splits)
            outcome.splits.update({split: count_of(outcome, splits, split) for split in SPLITS})
            del outcome.splits[""]
            outcome.splits += Counter()  # removes splits of no line
        else:
            first.replace(part)
    return outcome


def kept(found: Iterable[Found], outcome: Outcome) -> Iterator[LineRow]:
    """Yields the lines, and counts everything in `outcome`."""
    for each in found:
        if isinstance(each, Skipped):
            outcome.skip(each)
            continue
        outcome.splits[each.split] += 1
        if not each.split:
            outcome.units[each.dataset, each.doc, each.page] += 1
        yield each


@contextmanager
def writer(path: Path) -> Iterator[pq.ParquetWriter]:
    """A Parquet file to add row groups to. Images are stored as they are, since they are compressed."""
    texts = [name for name in SCHEMA.names if name != "image"]
    compression = dict.fromkeys(texts, "zstd") | {"image": "none"}
    with pq.ParquetWriter(path, SCHEMA, compression=compression, use_dictionary=texts) as target:
        yield target


def splits_of_units(outcome: Outcome, val_share: float, test_share: float) -> dict[Unit, str]:
    """Unit → split: by document, or by page if there is only one document; a single page goes to train."""
    documents: Counter[str] = Counter()
    pages: Counter[str] = Counter()
    for (dataset, doc, page), lines in outcome.units.items():
        documents[f"{dataset}\n{doc}"] += lines
        pages[f"{dataset}\n{doc}\n{page}"] += lines
    by_page = len(documents) == 1
    splits = deal(pages if by_page else documents, val_share, test_share)
    if not by_page:
        outcome.dealt = "by document"
    elif len(pages) > 1:
        outcome.dealt = "by page, for there is one document"
    else:
        outcome.dealt = "all to train, for there is one page of one document"
    return {
        unit: splits["\n".join(unit if by_page else unit[:2])]
        for unit in outcome.units
    }  # fmt: skip


def count_of(outcome: Outcome, splits: dict[Unit, str], split: str) -> int:
    """How many lines were assigned to a split."""
    return sum(lines for unit, lines in outcome.units.items() if splits[unit] == split)


def copy(first: Path, part: Path, splits: dict[Unit, str]) -> None:
    """The same lines with their splits filled in."""
    with pq.ParquetFile(first) as file, writer(part) as target:
        for group in range(file.num_row_groups):
            table = file.read_row_group(group)
            given, *unit = (table.column(name).to_pylist() for name in ("split", "dataset", "doc", "page"))
            filled = [split or splits[unit] for split, unit in zip(given, zip(*unit, strict=True), strict=True)]
            place = table.schema.get_field_index("split")
            target.write_table(table.set_column(place, SCHEMA.field("split"), pa.array(filled, pa.string())))


def reasons(outcome: Outcome) -> str:
    """The most frequent reasons for skipped lines, with their counts."""
    counted = [f"{reason}: {count}" for reason, count in outcome.skipped.most_common(4)]
    return "; ".join(counted) or "there is none; check the path and the format"
