"""A run over many images: reads what is not done yet, writes what is whole, and counts."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field, replace
from itertools import chain
from pathlib import Path
from typing import BinaryIO

from ... import __version__
from ..bundled import bundled_in, model_file
from ..errors import HtrjandError, UsageError
from ..files import atomic_path
from ..formats import parts_of
from ..info import sha256
from ..recognizer import BUNDLED, Recognizer
from .batch import How, read_jobs
from .detector import BUNDLED as BUNDLED_DETECTOR
from .draw import DOUBTFUL, doubtful_words
from .jobs import Job, Target, digest
from .kept import Finished, Part
from .outputs import output_of
from .results import Result, flushed, write

Bar = Callable[[int], AbstractContextManager[Callable[[int], object]]]


@dataclass(frozen=True)
class Models:
    """The files to read with, chosen but not opened."""

    model: Path
    detector: Path | None  # None: the bundled one in any format
    lm: str | Path | None
    beam: int
    corrector: Path | None = None
    neural_lm: str | Path | None = None

    @classmethod
    def choose(
        cls, model: Path | None, engine: str | None, lm: str | Path | None, beam: int, corrector: Path | None = None,
        neural_lm: str | Path | None = None,
    ) -> Models:  # fmt: skip
        """The model asked for, or the bundled one of an engine; and the detector in the same format where it is."""
        model = model_file(BUNDLED, model, engine)
        return cls(model, bundled_in(BUNDLED_DETECTOR, model.suffix), lm, beam, corrector, neural_lm)

    def stamp(self, how: How, form: str) -> str:
        """A hash of all that decides what is read and written of an image."""
        least = how.least if form == "json" else None
        given = self.model, self.detector, self.lm, self.neural_lm, self.corrector
        files = [path for path in given if isinstance(path, Path)]
        hashes = [sha256(part) for path in files for part in parts_of(path) if part.is_file()]
        neural = self.neural_lm is not None
        return digest([__version__, hashes, str(self.lm), neural, self.beam, how.kind, least])

    def opened(self, reader: Recognizer) -> str:
        """Which files an opened reader reads with, in one sentence."""
        lm = f"n-gram {reader.language.ngram.path}" if reader.language else "no n-gram"
        neural = f", neural language model {reader.rescorer.neural.path}" if reader.rescorer else ""
        lines = f"; lines of pages are found by {self.detector}" if self.detector else ""
        corrected = f"; corrected by {self.corrector}" if self.corrector else ""
        return f"reads with {reader.path} ({reader.engine}), {lm}{neural}{lines}{corrected}"

    def open(self, threads: int | None) -> Recognizer:
        return Recognizer(
            self.model, threads, self.lm, self.beam, self.detector, corrector=self.corrector, neural_lm=self.neural_lm
        )


@dataclass
class Run:
    """Reads images into files or to a stream.

    Args:
        form: the format, of the table `OUTPUTS`.
        workers: images read at a time, each with a reader of its own.
        threads: of each reader; None: the cores, shared among the workers.
        total: images, those among them that failed before the run.
        failed: their names; others are added.
        warn: called with each thing that a person should know.
        bar: for a number of images, the context in which progress is shown.
        stdin: a file that holds what came by standard input.
        verbose: say which files are read with.
    """

    form: str
    how: How
    models: Models
    workers: int
    threads: int | None
    total: int
    failed: list[str]
    warn: Callable[[object], None]
    bar: Bar
    stdin: Path | None = None
    verbose: bool = False
    before: int = 0  # images that an earlier run has read
    read: int = 0  # images
    pages: int = 0
    lines: int = 0
    doubtful: int = 0  # words
    begun: float = field(default_factory=time.monotonic)

    @property
    def done(self) -> int:
        return self.before + self.read

    def summary(self) -> str:
        """What this run has read, in one sentence."""
        parts = [f"{self.before} done before"] if self.before else []
        if self.read or self.failed or not self.before:
            counted = [plural(self.lines, "line"), plural(self.doubtful, "doubtful word"), f"{len(self.failed)} failed"]
            parts = [*([plural(self.pages, "page")] if self.pages or not self.read else []), *counted, *parts]
        return f"{', '.join(parts)}; {time.monotonic() - self.begun:.1f} s"

    def results(self, jobs: Sequence[Job], in_order: bool) -> Iterator[tuple[Job, Result | None]]:
        """Yields each job with what was read, None where it could not be, which is told."""
        if not jobs:
            return
        workers = min(self.workers, len(jobs))
        threads = self.threads or (max(1, (os.cpu_count() or 1) // workers) if workers > 1 else None)
        readers = [self.models.open(threads) for _ in range(workers)]
        if self.verbose:
            self.warn(self.models.opened(readers[0]))
        with self.bar(len(jobs)) as advance:
            for job, result in read_jobs(jobs, readers, self.how, in_order):
                if isinstance(result, HtrjandError):
                    self.warn(result)
                    self.failed.append(str(job.source))
                    yield job, None
                else:
                    for note in result.notes:
                        self.warn(note)
                    yield job, self.of_stdin(result)
                    self.count(result)  # when it is written
                advance(1)

    def of_stdin(self, result: Result) -> Result:
        """The result, with the name that standard input has on the command line; a PDF needs that of the file."""
        if self.stdin is None or result.page.path != str(self.stdin) or self.form == "pdf":
            return result
        return replace(result, page=replace(result.page, path="-"))

    def count(self, result: Result) -> None:
        least = DOUBTFUL if self.how.least is None else self.how.least
        self.read += 1
        self.pages += not result.is_line
        self.lines += len(result.page.lines)
        self.doubtful += sum(len(doubtful_words(line.line, least)) for line in result.page.lines)

    def print(self, jobs: Sequence[Job], stream: BinaryIO) -> None:
        """Reads to a stream; each result is out before the next image is read."""
        if len(jobs) > 1 and not output_of(self.form).joined:
            raise UsageError(f"-f {self.form} has one page a file, and these are {len(jobs)}; give a folder, -o out/")
        read = (result for _, result in self.results(jobs, in_order=True) if result is not None)
        first = next(read, None)
        if first is not None:
            try:
                self.put(chain([first], read), stream)
            except BrokenPipeError:
                raise
            except OSError as error:
                if error.filename is not None:
                    raise
                raise HtrjandError(
                    f"standard output: cannot be written ({error.strerror or error}); make space, or name a file by -o"
                ) from error

    def put(self, results: Iterator[Result], stream: BinaryIO) -> None:
        write(self.form, flushed(results, stream), stream, self.total > 1, self.how.least)
        stream.flush()

    def write(self, targets: Sequence[Target], folder: Path | None, overwrite: bool = False) -> None:
        """Reads into files. Those that are whole, and pages of others that are read, are not read again.

        A file of a folder that was not written here, or was changed since, is left as it is and told of, unless
        `overwrite` is set.
        """
        finished = Finished(folder)
        lost = len(self.failed) if folder is None else 0  # inputs that the one file should have had
        parts: dict[Path, Part] = {}  # of files of several pages
        left: dict[Path, int] = {}  # pages to be read of a file
        owner: dict[Job, Target] = {}
        for target in targets:
            if finished.has(target) and not self.undrawn(target):
                self.before += len(target.jobs)
                continue
            if not (overwrite or finished.has(target) or finished.may_write(target)):
                self.warn(
                    f"{target.path}: is there, and is not what was written here before; move it, or give --overwrite"
                )
                self.failed.append(str(target.path))
                continue
            missing = list(target.jobs)
            if len(target.jobs) + lost > 1 or target.part.is_file():  # of more pages, one of which is gone since
                parts[target.path] = Part(target.part)
                undrawn = self.undrawn(target)
                missing = [job for job in target.jobs if job in undrawn or not parts[target.path].has(job)]
                self.before += len(target.jobs) - len(missing)
            left[target.path] = len(missing)
            owner |= dict.fromkeys(missing, target)
            if not missing:
                self.finish(target, parts.pop(target.path), finished, folder, lost)
        for job, result in self.results(list(owner), in_order=False):
            target = owner[job]
            part = parts.get(target.path)
            left[target.path] -= 1
            with writing(target.path):
                if part is None:
                    # What is whole was read again for its drawing alone.
                    if result is not None and not finished.has(target):
                        finished.begin(target)
                        if self.write_file(target, iter([result]), folder):
                            finished.add(target)
                    continue
                if result is not None:
                    part.add(job, result)
            if not left[target.path]:
                self.finish(target, parts.pop(target.path), finished, folder, lost)

    def undrawn(self, target: Target) -> list[Job]:
        """Pages whose drawing is asked for and is not there."""
        draw = self.how.draw
        return [] if draw is None else [job for job in target.jobs if not job.drawing(draw).is_file()]

    def finish(self, target: Target, part: Part, finished: Finished, folder: Path | None, lost: int) -> None:
        """Writes a file of all its pages that could be read. The part file stays where some could not."""
        if finished.has(target):  # read again for its drawings
            part.remove()
            return
        read = [job for job in target.jobs if part.has(job)]
        if not read:
            return
        with writing(target.path):
            finished.begin(target)
            if not self.write_file(target, (part.result(job) for job in read), folder):
                return
            lacking = len(target.jobs) - len(read) + lost
            finished.add(target, whole=not lacking)
            if not lacking:
                part.remove()
            else:
                self.warn(
                    f"{target.path}: lacks {plural(lacking, 'page')}; {part.path} keeps what was read: the same "
                    "command tries again what could not be read"
                )

    def write_file(self, target: Target, results: Iterator[Result], folder: Path | None) -> bool:
        """Writes a file; False where that cannot be done for a reason of its own, which is told."""
        several = len(target.jobs) > 1 or (folder is None and self.total > 1)
        try:
            with atomic_path(target.path) as path, path.open("wb") as stream:
                write(self.form, results, stream, several, self.how.least)
        except HtrjandError as error:  # its name is taken, or the image that a PDF shows is gone
            self.warn(error)
            self.failed.append(str(target.path))
            return False
        return True


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Around the writing of an output."""
    try:
        yield
    except (FileNotFoundError, FileExistsError, NotADirectoryError) as error:
        raise HtrjandError(
            f"{path}: cannot be written: its folder is not there and cannot be made; check the path"
        ) from error
    except OSError as error:
        raise HtrjandError(f"{path}: cannot be written ({error.strerror or error}); choose another file") from error


def plural(number: int, noun: str) -> str:
    return f"{number} {noun}{'s' * (number != 1)}"
