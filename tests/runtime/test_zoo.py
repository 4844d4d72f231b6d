"""Broken and odd images: each is read, or refused with one clear error, in little memory and time."""

from __future__ import annotations

import io
import os
import struct
import time
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tiny_detector import write_detector
from tiny_model import write_model

from htrjand.runtime import HtrjandError, Recognizer
from htrjand.runtime.page.inputs import pages_of

MEMORY = 300  # MB above the start
SECONDS = 60  # of wall time for one image, on a machine with other work; alone the slowest takes two

READ, REFUSED, EITHER = "read", "refused", "either"
Animal = tuple[str, str, str]  # name, how it fares as a line, and as a page


def encoded(image: Image.Image, form: str = "PNG", **options: object) -> bytes:
    stream = io.BytesIO()
    image.save(stream, form, **options)
    return stream.getvalue()


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I4s", len(data), kind) + data + struct.pack(">I", zlib.crc32(kind + data))


def png(width: int, height: int, depth: int, colour: int, rows: bytes | None = None, before: bytes = b"") -> bytes:
    """A PNG that is made without an image of its size in memory: all zeros, unless `rows` are given."""
    samples = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}[colour]
    if rows is None:
        squeeze = zlib.compressobj(1)
        row = bytes(1 + -(-width * depth * samples // 8))
        rows = b"".join(squeeze.compress(row) for _ in range(height)) + squeeze.flush()
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + before + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


def cut_short() -> Iterator[tuple[Animal, bytes]]:
    """Images of each format, cut at their head, in their middle, and before their last bytes."""
    noise = Image.fromarray(np.random.default_rng(1).integers(0, 256, (64, 400), np.uint8))
    for form in ("PNG", "JPEG", "TIFF", "WEBP", "BMP", "GIF", "JPEG2000", "PPM"):
        whole = encoded(noise, form)
        for part, end in (("head", 11), ("middle", len(whole) // 2), ("end", len(whole) - 9)):
            yield (f"{form} cut at its {part}", EITHER if part == "end" else REFUSED, EITHER), whole[:end]


def odd() -> Iterator[tuple[Animal, bytes]]:
    """Whole images of odd sizes, colours and contents."""
    line = Image.fromarray(np.tile(np.arange(256, dtype=np.uint8), (64, 2)))
    yield ("1 by 1", READ, READ), encoded(Image.new("L", (1, 1)))
    yield ("1 by 20000", READ, READ), encoded(Image.new("L", (1, 20_000)))
    yield ("20000 by 1", REFUSED, READ), encoded(Image.new("L", (20_000, 1)))
    yield ("all white", READ, READ), encoded(Image.new("L", (400, 64), 255))
    yield ("all black", READ, READ), encoded(Image.new("L", (400, 64), 0))
    deep = Image.fromarray(np.asarray(line).astype(np.uint16) * 257)
    yield ("16 bits", READ, READ), encoded(deep)
    yield ("16 bits, TIFF", READ, READ), encoded(deep, "TIFF")
    yield ("floats", REFUSED, REFUSED), encoded(line.convert("F"), "TIFF")
    yield ("32 bits", READ, READ), encoded(line.convert("I"), "TIFF")
    yield ("CMYK", READ, READ), encoded(line.convert("CMYK"), "JPEG")
    yield ("CMYK, TIFF", READ, READ), encoded(line.convert("CMYK"), "TIFF")
    yield ("LAB", REFUSED, REFUSED), encoded(Image.new("LAB", (400, 64)), "TIFF")
    yield ("palette", READ, READ), encoded(line.convert("P"))
    yield ("palette with one clear colour", READ, READ), encoded(line.convert("P"), transparency=0)
    yield ("two colours", READ, READ), encoded(line.convert("1"))
    yield ("alpha", READ, READ), encoded(line.convert("RGBA"))
    yield ("grey and alpha", READ, READ), encoded(line.convert("LA"))
    yield ("16 bits of colour", READ, READ), png(400, 64, 16, 2)
    exif = Image.Exif()
    exif[0x0112] = 6
    yield ("turned by EXIF", READ, READ), encoded(line, "JPEG", exif=exif)
    yield ("turned by EXIF, PNG", READ, READ), encoded(line, exif=exif)
    yield ("turned TIFF", READ, READ), encoded(line, "TIFF", tiffinfo={274: 8})
    exif[0x0112] = 77
    yield ("turned by a number that is none", READ, READ), encoded(line, "JPEG", exif=exif)
    yield ("broken EXIF", READ, READ), encoded(line, "JPEG", exif=b"Exif\0\0II*\0\xff\xff\xff\xff")
    for form in ("GIF", "WEBP", "PNG"):
        frames = [Image.new("L", (400, 64), grey) for grey in (0, 200)]
        yield (f"animated {form}", READ, REFUSED), encoded(frames[0], form, save_all=True, append_images=frames[1:])
    pages = encoded(line, "TIFF", save_all=True, append_images=[line])
    yield ("TIFF of two pages", READ, READ), pages
    loop = bytearray(encoded(line, "TIFF"))
    first = struct.unpack_from("<I", loop, 4)[0]
    entries = struct.unpack_from("<H", loop, first)[0]
    struct.pack_into("<I", loop, first + 2 + 12 * entries, first)
    yield ("TIFF whose directories go round", EITHER, EITHER), bytes(loop)
    yield ("progressive JPEG", READ, READ), encoded(line.convert("RGB"), "JPEG", progressive=True)
    yield ("PNG with a wrong checksum", EITHER, EITHER), encoded(line)[:-14] + b"\0" + encoded(line)[-13:]
    yield ("no pixels", REFUSED, REFUSED), png(0, 64, 8, 0)
    yield ("interlaced", EITHER, EITHER), png(400, 64, 8, 0)[:28] + b"\1" + png(400, 64, 8, 0)[29:]
    yield ("profile of 40 MB", REFUSED, REFUSED), encoded(line, icc_profile=bytes(40_000_000))
    yield ("text of 100 MB", REFUSED, REFUSED), png(400, 64, 8, 0, before=chunk(b"tEXt", b"a\0" + bytes(100_000_000)))
    text = chunk(b"iTXt", b"a\0\1\0\0\0" + zlib.compress(("\U0001f600" + "a" * 900_000).encode()))
    yield ("text of 60 MB, compressed", REFUSED, REFUSED), png(400, 64, 8, 0, before=text * 60)


def bombs() -> Iterator[tuple[Animal, bytes]]:
    """A few bytes that become a large image."""
    yield ("colour and alpha, 12000 by 4100", READ, READ), png(12_000, 4_100, 8, 6)
    yield ("grey, 14000 by 14000", REFUSED, READ), png(14_000, 14_000, 8, 0)
    yield ("two colours, 14100 by 14100", REFUSED, READ), png(14_100, 14_100, 1, 0)
    yield ("colour, 10000 by 10000", REFUSED, REFUSED), png(10_000, 10_000, 8, 2)
    yield ("colour and alpha, 7000 by 7000, 16 bits", READ, READ), png(7_000, 7_000, 16, 6)
    yield ("16 bits, 7000 by 7000", READ, READ), png(7_000, 7_000, 16, 0)
    yield ("JPEG, 14000 by 14000", REFUSED, READ), encoded(Image.new("L", (14_000, 14_000)), "JPEG")
    yield (
        ("progressive JPEG, 9000 by 9000", REFUSED, READ),
        encoded(Image.new("L", (9_000, 9_000)), "JPEG", progressive=True),
    )
    yield ("WebP, 6000 by 6000", REFUSED, REFUSED), encoded(Image.new("L", (6_000, 6_000)), "WEBP", method=0)
    yield (
        ("TIFF of one strip, 7000 by 7000", REFUSED, REFUSED),
        encoded(Image.new("RGB", (7_000, 7_000)), "TIFF", compression="tiff_lzw", tiffinfo={278: 7_000}),
    )
    yield ("JPEG 2000, 4000 by 4000", REFUSED, READ), encoded(Image.new("RGB", (4_000, 4_000)), "JPEG2000")
    yield ("4 billion pixels that are not there", REFUSED, REFUSED), png(65_535, 65_535, 8, 6, b"")
    yield ("200 million pixels that are not there", REFUSED, REFUSED), png(14_000, 14_000, 8, 0, b"")


def no_images() -> Iterator[tuple[Animal, bytes]]:
    """Files of other kinds under the name of an image."""
    for name, content in {
        "empty file": b"",
        "one byte": b"\x89",
        "text": b"no image at all",
        "EPS": encoded(Image.new("L", (64, 64)), "EPS"),
        "SVG": b'<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"/>',
        "HEIC": b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(500),
        "AVIF": b"\0\0\0\x18ftypavif\0\0\0\0mif1avif" + bytes(500),
        "zip": b"PK\3\4" + bytes(100),
        "gzip": b"\x1f\x8b\x08" + bytes(100),
        "PDF without pages": b"%PDF-1.4\n",
        "zeros": bytes(10_000),
        "icon": encoded(Image.new("RGB", (64, 64)), "ICO"),
        "PPM of letters": b"P2 400 64 255 " + b"x " * 400,
    }.items():
        yield (name, REFUSED, REFUSED), content


def paths(folder: Path) -> Iterator[tuple[Animal, Path]]:
    """Things in a folder that are no plain files with plain names."""
    image = encoded(Image.new("L", (400, 64), 255))
    os.mkfifo(folder / "pipe.png")
    yield ("pipe", REFUSED, REFUSED), folder / "pipe.png"
    yield ("device", REFUSED, REFUSED), Path("/dev/zero")
    yield ("folder", REFUSED, REFUSED), folder
    yield ("nothing", REFUSED, REFUSED), folder / "none.png"
    (folder / "round.png").symlink_to(folder / "round.png")
    yield ("loop of links", REFUSED, REFUSED), folder / "round.png"
    yield ("long name", REFUSED, REFUSED), folder / ("n" * 300)
    (folder / "shut.png").write_bytes(image)
    (folder / "shut.png").chmod(0)
    yield ("no permission", REFUSED if os.geteuid() else READ, REFUSED if os.geteuid() else READ), folder / "shut.png"
    for name in ("строка.png", "a\x1b[31m\nb.png", os.fsdecode(b"bad\xff.png"), "two  spaces.png", "image"):
        (folder / name).write_bytes(image)
        yield (f"named {name!a}", READ, READ), folder / name


def peak() -> float:
    """MB that this process had in memory at most since `reset`."""
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) / 1000


def reset() -> float | None:
    """Begins to measure; MB at the start. None where the system does not tell."""
    try:
        Path("/proc/self/clear_refs").write_text("5")
        return peak()
    except OSError:
        return None


def fares(read: Callable[[], object], name: str) -> tuple[str, float, float]:
    """Whether an image is read or refused, in how many MB and seconds; anything but an HtrjandError goes through."""
    start, begun = reset(), time.monotonic()
    try:
        read()
        fared = READ
    except HtrjandError as error:
        said = str(error)
        assert said.startswith(name) and ";" in said and "\n" not in said.replace(name, ""), said
        fared = REFUSED
    return fared, 0.0 if start is None else peak() - start, time.monotonic() - begun


@pytest.mark.filterwarnings("ignore")
def test_the_zoo(tmp_path: Path) -> None:
    """Every image is read as a line and as a page. One test, so that a start of the engines is paid once."""
    reader = Recognizer(
        write_model(tmp_path / "tiny.onnx"), 1, lm=None, detector=write_detector(tmp_path / "detector.onnx")
    )
    reader.read_page(np.full((900, 900), 255, np.uint8))
    strange = tmp_path / "strange"
    strange.mkdir()
    seen, wrong = 0, []

    def animals() -> Iterator[tuple[Animal, Path]]:
        for kind in (cut_short, odd, bombs, no_images):
            for animal, content in kind():
                path = tmp_path / "animal.png"
                path.write_bytes(content)
                del content
                yield animal, path
        yield from paths(strange)

    for (name, as_line, as_page), path in animals():
        seen += 1

        def pages(path: Path = path) -> None:
            for page in pages_of(path):
                reader.read_page(page)

        for what, expected, read in (
            ("line", as_line, lambda path=path: reader.read_line(path)),
            ("page", as_page, pages),
        ):
            try:
                fared, memory, seconds = fares(read, str(path))
            except Exception as error:  # told with the name of the image
                wrong.append(f"{name} as a {what}: {type(error).__name__}: {str(error)[:300]}")
                continue
            if expected not in (fared, EITHER) or memory > MEMORY or seconds > SECONDS:
                wrong.append(f"{name} as a {what}: {fared}, {memory:.0f} MB, {seconds:.1f} s")
    assert seen >= 60
    assert not wrong, "\n".join(wrong)


def test_a_large_page_is_shown_in_little_memory(tmp_path: Path) -> None:
    """With colour, alpha or a turn it would be in memory two or three times; it is shown smaller then."""
    exif = Image.Exif()
    exif[0x0112] = 6
    for content, size in (
        (png(6_300, 6_300, 8, 6), (3_150, 3_150)),
        (encoded(Image.new("RGB", (6_300, 6_000)), "JPEG", exif=exif), (3_000, 3_150)),
        (encoded(Image.new("RGB", (6_300, 6_300)), "JPEG"), (6_300, 6_300)),
    ):
        path = tmp_path / "large"
        path.write_bytes(content)
        (page,) = pages_of(path)
        start = reset()
        shown = page.picture()
        assert (shown.mode, shown.size) == ("RGB", size)
        assert start is None or peak() - start < MEMORY
