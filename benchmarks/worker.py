"""Runs one engine in a process of its own: `python -m htrjand.benchmarks.worker ENGINE THREADS FOLDER [LM]`.

FOLDER holds the lines as `00000.npy`, … (uint8 [64, W]). LM is a language model, as `Recognizer` takes it; without one
a model file is read greedily. Each message is one JSON object on a line. The worker opens the engine, reads line 0 and
sends `{"ready": true}`, then a description of the engine. After that it answers requests
`{"indices": [...], "queries": n, "seconds": s}`: it reads the lines of these indices in turn and repeatedly, until
there were n readings that took s seconds in total (each line at least once).
"""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path
from typing import Any, TextIO

import numpy as np

from ..runtime.errors import HtrjandError
from .engines import Reader, Setup, about, open_reader


def serve(setup: Setup, threads: int, folder: Path, requests: TextIO, answers: TextIO) -> None:
    """Opens the engine and answers requests until the input ends; an HtrjandError is sent as the last answer."""
    try:
        reader = open_reader(setup, threads)
        reader.read_line(load(folder, 0))
        send(answers, {"ready": True})
        send(answers, about(setup.engine, reader))
        for line in requests:
            send(answers, read(reader, folder, **json.loads(line)) | {"peak_rss": peak_rss()})
    except HtrjandError as error:
        send(answers, {"error": str(error)})


def read(reader: Reader, folder: Path, indices: list[int], queries: int, seconds: float) -> dict[str, Any]:
    """Texts of the lines, and milliseconds of every reading, from grey pixels to text, without loading them."""
    texts: list[str] = []
    times: list[float] = []
    spent = 0.0
    while len(texts) < len(indices) or len(times) < queries or spent < seconds:
        pixels = load(folder, indices[len(times) % len(indices)])  # 64, W
        start = time.perf_counter()
        text = reader.read_line(pixels).text
        elapsed = time.perf_counter() - start
        spent += elapsed
        times.append(round(1000 * elapsed, 4))
        if len(texts) < len(indices):
            texts.append(text)
    return {"texts": texts, "ms": times}


def load(folder: Path, index: int) -> np.ndarray:
    """The pixels of one line."""
    pixels: np.ndarray = np.load(folder / f"{index:05}.npy")
    return pixels


def peak_rss() -> int:
    """The peak memory of this process, or of one it started, in bytes."""
    import resource

    of_children = 1024 * resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    status = Path("/proc/self/status")
    if status.exists():  # getrusage includes what the parent held before exec
        own = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
        return max(1024 * int(own.split()[1]), of_children)
    return max(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, of_children // 1024)  # macOS counts bytes


def send(answers: TextIO, message: dict[str, Any]) -> None:
    """Sends one message."""
    answers.write(json.dumps(message) + "\n")
    answers.flush()


def main() -> None:
    """Keeps the real standard output for messages: what a library prints goes to standard error."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    engine, threads, folder, *lm = sys.argv[1:]
    serve(Setup(engine, *lm), int(threads), Path(folder), sys.stdin, answers)


if __name__ == "__main__":
    main()
