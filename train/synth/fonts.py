"""The hands: which font files are drawn from, and for which split. `fonts.tsv` lists those we know, with licences.

`python -m htrjand.train.synth.fonts` prints the npm packages of the list for `make fonts`; with `debian`, Debian's.
"""

from __future__ import annotations

import csv
import hashlib
import sys
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path

from ...runtime.errors import HtrjandError

SUFFIXES = {".ttf", ".otf", ".woff", ".pfb"}
DEMO = "demo"  # the use of the bundled sample's test hands: training on them would void the sample's figures


@dataclass(frozen=True)
class Listed:
    """A row of fonts.tsv. `use` is train, val, test or demo; `languages` those whose letters are all there."""

    hand: str
    file: str
    package: str
    version: str
    licence: str
    languages: str
    use: str


@dataclass(frozen=True)
class Hand:
    """A font file to draw with, and the split its lines go to."""

    name: str
    path: str
    split: str


@cache
def listed() -> dict[str, Listed]:
    """The list of hands: file name -> row."""
    text = (files(__package__) / "fonts.tsv").read_text(encoding="utf-8")
    rows = csv.DictReader(text.splitlines(), delimiter="\t", quoting=csv.QUOTE_NONE)
    return {row["file"]: Listed(**row) for row in rows}


def find_hands(folder: Path) -> tuple[list[Hand], dict[str, int]]:
    """The hands of a folder of fonts, at any depth, by name; and how many files were left out for which reason.

    Fonts that are not in the list are taken too, by the name of their file: nine in ten of them for training.

    Raises:
        HtrjandError: there is no such folder, or no font in it.
    """
    if not folder.is_dir():
        raise HtrjandError(f"{folder}: no such folder; `make fonts` fetches fonts into build/fonts")
    hands: dict[str, Hand] = {}
    skipped = {"test hand of the bundled sample": 0, "another weight or script of a family": 0}
    for path in sorted(folder.rglob("*")):
        if path.suffix.lower() not in SUFFIXES:
            continue
        known = listed().get(path.name)
        if known is None and "@fontsource" in path.parts and not path.name.endswith("-latin-400-normal.woff"):
            skipped["another weight or script of a family"] += 1
        elif known is not None and known.use == DEMO:
            skipped["test hand of the bundled sample"] += 1
        else:
            name = known.hand if known else path.stem.removesuffix("-latin-400-normal")
            use = known.use if known else split_of(name)
            hands.setdefault(name, Hand(name, str(path), use))
    if not hands:
        raise HtrjandError(f"{folder}: no font in it (ttf, otf, woff); `make fonts` fetches some into build/fonts")
    return [hands[name] for name in sorted(hands)], {reason: count for reason, count in skipped.items() if count}


def split_of(name: str) -> str:
    """The split of a hand that is in no list: by its name alone, so that it is the same in every run."""
    place = int.from_bytes(hashlib.sha256(name.encode()).digest()[:4], "big") % 100
    return "train" if place < 90 else "val" if place < 95 else "test"


def packages(debian: bool) -> list[str]:
    """The packages of the list: npm's with their versions, or Debian's."""
    rows = listed().values()
    if debian:
        return sorted({row.package for row in rows if not row.package.startswith("@")})
    return sorted({f"{row.package}@{row.version}" for row in rows if row.package.startswith("@")})


if __name__ == "__main__":
    print(*packages(debian=sys.argv[1:] == ["debian"]))
