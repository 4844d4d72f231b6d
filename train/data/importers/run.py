"""What an importer found, written to one Parquet file in two passes, so that memory does not grow with the lines.

First the lines as they come, with empty splits where the layout tells none, beside the output; then, once all documents
are known, the same bytes again with each document dealt out. The output appears when it is whole.
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

LISTED = 100_000  # skips that are kept for a report

Unit = tuple[str, str, str]  # dataset, document, page


@dataclass
class Outcome:
    """What an import wrote and what it left out."""

    splits: Counter[str] = field(default_factory=Counter)  # split → lines
    skipped: Counter[str] = field(default_factory=Counter)  # reason → lines
    examples: dict[str, str] = field(default_factory=dict)  # reason → the first place
    skips: list[Skipped] = field(default_factory=list)  # the first `LISTED`
    units: Counter[Unit] = field(default_factory=Counter)  # lines that the layout tells no split for
    dealt: str = ""  # how those were dealt out; empty where the layout told all splits

    @property
    def lines(self) -> int:
        """Lines written."""
        return sum(self.splits.values())

    def skip(self, skipped: Skipped) -> None:
        """Counts what was left out."""
        self.skipped[skipped.reason] += 1
        self.examples.setdefault(skipped.reason, skipped.where)
        if len(self.skips) < LISTED:
            self.skips.append(skipped)

    def as_dict(self, **more: object) -> dict[str, object]:
        """The report as plain values."""
        counts = {"lines": self.lines, "splits": dict(self.splits), "skipped": dict(self.skipped), "dealt": self.dealt}
        skips = [{"where": skipped.where, "reason": skipped.reason} for skipped in self.skips]
        return more | counts | {"skips": skips}


def import_file(found: Iterable[Found], output: Path, val_share: float = 0.1, test_share: float = 0.0) -> Outcome:
    """Writes the lines of `import_lines` to a Parquet file, which is there only when it is whole.

    Args:
        found: lines and what was left out.
        output: the Parquet file.
        val_share: of the lines that the layout tells no split for; documents are never cut.
        test_share: the same.

    Raises:
        HtrjandError: there is not one line; nothing is written.
    """
    outcome = Outcome()
    with atomic_path(output) as part, TemporaryDirectory(prefix=".import-", dir=part.parent) as folder:
        first = Path(folder) / "lines.parquet"
        with writer(first) as target:
            rows = kept(found, outcome)
            while group := list(islice(rows, ROW_GROUP)):
                target.write_table(to_table(group))
        if not outcome.lines:
            raise HtrjandError(f"{output}: not written, for no line could be used ({reasons(outcome)})")
        if outcome.units:
            splits = deal_out(outcome, val_share, test_share)
            copy(first, part, splits)
            outcome.splits.update({split: count_of(outcome, splits, split) for split in SPLITS})
            del outcome.splits[""]
            outcome.splits += Counter()  # leaves out those of nothing
        else:
            first.replace(part)
    return outcome


def kept(found: Iterable[Found], outcome: Outcome) -> Iterator[LineRow]:
    """The lines alone; everything is counted."""
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
    """A Parquet file to add row groups to. Images are compressed already."""
    texts = [name for name in SCHEMA.names if name != "image"]
    compression = dict.fromkeys(texts, "zstd") | {"image": "none"}
    with pq.ParquetWriter(path, SCHEMA, compression=compression, use_dictionary=texts) as target:
        yield target


def deal_out(outcome: Outcome, val_share: float, test_share: float) -> dict[Unit, str]:
    """Unit → split. By document; by page where there is one document; all to train where there is one page."""
    documents: Counter[str] = Counter()
    pages: Counter[str] = Counter()
    for (dataset, doc, page), lines in outcome.units.items():
        documents[f"{dataset}\n{doc}"] += lines
        pages[f"{dataset}\n{doc}\n{page}"] += lines
    by_page = len(documents) == 1
    dealt = deal(pages if by_page else documents, val_share, test_share)
    if not by_page:
        outcome.dealt = "by document"
    elif len(pages) > 1:
        outcome.dealt = "by page, for there is one document"
    else:
        outcome.dealt = "all to train, for there is one page of one document"
    return {
        unit: dealt["\n".join(unit if by_page else unit[:2])]
        for unit in outcome.units
    }  # fmt: skip


def count_of(outcome: Outcome, splits: dict[Unit, str], split: str) -> int:
    """Lines dealt to a split."""
    return sum(lines for unit, lines in outcome.units.items() if splits[unit] == split)


def copy(first: Path, part: Path, splits: dict[Unit, str]) -> None:
    """The same lines with their splits filled in."""
    with pq.ParquetFile(first) as file, writer(part) as target:
        for group in range(file.num_row_groups):
            table = file.read_row_group(group)
            told, *unit = (table.column(name).to_pylist() for name in ("split", "dataset", "doc", "page"))
            filled = [split or splits[unit] for split, unit in zip(told, zip(*unit, strict=True), strict=True)]
            place = table.schema.get_field_index("split")
            target.write_table(table.set_column(place, SCHEMA.field("split"), pa.array(filled, pa.string())))


def reasons(outcome: Outcome) -> str:
    """What was left out and why, in a few words."""
    counted = [f"{reason}: {count}" for reason, count in outcome.skipped.most_common(4)]
    return "; ".join(counted) or "there is none; check the path and the format"
