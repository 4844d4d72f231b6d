"""What is done, on disk, so that a run that was stopped goes on: by Ctrl-C, by `kill -9`, by a disk that is full.

A file of several pages has a part file beside it until it is whole: a row for each page that is read. A folder has
`.htrjand.jsonl`: a row for each file that is whole, with a stamp of what it was made of, and its size and time. Both
are only appended to, a row at a time. What was made of other options, or of an image that has changed since, has
another stamp and is not used. A file that was never written here, or not as it is, is somebody's work, and is left.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from .jobs import Job, Target
from .outputs.plain import json_line
from .results import Result

FINISHED = ".htrjand.jsonl"


class Part:
    """The pages of a file that is not whole. Nothing of them is in memory but where they are."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.places = {values["stamp"]: place for place, values in rows(path)}  # the later of two rows counts

    def has(self, job: Job) -> bool:
        return job.stamp in self.places

    def add(self, job: Job, result: Result) -> None:
        """Keeps a page: it is out of this process when this returns."""
        self.places[job.stamp] = append(self.path, {"stamp": job.stamp} | result.to_dict())

    def result(self, job: Job) -> Result:
        with self.path.open("rb") as stream:
            stream.seek(self.places[job.stamp])
            return Result.from_dict(json.loads(stream.readline()))

    def remove(self) -> None:
        self.path.unlink(missing_ok=True)


class Finished:
    """The files of a folder that are whole, and what they were made of; without a folder nothing is remembered."""

    def __init__(self, folder: Path | None) -> None:
        self.path = None if folder is None else folder / FINISHED
        kept = [] if self.path is None else [row for _, row in rows(self.path) if "file" in row]
        self.files: dict[str, dict[str, Any]] = {row["file"]: row for row in kept}

    def has(self, target: Target) -> bool:
        """Whether a file is there, and was made of the same pages by the same options; edited since or not."""
        return self.row(target).get("stamp") == target.stamp and target.path.is_file()

    def may_write(self, target: Target) -> bool:
        """Whether nothing is lost by writing a file: it is not there, or is as it was written here."""
        if self.path is None or not target.path.is_file():
            return True
        return self.row(target).get("state") in ("begun", state_of(target.path))

    def begin(self, target: Target) -> None:
        """Remembers that a file is ours before it is there: a run may be killed between it and the next row."""
        self.put({"file": self.name(target), "stamp": "", "state": "begun"})

    def add(self, target: Target, whole: bool = True) -> None:
        """Remembers a file as it was written; one that is not whole as ours, to be written again."""
        stamp = target.stamp if whole else ""
        self.put({"file": self.name(target), "stamp": stamp, "state": state_of(target.path)})

    def put(self, row: dict[str, Any]) -> None:
        if self.path is not None:
            append(self.path, row)
            self.files[row["file"]] = row

    def row(self, target: Target) -> dict[str, Any]:
        """What is known of a file; nothing where it was not written here."""
        return self.files.get(self.name(target), {})

    def name(self, target: Target) -> str:
        return str(target.path) if self.path is None else os.path.relpath(target.path, self.path.parent)


def state_of(path: Path) -> list[int]:
    """Size and time of a file: what tells that it was not changed."""
    stat = path.stat()
    return [stat.st_size, stat.st_mtime_ns]


def rows(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """Where each whole row of a file begins, and its values; a row at its end that was cut off is removed."""
    if not path.is_file():
        return
    with path.open("rb") as stream:
        place = 0
        for line in stream:
            if not line.endswith(b"\n"):
                os.truncate(path, place)
                return
            try:
                values = json.loads(line)
            except ValueError:  # a machine that lost its power left something else
                values = None
            if isinstance(values, dict) and "stamp" in values:
                yield place, values
            place += len(line)


def append(path: Path, values: dict[str, Any]) -> int:
    """Adds a row to a file, which is made if it is not there; where the row begins."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("ab") as stream:
        place = stream.tell()
        stream.write(json_line(values))
    return place
