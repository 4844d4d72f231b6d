from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from htrjand.runtime import HtrjandError
from htrjand.runtime.image import BAND, HEIGHT, load_line, load_line_and_width, pad_line, paper_grey, to_grey

RAMP = np.tile(np.linspace(0, 255, 200).astype(np.uint8), (100, 1))  # 100, 200: dark on the left


def encoded(image: Image.Image, form: str = "PNG", **options: object) -> bytes:
    stream = io.BytesIO()
    image.save(stream, form, **options)
    return stream.getvalue()


def test_scaled_to_the_height_with_the_aspect_kept():
    line, width = load_line_and_width(RAMP)
    assert line.shape == (HEIGHT, 128) and line.dtype == np.uint8 and width == 200
    assert np.array_equal(load_line(RAMP), line)


@pytest.mark.parametrize(
    "make", [str, Path, lambda path: path.read_bytes(), Image.open, lambda path: np.asarray(Image.open(path))]
)
def test_every_kind_of_source_gives_the_same_pixels(tmp_path, make):
    path = tmp_path / "line.png"
    Image.fromarray(RAMP).save(path)
    assert np.array_equal(load_line(make(path)), load_line(RAMP))


def test_a_line_of_the_right_height_is_left_as_it_is():
    pixels = np.random.default_rng(0).integers(0, 256, (64, 333), np.uint8)
    assert np.array_equal(load_line(pixels), pixels)


@pytest.mark.parametrize(
    "mode", ["L", "1", "P", "RGB", "RGBA", "LA", "CMYK", "YCbCr", "HSV", "I", "I;16", "RGBX", "RGBa", "La"]
)
def test_colour_modes_of_pillow_come_out_grey(mode):
    bars = Image.fromarray(np.repeat(np.array([[0, 255] * 20], np.uint8), 64, axis=0).repeat(8, axis=1))
    image = bars.convert("RGBA" if mode == "RGBa" else "LA" if mode == "La" else mode)
    line = load_line(image.convert(mode))
    assert line.shape == (64, 320)
    assert line[:, 2::16].max() <= 20 and line[:, 10::16].min() >= (200 if mode not in ("I", "I;16") else 255)


def test_a_cmyk_jpeg_and_a_deep_tiff():
    cmyk = encoded(Image.fromarray(RAMP).convert("CMYK"), "JPEG", quality=95)
    assert np.abs(load_line(cmyk).astype(int) - load_line(RAMP)).max() <= 12
    deep = encoded(Image.fromarray(RAMP.astype(np.uint16) * 257), "TIFF")
    assert np.array_equal(load_line(deep), load_line(RAMP))


def test_sixteen_bits_are_scaled_and_eight_in_sixteen_kept():
    assert np.array_equal(load_line(RAMP.astype(np.uint16) * 257), load_line(RAMP))
    assert np.array_equal(load_line(RAMP.astype(np.uint16)), load_line(RAMP))


def test_exif_turns_the_line_upright():
    turned = Image.fromarray(RAMP).rotate(90, expand=True)
    exif = Image.Exif()
    exif[0x0112] = 6  # shown after a quarter turn clockwise
    source = encoded(turned, "PNG", exif=exif)
    line, width = load_line_and_width(source)
    assert width == 200 and np.array_equal(line, load_line(RAMP))
    assert np.array_equal(load_line(Image.open(io.BytesIO(source))), line)


def test_an_animation_gives_its_first_frame():
    other = Image.fromarray(255 - RAMP)
    source = encoded(Image.fromarray(RAMP), "GIF", save_all=True, append_images=[other])
    assert np.abs(load_line(source).astype(int) - load_line(RAMP)).max() <= 4


def test_what_is_transparent_becomes_paper():
    clear = np.zeros((64, 128, 4), np.uint8)  # black ink everywhere, seen only in the middle
    clear[:, 60:68, 3] = 255
    for image in (Image.fromarray(clear), Image.fromarray(clear).quantize(4)):
        line = load_line(encoded(image))
        assert line[:, :50].min() == 255 and line[:, 62:66].max() == 0
    palette = Image.fromarray(np.repeat(np.array([[0] * 64 + [1] * 64], np.uint8), 64, axis=0), "P")
    palette.putpalette([0, 0, 0, 10, 10, 10])
    line = load_line(encoded(palette, transparency=0))
    assert line[:, :60].min() == 255 and line[:, 70:].max() <= 10


def test_grey_pixels_of_the_right_height_are_taken_as_they_are() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (64, 300), np.uint8)
    assert load_line_and_width(pixels)[0] is pixels and load_line_and_width(pixels)[1] == 300
    assert np.array_equal(load_line(pixels[:, ::-1]), pixels[:, ::-1])
    assert np.array_equal(load_line(Image.fromarray(pixels)), pixels)
    with pytest.raises(HtrjandError, match="too wide"):
        load_line(np.zeros((64, 4097), np.uint8))


