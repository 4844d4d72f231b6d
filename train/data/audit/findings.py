"""The findings of an audit, as plain values for its report."""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from ..lines import SPLITS

RARE = 5  # occurrences in train: a character with fewer is hardly learnt
SHARED = 0.5  # share of its text found in train from which a line or a document is listed
BROKEN = ("image does not decode", "width or height is not the image's", "lacks a value or has no size")

Report = dict[str, Any]
Counts = npt.NDArray[np.int64]


@dataclass(slots=True)
class AuditedLine:
    """What an audit keeps of one line: its names, width and the shape of its image."""

    dataset: str
    split: str
    doc: str
    id: str
    width: int = 0  # at 64 px high
    shape: npt.NDArray[np.float16] | None = None  # near.shape

    def name(self) -> dict[str, str]:
        """The line's entry in a report."""
        return {"dataset": self.dataset, "split": self.split, "doc": self.doc, "id": self.id}


@dataclass(slots=True)
class Tally:
    """Counts of one split of one dataset."""

    line_count: int = 0
    docs: set[str] = field(default_factory=set)
    pages: set[tuple[str, str, str]] = field(default_factory=set)
    width: int = 0  # summed over the lines, at 64 px high
    frames: list[float] = field(default_factory=list)  # frames for each character, of every line with text
    chars: Counter[str] = field(default_factory=Counter)  # of the normalised texts


def find(
    lines: Sequence[AuditedLine],
    tallies: Mapping[tuple[str, str], Tally],
    raw: Counter[str],
    faults: Mapping[str, list[dict[str, str]]],
    grams: Counts,
    shared: Counts,
    same: Sequence[Sequence[AuditedLine]],
    unreadable: int,
) -> Report:
    """Builds the report.

    Args:
        lines: all lines.
        tallies: (dataset, split) -> its counts.
        raw: character counts of the texts in NFC, before quotes and dashes are folded.
        faults: reason -> lines with this fault.
        grams: number of 20-character-grams of each line; 0 for lines of train.
        shared: how many of them also occur in train.
        same: groups of lines whose images are nearly the same.
        unreadable: how many files could not be read.
    """
    documents = shared_documents(lines)
    several = [group for group in same if len({line.split for line in group}) > 1]
    drop = to_drop(several)
    broken = [row for reason in BROKEN for row in faults.get(reason, ())]
    narrow = Counter((row["dataset"], row["split"]) for row in faults.get("more text than frames", ()))
    in_train = shares(((line.dataset, line.split) for line in lines), grams, shared)
    table = [
        describe(key, tally) | {"more text than frames": narrow[key], "text in train": in_train.get(key)}
        for key, tally in sorted(tallies.items(), key=lambda item: in_order(item[0]))
    ]
    return {
        "splits": table,
        "documents in several splits": documents,
        "images in several splits": [[line.name() for line in group] for group in several],
        "images repeated within a split": [[line.name() for line in group] for group in same if group not in several],
        "documents with their text in train": mostly_in_train(
            [(line.dataset, line.split, line.doc) for line in lines], grams, shared
        ),
        "lines with their text in train": mostly_in_train(
            [(line.dataset, line.split, line.doc, line.id) for line in lines], grams, shared
        ),
        "characters": characters(tallies, raw),
        "repeated ids": repeated(lines),
        "faults": dict(faults),
        "drop": [line.name() for line in drop] + broken,
        "voids": list(voids(documents, several, drop, len(broken), unreadable)),
    }


def in_order(key: tuple[str, str]) -> tuple[str, int, str]:
    """Sort key: by dataset; then train, val, test, any other split."""
    dataset, split = key
    return dataset, SPLITS.index(split) if split in SPLITS else len(SPLITS), split


def describe(key: tuple[str, str], tally: Tally) -> Report:
    """The counts of one split of one dataset."""
    p1, p50, p99 = np.percentile(tally.frames, [1, 50, 99]).round(2).tolist() if tally.frames else (None, None, None)
    return {
        "dataset": key[0],
        "split": key[1],
        "lines": tally.line_count,
        "documents": len(tally.docs),
        "pages": len(tally.pages),
        "characters": tally.chars.total(),
        "mean width": round(tally.width / tally.line_count),
        "frames a character": {"p1": p1, "p50": p50, "p99": p99},
    }


