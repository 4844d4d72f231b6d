"""Starts a worker process, sends it requests and ends it: the parent's side of `worker.py`."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any

from ..runtime.errors import HtrjandError
from .engines import NONE, Setup


class Worker:
    """One engine in a fresh process, with a given number of threads, and maybe a language model. A context manager.

    Args:
        options: what the module takes besides; those that are None are left out.
        module: what the process runs.

    Attributes:
        cold_start: milliseconds from starting the process to its first line's text.
        about: what the worker opened (engine, decoder, precision, version, bytes).

    Raises:
        HtrjandError: the engine cannot be opened, cannot read a line, or its process died.
    """

    def __init__(
        self, engine: str, threads: int, folder: Path, *options: str | None, module: str = "htrjand.benchmarks.worker"
    ) -> None:
        self.engine = engine
        arguments = [engine, str(threads), str(folder), *filter(None, options)]
        start = time.perf_counter()
        self.process = subprocess.Popen(
            [*interpreter(), "-P", "-m", module, *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            encoding="utf-8",
            env=os.environ | {"PYTHONPATH": import_path()} | dict.fromkeys(THREAD_SETTINGS, str(threads)),
        )
        self.receive()
        self.cold_start = 1000 * (time.perf_counter() - start)
        self.about = self.receive()

    @classmethod
    def of(cls, setup: Setup, threads: int, folder: Path) -> Worker:
        """The process that a row of a benchmark is measured in."""
        return cls(setup.engine, threads, folder, setup.lm or NONE, setup.unit, setup.neural or NONE)

    def read(self, indices: Sequence[int], queries: int = 0, seconds: float = 0) -> dict[str, Any]:
        """Has the lines, or pages, of these indices read, see `worker.read`; and the `peak_rss` in bytes."""
        return self.ask(indices=list(indices), queries=queries, seconds=seconds)

    def ask(self, **request: Any) -> dict[str, Any]:
        """Sends a request, and returns its answer."""
        assert self.process.stdin is not None
        with suppress(BrokenPipeError):  # receive() raises the reason
            self.process.stdin.write(json.dumps(request) + "\n")
            self.process.stdin.flush()
        return self.receive()

    def receive(self) -> dict[str, Any]:
        """The next message of the worker."""
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        message: dict[str, Any] = json.loads(line) if line else {}
        if not message:
            status = self.close()
            raise HtrjandError(f"{self.engine}: its process ended with status {status}; its own message stands above")
        if "error" in message:
            self.close()
            raise HtrjandError(message["error"])
        return message

    def close(self) -> int:
        """Lets the worker end, and waits for it; returns its exit status."""
        assert self.process.stdin is not None and self.process.stdout is not None
        with suppress(BrokenPipeError):
            self.process.stdin.close()
        status = self.process.wait()
        self.process.stdout.close()
        return status

    def __enter__(self) -> Worker:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is not None:
            self.process.kill()
        self.close()


# Engines take their number of threads as an argument; these set it for the libraries below them (OpenMP, BLAS).
THREAD_SETTINGS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


def interpreter() -> list[str]:
    """The command that starts Python: HTRJAND_BENCH_PYTHON (an emulated one starts by its emulator), or this Python."""
    return shlex.split(os.environ.get("HTRJAND_BENCH_PYTHON", "")) or [sys.executable]


def import_path() -> str:
    """A PYTHONPATH with which the worker finds the same modules as this process."""
    return os.pathsep.join(os.path.abspath(path) for path in sys.path)
