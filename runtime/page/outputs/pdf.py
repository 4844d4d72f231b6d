"""Pages as a searchable PDF: each page's image, and over it its words as text that is not drawn.

Written by hand, since little of the format is needed: no library of the base install writes PDF with text, and those
that do bring 2 to 20 MB. The words stand in Courier, one of the fonts that every reader of PDF has. No glyph is drawn:
what counts is that each is 0.6 as wide as the font is high, and a table, `ToUnicode`, of the characters meant.
ISO 32000-1, sections 7.5 (file), 9.4 (text), 9.6 (simple fonts) and 9.10 (ToUnicode).
"""

from __future__ import annotations

import io
import zlib
from collections.abc import Iterable
from pathlib import Path
from typing import BinaryIO, NamedTuple

from PIL import ExifTags, Image

from ...decoding import opening
from ...errors import HtrjandError
from ...image import readable
from ..inputs import PageSource
from ..page import Page, PageLine
from .xml import SOFTWARE, VERSION, clean

QUALITY = 85  # of JPEG, for images that are none: letters stay clear at a tenth of the size of a PNG
LEAST_DPI, MOST_DPI = 100, 1200  # what scanners say; where an image says less or more, its longer side is that of A4
A4 = 11.69  # inches
LARGEST = 14400  # points, of 1/72 inch, that a side of a page may have
WIDTH = 0.6  # of a character in Courier, for a font size of 1
ASCII = range(32, 127)  # codes that mean what they mean in ASCII
# Codes given out as characters come. Each has a glyph of some letter or sign in the font: PDFium takes a character
# whose code has none for no text. Left out are those of the space that does not break and of the soft hyphen.
FREE = [code for code in range(161, 256) if code != 173]


def write_pdf(pages: Iterable[Page], stream: BinaryIO) -> None:
    """A PDF of any number of pages, one in memory at a time. Shown turned as they were read.

    A JPEG goes into it as it is; other images as JPEG, black and white ones without loss.

    Raises:
        HtrjandError: the image of a page is not where `Page.path` says.
    """
    file = File(stream)
    catalog, tree, about = file.reserve(), file.reserve(), file.reserve()
    fonts = Fonts(file)
    kids: list[int] = []
    languages: set[str] = set()
    for page in pages:
        languages.update(page.languages)
        picture, dpi = image_object(page, file)
        points = 72 / dpi  # a pixel is so many of 1/72 inch wide
        content = file.add_stream("", content_of(page, points, fonts), compress=True)
        names = " ".join(f"/F{index} {font} 0 R" for index, font in enumerate(fonts.numbers))
        box = f"[0 0 {page.width * points:.2f} {page.height * points:.2f}]"
        kids.append(
            file.add(
                f"<< /Type /Page /Parent {tree} 0 R /MediaBox {box}"
                f" /Rotate {page.turned} /Contents {content} 0 R"
                f" /Resources << /XObject << /Im {picture} 0 R >> /Font << {names} >> >> >>"
            )
        )
    fonts.write()
    file.add(f"<< /Type /Pages /Count {len(kids)} /Kids [{' '.join(f'{kid} 0 R' for kid in kids)}] >>", tree)
    lang = f" /Lang {text_string(*languages)}" if len(languages) == 1 else ""
    file.add(f"<< /Type /Catalog /Pages {tree} 0 R{lang} >>", catalog)
    file.add(f"<< /Producer {text_string(f'{SOFTWARE} {VERSION}')} >>", about)
    file.end(catalog, about)


