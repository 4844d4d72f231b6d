"""Reads pages in a process of its own: `python -m htrjand.benchmarks.studies.pages_worker ENGINE THREADS FOLDER LM [DETECTOR]`.

FOLDER holds the pages as `00000.npy`, … (uint8 [H, W]), and their true lines as `00000.json` (a list of `polygon` and
`baseline`). LM is a language model as `Recognizer` takes it, or `-` for none; DETECTOR a model file or weights of a line
detector, where ENGINE is a line reader. Messages are as those of `benchmarks/worker.py`. Requests have an index `page` and
`what` is wanted of it: to `read` it, to `detect` its lines, or its `given` lines read.
"""  # noqa: E501

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Protocol, TextIO

import numpy as np

from ...runtime import Recognizer
from ...runtime.errors import HtrjandError
from ...runtime.info import size_of
from ...runtime.page.cut import CutError, cut_line
from ...runtime.page.detector import LineDetector
from ..engines import BUNDLED, WEIGHTS, Setup, about
from ..page_peers import FoundLine, RapidOcrPages, TesseractPages
from ..watch import own_seconds
from ..worker import load, peak_rss, send


class PageReader(Protocol):
    """What is measured."""

    def read_page(self, page: np.ndarray) -> list[FoundLine]: ...
    def detect(self, page: np.ndarray) -> list[FoundLine] | None: ...
    def about(self) -> dict[str, object]: ...


class OwnPages:
    """A line reader of ours with a line detector."""

    def __init__(self, engine: str, threads: int, lm: str | None, detector: str | None) -> None:
        finder = open_detector(detector, threads)
        self.engine, self.detector = engine, finder
        self.reader = Recognizer(None if engine == BUNDLED else engine, threads, lm, detector=finder)

    def read_page(self, page: np.ndarray) -> list[FoundLine]:
        """The lines of a page, uint8 [H, W]."""
        found = self.reader.read_page(page).lines
        return [FoundLine(np.array(line.polygon), np.array(line.baseline), line.text) for line in found]

    def detect(self, page: np.ndarray) -> list[FoundLine]:
        """Its lines, without text."""
        return [FoundLine(line.polygon, line.baseline) for line in self.detector.detect(page)]

    def read_given(self, page: np.ndarray, lines: Sequence[dict[str, Any]]) -> list[str]:
        """The texts of lines whose outlines are given; nothing of one that cannot be cut."""
        cuts = {}
        for index, line in enumerate(lines):
            with suppress(CutError):
                cuts[index] = cut_line(page, line["polygon"], line["baseline"])
        read = dict(zip(cuts, self.reader.read_lines(list(cuts.values())), strict=True))
        return [read[index].text if index in read else "" for index in range(len(lines))]

    def about(self) -> dict[str, object]:
        """What its files say, and their sizes."""
        found, size = about(Setup(self.engine), self.reader), size_of(self.detector.path)
        return found | {"bytes": int(str(found["bytes"])) + size, "detector_bytes": size}


def open_detector(path: str | None, threads: int) -> LineDetector:
    """A line detector of a model file or of weights; None: the bundled one."""
    if path is None or Path(path).suffix != WEIGHTS:
        return LineDetector(path, threads)
    import torch

    from ...train.page.session import open_detector as of_weights

    torch.set_num_threads(threads)
    return of_weights(Path(path))


def open_pages(engine: str, threads: int, lm: str | None, detector: str | None) -> PageReader:
    """Opens an engine; only its own libraries are imported."""
    if engine == "tesseract":
        return TesseractPages()
    if engine == "rapidocr":
        return RapidOcrPages(threads)
    return OwnPages(engine, threads, lm, detector)


def serve(reader: PageReader, folder: Path, requests: TextIO, answers: TextIO) -> None:
    """Reads page 0 once, says what was opened, then answers requests until the input ends."""
    reader.read_page(load(folder, 0))
    send(answers, {"ready": True})
    send(answers, reader.about())
    for line in requests:
        send(answers, answer(reader, folder, **json.loads(line)) | {"peak_rss": peak_rss()})


def answer(reader: PageReader, folder: Path, page: int, what: str) -> dict[str, Any]:
    """What a request asks for; seconds are from grey pixels to the result, without loading them."""
    pixels = load(folder, page)
    if what == "given":
        if not isinstance(reader, OwnPages):
            return {"texts": None}
        return {"texts": reader.read_given(pixels, json.loads((folder / f"{page:05}.json").read_text("utf-8")))}
    start, spent = time.perf_counter(), own_seconds()
    found = reader.read_page(pixels) if what == "read" else reader.detect(pixels)
    times = {"seconds": time.perf_counter() - start, "cpu_seconds": own_seconds() - spent}
    if found is None:
        return {"lines": None}
    lines = [
        {"polygon": line.polygon.tolist(), "baseline": line.baseline.tolist(), "text": line.text} for line in found
    ]
    return {"lines": lines} | times


def main() -> None:
    """Keeps the real standard output for messages: what a library prints goes to standard error."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    engine, threads, folder, lm, *detector = sys.argv[1:]
    try:
        reader = open_pages(engine, int(threads), None if lm == "-" else lm, detector[0] if detector else None)
        serve(reader, Path(folder), sys.stdin, answers)
    except HtrjandError as error:
        send(answers, {"error": str(error)})


if __name__ == "__main__":
    main()
