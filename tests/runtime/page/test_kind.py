"""A page or a line: by its shape, and where that leaves it open by the bundled detector."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from htrjand.runtime.page.batch import How, read_source
from htrjand.runtime.page.inputs import PageSource
from htrjand.runtime.page.kind import is_page, kind_by_shape
from htrjand.runtime.recognizer import Recognizer

SAMPLE = Path(__file__).resolve().parents[3] / "benchmarks" / "sample" / "lines"


@pytest.fixture(scope="module")
def reader() -> Recognizer:
    return Recognizer(threads=1)


def sample(number: int, height: int = 64) -> Image.Image:
    image = Image.open(SAMPLE / f"{number:02}.png").convert("L")
    return image.resize((round(image.width * height / 64), height), Image.Resampling.BICUBIC)


def stacked(images: list[Image.Image], size: tuple[int, int], gap: int = 10, left: int = 10) -> Image.Image:
    page = Image.new("L", size, 255)
    top = gap
    for image in images:
        page.paste(image, (left, top))
        top += image.height + gap
    return page


def first_word(number: int, height: int, columns: float) -> Image.Image:
    image = sample(number, height)
    return image.crop((0, 0, round(columns * height / 64), height))


IMAGES = {
    "a line at 600 dpi": (lambda: sample(8, 300), False),
    "a low line": (lambda: sample(6, 30), False),
    "a line of some height": (lambda: sample(3, 120).crop((0, 0, 1000, 120)), False),
    "one word": (lambda: first_word(1, 130, 150), False),
    "a digit": (lambda: sample(3, 110).crop((1255, 0, 1325, 110)), False),
    "a blank strip": (lambda: Image.new("L", (500, 100), 255), False),
    "a strip of two lines": (lambda: stacked([sample(3, 110), sample(5, 110)], (1700, 250)), True),
    "a small page": (lambda: stacked([sample(n, 30) for n in (3, 4, 5, 6, 9)], (500, 400)), True),
    "a page of one line": (lambda: stacked([sample(3, 90)], (1500, 2000), 500), True),
    "a small page of one line": (lambda: stacked([sample(3, 40)], (650, 600), 200), True),
    "a blank page": (lambda: Image.new("L", (1500, 2000), 255), True),
    "a spread": (lambda: Image.new("L", (3000, 2000), 255), True),
}


@pytest.mark.parametrize("name", IMAGES)
def test_a_page_or_a_line(reader: Recognizer, name: str) -> None:
    make, expected = IMAGES[name]
    image = make()
    assert is_page(*image.size, lambda: reader.detector.detect(np.asarray(image))) == expected


@pytest.mark.parametrize(
    ("size", "kind"),
    [
        ((1200, 100), "line"), ((1199, 100), None), ((80, 80), "line"), ((81, 81), None), ((1, 1), "line"),
        ((700, 700), "page"), ((699, 5000), None), ((2100, 700), "page"), ((2101, 700), None),
    ],
)  # fmt: skip
def test_the_shape_decides_without_a_look(size: tuple[int, int], kind: str | None) -> None:
    assert kind_by_shape(*size) == kind
    if kind is not None:
        assert is_page(*size, lambda: pytest.fail("looked at")) == (kind == "page")


@pytest.mark.parametrize("upright", [True, False])
def test_the_shape_is_that_of_the_upright_image(tmp_path: Path, upright: bool) -> None:
    exif = Image.Exif()
    exif[0x0112] = 1 if upright else 6
    Image.new("L", (900, 60), 255).save(tmp_path / "line.png", exif=exif)
    assert PageSource(tmp_path / "line.png").size() == ((900, 60) if upright else (60, 900))


def test_a_line_is_read_as_the_line_reader_reads_it(reader: Recognizer) -> None:
    path = SAMPLE / "05.png"
    result = read_source(reader, PageSource(path), How())
    (line,) = result.page.lines
    assert result.is_line and line.line == reader.read_line(path)
    assert (result.page.width, result.page.height) == Image.open(path).size and line.box == (0, 0, 975, 64)
    first, word = line.words[0], line.line.words[0]
    assert first.text == word.text and first.box[0] == int(word.x0)


def test_a_page_that_is_read_as_a_line_is_told(reader: Recognizer, tmp_path: Path) -> None:
    stacked([sample(3), sample(4)], (1200, 900)).save(tmp_path / "page.png")
    source = PageSource(tmp_path / "page.png")
    forced = read_source(reader, source, How(kind="line"))
    assert forced.is_line and "page.png: is read as one line, and looks like a page" in forced.notes[0]
    free = read_source(reader, source, How())
    assert not free.is_line and len(free.page.lines) == 2 and not free.notes
    as_page = read_source(reader, PageSource(SAMPLE / "03.png"), How(kind="page"))
    assert not as_page.is_line and len(as_page.page.lines) == 1
