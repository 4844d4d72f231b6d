"""The searchable PDF, as PDFium and pypdf read it: all words, in order, where they are in the image."""

from __future__ import annotations

import io
import re
import unicodedata

import numpy as np
import pypdf
import pypdfium2
import pytest
from pages_made import MAKERS, line, made
from PIL import Image, ImageDraw

from htrjand import __version__
from htrjand.runtime import HtrjandError
from htrjand.runtime.page.outputs import OUTPUTS, as_bytes
from htrjand.runtime.page.outputs.xml import clean
from htrjand.runtime.page.page import Page


@pytest.fixture(params=MAKERS)
def page(request, tmp_path) -> Page:
    return made(request.param, tmp_path)


def written(page: Page) -> list[str]:
    return [clean(word.text) for line in page.lines for word in line.words]


def test_pypdf_finds_nothing_wrong_and_all_words_in_order(page):
    reader = pypdf.PdfReader(io.BytesIO(as_bytes(page, "pdf")), strict=True)
    (sheet,) = reader.pages
    assert sheet.extract_text().split() == written(page)
    assert sheet.rotation == page.turned
    assert reader.metadata.producer == f"htrjand {__version__}"


def test_pdfium_finds_all_words_in_order_and_each_where_it_is(page):
    sheet = pypdfium2.PdfDocument(as_bytes(page, "pdf"))[0]
    scale = page.width / sheet.get_mediabox()[2]  # characters are where they are before the page is shown turned
    text = sheet.get_textpage()
    found: list[tuple[bytearray, list]] = []
    between = True
    for i in range(text.count_chars()):
        unit = pypdfium2.raw.FPDFText_GetUnicode(text, i)  # of UTF-16
        if chr(unit).isspace():
            between = True
            continue
        if between:
            found.append((bytearray(), []))
            between = False
        found[-1][0].extend(unit.to_bytes(2, "little"))
        found[-1][1].append(text.get_charbox(i, loose=True))
    assert [word.decode("utf-16-le") for word, _ in found] == written(page)
    boxes = [word.box for line in page.lines for word in line.words]
    for (word, corners), (left, top, right, bottom) in zip(found, boxes, strict=True):
        x0, y0 = (scale * min(corner[axis] for corner in corners) for axis in (0, 1))
        x1, y1 = (scale * max(corner[axis] for corner in corners) for axis in (2, 3))
        near = {"abs": 3 + 0.3 * min(right - left, bottom - top)}  # a font's box is not the line's: 30 % of its height
        assert (x0, x1) == (pytest.approx(left, **near), pytest.approx(right, **near)), word
        assert (page.height - y1, page.height - y0) == (pytest.approx(top, **near), pytest.approx(bottom, **near)), word


def test_a_word_can_be_searched_for(tmp_path):
    document = pypdfium2.PdfDocument(as_bytes(made("plain", tmp_path), "pdf"))
    searcher = document[0].get_textpage().search("straße Ärger")
    assert searcher.get_next() is not None


def test_any_number_of_different_characters_comes_out(tmp_path):
    letters = [char for char in map(chr, range(0xC0, 0x2000)) if unicodedata.category(char) in ("Lu", "Ll")][:600]
    letters += ["\U0001d504", "ꝑ", "€", "…"]
    lines = [
        line("".join(letters[i : i + 40]), 60, 60 + 40 * i, 900, 90 + 40 * i, (1000, 30000))
        for i in range(0, len(letters), 40)
    ]
    Image.new("L", (1000, 30000), 255).save(tmp_path / "tall.png")
    data = as_bytes(Page(str(tmp_path / "tall.png"), 1000, 30000, tuple(lines)), "pdf")
    pages = pypdf.PdfReader(io.BytesIO(data), strict=True).pages
    assert "".join(pages[0].extract_text().split()) == "".join(letters)
    text = pypdfium2.PdfDocument(data)[0].get_textpage().get_text_range()
    assert "".join(text.split()) == "".join(letters)


def shaded(mode: str = "RGB") -> Image.Image:
    """A page with a black corner at the upper left and a coloured slope."""
    pixels = np.tile(np.linspace(80, 255, 400).astype(np.uint8)[None, :, None], (600, 1, 3)).copy()
    pixels[:, :, 2] = 200
    image = Image.fromarray(pixels)
    ImageDraw.Draw(image).rectangle((0, 0, 100, 50), fill="black")
    return image.convert(mode)


def shown(data: bytes, width: int) -> np.ndarray:
    """The first page as PDFium draws it, in grey, so many pixels wide."""
    sheet = pypdfium2.PdfDocument(data)[0]
    return np.asarray(sheet.render(scale=width / sheet.get_width(), grayscale=True).to_pil()).astype(int)


