"""Peers that read whole pages, each with its own detector and as it ships: lines with outlines, baselines and texts."""

from __future__ import annotations

import re
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import Any, NamedTuple
from xml.etree import ElementTree

import numpy as np

from ..runtime.errors import HtrjandError
from ..runtime.page.cut import ABOVE, BELOW, Points
from .peers import RapidOcr, Tesseract

TITLE = re.compile(r"bbox (\d+) (\d+) (\d+) (\d+); baseline (\S+) (\S+?)(;|$)")
XHTML = "{http://www.w3.org/1999/xhtml}"


class FoundLine(NamedTuple):
    """A line that was found on a page, in pixels of it, and what was read there."""

    polygon: Points  # N, 2
    baseline: Points  # M, 2
    text: str = ""


class TesseractPages(Tesseract):
    """Tesseract on pages (`--psm 3`), a process each, see `Tesseract`; its hOCR has boxes and straight baselines."""

    def read_page(self, page: np.ndarray) -> list[FoundLine]:
        """The lines of a page, uint8 [H, W]; those without a text are no lines."""
        return list(lines_of_hocr(self.run(page, "--psm", "3", "hocr")))

    def detect(self, page: np.ndarray) -> None:
        """It finds lines only as it reads them."""


def lines_of_hocr(hocr: str) -> Iterator[FoundLine]:
    """The lines that Tesseract writes as hOCR; one without words (a rule, a picture) is left out."""
    for element in ElementTree.fromstring(hocr).iter(f"{XHTML}span"):
        place = TITLE.match(element.get("title", ""))  # of a word, it has no baseline
        text = " ".join("".join(element.itertext()).split())
        if place and text:
            x0, y0, x1, y1 = (float(value) for value in place.groups()[:4])
            slope, offset = float(place[5]), float(place[6])  # from the lower left corner of the box
            baseline = np.array([(x, y1 + offset + slope * (x - x0)) for x in (x0, x1)])
            yield FoundLine(np.array([(x0, y0), (x1, y0), (x1, y1), (x0, y1)]), baseline, text)


class RapidOcrPages:
    """RapidOCR as it ships: PP-OCRv6-small's detector and recogniser and a classifier of upside-down lines.

    The paths of all weights are given, so that the library downloads nothing. It gives quadrangles; their baselines are
    put as high in them as `cut_line` assumes where there is none.
    """

    remedy = RapidOcr.remedy

    def __init__(self, threads: int) -> None:
        try:
            import cv2
            import rapidocr
        except ModuleNotFoundError as error:
            raise HtrjandError(f"{error.name} is not installed: {self.remedy}") from error
        folder = Path(rapidocr.__file__).parent / "models"
        self.weights = {
            "Det": folder / "PP-OCRv6_det_small.onnx",
            "Cls": folder / "ch_ppocr_mobile_v2.0_cls_mobile.onnx",
            "Rec": folder / "PP-OCRv6_rec_small.onnx",
        }
        for path in self.weights.values():
            if not path.is_file():
                raise HtrjandError(f"{path}: rapidocr came without its weights; {self.remedy}")
        cv2.setNumThreads(threads)
        self.engine: Any = rapidocr.RapidOCR(
            params={f"{part}.model_path": str(path) for part, path in self.weights.items()}
            | {"Global.log_level": "critical", "EngineConfig.onnxruntime.intra_op_num_threads": threads}
        )

    def read_page(self, page: np.ndarray) -> list[FoundLine]:
        """The lines of a page, uint8 [H, W]; it leaves out those that it is not sure of."""
        found = self.engine(in_colour(page))
        boxes, texts = getattr(found, "boxes", None), getattr(found, "txts", None)
        if boxes is None or texts is None:
            return []
        return [line_of_box(box, text) for box, text in zip(boxes, texts, strict=True)]

    def detect(self, page: np.ndarray) -> list[FoundLine]:
        """What its detector finds alone."""
        boxes = self.engine(in_colour(page), use_cls=False, use_rec=False).boxes
        self.engine.update_params(use_cls=True, use_rec=True)  # the library keeps what a call was given
        return [] if boxes is None else [line_of_box(box) for box in boxes]

    def about(self) -> dict[str, object]:
        """Its version and the size of its three models."""
        return {
            "engine": "rapidocr",
            "decoder": "greedy",
            "precision": "fp32",
            "version": f"{metadata.version('rapidocr')}, PP-OCRv6-small",
            "bytes": sum(path.stat().st_size for path in self.weights.values()),
            "detector_bytes": self.weights["Det"].stat().st_size,
        }


def in_colour(page: np.ndarray) -> np.ndarray:
    """A grey page as the three equal channels that RapidOCR takes."""
    return np.stack([page] * 3, axis=-1)  # H, W, 3


def line_of_box(box: Any, text: str = "") -> FoundLine:
    """A line of four corners [4, 2], from the upper left one clockwise."""
    corners = np.asarray(box, dtype=np.float64)
    share = ABOVE / (ABOVE + BELOW)
    baseline = corners[[0, 1]] + share * (corners[[3, 2]] - corners[[0, 1]])
    return FoundLine(corners, baseline, text)
