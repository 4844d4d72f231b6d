"""What is done, on disk, so that a run that was stopped goes on: by Ctrl-C, by `kill -9`, by a disk that is full.

A file of several pages has a part file beside it until it is whole: a row for each page that is read. A folder has
`.htrjand.jsonl`: a row for each file that is whole, with a stamp of what it was made of. Both are only appended to, a
row at a time. What was made of other options, or of an image that has changed since, has another stamp and is not used.
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
        self.stamps = (
            {} if self.path is None else {row["file"]: row["stamp"] for _, row in rows(self.path) if "file" in row}
        )

    def has(self, target: Target) -> bool:
        """Whether a file is there, and was made of the same pages by the same options."""
        return self.path is not None and self.stamps.get(self.name(target)) == target.stamp and target.path.is_file()

    def add(self, target: Target) -> None:
        if self.path is not None:
            append(self.path, {"file": self.name(target), "stamp": target.stamp})

    def name(self, target: Target) -> str:
        assert self.path is not None
        return os.path.relpath(target.path, self.path.parent)


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
