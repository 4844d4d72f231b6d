"""What was read of an image, a page or a line; and all that was read, in any format."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, BinaryIO

from ..decode import Line
from ..text import printable
from .draw import doubtful_words
from .outputs import output_of
from .outputs.plain import json_line, one_line, write_text
from .page import Page


@dataclass(frozen=True, slots=True)
class Result:
    """A page that was read, or a line as a page that has no other.

    Attributes:
        is_line: whether the image was taken as one line.
        notes: what a person should know of it, each a sentence that names the image.
    """

    page: Page
    is_line: bool = False
    notes: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Plain values, without the notes."""
        return {"is_line": self.is_line, "page": self.page.to_dict()}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Result:
        return cls(Page.from_dict(values["page"]), values["is_line"])


def check(line: Line, least: float) -> bool:
    """Whether a person should look at a line: a word is less sure than `least`, or the line is, and has no word."""
    return bool(doubtful_words(line, least)) or (not line.words and line.confidence < least)


def values_of(result: Result, least: float | None) -> dict[str, Any]:
    """A result as JSON prints it: a page as `Page.to_dict`, a line as `Line.to_dict` with its path.

    With `least`, each line has `check`.
    """
    page = result.page
    if result.is_line:
        only = page.lines[0].line
        values = {"path": page.path} | ({"page": page.number} if page.number > 1 else {}) | only.to_dict()
        return values if least is None else values | {"check": check(only, least)}
    values = page.to_dict()
    if least is not None:
        for line, entry in zip(page.lines, values["lines"], strict=True):
            entry["check"] = check(line.line, least)
    return values


def write(form: str, results: Iterable[Result], stream: BinaryIO, several: bool, least: float | None = None) -> None:
    """Writes results in a format of the table `OUTPUTS`, as they come.

    Text and JSON keep lines apart from pages. As text, a line is its text, after its path and a tab where there are
    several images; a form feed stands before and after a page. As JSON, see `values_of`.
    """
    if form == "txt":
        write_texts(results, stream, several)
    elif form == "json":
        for result in results:
            stream.write(json_line(values_of(result, least)))
    else:
        output_of(form).write((result.page for result in results), stream)


def write_texts(results: Iterable[Result], stream: BinaryIO, several: bool) -> None:
    before: Result | None = None
    for result in results:
        if before is not None and not (before.is_line and result.is_line):
            stream.write(b"\f")
        if result.is_line:
            path = f"{printable(result.page.path)}\t" if several else ""
            stream.write(f"{path}{one_line(result.page.text)}\n".encode())
        else:
            write_text([result.page], stream)
        before = result


def flushed(results: Iterable[Result], stream: BinaryIO) -> Iterator[Result]:
    """The results; each is out of this process before the next is asked for."""
    for result in results:
        yield result
        stream.flush()
