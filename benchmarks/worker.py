"""Runs one engine in a process of its own: `python -m htrjand.benchmarks.worker ENGINE THREADS FOLDER [LM [UNIT]]`.

FOLDER holds the lines, or pages, as `00000.npy`, … (uint8 [H, W]), and in `batch/` lines of one width. LM is a language
model, as `Recognizer` takes it, or `-`: then a model file is read greedily. UNIT is `line` or `page`. Each message is
one JSON object on a line. The worker opens the engine, reads an item and sends `{"ready": true}`, then a description of
the engine. After that it answers requests:

- `{"indices": [...], "queries": n, "seconds": s}`: it reads the items of these indices in turn and repeatedly, until
  there were n readings that took s seconds in total (each item at least once);
- `{"batch": n}`: it reads all lines of `batch/` once, n at a time.
"""

from __future__ import annotations

import json
import os
import re
import sys
import time
from itertools import cycle
from pathlib import Path
from typing import Any, TextIO

import numpy as np

from ..runtime.errors import HtrjandError
from .engines import NONE, UNITS, Reader, Setup, open_reader
from .machine import text_of


def serve(setup: Setup, threads: int, folder: Path, requests: TextIO, answers: TextIO) -> None:
    """Opens the engine and answers requests until the input ends; an HtrjandError is sent as the last answer."""
    try:
        reader = open_reader(setup, threads)
        read_any(reader, folder)
        send(answers, {"ready": True})
        send(answers, reader.about())
        for line in requests:
            request = json.loads(line)
            answer = read_batches(reader, folder, **request) if "batch" in request else read(reader, folder, **request)
            send(answers, answer | {"peak_rss": peak_rss()})
    except HtrjandError as error:
        send(answers, {"error": str(error)})


def read_any(reader: Reader, folder: Path) -> None:
    """Reads the first item that can be read; where none can, the error of the last."""
    files = sorted(folder.glob("*.npy"))
    for file in files:
        try:
            reader.read(np.load(file))
            return
        except HtrjandError:
            if file == files[-1]:
                raise


def read(reader: Reader, folder: Path, indices: list[int], queries: int, seconds: float) -> dict[str, Any]:
    """Reads items over and over: `texts` of all indices (None of one that failed), `errors` by index, and of every
    reading the milliseconds, from grey pixels to text, without loading them, and the index: `ms` and `items`."""
    texts: dict[int, str | None] = {}
    errors: dict[int, str] = {}
    times: list[float] = []
    items: list[int] = []
    spent, every = 0.0, set(indices)
    for index in cycle(indices):
        if texts.keys() == every and (errors.keys() == every or (len(times) >= queries and spent >= seconds)):
            break
        if index in errors:
            continue
        pixels = load(folder, index)
        start = time.perf_counter()
        try:
            text = reader.read(pixels)
        except HtrjandError as error:
            texts[index], errors[index] = None, str(error)
            continue
        elapsed = time.perf_counter() - start
        spent += elapsed
        times.append(round(1000 * elapsed, 4))
        items.append(index)
        texts.setdefault(index, text)
    return {"texts": [texts[index] for index in indices], "errors": errors, "ms": times, "items": items}


def read_batches(reader: Reader, folder: Path, batch: int) -> dict[str, Any]:
    """Reads all lines of `batch/`, so many at a time: how many there are, and the milliseconds of all together."""
    lines = [np.load(file) for file in sorted((folder / "batch").glob("*.npy"))]
    start = time.perf_counter()
    reader.read_batch(lines, batch)
    return {"ms": round(1000 * (time.perf_counter() - start), 4), "lines": len(lines)}


def load(folder: Path, index: int) -> np.ndarray:
    """The pixels of one line or page."""
    pixels: np.ndarray = np.load(folder / f"{index:05}.npy")
    return pixels


def peak_rss() -> int:
    """The peak memory of this process, or of one it started, in bytes."""
    import resource

    of_children = 1024 * resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    told = re.search(r"^VmHWM:\s*(\d+)", text_of(Path("/proc/self/status")) or "", re.MULTILINE)
    if told:  # getrusage includes what the parent held before exec
        return max(1024 * int(told[1]), of_children)
    own = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return max(own, of_children // 1024) if sys.platform == "darwin" else max(1024 * own, of_children)  # in bytes there


def send(answers: TextIO, message: dict[str, Any]) -> None:
    """Sends one message."""
    answers.write(json.dumps(message) + "\n")
    answers.flush()


def main() -> None:
    """Keeps the real standard output for messages: what a library prints goes to standard error."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    engine, threads, folder, *rest = sys.argv[1:]
    lm, unit, neural = (*rest, *(NONE, UNITS[0], NONE)[len(rest) :])
    setup = Setup(engine, None if lm == NONE else lm, unit, None if neural == NONE else neural)
    serve(setup, int(threads), Path(folder), sys.stdin, answers)


if __name__ == "__main__":
    main()
