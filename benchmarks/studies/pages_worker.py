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
from pathlib import Path
from typing import Any, Protocol, TextIO

import numpy as np

from ...runtime.engines import Port
from ...runtime.errors import HtrjandError
from ...runtime.info import size_of
from ...runtime.page.cut import CutError, cut_line
from ...runtime.page.detector import LineDetector
from ..engines import WEIGHTS, Setup, about, open_reader
from ..page_peers import FoundLine, RapidOcrPages, TesseractPages
from ..worker import load, peak_rss, send


class PageReader(Protocol):
    """What is measured."""

    def read_page(self, page: np.ndarray) -> list[FoundLine]: ...
    def detect(self, page: np.ndarray) -> list[FoundLine] | None: ...
    def about(self) -> dict[str, object]: ...


class OwnPages:
    """A line reader of ours with a line detector."""

    def __init__(self, engine: str, threads: int, lm: str | None, detector: str | None) -> None:
        self.engine, self.reader = engine, open_reader(Setup(engine, lm), threads)
        self.reader.detector = open_detector(detector, threads)

    def read_page(self, page: np.ndarray) -> list[FoundLine]:
        """The lines of a page, uint8 [H, W]."""
        found = self.reader.read_page(page).lines
        return [FoundLine(np.array(line.polygon), np.array(line.baseline), line.text) for line in found]

    def detect(self, page: np.ndarray) -> list[FoundLine]:
        """Its lines, without text."""
        return [FoundLine(line.polygon, line.baseline) for line in self.reader.detector.detect(page)]

    def read_given(self, page: np.ndarray, lines: list[dict[str, Any]]) -> list[str]:
        """The texts of lines whose outlines are given; nothing of one that cannot be cut."""
        cuts = []
        for line in lines:
            try:
                cuts.append(cut_line(page, line["polygon"], line["baseline"]))
            except CutError:
                cuts.append(None)
        read = iter(self.reader.read_lines([cut for cut in cuts if cut is not None]))
        return ["" if cut is None else next(read).text for cut in cuts]

    def about(self) -> dict[str, object]:
        """What its files say, and their sizes."""
        found, size = about(self.engine, self.reader), size_of(self.reader.detector.path)
        return found | {"bytes": int(str(found["bytes"])) + size, "detector_bytes": size}


def open_detector(path: str | None, threads: int) -> LineDetector:
    """A line detector of a model file or of weights; None: the bundled one."""
    if path is None or Path(path).suffix != WEIGHTS:
        return LineDetector(path, threads)
    return LineDetector.over(TorchSession(Path(path), threads))


class TorchSession:
    """A line detector's weights, run by torch."""

    inputs = (Port("image", "uint8", (None, 1, None, None)),)
    outputs = (Port("maps", "float32", (None, 4, None, None)),)

    def __init__(self, path: Path, threads: int) -> None:
        import torch

        from ...runtime.page.detector_info import DetectorInfo
        from ...train.page.weights import load_detector

        torch.set_num_threads(threads)
        self.path, self.network = path, load_detector(path)
        self.metadata = DetectorInfo(path.stem, "").to_metadata()

    def run(self, images: np.ndarray) -> list[np.ndarray]:
        """Maps float32 [N, 4, H/4, W/4] of images uint8 [N, 1, H, W]."""
        import torch

        with torch.inference_mode():
            return [self.network(torch.from_numpy(images)).numpy()]


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
    start = time.perf_counter()
    found = reader.read_page(pixels) if what == "read" else reader.detect(pixels)
    seconds = time.perf_counter() - start
    if found is None:
        return {"lines": None}
    lines = [
        {"polygon": line.polygon.tolist(), "baseline": line.baseline.tolist(), "text": line.text} for line in found
    ]
    return {"lines": lines, "seconds": seconds}


def main() -> None:
    """Keeps the real standard output for messages: what a library prints goes to standard error."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    engine, threads, folder, lm, *detector = sys.argv[1:]
    try:
        reader = open_pages(engine, int(threads), None if lm == "-" else lm, *detector or [None])
        serve(reader, Path(folder), sys.stdin, answers)
    except HtrjandError as error:
        send(answers, {"error": str(error)})


if __name__ == "__main__":
    main()
