"""Importers: ground truth in the layouts of other tools and datasets, read as lines. One module for each layout.

An importer is a generator `read(source)` of `LineRow` and `Skipped`, in the module that `FORMATS` names. It streams: at
most one page is in memory. What it cannot use it yields as `Skipped`; it raises only where it cannot continue (no such
folder, no file of the layout).

`import_lines` reads any layout; `guess.guess_format` finds the layout of a path; `run.import_file` writes lines to a
Parquet file and assigns splits to documents that have none.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from importlib import import_module
from pathlib import Path

from ....runtime.errors import UsageError
from ....runtime.text import normalize
from ..row import LineRow


@dataclass(frozen=True)
class Source:
    """The source of an import, with settings for what the ground truth leaves open."""

    path: Path
    dataset: str  # the `dataset` column
    split: str | None = None  # of all lines; None: that of the layout's split files, else assigned by document
    lang: str = ""  # BCP 47
    images: Path | None = None  # folder of the images, where they are not beside their ground truth
    image_column: str = ""  # of a table or a Hugging Face dataset; empty: found by its usual names
    text_column: str = ""


@dataclass(frozen=True)
class Skipped:
    """A line or a file that was left out."""

    where: str  # file and line id
    reason: str  # one of few fixed sentences, which are counted: "image is missing"


Found = LineRow | Skipped
Importer = Callable[[Source], Iterator[Found]]


@dataclass(frozen=True)
class Format:
    """One layout: the module that reads it, and its description in messages."""

    module: str  # beside this one; its `read` (or `function`) is the importer
    help: str
    function: str = "read"
    lang: str = ""  # of a dataset in a single language
    named: bool = False  # the format is that of one dataset, which has its name
    splits: bool = True  # False: the layout has no splits, and those of its rows are ignored


FORMATS: dict[str, Format] = {
    "page": Format("page", "PAGE XML with page images (Transkribus, eScriptorium, OCR-D)", splits=False),
    "alto": Format("alto", "ALTO XML with page images (eScriptorium, libraries)", splits=False),
    "gt": Format("folder", "line images with .gt.txt beside them (kraken, ocropus, Calamari, OCR4all)"),
    "csv": Format("table", "a .csv file of image paths and texts, with or without a header"),
    "tsv": Format("table", "the same with tabs, as TrOCR's lists", function="read_tsv"),
    "iam": Format("iam", "IAM lines: ascii/lines.txt, lines/, split files", lang="en", named=True),
    "rimes": Format("rimes", "RIMES-2011: training_2011.xml with pages, or cut lines", lang="fr", named=True),
    "bentham": Format("bentham", "Bentham R0 (ICFHR 2014): Images/Lines, Transcriptions", lang="en", named=True),
    "saint-gall": Format("iamhistdb", "Saint Gall of IAM-HistDB", "read_saint_gall", lang="la", named=True),
    "washington": Format("iamhistdb", "George Washington of IAM-HistDB", "read_washington", lang="en", named=True),
    "hf": Format("hub", "a Hugging Face dataset, by name or folder (needs `pip install datasets`)"),
    "pages": Format("pagepack", "a Parquet file of pages with their lines, as `htrjand detector train` takes it"),
}

REPEATED = "line id is there twice"
EMPTY = "line has no text"


def import_lines(source: Source, format: str) -> Iterator[Found]:
    """The lines of a source in order, and what was left out.

    Texts are normalised. An id occurs once in a dataset: a second line of the same id is `Skipped`. A row's `split` is
    empty where neither the layout nor `source.split` gives it: `run.import_file` then assigns it.

    Raises:
        UsageError: there is no format of this name.
        HtrjandError: the source holds nothing of this layout.
    """
    layout = FORMATS.get(format)
    if layout is None:
        raise UsageError(f"format {format!r}: it is one of {', '.join(FORMATS)}")
    importer: Importer = getattr(import_module(f".{layout.module}", __package__), layout.function)
    seen: set[tuple[str, str]] = set()
    for found in importer(source):
        if isinstance(found, Skipped):
            yield found
            continue
        row = replace(found, text=normalize(found.text), split=source.split or (found.split if layout.splits else ""))
        name = f"{row.dataset}: {row.id}"
        if not row.text:
            yield Skipped(name, EMPTY)
        elif (row.dataset, row.id) in seen:
            yield Skipped(name, REPEATED)
        else:
            seen.add((row.dataset, row.id))
            yield row