def test_padding_is_paper_to_the_next_sixteen():
    line = load_line(RAMP)[:, :100]
    padded = pad_line(line)
    assert padded.shape == (64, 112) and np.array_equal(padded[:, :100], line)
    assert (padded[:, 100:] == paper_grey(line)).all()
    assert pad_line(line, 160).shape == (64, 160)
    assert np.array_equal(pad_line(padded), padded)


def test_the_paper_is_the_80th_percentile():
    random = np.random.default_rng(0)
    for _ in range(300):
        shape = (int(random.integers(1, 65)), int(random.integers(1, 40)))
        line = random.integers(0, 256, shape, np.uint8)
        assert paper_grey(line) == int(np.percentile(line, 80))


PNG = encoded(Image.fromarray(np.random.default_rng(1).integers(0, 256, (64, 400), np.uint8)))
JPEG = encoded(Image.fromarray(RAMP), "JPEG")


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (PNG[: len(PNG) // 2], "not a readable image"),
        (JPEG[: len(JPEG) // 2], "not a readable image"),
        (PNG[:20], "image"),
        (b"", "not an image"),
        (b"not an image at all", "not an image"),
        (encoded(Image.new("L", (64, 64)), "EPS"), "not an image"),
        (encoded(Image.new("RGB", (64, 64)), "ICO"), "not an image"),
        (encoded(Image.new("L", (30_000, 64))), "too wide"),
        (encoded(Image.new("1", (30_000, 2_000))), "too many"),
    ],
    ids=["cut PNG", "cut JPEG", "PNG head", "empty file", "text", "EPS", "icon", "30,000 wide", "60 megapixels"],
)
def test_a_bad_file_is_one_error_that_names_it(tmp_path, content, says):
    path = tmp_path / "bad.png"
    path.write_bytes(content)
    with pytest.raises(HtrjandError, match=says) as caught:
        load_line(path)
    assert str(caught.value).startswith(f"{path}: ") and ";" in str(caught.value)
    with pytest.raises(HtrjandError, match="^image: "):
        load_line(content)


@pytest.mark.filterwarnings("ignore:Corrupt EXIF")
def test_every_cut_of_a_file_is_an_error_or_an_image():
    for whole in (PNG[:400], JPEG, encoded(Image.fromarray(RAMP), "GIF"), encoded(Image.fromarray(RAMP), "TIFF")):
        for end in range(0, len(whole), 37):
            try:
                load_line(whole[:end])
            except HtrjandError:
                continue


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "P", "I;16"])
@pytest.mark.parametrize("factor", [1, 2, 4])
def test_a_large_image_is_made_grey_in_bands_as_in_one(mode, factor):
    pixels = np.random.default_rng(2).integers(0, 256, (1111, 1501, 4), np.uint8)
    if mode == "I;16":
        image = Image.fromarray(pixels[:, :, 0].astype(np.uint16) * 257)
        whole = Image.fromarray(pixels[:, :, 0])
    else:
        image = Image.fromarray(pixels).convert("RGBA" if mode == "RGBA" else "RGB").convert(mode)
        paper = Image.new("RGBA", image.size, "white")
        whole = (Image.alpha_composite(paper, image) if mode == "RGBA" else image).convert("L")
    assert image.width * image.height > BAND
    assert np.array_equal(to_grey(image, "image", factor), whole.reduce(factor) if factor > 1 else whole)


def test_missing_files_and_folders(tmp_path):
    with pytest.raises(HtrjandError, match="no such file"):
        load_line(tmp_path / "none.png")
    with pytest.raises(HtrjandError, match="is a folder"):
        load_line(tmp_path)


@pytest.mark.parametrize(
    "array",
    [
        np.zeros((0, 0), np.uint8),
        np.zeros((64, 0), np.uint8),
        np.zeros((64, 100), np.float32),
        np.zeros((64, 100), bool),
        np.zeros((64, 100), np.int64),
        np.zeros((64, 100, 2), np.uint8),
        np.zeros((1, 64, 100, 3), np.uint8),
        np.zeros(64, np.uint8),
    ],
    ids=lambda array: f"{array.dtype}{list(array.shape)}",
)
def test_arrays_that_are_no_line_are_refused(array):
    with pytest.raises(HtrjandError, match="is no line; give uint8"):
        load_line(array)


def test_other_things_are_refused():
    with pytest.raises(HtrjandError, match="empty"):
        load_line(Image.new("L", (0, 64)))
    with pytest.raises(HtrjandError, match="NoneType is no image"):
        load_line(None)
    with pytest.raises(HtrjandError, match="16 bits"):
        load_line(Image.fromarray(np.ones((64, 100), np.float32)))
    with pytest.raises(HtrjandError, match="too wide"):
        load_line(np.zeros((64, 30_000), np.uint8))
    with pytest.raises(HtrjandError, match="LAB colours"):
        load_line(Image.new("LAB", (100, 64)))
