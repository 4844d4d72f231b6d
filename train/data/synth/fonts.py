"""The hands: font files to draw with, and the split of each. `fonts.tsv` lists the known ones with their licences.

Fonts of print and of typewriters are in the same list, as hands of another style.

`python -m htrjand.train.data.synth.fonts` prints the npm packages of the list for `make fonts`; with `debian`, the
Debian packages.
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
class FontEntry:
    """A row of fonts.tsv.

    `use` is train, val, test or demo; `languages` are those whose letters the font has; `style` is one of STYLES.
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
    """A font file to draw with, the split of its lines, and its style."""

    name: str
    path: str
    split: str
    style: str


@cache
def listed() -> dict[str, FontEntry]:
    """The list of hands: file name -> row."""
    text = (files(__package__) / "fonts.tsv").read_text(encoding="utf-8")
    rows = csv.DictReader(text.splitlines(), delimiter="\t", quoting=csv.QUOTE_NONE)
    return {row["file"]: FontEntry(**row) for row in rows}


def find_hands(folder: Path, styles: Sequence[str] = STYLES[:1]) -> tuple[list[Hand], dict[str, int]]:
    """The hands in a folder of fonts, at any depth, by name; and reason -> number of files left out.

    Fonts that are not in the list are used too, named after their files: nine in ten of them for training. They count
    as the first of the styles.

    Raises:
        HtrjandError: there is no such folder, or it has no font of one of the styles.
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
        entry = listed().get(path.name)
        if entry is None and "@fontsource" in path.parts and not path.name.endswith("-latin-400-normal.woff"):
            skipped["another weight or script of a family"] += 1
        elif entry is not None and entry.use == DEMO:
            skipped["test hand of the bundled sample"] += 1
        elif entry is not None and entry.style not in styles:
            skipped["other style"] += 1
        else:
            name = entry.hand if entry else path.stem.removesuffix("-latin-400-normal")
            use, style = (entry.use, entry.style) if entry else (split_of(name), styles[0])
            hands.setdefault(name, Hand(name, str(path), use, style))
    for style in styles:
        if not any(hand.style == style for hand in hands.values()):
            raise HtrjandError(
                f"{folder}: no font for {style} in it (ttf, otf, woff); `make fonts` fetches some into build/fonts"
            )
    return [hands[name] for name in sorted(hands)], {reason: count for reason, count in skipped.items() if count}


def split_of(name: str) -> str:
    """The split of a hand that is not in the list: it depends on the name alone, so it is the same in every run."""
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
