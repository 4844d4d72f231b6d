"""Ground truth of any layout into the line contract: one module a layout, `import_lines` for all of them.

An importer is a generator `read(source) -> LineRow | Skipped`, in the module that `FORMATS` names. It streams: no more
than one page is held. What it cannot use it yields as `Skipped`, and goes on; it raises only where there is nothing to
go on with (no such folder, not a single file of the layout).

`import_lines` gives the lines of any layout; `guess.guess_format` tells the layout of a path; `run.import_file` writes
the lines to a Parquet file, dealt out to train, val and test.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from importlib import import_module
from pathlib import Path

from ....runtime.errors import UsageError
from ....runtime.text import normalize
from ..lines import LineRow


@dataclass(frozen=True)
class Source:
    """What an import reads, and what the ground truth itself does not say."""

    path: Path
    dataset: str  # the `dataset` column
    split: str | None = None  # all lines into this one; None: as the layout's split files say, else by document
    lang: str = ""  # BCP 47
    images: Path | None = None  # where page images lie when not beside their ground truth
    image_column: str = ""  # of a table or a Hugging Face data set; empty: the one with a usual name
    text_column: str = ""


@dataclass(frozen=True)
class Skipped:
    """A line or a file that was left out."""

    where: str  # file and line id
    reason: str  # one of few fixed sentences, so that they can be counted: "image is missing"


Found = LineRow | Skipped
Importer = Callable[[Source], Iterator[Found]]


@dataclass(frozen=True)
class Format:
    """One layout: the module that reads it, and what `--help` says of it."""

    module: str  # beside this one; its `read` (or `function`) is the importer
    help: str
    function: str = "read"
    lang: str = ""  # the language of a data set that has but one
    named: bool = False  # one data set of its own: the format's name is the data set's too
    splits: bool = True  # False: the layout tells no splits, and what its rows hold there means nothing


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
    "hf": Format("hub", "a Hugging Face data set, by name or folder (needs `pip install datasets`)"),
}

REPEATED = "line id is there twice"
EMPTY = "line has no text"


def import_lines(source: Source, format: str) -> Iterator[Found]:
    """The lines of a source in order, and what was left out.

    Texts are normalised. An id occurs once in a dataset: a second line of the same id is `Skipped`. A row's `split` is
    empty where neither the layout nor `source.split` tells it: `run.import_file` deals such lines out.

    Raises:
        UsageError: the format has another name.
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
