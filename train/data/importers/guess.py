"""Guesses which layout the files at a path have."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

from ....runtime.errors import UsageError
from . import FORMATS

ROOT = re.compile(rb"<(?:\w+:)?(PcGts|alto)[\s>]")
XML_FILES = 20  # of a folder that are opened: not all are pages, some are METS or settings
ENTRIES = 100_000  # of a folder tree that are listed at most
DATA_SETS = ("iam", "rimes", "bentham", "saint-gall", "washington", "hf")
HUB_FILES = ("dataset_dict.json", "state.json", "metadata.csv", "metadata.jsonl", "metadata.parquet")


def guess_format(path: Path) -> str:
    """The format of a path.

    Raises:
        UsageError: there is no such path, or none or several formats fit.
    """
    if not path.exists():
        raise UsageError(f"{path}: no such file or folder; a Hugging Face dataset by its name needs -f hf")
    found = formats_of(path)
    known = [name for name in found if name in DATA_SETS]  # takes precedence over generic formats among its files
    if len(known) == 1:
        return known[0]
    if len(found) == 1:
        return found[0]
    if found:
        raise UsageError(f"{path}: looks like {' and '.join(found)}; choose one by -f")
    raise UsageError(f"{path}: no layout that is known; choose one by -f: {', '.join(FORMATS)}")


def formats_of(path: Path) -> list[str]:
    """Every format that fits a path, in the order of `FORMATS`."""
    fits = set(file_formats(path) if path.is_file() else folder_formats(path))
    return [name for name in FORMATS if name in fits]


def file_formats(path: Path) -> Iterator[str]:
    """The formats of one file."""
    suffix = path.suffix.lower()
    if suffix == ".xml":
        yield from xml_formats(path)
    elif suffix in (".csv", ".tsv"):
        yield suffix[1:]
    elif suffix == ".parquet":
        yield "pages" if is_pages(path) else "hf"
    elif suffix in (".txt", ".lst"):
        with path.open("rb") as stream:
            if b"\t" in stream.readline(4096):
                yield "tsv"


def is_pages(path: Path) -> bool:
    """Whether a Parquet file has a column of images and one of their lines."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        return {"image", "lines"} <= set(pq.read_schema(path).names)
    except (pa.ArrowException, OSError):
        return False


def folder_formats(folder: Path) -> Iterator[str]:
    """The formats of a folder, recognised by files that only they have."""

    def has(*names: str) -> bool:
        return all((folder / name).exists() for name in names)

    if has("ascii/lines.txt") or has("lines.txt", "lines"):
        yield "iam"
    if any(folder.glob("training_2011*.xml")) or has("eval_2011_annotated.xml") or has("Transcriptions", "Sets"):
        yield "rimes"
    if has("Transcriptions", "Partitions") or has("BenthamDatasetR0-GT"):
        yield "bentham"
    if has("ground_truth/transcription.txt"):
        yield "washington" if has("sets/cv1") else "saint-gall"
    top = sorted(entry.name for entry in folder.iterdir() if not entry.name.startswith("."))
    if any(has(name) or has(f"train/{name}") for name in HUB_FILES) or any(folder.glob("data/*.parquet")):
        yield "hf"
    for suffix in (".parquet", ".csv", ".tsv"):
        if first := next((each for each in top if each.lower().endswith(suffix)), None):
            yield from file_formats(folder / first)
    yield from deep_formats(folder)


def deep_formats(folder: Path) -> Iterator[str]:
    """`gt`, `page` and `alto`, whose files may be in folders at any depth."""
    opened, entries = 0, 0
    for place, subfolders, names in os.walk(folder):
        subfolders[:] = sorted(name for name in subfolders if not name.startswith("."))
        entries += len(names)
        if any(name.endswith(".gt.txt") for name in names):
            yield "gt"
        for name in sorted(names):
            if name.lower().endswith(".xml") and opened < XML_FILES:
                opened += 1
                yield from xml_formats(Path(place) / name)
        if entries > ENTRIES:
            return


def xml_formats(path: Path) -> Iterator[str]:
    """`page` or `alto`, by the first element of an XML file."""
    try:
        with path.open("rb") as stream:
            match = ROOT.search(stream.read(4096).replace(b"\0", b""))  # UTF-16 has a zero byte in every ASCII letter
    except OSError:
        return
    if match:
        yield "page" if match[1] == b"PcGts" else "alto"
