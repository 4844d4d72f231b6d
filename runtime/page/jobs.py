"""What a run reads, page by page, and the files that it writes."""

from __future__ import annotations

import hashlib
import json
import os
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

from ..errors import HtrjandError, UsageError
from ..image import SUFFIXES as IMAGES
from . import draw
from .inputs import SUFFIXES, PageSource, pages_of
from .outputs import OUTPUTS, Output

READ = IMAGES | SUFFIXES  # suffixes of what is read of a folder
PART = ".part"  # behind the name of a file that is not whole yet: what is read of it so far


@dataclass(frozen=True, slots=True)
class Job:
    """A page to be read.

    Attributes:
        source: the page.
        name: of what is written of its file, without a suffix: `scan`, or `box/scan` where several folders are read.
        stamp: a hash of the options and of the file as it is. A page of the same stamp is read already.
    """

    source: PageSource
    name: str
    stamp: str

    @property
    def page_name(self) -> str:
        """As `name`, of this page alone: `book.0003`."""
        return self.name if self.source.total == 1 else f"{self.name}.{self.source.number:04}"

    def drawing(self, folder: Path) -> Path:
        """Where the page is drawn."""
        return folder / f"{self.page_name}{draw.SUFFIX}"


@dataclass(frozen=True, slots=True)
class Target:
    """A file to be written, of some pages."""

    path: Path
    jobs: tuple[Job, ...]

    @property
    def stamp(self) -> str:
        """A hash of what the file is made of."""
        return digest([job.stamp for job in self.jobs])

    @property
    def part(self) -> Path:
        """Where its pages are kept until it is whole."""
        return self.path.with_name(f"{self.path.name}{PART}")


def find_jobs(
    inputs: Iterable[Path], selection: Sequence[range] | None, options: str, fail: Callable[[str, HtrjandError], None]
) -> list[Job]:
    """The pages of files and folders, in order; each page once.

    Args:
        inputs: images, TIFF files of many pages, PDFs; of a folder, those in it, sorted, but for hidden ones.
        selection: numbers of the pages wanted of each file, see `page_numbers`; None: all.
        options: stands for all options that decide what is read.
        fail: called with the name and the error of each input that cannot be used.
    """
    inputs = list(inputs)
    several = sum(path.is_dir() for path in inputs) > 1
    jobs: dict[tuple[str, int], Job] = {}
    for given in inputs:
        under = f"{given.resolve().name}/" if several and given.is_dir() else ""
        try:
            paths = files_in(given)
        except HtrjandError as error:
            fail(str(given), error)
            continue
        for path in paths:
            try:
                found = list(pages_of(plain_file(path), selection))
            except HtrjandError as error:
                fail(str(path), error)
                continue
            stat, real = path.expanduser().stat(), os.path.realpath(path.expanduser())
            for source in found:
                stamp = digest([options, str(path), source.number, stat.st_size, stat.st_mtime_ns])
                jobs.setdefault((real, source.number), Job(source, f"{under}{path.stem}", stamp))
    return list(jobs.values())


def files_in(given: Path) -> list[Path]:
    """A file itself; of a folder the images and PDFs in it, sorted."""
    if not given.is_dir():
        return [given]
    try:
        inside = sorted(path for path in given.iterdir() if path.suffix.lower() in READ and path.name[0] != ".")
    except OSError as error:
        raise HtrjandError(
            f"{given}: the folder may not be listed ({error.strerror}); change its permissions"
        ) from error
    if not inside:
        raise HtrjandError(
            f"{given}: no image file in this folder (folders in it are not looked into); name one with "
            f"{', '.join(sorted(READ))} files"
        )
    return inside


def plain_file(path: Path) -> Path:
    """The path, unless it is there and no file that can be read more than once."""
    if path.exists() and not path.is_file():
        kind = "a folder" if path.is_dir() else "a pipe or a device"
        raise HtrjandError(f"{path}: is {kind}; name an image or a PDF, or - for standard input")
    return path


def output_for(form: str | None, out: str) -> str:
    """The name of the format that is asked for, or that the name of the output says; text where neither does."""
    if form is not None:
        return form
    name = "" if is_folder(out) else Path(out).name.lower()
    if name.endswith(".xml") and not name.endswith((".alto.xml", ".page.xml")):
        raise UsageError(f"{out}: .xml may be ALTO or PAGE; say which by -f alto or -f page")
    found = next((key for key, output in OUTPUTS.items() if name.endswith(output.suffix)), None)
    if found is None and Path(name).suffix and out != "-":
        known = ", ".join(output.suffix for output in OUTPUTS.values())
        raise UsageError(f"{out}: {Path(name).suffix} names no format ({known}); say which by -f")
    return found or "txt"


def is_folder(out: str) -> bool:
    """Whether an output is a folder: it is there as one, or its name ends as that of one."""
    return out.endswith(("/", os.sep)) or Path(out).is_dir()


def plan(jobs: Sequence[Job], out: str, output: Output) -> list[Target]:
    """The files to be written: in a folder one for each input, or for each page where a file has one page; else one.

    Raises:
        UsageError: a file cannot hold several pages.
    """
    if not is_folder(out):
        if not output.joined and len(jobs) > 1:
            raise UsageError(
                f"{out}: a file of this format has one page, and these are {len(jobs)}; give a folder, -o out/"
            )
        return [Target(Path(out), tuple(jobs))] if jobs else []
    folder = Path(out)
    if not output.joined:
        return [Target(folder / f"{job.page_name}{output.suffix}", (job,)) for job in jobs]
    files = groupby(jobs, key=lambda job: job.source.path)  # pages of a file follow each other
    groups = [tuple(group) for _, group in files]
    return [Target(folder / f"{group[0].name}{output.suffix}", group) for group in groups]


def check_outputs(jobs: Sequence[Job], targets: Sequence[Target], drawn: Path | None, inputs: Iterable[Path]) -> None:
    """Raises a UsageError where a file would be written twice, over what is read, or where it would be read next."""
    written = [(target.path, target.jobs[0]) for target in targets]
    written += [] if drawn is None else [(job.drawing(drawn), job) for job in jobs]
    places = [os.path.realpath(path) for path, _ in written]
    counts = Counter(places)
    folders = {os.path.realpath(path) for path in inputs if path.is_dir()}
    read = {os.path.realpath(job.source.path) for job in jobs}
    for place, (path, _) in zip(places, written, strict=True):
        if place in read:
            raise UsageError(f"{path}: is read, and would be written over; name another output")
        beside = {os.path.dirname(other) for other in read} if path.name.endswith(draw.SUFFIX) else set()
        if os.path.dirname(place) in folders | beside and path.suffix in READ:
            raise UsageError(f"{path}: would be read as a page the next time; write it into another folder")
        if counts[place] > 1:
            names = [str(other.source.path) for at, (_, other) in zip(places, written, strict=True) if at == place]
            raise UsageError(
                f"{path}: would be written for {' and for '.join(names[:2])}; write them into different folders, or "
                "rename one"
            )


def digest(values: object) -> str:
    """A short hash of plain values."""
    return hashlib.sha256(json.dumps(values).encode()).hexdigest()[:16]
