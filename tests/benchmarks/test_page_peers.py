"""Peers on a printed page: two lines with a wide gap, and a third one below."""

from __future__ import annotations

import importlib.util
import shutil

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont

from htrjand.benchmarks.page_peers import FoundLine, RapidOcrPages, TesseractPages, lines_of_hocr

TEXTS = ("La premiere ligne du texte", "une deuxieme ligne", "et encore la troisieme")
FOOTS = (140, 220, 300)  # pixels: where the baselines are


@pytest.fixture(scope="module")
def printed() -> np.ndarray:
    image = Image.new("L", (700, 420), 255)
    for text, y in zip(TEXTS, FOOTS, strict=True):
        ImageDraw.Draw(image).text((60, y), text, fill=0, font=ImageFont.load_default(36), anchor="ls")
    return np.asarray(image)


def check(lines: list[FoundLine], slack: float) -> None:
    assert len(lines) == 3
    for line, foot in zip(sorted(lines, key=lambda line: float(line.baseline[0, 1])), FOOTS, strict=True):
        assert np.abs(line.baseline[:, 1] - foot).max() < slack
        assert line.polygon[:, 0].min() == pytest.approx(60, abs=12)
        assert line.polygon[:, 1].min() < foot < line.polygon[:, 1].max() + 2


@pytest.mark.skipif(shutil.which("tesseract") is None, reason="tesseract is not installed")
def test_tesseract_reads_a_printed_page(printed: np.ndarray) -> None:
    reader = TesseractPages()
    lines = reader.read_page(printed)
    check(lines, slack=3)
    assert [line.text for line in lines] == list(TEXTS)
    assert reader.detect(printed) is None
    assert reader.read_page(np.full((300, 300), 255, np.uint8)) == []


@pytest.mark.skipif(importlib.util.find_spec("rapidocr") is None, reason="rapidocr is not installed")
def test_rapidocr_reads_a_printed_page(printed: np.ndarray) -> None:
    reader = RapidOcrPages(threads=1)
    check(reader.detect(printed), slack=12)
    lines = reader.read_page(printed)  # detection alone before it changes nothing
    check(lines, slack=12)
    assert [line.text.replace(" ", "") for line in lines] == [text.replace(" ", "") for text in TEXTS]
    assert reader.read_page(np.full((300, 300), 255, np.uint8)) == []
    assert reader.detect(np.full((300, 300), 255, np.uint8)) == []
    assert int(str(reader.about()["bytes"])) > 30_000_000


def test_a_slanting_baseline_and_an_empty_line_of_hocr() -> None:
    hocr = """<html xmlns="http://www.w3.org/1999/xhtml"><body>
      <span class='ocr_line' title="bbox 10 20 110 60; baseline 0.1 -12; x_size 30">
        <span class='ocrx_word' title='bbox 10 20 50 60; x_wconf 9'>a &amp;</span>
        <span class='ocrx_word' title='bbox 60 20 110 60; x_wconf 9'>b</span> </span>
      <span class='ocr_line' title="bbox 10 80 110 82; baseline 0 0"><span class='ocrx_word' title='bbox 10 80 110 82'> </span></span>
    </body></html>"""  # noqa: E501
    (line,) = lines_of_hocr(hocr)
    assert line.text == "a & b"
    assert line.baseline.tolist() == [[10, 48], [110, 58]]
    assert line.polygon.tolist() == [[10, 20], [110, 20], [110, 60], [10, 60]]
