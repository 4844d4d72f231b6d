"""Engines: a model file, opened, as a session from arrays to arrays. They know nothing of lines, charsets or pages.

`open_session` takes the engine from the table of formats and imports it only then.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol

import numpy.typing as npt

from ..errors import HtrjandError, UsageError
from ..formats import format_of
from ..seal import check_seal


@dataclass(frozen=True)
class Port:
    """An input or output: its name, numpy's name of its type, and its sizes; None for any size."""

    name: str
    dtype: str
    shape: tuple[int | None, ...]

    def __str__(self) -> str:
        return f"{self.name} {self.dtype} [{', '.join('any' if size is None else str(size) for size in self.shape)}]"


class Session(Protocol):
    """A model file, opened. Threads may share one: a session locks where its library cannot be used by several at once.

    A file that takes one item at a time (size 1 where others have any) runs the items of a batch one after the other.
    """

    @property
    def path(self) -> Path: ...
    @property
    def engine(self) -> str:
        """The library that runs the file, and its version."""

    @property
    def metadata(self) -> Mapping[str, str]:
        """What the file says of itself."""

    @property
    def inputs(self) -> tuple[Port, ...]: ...
    @property
    def outputs(self) -> tuple[Port, ...]: ...

    def run(self, *inputs: npt.NDArray[Any]) -> list[npt.NDArray[Any]]:
        """The outputs for these inputs, both in the order of the ports; an HtrjandError where it cannot be run."""
        ...


def open_session(path: str | Path, threads: int | None = None, sha256: str | None = None) -> Session:
    """Opens a model file with the engine of its format.

    Args:
        path: the file; its suffix names the format.
        threads: threads to compute with; None leaves it to the engine (as a rule, one for each core).
        sha256: 64 hexadecimal digits, of the only file that is to be opened; None: any.

    Raises:
        HtrjandError: there is no such file, it is another than `sha256` says, its engine is missing, or the file is
            damaged or cannot be used.
        UsageError: its format is unknown, or `threads` is less than 1.
    """
    path = Path(path).expanduser()
    if threads is not None and threads < 1:
        raise UsageError(f"{threads} threads cannot run a model; give 1 or more, or leave it out")
    form = format_of(path)
    if not path.is_file():
        kind = "a link that leads nowhere" if path.is_symlink() else "no plain file" if path.exists() else ""
        raise HtrjandError(f"{path}: {kind or 'no such model file'}; check the path")
    if sha256 is not None and hashlib.sha256(path.read_bytes()).hexdigest() != sha256.lower():
        raise HtrjandError(f"{path}: is not the file of this SHA-256, {sha256[:80]}; take the file that was meant")
    check_seal(path)  # before a native parser meets the file
    session: Session = import_module(form.session).open_session(path, threads)
    return session


def cannot_run(path: Path, engine: str, inputs: tuple[npt.NDArray[Any], ...], error: Exception) -> HtrjandError:
    """The error of a session whose engine fails on some inputs."""
    shapes = ", ".join(str(list(array.shape)) for array in inputs)
    return HtrjandError(
        f"{path}: {engine} cannot run it on an input {shapes} ({first_line(error)}); export the model again"
    )


def first_line(error: Exception) -> str:
    """The first line of an engine's message, shortened: most run over many."""
    return (str(error).strip() or type(error).__name__).splitlines()[0][:200]
