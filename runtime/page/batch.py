"""Reads many images: pages and lines are told apart, several at a time, one bad one does not stop the rest."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, replace
from pathlib import Path
from queue import SimpleQueue
from typing import TypeVar

import numpy as np

from ..errors import HtrjandError
from ..files import atomic_path
from ..recognizer import Recognizer
from .draw import DOUBTFUL, QUALITY, doubtful_words, draw_page
from .inputs import PageImage, PageSource, is_pdf
from .jobs import Job
from .kind import is_page, kind_by_shape
from .page import Page, PageLine, as_points, assumed_baseline
from .results import Result, check

Found = TypeVar("Found")

AHEAD = 4  # pages a reader that are read, or wait for it, while an earlier one is not done


@dataclass(frozen=True)
class How:
    """How images are read.

    Attributes:
        kind: "page" or "line": what each is taken for; None: see `kind.is_page`.
        least: lines with a word that is less sure are told of; None: none are.
        draw: a folder that each page is drawn into; None: none is.
    """

    kind: str | None = None
    least: float | None = None
    draw: Path | None = None


def read_jobs(
    jobs: Iterable[Job], readers: Sequence[Recognizer], how: How, in_order: bool
) -> Iterator[tuple[Job, Result | HtrjandError]]:
    """Yields each job with what was read, or why it could not be; in the order of the jobs, or as each is done.

    Each reader reads one page at a time, in a thread of its own.
    """
    if len(readers) == 1:
        for job in jobs:
            yield job, read_job(readers[0], job, how)
        return
    free: SimpleQueue[Recognizer] = SimpleQueue()
    for reader in readers:
        free.put(reader)

    def work(job: Job) -> Result | HtrjandError:
        reader = free.get()
        try:
            return read_job(reader, job, how)
        finally:
            free.put(reader)

    waiting: dict[Future[Result | HtrjandError], Job] = {}

    def next_done() -> tuple[Job, Result | HtrjandError]:
        done = next(iter(waiting if in_order else wait(waiting, return_when=FIRST_COMPLETED).done))
        return waiting.pop(done), done.result()

    with ThreadPoolExecutor(len(readers)) as pool:
        try:
            for job in jobs:
                waiting[pool.submit(work, job)] = job
                if len(waiting) >= AHEAD * len(readers):
                    yield next_done()
            while waiting:
                yield next_done()
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


def read_job(reader: Recognizer, job: Job, how: How) -> Result | HtrjandError:
    """What was read of a page, or why it could not be.

    Raises:
        HtrjandError: the line detector cannot be opened, so that no page could be read.
    """
    size = attempt(job, job.source.size)
    if isinstance(size, HtrjandError):
        return size
    if (how.kind or kind_by_shape(*size)) != "line":
        _ = reader.detector
    result = attempt(job, lambda: read_source(reader, job.source, how))
    if isinstance(result, HtrjandError):
        return result
    if how.draw is not None:
        picture = attempt(job, job.source.picture)
        if isinstance(picture, HtrjandError):
            return picture
        drawing = job.drawing(how.draw)
        try:
            with atomic_path(drawing) as part:
                drawn = draw_page(result.page, picture, DOUBTFUL if how.least is None else how.least)
                drawn.save(part, quality=QUALITY)
        except OSError as error:
            raise HtrjandError(f"{drawing}: cannot be written ({error.strerror or error})") from error
    return result


def attempt(job: Job, step: Callable[[], Found]) -> Found | HtrjandError:
    """What a step gives, or why it fails."""
    try:
        return step()
    except HtrjandError as error:
        return error
    except Exception as error:  # a mistake of ours, or too little memory: the pages behind it are read all the same
        return HtrjandError(f"{job.source}: could not be read ({type(error).__name__}: {error}); please report it")


def read_source(reader: Recognizer, source: PageSource, how: How) -> Result:
    """What was read of an image, as a page or as a line.

    Raises:
        HtrjandError: it cannot be read.
    """
    width, height = source.size()
    kind, image, notes = how.kind, None, []
    if kind is None and (kind := kind_by_shape(width, height)) is None:
        image = source.load()
        grey = image.grey
        kind = "page" if is_page(width, height, lambda: reader.detector.detect(grey)) else "line"
    elif kind == "line" and kind_by_shape(width, height) == "page":
        notes.append(f"{source}: is read as one line, and looks like a page; without --line it is read as one")
    if kind == "page":
        page = reader.read_page(source if image is None else image)
        page = replace(page, path=str(source.path), number=source.number)
        if not page.lines:
            notes.append(f"{source}: no line was found; the page is empty, or not one of text")
    else:
        page = line_page(reader, source, image, width, height)
    if how.least is not None:
        notes += doubts(source, page, kind == "line", how.least)
    return Result(page, kind == "line", tuple(notes))


def line_page(reader: Recognizer, source: PageSource, image: PageImage | None, width: int, height: int) -> Page:
    """A line as the only one of a page of these pixels, which it fills."""
    if source.total == 1 and not is_pdf(source.path):
        line = reader.read_line(source.path)
    else:
        grey = (image or source.load()).grey
        (height, width), line = grey.shape, reader.read_line(grey)
    outline = np.array([(0, 0), (width, 0), (width, height), (0, height)], np.float64)
    along = np.array([1.0, 0.0])
    whole = PageLine(as_points(assumed_baseline(outline, along)), as_points(outline), (1.0, 0.0), line)
    info = reader.info
    model = f"{info.name} {info.version}".strip()
    return Page(str(source.path), width, height, (whole,), source.number, model=model, languages=info.languages)


def doubts(source: PageSource, page: Page, is_line: bool, least: float) -> list[str]:
    """A sentence for each line that a person should check."""
    found = []
    for number, line in enumerate(page.lines, 1):
        if check(line.line, least):
            words = ", ".join(f"{word.text} ({word.confidence:.2f})" for word in doubtful_words(line.line, least))
            place = source if is_line else f"{source}, line {number}"
            found.append(f"{place}: check {words or f'whether it is empty ({line.line.confidence:.2f})'}")
    return found
