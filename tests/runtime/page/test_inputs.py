"""Pages out of images, TIFF files of many pages and PDF; what is none, or too much, is an error with the remedy."""

from __future__ import annotations

import io
import subprocess
import sys
import warnings

import numpy as np
import pypdf
import pytest
from PIL import Image, ImageDraw

from htrjand.runtime import HtrjandError, UsageError
from htrjand.runtime.page.inputs import READ_PIXELS, PageSource, load_page, page_numbers, pages_of


def scan(width: int = 300, height: int = 400, mark: int = 0) -> Image.Image:
    """A white page with a black rectangle of 40 by 20 at (100, 50 + mark)."""
    image = Image.new("L", (width, height), 255)
    ImageDraw.Draw(image).rectangle((100, 50 + mark, 139, 69 + mark), fill=0)
    return image


def ink(page) -> tuple[float, ...]:
    """The box of what is dark, in pixels of the image as it was given."""
    rows, columns = np.nonzero(page.grey < 128)
    box = columns.min(), rows.min(), columns.max() + 1, rows.max() + 1
    return tuple(float(value * page.scale) for value in box)


def loaded(path):
    (source,) = pages_of(path)
    return source.load()


@pytest.mark.parametrize(
    "form, mode", [("png", "L"), ("png", "1"), ("png", "P"), ("png", "RGB"), ("png", "LA"), ("jpg", "RGB"),
                   ("jpg", "CMYK"), ("tif", "CMYK"), ("webp", "RGBA"), ("bmp", "RGB"), ("gif", "P"),
                   ("jp2", "RGB")],
)  # fmt: skip
def test_images_of_any_kind(form, mode, tmp_path):
    path = tmp_path / f"scan.{form}"
    (scan() if mode == "L" else scan().convert("RGB").convert(mode)).save(path)
    page = loaded(path)
    assert page.grey.dtype == np.uint8 and page.grey.shape == (400, 300)
    assert (page.width, page.height, page.scale) == (300, 400, 1.0)
    assert ink(page) == pytest.approx((100, 50, 140, 70), abs=1)
    assert np.array_equal(load_page(path).grey, page.grey)


def test_sixteen_bits(tmp_path):
    Image.fromarray(np.asarray(scan()).astype(np.uint16) * 257).save(tmp_path / "deep.png")
    assert np.array_equal(loaded(tmp_path / "deep.png").grey, np.asarray(scan()))


