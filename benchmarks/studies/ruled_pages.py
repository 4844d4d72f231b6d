"""Lines found on validation pages as they are, and with rules drawn on them: what ruled paper costs a line detector.

python -m htrjand.benchmarks.studies.ruled_pages runtime/models/htrjand-detector-int8.onnx
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import click
import numpy as np

from ...train.data.lines import data_dir
from ...train.page.augment import ruled
from ...train.page.measure import chosen_pages, score_pages, table
from ...train.page.pages import Page
from ...train.page.session import open_detector

DATASETS = ("copiste", "cremma-mss-19", "peraire", "poilus")
DRAWN = 3  # times that each page is ruled, each time otherwise


def with_rules(page: Page, seed: tuple[int, int]) -> Page:
    """The page on ruled paper, as training draws it: on a square as large as the page's longer side."""
    height, width = page.image.shape
    square = np.full((max(height, width),) * 2, 255, dtype=np.float32)
    square[:height, :width] = page.image
    drawn = ruled(square, page.shapes, np.random.default_rng(seed))
    return replace(page, image=np.clip(drawn[:height, :width], 0, 255).astype(np.uint8))


@click.command()
@click.argument("files", nargs=-1, required=True, type=click.Path(exists=True, path_type=Path))
def main(files: tuple[Path, ...]) -> None:
    """Print recall and precision of each detector, a model file or weights, on both kinds of pages."""
    pages = list(chosen_pages([data_dir() / "pagepacks"], "val", DATASETS))
    drawn = [with_rules(page, (number, index)) for number in range(DRAWN) for index, page in enumerate(pages)]
    for file in files:
        detect = open_detector(file).detect
        for name, chosen in (("as they are", pages), ("ruled", drawn)):
            click.echo(f"{file}, {len(chosen)} pages {name}\n{table(score_pages(detect, chosen))}")


if __name__ == "__main__":
    main()