@pytest.mark.parametrize(
    "form, mode", [("png", "RGB"), ("png", "L"), ("png", "1"), ("png", "P"), ("png", "LA"), ("png", "I;16"),
                   ("jpg", "RGB"), ("jpg", "L"), ("jpg", "CMYK"), ("tif", "CMYK"), ("webp", "RGBA")],
)  # fmt: skip
def test_the_page_looks_like_its_image_and_no_word_is_drawn(form, mode, tmp_path):
    path = tmp_path / f"scan.{form}"
    image = Image.fromarray(np.asarray(shaded("L")).astype(np.uint16) * 257) if mode == "I;16" else shaded(mode)
    image.save(path)
    page = Page(str(path), 400, 600, (line("des mots", 20, 100, 380, 160, (400, 600)),))
    drawn = shown(as_bytes(page, "pdf"), 400)
    wanted = np.asarray((shaded("L") if mode == "I;16" else shaded(mode)).convert("L")).astype(int)
    assert drawn.shape == wanted.shape
    assert np.abs(drawn - wanted).mean() < 5
    assert drawn[:45, :95].max() < 40 and drawn[55:, 105:].min() > (40 if mode != "1" else -1)


def test_a_jpeg_goes_in_as_it_is_and_black_and_white_without_loss(tmp_path):
    shaded().save(tmp_path / "scan.jpg", quality=70)
    shaded("1").save(tmp_path / "scan.tif")
    pages = [Page(str(tmp_path / name), 400, 600, ()) for name in ("scan.jpg", "scan.tif")]
    assert (tmp_path / "scan.jpg").read_bytes() in as_bytes(pages[0], "pdf")
    (image,) = pypdf.PdfReader(io.BytesIO(as_bytes(pages[1], "pdf")), strict=True).pages[0].images
    assert image.image.tobytes() == shaded("1").tobytes()


def test_a_photograph_on_its_side_by_exif_stands_upright(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned a quarter clockwise
    shaded().rotate(90, expand=True).save(tmp_path / "scan.jpg", exif=exif)
    drawn = shown(as_bytes(Page(str(tmp_path / "scan.jpg"), 400, 600, ()), "pdf"), 400)
    assert drawn.shape == (600, 400) and drawn[:45, :95].max() < 40 and drawn[:45, 300:].min() > 100


@pytest.mark.parametrize("dpi, inches", [((300, 300), 2.0), ((72, 72), 11.69), (None, 11.69), ((0, 0), 11.69)])
def test_a_page_is_as_large_as_its_image_says_or_as_a4(dpi, inches, tmp_path):
    shaded().save(tmp_path / "scan.jpg", **({"dpi": dpi} if dpi else {}))
    sheet = pypdfium2.PdfDocument(as_bytes(Page(str(tmp_path / "scan.jpg"), 400, 600, ()), "pdf"))[0]
    assert sheet.get_height() / 72 == pytest.approx(inches, abs=0.01)
    assert sheet.get_width() / sheet.get_height() == pytest.approx(400 / 600, abs=0.001)


@pytest.mark.parametrize("turned, corner", [(90, (-1, 0)), (180, (-1, -1)), (270, (0, -1))])
def test_a_page_is_shown_as_it_was_read(turned, corner, tmp_path):
    """The black corner of the image as it was turned is where it was before."""
    shaded().save(tmp_path / "scan.png")
    drawn = shown(as_bytes(Page(str(tmp_path / "scan.png"), 400, 600, (), turned=turned), "pdf"), 400)
    turned_by_hand = np.asarray(shaded("L").rotate(-turned, expand=True))
    assert (drawn.shape[0] > drawn.shape[1]) == (turned_by_hand.shape[0] > turned_by_hand.shape[1])
    assert (drawn < 60).any() and drawn[5 if corner[1] == 0 else -5, -5 if corner[0] else 5] < 60


def test_pages_are_joined_and_each_has_its_words(tmp_path):
    pages = [made(name, tmp_path, f"{name}.png") for name in ("plain", "empty", "upside_down", "awkward_text")]
    stream = io.BytesIO()
    OUTPUTS["pdf"].write(iter(pages), stream)
    reader = pypdf.PdfReader(stream, strict=True)
    assert [sheet.extract_text().split() for sheet in reader.pages] == [written(page) for page in pages]


def test_the_language_stands_in_the_catalog_where_it_is_one(tmp_path):
    def language(name: str) -> object:
        return pypdf.PdfReader(io.BytesIO(as_bytes(made(name, tmp_path), "pdf"))).root_object.get("/Lang")

    assert language("plain") == "fr" and language("awkward_text") is None


def test_a_page_whose_image_is_gone_is_an_error_that_says_so(tmp_path):
    with pytest.raises(HtrjandError, match="gone.png: no such file"):
        as_bytes(Page(str(tmp_path / "gone.png"), 400, 600, ()), "pdf")
    with pytest.raises(HtrjandError, match="from memory"):
        as_bytes(Page("", 400, 600, ()), "pdf")


def test_every_object_begins_where_the_table_says(tmp_path):
    data = as_bytes(made("plain", tmp_path), "pdf")
    table = data[int(re.search(rb"startxref\n(\d+)", data)[1]) :]
    begins = [int(row) for row in re.findall(rb"(\d{10}) 00000 n", table)]
    assert begins and all(data[begin:].startswith(b"%d 0 obj\n" % n) for n, begin in enumerate(begins, 1))