@pytest.mark.parametrize("form", ["jpg", "tif", "png"])
def test_a_page_is_upright_by_its_exif(form, tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned a quarter clockwise
    scan().rotate(90, expand=True).save(tmp_path / f"scan.{form}", exif=exif)
    page = loaded(tmp_path / f"scan.{form}")
    assert (page.width, page.height, page.grey.shape) == (300, 400, (400, 300))
    assert ink(page) == pytest.approx((100, 50, 140, 70), abs=1)


@pytest.mark.parametrize("source", ["bytes", "array", "image"])
def test_one_page_from_memory(source):
    stream = io.BytesIO()
    scan().save(stream, "PNG")
    given = {"bytes": stream.getvalue(), "array": np.asarray(scan()), "image": scan()}[source]
    page = load_page(given)
    assert np.array_equal(page.grey, np.asarray(scan())) and (page.width, page.height, page.scale) == (300, 400, 1.0)


@pytest.mark.parametrize("form, mode", [("jpg", "RGB"), ("png", "1"), ("png", "P"), ("png", "I;16")])
def test_a_large_page_is_halved_and_says_so(form, mode, tmp_path):
    image = scan(7000, 6001, mark=2000).resize((7000, 6001))
    if mode == "I;16":
        image = Image.fromarray(np.asarray(image).astype(np.uint16) * 257)
    elif mode != "L":
        image = image.convert(mode)
    image.save(tmp_path / f"large.{form}")
    assert image.width * image.height > READ_PIXELS
    page = loaded(tmp_path / f"large.{form}")
    assert page.grey.shape == (3001, 3500)
    assert (page.width, page.height, page.scale) == (7000, 6001, 2.0)
    assert ink(page) == pytest.approx((100, 2050, 140, 2070), abs=2)


def test_a_large_page_on_its_side_by_exif(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 8
    scan(7000, 6001).save(tmp_path / "large.jpg", exif=exif)
    page = loaded(tmp_path / "large.jpg")
    assert (page.width, page.height) == (6001, 7000) and page.grey.shape == (3500, 3001)


def test_a_large_jpeg_takes_no_more_memory_than_what_it_is_read_in(tmp_path):
    path = tmp_path / "huge.jpg"
    Image.new("RGB", (14000, 14000), "white").save(path)
    code = (
        "import sys, resource\nfrom htrjand.runtime.page.inputs import load_page\n"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\npage = load_page(sys.argv[1])\n"
        "print(page.scale, (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)"
    )
    done = subprocess.run([sys.executable, "-c", code, path], capture_output=True, text=True, check=True)
    scale, megabytes = done.stdout.split()
    assert float(scale) == 4.0 and int(megabytes) < 100 and not done.stderr  # 588 in colour and full size


def test_pillows_limit_of_pixels_is_neither_met_nor_changed(tmp_path):
    Image.new("1", (14000, 14000), 1).save(tmp_path / "large.png")
    Image.new("1", (20001, 10000), 1).save(tmp_path / "too-large.png")
    before = Image.MAX_IMAGE_PIXELS
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert loaded(tmp_path / "large.png").width == 14000
        with pytest.raises(
            HtrjandError, match="too-large.png: 20001×10000 pixels are too many for a page .at most 200,"
        ):
            loaded(tmp_path / "too-large.png")
    assert before == Image.MAX_IMAGE_PIXELS


@pytest.fixture
def tiff(tmp_path):
    """Five pages of different heights and marks."""
    path = tmp_path / "many.tif"
    first, *rest = [scan(300, 400 + 10 * n, 20 * n).convert("1") for n in range(5)]
    first.save(path, save_all=True, append_images=rest, compression="group4")
    return path


def test_every_frame_of_a_tiff_is_a_page(tiff):
    sources = list(pages_of(tiff))
    assert [source.number for source in sources] == [1, 2, 3, 4, 5]
    assert [ink(source.load())[1] for source in sources] == [50, 70, 90, 110, 130]
    assert [source.load().height for source in reversed(sources)] == [440, 430, 420, 410, 400]
    assert str(sources[0]) == f"{tiff}, page 1"
    assert sources[2].picture().size == (300, 420)


def test_of_many_pages_some_can_be_chosen(tiff):
    assert [source.number for source in pages_of(tiff, page_numbers("2-3,5"))] == [2, 3, 5]
    assert [source.number for source in pages_of(tiff, page_numbers("4-"))] == [4, 5]
    with pytest.raises(HtrjandError, match="many.tif: has 5 pages, and none of those asked for"):
        pages_of(tiff, page_numbers("7,9-12"))
    with pytest.raises(HtrjandError, match="page 6: the file has 5 pages"):
        PageSource(tiff, 6).load()


def test_many_pages_are_not_read_as_one(tiff):
    with pytest.raises(HtrjandError, match="many.tif: has 5 pages; read them one by one"):
        load_page(tiff)
    with pytest.raises(HtrjandError, match="image: has 5 pages"):
        load_page(tiff.read_bytes())


def test_a_reduced_copy_in_a_tiff_is_no_page(tmp_path):
    path = tmp_path / "with-preview.tif"
    small = scan().resize((75, 100))
    small.encoderinfo = {"tiffinfo": {254: 1}}
    scan().save(path, save_all=True, append_images=[small, scan(mark=100)])
    assert [source.load().grey.shape for source in pages_of(path)] == [(400, 300), (400, 300)]
    assert [ink(source.load())[1] for source in pages_of(path)] == [50, 150]


def test_one_bad_page_does_not_stop_the_rest(tmp_path):
    path = tmp_path / "many.tif"
    noise = [Image.fromarray(np.random.default_rng(n).integers(0, 256, (200, 300), np.uint8)) for n in range(3)]
    noise[0].save(path, save_all=True, append_images=noise[1:], compression="tiff_adobe_deflate")
    with Image.open(path) as image:
        image.seek(1)
        place = image.tag_v2[273][0]  # where the pixels of the second page begin
    data = bytearray(path.read_bytes())
    data[place : place + 2000] = bytes(2000)
    path.write_bytes(data)
    first, second, third = pages_of(path)
    assert np.array_equal(first.load().grey, np.asarray(noise[0]))
    with pytest.raises(HtrjandError, match="many.tif, page 2: not a readable image"):
        second.load()
    assert np.array_equal(third.load().grey, np.asarray(noise[2]))


@pytest.mark.parametrize("cut", [50, 150, 200, 400])
def test_of_a_tiff_cut_short_the_pages_that_are_there_are_read_and_the_next_is_an_error(tiff, cut):
    tiff.write_bytes(tiff.read_bytes()[:-cut])
    *whole, last = pages_of(tiff)
    assert whole and [ink(source.load())[1] for source in whole] == [50 + 20 * n for n in range(len(whole))]
    for read in (last.load, last.picture):
        with pytest.raises(HtrjandError, match=f"page {last.number}: the file is cut short or damaged here"):
            read()


def test_a_bigtiff_and_one_in_the_other_byte_order(tmp_path):
    pages = [scan(mark=20 * n) for n in range(3)]
    pages[0].save(tmp_path / "big.tif", save_all=True, append_images=pages[1:], big_tiff=True)
    assert (tmp_path / "big.tif").read_bytes()[2] == 43
    assert [ink(source.load())[1] for source in pages_of(tmp_path / "big.tif")] == [50, 70, 90]
    small = scan().resize((75, 100))
    small.encoderinfo = {"tiffinfo": {254: 1}}
    pages[0].save(tmp_path / "big.tif", save_all=True, append_images=[small], big_tiff=True)
    assert len(list(pages_of(tmp_path / "big.tif"))) == 1
    deep = (np.asarray(scan()).astype(">u2") * 257).astype(">u2")
    Image.frombytes("I;16B", (300, 400), deep.tobytes()).save(tmp_path / "swapped.tif")
    assert (tmp_path / "swapped.tif").read_bytes()[:2] == b"MM"
    assert ink(loaded(tmp_path / "swapped.tif")) == (100, 50, 140, 70)


@pytest.mark.parametrize("form", ["gif", "webp", "png"])
def test_an_animation_is_an_error_and_not_its_first_picture(form, tmp_path):
    path = tmp_path / f"moving.{form}"
    scan().save(path, save_all=True, append_images=[scan(mark=20), scan(mark=40)])
    with pytest.raises(HtrjandError, match=f"moving.{form}: an animation of 3 pictures; save the one with the page"):
        pages_of(path)
    with pytest.raises(HtrjandError, match="an animation"):
        load_page(path.read_bytes())


def test_a_photograph_with_a_preview_behind_it_is_one_page(tmp_path):
    path = tmp_path / "camera.jpg"
    scan().convert("RGB").save(path, "MPO", save_all=True, append_images=[scan(75, 100).convert("RGB")])
    assert Image.open(path).format == "MPO"
    assert loaded(path).grey.shape == (400, 300)
    assert PageSource(path).picture().size == (300, 400)


@pytest.fixture
def pdf(tmp_path):
    """Three pages of 300 by 400, 410, 420 pixels at 150 dpi, as Pillow writes them."""
    path = tmp_path / "scans.pdf"
    first, *rest = [scan(300, 400 + 10 * n, 20 * n).convert("RGB") for n in range(3)]
    first.save(path, save_all=True, append_images=rest, resolution=150)
    return path


def test_pages_of_a_pdf_are_rendered_with_300_dpi(pdf):
    pages = [source.load() for source in pages_of(pdf)]
    for n, page in enumerate(pages):
        assert page.grey.shape == (page.height, page.width) == pytest.approx((800 + 20 * n, 600), abs=1)
        assert page.scale == 1.0
        assert ink(page) == pytest.approx((200, 100 + 40 * n, 280, 140 + 40 * n), abs=3)
    picture = PageSource(pdf, 2).picture()
    assert picture.mode == "RGB" and picture.size == pytest.approx((600, 820), abs=1)
    assert picture.info["dpi"] == pytest.approx((300, 300))


def test_a_poster_of_a_pdf_is_rendered_with_fewer_pixels(tmp_path):
    path = tmp_path / "poster.pdf"
    writer = pypdf.PdfWriter()
    writer.add_blank_page(7200, 14400)
    writer.write(path)
    page = loaded(path)
    assert page.grey.size <= READ_PIXELS * 1.001 and page.width * 2 == pytest.approx(page.height, abs=2)
    assert (page.grey == 255).all() and page.scale == 1.0


def test_a_pdf_that_cannot_be_read(pdf, tmp_path):
    writer = pypdf.PdfWriter(pdf)
    writer.encrypt("secret", algorithm="RC4-128")
    writer.write(tmp_path / "locked.pdf")
    with pytest.raises(HtrjandError, match="locked.pdf: not a readable PDF .*password"):
        pages_of(tmp_path / "locked.pdf")
    (tmp_path / "cut.pdf").write_bytes(b"%PDF-1.7\nnothing more")
    with pytest.raises(HtrjandError, match="cut.pdf: not a readable PDF"):
        pages_of(tmp_path / "cut.pdf")
    with pytest.raises(HtrjandError, match="page 4: the file has 3 pages"):
        PageSource(pdf, 4).load()


def test_without_the_library_a_pdf_says_what_to_install(pdf, monkeypatch):
    monkeypatch.setitem(sys.modules, "pypdfium2", None)
    with pytest.raises(HtrjandError, match=r"scans.pdf: to read a PDF, pip install 'htrjand\[pdf\]'"):
        pages_of(pdf)


def test_a_file_that_is_no_page(tmp_path):
    (tmp_path / "notes.txt").write_text("no image")
    with pytest.raises(HtrjandError, match="notes.txt: not an image"):
        pages_of(tmp_path / "notes.txt")
    with pytest.raises(HtrjandError, match="gone.png: no such file"):
        pages_of(tmp_path / "gone.png")
    with pytest.raises(HtrjandError, match="is a folder"):
        pages_of(tmp_path)
    scan().save(tmp_path / "cut.jpg")
    (tmp_path / "cut.jpg").write_bytes((tmp_path / "cut.jpg").read_bytes()[:900])
    (source,) = pages_of(tmp_path / "cut.jpg")
    with pytest.raises(HtrjandError, match="cut.jpg: not a readable image"):
        source.load()


@pytest.mark.parametrize(
    "text, numbers", [("1", [1]), ("1-3,7", [1, 2, 3, 7]), (" 2 , 4 - 5 ", [2, 4, 5]), ("8-", [8, 9]), ("3,3", [3])]
)
def test_page_numbers(text, numbers):
    assert [n for n in range(1, 10) if any(n in part for part in page_numbers(text))] == numbers


@pytest.mark.parametrize("text", ["", "0", "3-1", "a", "1,,2", "-3", "1-2-3", "1.5", "0-4"])
def test_page_numbers_that_are_none(text):
    with pytest.raises(UsageError, match="names no pages; give numbers from 1, as 1-3,7 or 5-"):
        page_numbers(text)
