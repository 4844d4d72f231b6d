"""The hands: which font files are drawn from, and for which split. `fonts.tsv` lists those we know, with licences.

Faces of print and of typewriters stand in the same list and are treated as hands of another style.

`python -m htrjand.train.data.synth.fonts` prints the npm packages of the list for `make fonts`; with `debian`, those of
Debian.
"""

from __future__ import annotations

import csv
import hashlib
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path

from ....runtime.errors import HtrjandError

SUFFIXES = {".ttf", ".otf", ".woff", ".pfb"}
STYLES = ("hand", "print", "typewriter")
DEMO = "demo"  # the use of the bundled sample's test hands: training on them would void the sample's figures


@dataclass(frozen=True)
class Listed:
    """A row of fonts.tsv.

    `use` is train, val, test or demo; `languages` those whose letters are all there; `style` one of STYLES.
    """

    hand: str
    file: str
    package: str
    version: str
    licence: str
    languages: str
    use: str
    style: str


@dataclass(frozen=True)
class Hand:
    """A font file to draw with, the split its lines go to, and its style."""

    name: str
    path: str
    split: str
    style: str


@cache
def listed() -> dict[str, Listed]:
    """The list of hands: file name -> row."""
    text = (files(__package__) / "fonts.tsv").read_text(encoding="utf-8")
    rows = csv.DictReader(text.splitlines(), delimiter="\t", quoting=csv.QUOTE_NONE)
    return {row["file"]: Listed(**row) for row in rows}


def find_hands(folder: Path, styles: Sequence[str] = STYLES[:1]) -> tuple[list[Hand], dict[str, int]]:
    """The hands of a folder of fonts, at any depth, by name; and how many files were left out for which reason.

    Fonts that are not in the list are taken too, by the name of their file: nine in ten of them for training. They
    are of the first style asked for.

    Raises:
        HtrjandError: there is no such folder, or no font of a style in it.
    """
    if not folder.is_dir():
        raise HtrjandError(f"{folder}: no such folder; `make fonts` fetches fonts into build/fonts")
    hands: dict[str, Hand] = {}
    skipped = {
        reason: 0
        for reason in ("test hand of the bundled sample", "another weight or script of a family", "other style")
    }
    for path in sorted(folder.rglob("*")):
        if path.suffix.lower() not in SUFFIXES:
            continue
        known = listed().get(path.name)
        if known is None and "@fontsource" in path.parts and not path.name.endswith("-latin-400-normal.woff"):
            skipped["another weight or script of a family"] += 1
        elif known is not None and known.use == DEMO:
            skipped["test hand of the bundled sample"] += 1
        elif known is not None and known.style not in styles:
            skipped["other style"] += 1
        else:
            name = known.hand if known else path.stem.removesuffix("-latin-400-normal")
            use, style = (known.use, known.style) if known else (split_of(name), styles[0])
            hands.setdefault(name, Hand(name, str(path), use, style))
    for style in styles:
        if not any(hand.style == style for hand in hands.values()):
            raise HtrjandError(
                f"{folder}: no font for {style} in it (ttf, otf, woff); `make fonts` fetches some into build/fonts"
            )
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
