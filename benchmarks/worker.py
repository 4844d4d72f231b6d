"""One engine in a process of its own: `python -m htrjand.benchmarks.worker ENGINE THREADS FOLDER`.

FOLDER holds the lines as `00000.npy`, … (uint8 [64, W]). Each message is one JSON object on a line. The worker opens
the engine, reads line 0 and says `{"ready": true}`, then what it opened. After that it answers requests
`{"lines": [...], "queries": n, "seconds": s}`: it reads the lines in turn, again and again until there were n
readings that took s seconds together (each line at least once).
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
from .engines import Reader, about, open_reader


def serve(engine: str, threads: int, folder: Path, requests: TextIO, answers: TextIO) -> None:
    """Opens the engine and answers requests until the input ends; a known error is answered too, and ends it."""
    try:
        reader = open_reader(engine, threads)
        reader.read_line(load(folder, 0))
        say(answers, {"ready": True})
        say(answers, about(engine, reader))
        for line in requests:
            say(answers, read(reader, folder, **json.loads(line)) | {"peak_rss": peak_rss()})
    except HtrjandError as error:
        say(answers, {"error": str(error)})


def read(reader: Reader, folder: Path, lines: list[int], queries: int, seconds: float) -> dict[str, Any]:
    """Texts of the lines, and milliseconds of every reading: from grey pixels to text, the loading left out."""
    texts: list[str] = []
    times: list[float] = []
    spent = 0.0
    while len(texts) < len(lines) or len(times) < queries or spent < seconds:
        pixels = load(folder, lines[len(times) % len(lines)])  # 64, W
        start = time.perf_counter()
        text = reader.read_line(pixels).text
        elapsed = time.perf_counter() - start
        spent += elapsed
        times.append(round(1000 * elapsed, 4))
        if len(texts) < len(lines):
            texts.append(text)
    return {"texts": texts, "ms": times}


def load(folder: Path, index: int) -> np.ndarray:
    """The pixels of one line."""
    pixels: np.ndarray = np.load(folder / f"{index:05}.npy")
    return pixels


def peak_rss() -> int:
    """The most memory this process, or one it started, has held, in bytes."""
    import resource

    of_children = 1024 * resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    status = Path("/proc/self/status")
    if status.exists():  # getrusage would count what the parent held before exec
        own = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
        return max(1024 * int(own.split()[1]), of_children)
    return max(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, of_children // 1024)  # macOS counts bytes


def say(answers: TextIO, message: dict[str, Any]) -> None:
    """Sends one message."""
    answers.write(json.dumps(message) + "\n")
    answers.flush()


def main() -> None:
    """Keeps the real standard output for messages: what a library prints goes to standard error."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    engine, threads, folder = sys.argv[1:]
    serve(engine, int(threads), Path(folder), sys.stdin, answers)


if __name__ == "__main__":
    main()
