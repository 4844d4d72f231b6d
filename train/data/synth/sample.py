"""Draws the bundled sample of handwriting from font files: `python -m htrjand.train.data.synth.sample FONTS FOLDER`.

FOLDER holds `texts.tsv` (split, language, text); FONTS is a folder in which the WOFF files of `HANDS` are found at any
depth. It writes `sample.parquet`, `lines/` with some test lines and their texts, and `page.png` with its text. Without
folders it prints the npm packages that hold the fonts.
"""

from __future__ import annotations

import csv
import io
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from ....runtime.errors import HtrjandError, UsageError
from ....runtime.files import atomic_path
from ....runtime.text import normalize
from ..lines import LineRow, write_lines
from . import clouds, render_line

SEED = 1924
FONTSOURCE = "5.3.0"  # version of the @fontsource packages that the sample was drawn from
LINES = 12  # test lines that are also written as files in lines/, and make up the page

# The hands of each split, each for a block of lines. A hand counts as a document, and is never in two splits.
HANDS = {
    "train": ("bad-script", "caveat", "kalam", "marck-script", "over-the-rainbow", "patrick-hand"),
    "test": (
        "cedarville-cursive",
        "homemade-apple",
        "indie-flower",
        "la-belle-aurore",
        "nothing-you-could-do",
        "reenie-beanie",
        "shadows-into-light",
        "zeyada",
    ),
}


def make_sample(fonts: Path, folder: Path) -> None:
    """Draws every line of `folder/texts.tsv` and writes the sample beside it.

    Raises:
        HtrjandError: a font or the texts are missing.
    """
    rows = list(sample_rows(fonts, folder / "texts.tsv"))
    with atomic_path(folder / "sample.parquet") as part:
        write_lines(part, rows)
    test = [row for row in rows if row.split == "test"]
    shown = [test[number * len(test) // LINES] for number in range(LINES)]  # every hand is among them
    for number, row in enumerate(shown, 1):
        with atomic_path(folder / "lines" / f"{number:02}.png") as part:
            Image.fromarray(row.pixels()).save(part, optimize=True)
        with atomic_path(folder / "lines" / f"{number:02}.gt.txt") as part:
            part.write_text(f"{row.text}\n", encoding="utf-8")
    with atomic_path(folder / "page.png") as part:
        page([row.pixels() for row in shown]).quantize(24).save(part, optimize=True)
    with atomic_path(folder / "page.gt.txt") as part:
        part.write_text("".join(f"{row.text}\n" for row in shown), encoding="utf-8")


def sample_rows(fonts: Path, texts: Path) -> list[LineRow]:
    """The drawn lines as rows of the line contract; their images are lossy WebP, as scans are."""
    try:
        with texts.open(encoding="utf-8", newline="") as stream:
            entries = list(csv.reader(stream, delimiter="\t", quoting=csv.QUOTE_NONE))
    except OSError as error:
        raise HtrjandError(f"{texts}: cannot be read ({error.strerror}); give the folder that holds it") from error
    rows: list[LineRow] = []
    for split, hands in HANDS.items():
        chosen = [(language, normalize(text)) for name, language, text in entries if name == split]
        for number, (language, text) in enumerate(chosen):
            hand = hands[number * len(hands) // len(chosen)]
            pixels = render_line(text, find_font(fonts, hand), np.random.default_rng([SEED, len(rows)]))
            encoded = io.BytesIO()
            Image.fromarray(pixels).save(encoded, "WEBP", quality=70, method=6)
            name = f"{split}-{number + 1:02}"
            height, width = pixels.shape
            rows.append(LineRow(name, "sample", hand, hand, split, language, text, encoded.getvalue(), width, height))
    return rows


def find_font(fonts: Path, hand: str) -> Path:
    """The upright Latin WOFF file of a hand."""
    found = sorted(fonts.rglob(f"{hand}-latin-400-normal.woff"))
    if not found:
        raise HtrjandError(f"{fonts}: no {hand}-latin-400-normal.woff in it; install @fontsource/{hand} there")
    return found[0]


def page(lines: Sequence[np.ndarray]) -> Image.Image:
    """A page image: lines [64, W] below each other on one sheet, without their own paper."""
    step, margin = 92, 48
    height, width = step * len(lines) + 2 * margin - 28, max(line.shape[1] for line in lines) + 2 * margin
    sheet = 240 + 2.0 * clouds(np.random.default_rng(SEED), (height, width), 200)  # H, W
    for number, line in enumerate(lines):
        paper = 0.95 * np.percentile(line, 60)
        top = margin + number * step
        sheet[top : top + line.shape[0], margin : margin + line.shape[1]] *= np.clip(line / paper, 0, 1)
    return Image.fromarray(np.clip(sheet, 0, 255).astype(np.uint8))


def main(arguments: Sequence[str]) -> None:
    if not arguments:
        print(*(f"@fontsource/{hand}@{FONTSOURCE}" for hands in HANDS.values() for hand in hands))
    elif len(arguments) == 2:
        make_sample(Path(arguments[0]), Path(arguments[1]))
    else:
        raise UsageError("two folders are needed: the fonts, and the sample with its texts.tsv")


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except HtrjandError as problem:
        print(f"sample: {problem}", file=sys.stderr)
        sys.exit(problem.exit_status)