def shared_documents(lines: Iterable[AuditedLine]) -> list[Report]:
    """Documents with lines in several splits."""
    splits: dict[tuple[str, str], Counter[str]] = {}
    for line in lines:
        splits.setdefault((line.dataset, line.doc), Counter())[line.split] += 1
    return [
        {"dataset": dataset, "doc": doc, "lines": dict(counts)}
        for (dataset, doc), counts in sorted(splits.items())
        if len(counts) > 1
    ]


def totals(keys: Iterable[tuple[str, ...]], grams: Counts, shared: Counts) -> dict[tuple[str, ...], tuple[int, int]]:
    """Key -> number of grams of all its lines, and how many of them occur in train."""
    sums: dict[tuple[str, ...], tuple[int, int]] = {}
    for key, n, k in zip(keys, grams.tolist(), shared.tolist(), strict=True):
        before = sums.get(key, (0, 0))
        sums[key] = before[0] + n, before[1] + k
    return sums


def shares(keys: Iterable[tuple[str, ...]], grams: Counts, shared: Counts) -> dict[tuple[str, ...], float]:
    """Key -> share of its grams that occur in train, for keys with any gram."""
    return {key: round(k / n, 4) for key, (n, k) in totals(keys, grams, shared).items() if n}


def mostly_in_train(keys: Iterable[tuple[str, ...]], grams: Counts, shared: Counts) -> list[Report]:
    """The keys (dataset, split, doc, id) at least half of whose text occurs in train, longest text first."""
    found = [(key, n, k) for key, (n, k) in totals(keys, grams, shared).items() if n and k >= SHARED * n]
    return [
        dict(zip(("dataset", "split", "doc", "id"), key, strict=False)) | {"share": round(k / n, 4), "grams": n}
        for key, n, k in sorted(found, key=lambda row: (-row[2], row[0]))
    ]


def characters(tallies: Mapping[tuple[str, str], Tally], raw: Counter[str]) -> Report:
    """Character counts of the normalised texts of train, and unusual characters."""
    train: Counter[str] = Counter()
    others: dict[str, Counter[str]] = {}  # character -> "dataset split" -> count
    for (dataset, split), tally in tallies.items():
        if split == "train":
            train.update(tally.chars)
        else:
            for char, n in tally.chars.items():
                others.setdefault(char, Counter())[f"{dataset} {split}"] += n
    return {
        "train": dict(train.most_common()),
        "rare in train": {char: n for char, n in train.most_common() if n < RARE},
        "not in train": {char: dict(where) for char, where in sorted(others.items()) if char not in train},
        "combining": {char: n for char, n in raw.most_common() if unicodedata.category(char).startswith("M")},
        "control": {char: n for char, n in raw.most_common() if unicodedata.category(char).startswith("C")},
    }


def repeated(lines: Iterable[AuditedLine]) -> list[Report]:
    """Ids that occur more than once in their dataset."""
    counts = Counter((line.dataset, line.id) for line in lines)
    return [{"dataset": dataset, "id": name, "lines": n} for (dataset, name), n in sorted(counts.items()) if n > 1]


def to_drop(images: Iterable[Sequence[AuditedLine]]) -> list[AuditedLine]:
    """The lines to remove so that no image is in two splits: each image stays in test, or else in val."""
    drop = []
    for group in images:
        keeps = max((line.split for line in group), key=lambda split: in_order(("", split)))
        drop += [line for line in group if line.split != keeps]
    return drop


def voids(
    documents: Sequence[Report], images: Sequence[object], drop: Sequence[AuditedLine], broken: int, unreadable: int
) -> Iterator[str]:
    """The findings that void an evaluation, each with its remedy."""
    if documents:
        yield f"{many(len(documents), 'document')} in several splits: put all lines of a document into one"
    if images:
        splits = Counter(line.split for line in drop)
        where = " and ".join(f"{n:,} of {split}" for split, n in splits.items())
        yield f"{many(len(images), 'image')} in several splits: drop {where} ('drop' in the JSON report)"
    if broken:
        yield f"{many(broken, 'broken line')}: drop or write again"
    if unreadable:
        yield f"{many(unreadable, 'unreadable file')}: write or copy again"


def many(count: int, noun: str) -> str:
    """A count with its noun in the singular or plural."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"
