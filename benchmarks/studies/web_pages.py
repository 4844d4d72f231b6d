"""What the page of docs/examples/web reads of pages in a headless Chromium, beside what the package reads here.

    npm ci --ignore-scripts --prefix docs/examples/web
    node docs/examples/web/build.mjs build/examples/web
    python -m htrjand.benchmarks.studies.web_pages build/examples/web

Both read with the bundled ONNX files and the n-gram. `web.py` does the same with lines.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import click
import numpy as np
from PIL import Image

from ...runtime import HtrjandError, Recognizer, UsageError
from ...runtime.bundled import bundled_in
from ...runtime.page.detector import BUNDLED as DETECTOR
from ...runtime.page.detector import LineDetector
from ...runtime.recognizer import BUNDLED
from ...train.data.lines import SPLITS, data_dir
from .page_figures import StudyPage
from .page_text import PageErrors, TextLine, page_errors
from .pages import choose_pages
from .web import PATH, browse, browser, cer_of, exact_reader, exact_session


class Both(NamedTuple):
    """A page, read here and in the browser."""

    here: list[TextLine]
    there: list[TextLine]
    errors: tuple[PageErrors, PageErrors]


def reader_of_pages() -> Recognizer:
    """The bundled ONNX files, whose int8 sums do not saturate on any processor: as in the browser."""
    model, detector = bundled_in(BUNDLED, ".onnx"), bundled_in(DETECTOR, ".onnx")
    if model is None or detector is None:
        raise UsageError("the bundled ONNX files are missing: install htrjand again")
    reader = exact_reader(model)
    reader.detector = LineDetector.over(exact_session(detector))
    return reader


def compared(site: Path, pages: Sequence[StudyPage]) -> Iterator[Both]:
    """The lines of each page, here and in the browser, and both against what stands there."""
    reader = reader_of_pages()
    with tempfile.TemporaryDirectory() as folder:
        images = [Path(folder) / f"{number:04}.png" for number in range(len(pages))]
        for image, page in zip(images, pages, strict=True):
            Image.fromarray(page.image).save(image)
        told = browse(site, "read", *images)["language"]
    for page, card in zip(pages, told, strict=True):
        here = [TextLine(np.asarray(line.polygon), line.text) for line in reader.read_page(page.image).lines]
        there = lines_of(card)
        true = [TextLine(*pair) for pair in zip(page.polygons, page.texts, strict=True)]
        yield Both(here, there, (page_errors(true, here, page.ignore), page_errors(true, there, page.ignore)))


def lines_of(card: dict[str, Any]) -> list[TextLine]:
    """The lines that the browser shows of a page."""
    outlines = ([point.split(",") for point in polygon.split()] for polygon in card["polygons"])
    return [TextLine(np.array(pair[0], float), pair[1]) for pair in zip(outlines, card["lines"], strict=True)]


def row(name: str, pages: Sequence[Both]) -> str:
    """A row of the table."""
    here, there = [both.here for both in pages], [both.there for both in pages]
    texts = (["\n".join(line.text for line in lines) for lines in one] for one in (here, there))
    cells = [len(pages), *(sum(map(len, one)) for one in (here, there)), f"{cer_of(*texts):.2f}"]
    for errors in zip(*(both.errors for both in pages), strict=True):
        cells.append(f"{sum(errors[1:], errors[0]).cer:.2f}")
    return f"| {' | '.join(map(str, [name, *cells]))} |"


@click.command()
@click.argument("site", type=PATH)
@click.option("-i", "--input", "files", multiple=True, type=PATH, help="Pages. Default: pagepacks of HTRJAND_DATA.")
@click.option("--split", type=click.Choice(SPLITS), default="val", show_default=True)
@click.option("--dataset", "datasets", multiple=True, help="Only this dataset. Repeatable.")
@click.option("--limit", type=click.IntRange(1), default=3, show_default=True, help="Pages of each dataset at most.")
def main(site: Path, files: tuple[Path, ...], split: str, datasets: tuple[str, ...], limit: int) -> None:
    """Print how many lines SITE finds as the package does, how far their texts are apart, and the CER of both."""
    if not (site / "index.html").is_file() or browser() is None:
        raise UsageError(f"{site}: no page, or no Chromium; see docs/embedding.md on how to make and have them")
    pages = choose_pages(files or (data_dir() / "pagepacks",), split, datasets, limit)
    click.echo("| | pages | lines, package | lines, browser | apart, % | CER, package, % | CER, browser, % |")
    click.echo("|---|" + "---:|" * 6)
    everything = []
    for name in dict.fromkeys(page.dataset for page in pages):
        found = list(compared(site, [page for page in pages if page.dataset == name]))
        click.echo(row(name, found))
        everything += found
    click.echo(row("all", everything))


if __name__ == "__main__":
    try:
        main()
    except HtrjandError as problem:
        raise SystemExit(f"web_pages: {problem}") from problem