class File:
    """A PDF being written: numbered objects one after the other, then the table of where each begins."""

    def __init__(self, stream: BinaryIO) -> None:
        self.stream = stream
        self.size = 0
        self.begins: list[int] = []
        self.write(b"%PDF-1.5\n%\xe2\xe3\xcf\xd3\n")  # the second line tells that the file is not text

    def write(self, data: bytes) -> None:
        self.stream.write(data)
        self.size += len(data)

    def reserve(self) -> int:
        """The number of an object that is written later."""
        self.begins.append(0)
        return len(self.begins)

    def add(self, body: str | bytes, number: int | None = None) -> int:
        """Writes an object; its number."""
        number = number or self.reserve()
        self.begins[number - 1] = self.size
        self.write(b"%d 0 obj\n%b\nendobj\n" % (number, body.encode("ascii") if isinstance(body, str) else body))
        return number

    def add_stream(self, keys: str, data: bytes, compress: bool = False) -> int:
        """Writes a stream with these keys in its dictionary; its number."""
        if compress:
            keys, data = f"{keys} /Filter /FlateDecode", zlib.compress(data)
        head = f"<< {keys} /Length {len(data)} >>".encode("ascii")
        return self.add(b"%b\nstream\n%b\nendstream" % (head, data))

    def end(self, catalog: int, about: int) -> None:
        begins, count = self.size, len(self.begins) + 1
        rows = b"".join(b"%010d 00000 n \n" % begin for begin in self.begins)
        self.write(b"xref\n0 %d\n0000000000 65535 f \n%b" % (count, rows))
        self.write(b"trailer\n<< /Size %d /Root %d 0 R /Info %d 0 R >>\n" % (count, catalog, about))
        self.write(b"startxref\n%d\n%%%%EOF\n" % begins)


class Fonts:
    """Courier as often as the pages' characters need: a font has one byte for a character, ASCII and 94 others."""

    def __init__(self, file: File) -> None:
        self.file = file
        self.numbers: list[int] = []  # of the objects, reserved
        self.chars: list[str] = []  # of each font, by their codes in FREE
        self.known: dict[str, tuple[int, int]] = {}  # character -> index of its font, code
        self.open_another()

    def open_another(self) -> None:
        self.numbers.append(self.file.reserve())
        self.chars.append("")

    def place(self, char: str) -> tuple[int, int]:
        """The index of the font that has a character, and its code there."""
        if ord(char) in ASCII:
            return 0, ord(char)
        if char not in self.known:
            if len(self.chars[-1]) == len(FREE):
                self.open_another()
            self.known[char] = len(self.chars) - 1, FREE[len(self.chars[-1])]
            self.chars[-1] += char
        return self.known[char]

    def write(self) -> None:
        widths = " ".join([str(round(1000 * WIDTH))] * (256 - ASCII[0]))
        descriptor = self.file.add(
            "<< /Type /FontDescriptor /FontName /Courier /Flags 33 /FontBBox [-23 -250 715 805] /ItalicAngle 0"
            " /Ascent 629 /Descent -157 /CapHeight 562 /StemV 51 >>"
        )
        for number, chars in zip(self.numbers, self.chars, strict=True):
            codes = {code: chr(code) for code in ASCII} | dict(zip(FREE, chars, strict=False))
            meaning = self.file.add_stream("", to_unicode(codes), compress=True)
            self.file.add(
                f"<< /Type /Font /Subtype /Type1 /BaseFont /Courier /FirstChar {ASCII[0]} /LastChar 255"
                f" /Widths [{widths}] /FontDescriptor {descriptor} 0 R /ToUnicode {meaning} 0 R"
                " /Encoding /WinAnsiEncoding >>",
                number,
            )


def to_unicode(codes: dict[int, str]) -> bytes:
    """A ToUnicode table, of code -> character."""
    rows = [f"<{code:02X}> <{char.encode('utf-16-be').hex().upper()}>" for code, char in sorted(codes.items())]
    blocks = [rows[begin : begin + 100] for begin in range(0, len(rows), 100)]  # at most 100 in a block, says Adobe
    return "\n".join(
        [
            "/CIDInit /ProcSet findresource begin 12 dict begin begincmap",
            "/CIDSystemInfo << /Registry (Adobe) /Ordering (UCS) /Supplement 0 >> def",
            "/CMapName /Adobe-Identity-UCS def /CMapType 2 def",
            "1 begincodespacerange <00> <FF> endcodespacerange",
            *(f"{len(block)} beginbfchar\n" + "\n".join(block) + "\nendbfchar" for block in blocks),
            "endcmap CMapName currentdict /CMap defineresource pop end end",
        ]
    ).encode("ascii")


def content_of(page: Page, points: float, fonts: Fonts) -> bytes:
    """What is on a page, in units of `points`, the width of a pixel: its image, then its words."""
    parts = [f"{points:.6f} 0 0 {points:.6f} 0 0 cm", f"q {page.width} 0 0 {page.height} 0 0 cm /Im Do Q", "BT 3 Tr"]
    for line in page.lines:
        parts += line_of(line, page.height, fonts)
    return "\n".join([*parts, "ET"]).encode("ascii")


