from __future__ import annotations

import importlib.util
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont

from htrjand.benchmarks.peers import RapidOcr, Tesseract
from htrjand.runtime.errors import HtrjandError

needs_tesseract = pytest.mark.skipif(
    shutil.which("tesseract") is None, reason="tesseract is not installed (apt-get install tesseract-ocr-fra)"
)
needs_rapidocr = pytest.mark.skipif(
    importlib.util.find_spec("rapidocr") is None, reason="rapidocr is not installed (pip install 'htrjand[bench]')"
)


@pytest.fixture
def printed() -> np.ndarray:
    image = Image.new("L", (700, 64), 255)
    ImageDraw.Draw(image).text((16, 6), "Une ligne de texte", fill=0, font=ImageFont.load_default(44))
    return np.asarray(image)


@needs_tesseract
def test_tesseract_reads_a_printed_line(printed: np.ndarray) -> None:
    reader = Tesseract()
    assert reader.read_line(printed).text == "Une ligne de texte"
    about = reader.about()
    assert about["engine"] == "tesseract" and about["decoder"] == "beam" and int(str(about["bytes"])) > 1_000_000


def test_a_missing_tesseract_names_the_remedy(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(HtrjandError, match="apt-get install tesseract-ocr tesseract-ocr-fra"):
        Tesseract()


@needs_tesseract
def test_a_missing_language_is_an_error(printed: np.ndarray, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("TESSDATA_PREFIX", str(tmp_path))
    with pytest.raises(HtrjandError, match="apt-get install tesseract-ocr tesseract-ocr-fra"):
        Tesseract().read_line(printed)


@needs_rapidocr
def test_rapidocr_reads_a_printed_line(printed: np.ndarray) -> None:
    reader = RapidOcr(threads=1)
    assert reader.read_line(printed).text.replace(" ", "") == "Unelignedetexte"
    assert reader.read_line(np.full((64, 100), 255, np.uint8)).text == ""
    about = reader.about()
    assert about["decoder"] == "greedy"
    assert "PP-OCRv6-small" in str(about["version"]) and int(str(about["bytes"])) > 20_000_000