def line_of(line: PageLine, height: int, fonts: Fonts) -> list[str]:
    """The words of a line, in pixels with y upwards: each begins on the baseline and is stretched to its width."""
    (dx, dy), words = line.along, line.words
    ends = [(min(s), max(s)) for s in ([x * dx + y * dy for x, y in word.polygon] for word in words)]
    parts = []
    for index, (word, (begin, end)) in enumerate(zip(words, ends, strict=True)):
        across = [y * dx - x * dy for x, y in word.polygon]
        size = max(1.0, max(across) - min(across))
        x, y = line.baseline_at(begin)
        parts.append(f"{dx:.5f} {-dy:.5f} {dy:.5f} {dx:.5f} {x:.2f} {height - y:.2f} Tm")
        parts.append(shown(clean(word.text), end - begin, size, fonts))
        if index + 1 < len(words):  # a space, as wide as the gap: whoever copies the line gets its words apart
            parts.append(shown(" ", max(0.1, ends[index + 1][0] - end), size, fonts))
    return parts


def shown(text: str, width: float, size: float, fonts: Fonts) -> str:
    """The operators that show a text in a font size, stretched to a width."""
    parts = [f"{100 * width / (WIDTH * size * len(text)):.3f} Tz"]
    run, current = "", None
    for char in text:
        font, code = fonts.place(char)
        if font != current:
            parts += [f"<{run}> Tj"] if run else []
            parts.append(f"/F{font} {size:.2f} Tf")
            run, current = "", font
        run += f"{code:02X}"
    return " ".join([*parts, f"<{run}> Tj"])


class Encoded(NamedTuple):
    """An image as it stands in the file."""

    data: bytes
    width: int
    height: int
    mode: str  # "RGB", "L": a JPEG; "1": rows of bits
    dpi: float  # as the image says; 0 where it does not


def image_object(page: Page, file: File) -> tuple[int, float]:
    """Writes the image of a page; the object's number, and how many pixels of the page an inch has."""
    if not page.path:
        raise HtrjandError("a page that was read from memory cannot be written as PDF; save its image to a file first")
    source = PageSource(Path(page.path), page.number)
    image = jpeg_as_it_is(source) or encoded(source.picture())
    space = "/DeviceRGB" if image.mode == "RGB" else "/DeviceGray"
    keys = f"/Type /XObject /Subtype /Image /Width {image.width} /Height {image.height} /ColorSpace {space}"
    if image.mode == "1":
        number = file.add_stream(f"{keys} /BitsPerComponent 1", image.data, compress=True)
    else:
        number = file.add_stream(f"{keys} /BitsPerComponent 8 /Filter /DCTDecode", image.data)
    longer = max(page.width, page.height)
    dpi = image.dpi if LEAST_DPI <= image.dpi <= MOST_DPI else longer / A4
    return number, max(dpi, longer * 72 / LARGEST)


def jpeg_as_it_is(source: PageSource) -> Encoded | None:
    """The bytes of a JPEG file that any reader of PDF shows as it is meant: grey or RGB, upright."""
    with readable(str(source)), source.path.open("rb") as stream:
        if stream.read(2) != b"\xff\xd8":
            return None
        with opening(stream, str(source)) as image:
            upright = image.getexif().get(ExifTags.Base.Orientation, 1) == 1
            if image.format != "JPEG" or image.mode not in ("L", "RGB") or not upright:
                return None
            width, height, mode, dpi = image.width, image.height, image.mode, resolution(image)
        return Encoded(source.path.read_bytes(), width, height, mode, dpi)


def encoded(image: Image.Image) -> Encoded:
    """An image of mode "1", "L" or "RGB", encoded."""
    if image.mode == "1":
        data = image.tobytes()
    else:
        stream = io.BytesIO()
        image.save(stream, "JPEG", quality=QUALITY)
        data = stream.getvalue()
    return Encoded(data, image.width, image.height, image.mode, resolution(image))


def resolution(image: Image.Image) -> float:
    """Pixels an inch, as the image says; 0 where it does not."""
    try:
        return float(image.info["dpi"][0])
    except (KeyError, TypeError, ValueError, ZeroDivisionError):
        return 0.0


def text_string(text: str) -> str:
    """A string of PDF, in UTF-16 and hexadecimal: no character needs escaping."""
    return f"<FEFF{text.encode('utf-16-be').hex().upper()}>"
