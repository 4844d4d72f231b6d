"""What is fuzzed: of each target the seeds to begin from, and what is done with some bytes.

A target raises nothing but an HtrjandError, whatever the bytes; anything else is a finding. Model files and n-grams are
sealed again after each change: the seal tells damage, and it is the code behind it that is looked at here.
"""

from __future__ import annotations

import io
import json
import re
import sys
from collections.abc import Callable, Iterator
from hashlib import sha256
from html import escape
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from tiny_model import CHARSET, write_model

from htrjand.runtime import HtrjandError, ModelInfo, Recognizer
from htrjand.runtime.bundled import bundled_in
from htrjand.runtime.decode.beam import beam_search
from htrjand.runtime.decode.language import Language
from htrjand.runtime.decode.ngram import Ngram
from htrjand.runtime.engines import Port
from htrjand.runtime.engines.litert import read_metadata
from htrjand.runtime.image import load_line, pad_line
from htrjand.runtime.kinds import open_model
from htrjand.runtime.page.detector_info import DetectorInfo
from htrjand.runtime.page.inputs import pages_of
from htrjand.runtime.recognizer import BUNDLED
from htrjand.runtime.seal import PATTERN

Bytes = Callable[[bytes], None]
LINE = np.full((64, 128), 255, np.uint8)
# Texts of metadata that are likely to be wrong.
ODD = (
    "", "0", "-1", "1e999", "NaN", "9" * 400, "null", "{}", "[]", "[" * 2000, '["", "a"]', '["", 1]', '{"a": 1e999}',
    '{"a": -1}', '{"a": null}', '{"seal": 1}', '"\\ud800"', "64", "16384", "4096", "0.01", "true", "int8", "١٦", "1_6",
    '["", "a", "\\u0000"]', "htrjand/1", "htrjand-detector/1", "htrjand/2", '{"a": [1, 2]}', '{"a": "1"}',
)  # fmt: skip


def image(folder: Path) -> tuple[list[bytes], Bytes]:
    """Encoded images: decoded, made grey, scaled and padded, as a line; and as pages."""
    path = folder / "image"

    def one(content: bytes) -> None:
        try:
            line = load_line(content)
            assert line.dtype == np.uint8 and line.shape[0] == 64 and pad_line(line).shape[1] % 16 == 0
        except HtrjandError:
            pass
        path.write_bytes(content)
        for page in pages_of(path):
            assert page.load().grey.ndim == 2

    return list(images()), one


def images() -> Iterator[bytes]:
    """Small images of every format and mode that the runtime takes."""
    grey = Image.fromarray(np.tile(np.arange(0, 256, 8, dtype=np.uint8), (16, 1)))
    deep = Image.fromarray(np.asarray(grey).astype(np.uint16) * 257)
    for form in ("PNG", "JPEG", "TIFF", "WEBP", "BMP", "GIF", "JPEG2000", "PPM"):
        for mode in ("L", "RGB", "RGBA", "P", "1", "I;16", "CMYK", "LA"):
            stream = io.BytesIO()
            try:
                (deep if mode == "I;16" else grey.convert(mode)).save(stream, form)
            except (OSError, ValueError, KeyError):
                continue  # the format has no such mode
            yield stream.getvalue()
    exif = Image.Exif()
    exif[0x0112] = 6
    for form, options in (("JPEG", {"exif": exif, "progressive": True}), ("TIFF", {"tiffinfo": {274: 8}})):
        stream = io.BytesIO()
        grey.save(stream, form, **options)
        yield stream.getvalue()
    for form in ("GIF", "TIFF", "WEBP", "PNG"):
        stream = io.BytesIO()
        grey.save(stream, form, save_all=True, append_images=[grey.transpose(Image.Transpose.ROTATE_180)])
        yield stream.getvalue()


def metadata(folder: Path) -> tuple[list[bytes], Bytes]:
    """Descriptions of both kinds of models, a text of them changed; and a line read as they say."""
    right = (
        ModelInfo("a", "1", CHARSET, ("fr",), "CC0", ("x",), {"x": 1.5}, "0" * 64).to_metadata(),
        DetectorInfo("a", "1", "CC0", ("x",), {"x": (90.0, 80.0)}).to_metadata(),
    )

    def one(content: bytes) -> None:
        choose = Choices(content)
        kind = choose.number(2)
        texts = dict(right[kind])
        for _ in range(1 + choose.number(3)):
            key = sorted(texts)[choose.number(len(texts))]
            how = choose.number(4)
            if how == 0:
                texts[key] = ODD[choose.number(len(ODD))]
            elif how == 1:
                texts[key] = choose.take(40).decode("utf-8", "surrogateescape")
            elif how == 2:
                place = choose.number(len(texts[key]) + 1)
                texts[key] = texts[key][:place] + choose.take(8).decode("latin-1") + texts[key][place + 1 :]
            elif len(texts) > 1:
                del texts[key]
        if kind:
            DetectorInfo.from_metadata(texts, "detector").to_metadata()
            return
        info = ModelInfo.from_metadata(texts, "model")
        assert ModelInfo.from_metadata(info.to_metadata(), "again") == info
        json.dumps(info.to_metadata(), allow_nan=False)
        Recognizer.over(Blank(info), info).read_line(LINE)

    return [bytes([a, b, c, 0, d]) for a in (0, 1) for b in range(3) for c in range(16) for d in range(31)], one


class Blank:
    """A session that sees nothing but blanks, in the shape that a description asks for."""

    path, engine, metadata = Path("model"), "none", {"": ""}
    inputs = (Port("image", "uint8", (None, 1, 64, None)),)
    outputs = (Port("logits", "float32", (None, None, None)),)

    def __init__(self, info: ModelInfo) -> None:
        self.info = info

    def run(self, *inputs: Any) -> list[Any]:
        count, _, _, width = inputs[0].shape
        return [np.zeros((count, width // self.info.frame_stride, len(self.info.charset)), np.float32)]


class Choices:
    """Takes numbers and bytes from the front of some bytes; zeros when there are none left."""

    def __init__(self, content: bytes) -> None:
        self.content, self.place = content, 0

    def take(self, count: int) -> bytes:
        found = self.content[self.place : self.place + count]
        self.place += count
        return found

    def number(self, below: int) -> int:
        """From 0 to less than `below`."""
        size = 1 if below <= 256 else 3
        return int.from_bytes(self.take(size), "little") % below


def spliced(content: bytes, places: tuple[int, int], changes: bytes) -> bytes:
    """The content with a few runs of bytes between two places written over."""
    choose, changed = Choices(changes), bytearray(content)
    for _ in range(1 + choose.number(4)):
        place, run = places[0] + choose.number(places[1] - places[0]), choose.take(1 + choose.number(24))
        changed[place : place + len(run)] = run[: places[1] - place]
    return bytes(changed)


def sealed(content: bytes, beside: bytes = b"") -> bytes:
    """The content with the right seal wherever it still has a place for one."""
    for match in PATTERN.finditer(content):
        begin, end = match.span(1)
        digits = sha256(content[:begin] + b"0" * 64 + content[end:] + beside).hexdigest()
        return content[:begin] + digits.encode() + content[end:]
    return content


def described(content: bytes) -> tuple[int, int]:
    """Where the metadata of a model file begin and end, about: around the names of its keys."""
    keys = (b"charset", b"frame_stride", b"languages", b"preprocessing", b"seal", b"temperature", b"width_multiple")
    places = [content.rindex(key) for key in keys]
    return max(0, min(places) - 300), min(len(content), max(places) + 300)


def opened(path: Path) -> None:
    """Opens a model file and reads a line with it."""
    model = open_model(path, 1)
    if isinstance(model, Recognizer) and model.info.width_multiple <= 128:
        model.read_line(LINE)


def onnx(folder: Path) -> tuple[list[bytes], Bytes]:
    """An ONNX file, its metadata changed."""
    content = write_model(folder / "right.onnx").read_bytes()
    path = folder / "changed.onnx"

    def one(changes: bytes) -> None:
        path.write_bytes(sealed(spliced(content, described(content), changes)))
        opened(path)

    return changes_to(content, described(content)), one


def openvino(folder: Path) -> tuple[list[bytes], Bytes]:
    """An OpenVINO file, one of its texts or its metadata changed."""
    from htrjand.export.openvino import read_onnx, save

    right, path = folder / "right.xml", folder / "changed.xml"
    info = ModelInfo("tiny", "1", CHARSET)
    save(read_onnx(write_model(folder / "right.onnx")), info.to_metadata(), right)
    content, weights = right.read_bytes(), right.with_suffix(".bin").read_bytes()
    path.with_suffix(".bin").write_bytes(weights)
    texts = [
        match.span(1) for match in re.finditer(rb'value="([^"]*)"', content) if match.start() > described(content)[0]
    ]

    def one(changes: bytes) -> None:
        choose = Choices(changes)
        if choose.number(2):
            changed = spliced(content, described(content), changes[1:])
        else:  # one text is another, and the file still XML
            begin, end = texts[choose.number(len(texts))]
            changed = content[:begin] + escape(ODD[choose.number(len(ODD))]).encode() + content[end:]
        path.write_bytes(sealed(changed, weights))
        opened(path)

    odd = [bytes([0, text, odd]) for text in range(len(texts)) for odd in range(len(ODD))]
    return odd + [b"\1" + seed for seed in changes_to(content, described(content))], one


def tflite(folder: Path) -> tuple[list[bytes], Bytes]:
    """A TFLite file, its metadata changed; and the tables that lead to them, for our own reader of these alone.

    LiteRT believes what it is given: a graph that was forged may take any memory, or end the process. The seal does not
    tell forgery (docs/embedding.md).
    """
    content = bundled(".tflite")
    path = folder / "changed.tflite"
    (head,) = np.frombuffer(content, "<u4", 1)
    texts = json.dumps(read_metadata(content, path), ensure_ascii=False).encode()
    begin = content.index(texts)
    described = (begin, begin + len(texts))

    def one(changes: bytes) -> None:
        where, changes = changes[:1], changes[1:]
        if where < b"\x80":
            path.write_bytes(sealed(spliced(content, described, changes)))
            opened(path)
        else:  # the root table and what it points to stand at the front or at the end
            around = (0, 4096) if where < b"\xc0" else (max(0, int(head) - 2048), int(head) + 2048)
            read_metadata(spliced(content, around, changes), path)

    seeds = changes_to(content, described)
    return [first + seed for seed in seeds for first in (b"\0", b"\x80", b"\xc0")], one


def bundled(suffix: str) -> bytes:
    path = bundled_in(BUNDLED, suffix)
    assert path is not None
    return path.read_bytes()


def changes_to(content: bytes, places: tuple[int, int]) -> list[bytes]:
    """A seed for each text in a part of a file: a change at its front."""
    begin, end = places
    fronts = [place for place in range(begin, end) if content[place : place + 1] in (b'"', b"[", b"{", b">", b":")]
    return [
        b"\0" + (place - begin).to_bytes(1 if end - begin <= 256 else 3, "little") + bytes([3]) + odd
        for place in fronts[::5]
        for odd in (b"null", b"1e99", b"[[[[", b'"\xff"1')
    ]


def ngram(folder: Path) -> tuple[list[bytes], Bytes]:
    """A character n-gram: a key of its description or some bytes of it changed, and searched with."""
    from htrjand.train.lm.build import LmRecipe, build

    text, path = folder / "text.txt", folder / "changed.lm"
    text.write_text("abc abc\nab cab\ncab cab a\nbé ca\n" * 3, encoding="utf-8")
    build([text], folder / "right.lm", LmRecipe(order=3, size=None, piece=0, characters=CHARSET, name="tiny"))
    logs = np.log(np.random.default_rng(0).dirichlet(np.full(len(CHARSET), 0.2), 40).astype(np.float32) + 1e-6)
    info = ModelInfo("a", "1", CHARSET)
    content = (folder / "right.lm").read_bytes()
    head, _, arrays = content.partition(b"\n")
    keys = sorted(json.loads(head))

    def one(changes: bytes) -> None:
        choose = Choices(changes)
        if choose.number(3) == 0:  # a key of its description
            about = json.loads(head)
            key, value = keys[choose.number(len(keys))], ODD[choose.number(len(ODD))]
            try:
                about[key] = json.loads(value)
            except (ValueError, RecursionError):
                about[key] = value
            if choose.number(2):
                del about[key]
                about["other"] = json.loads(head)[key]
            path.write_bytes(sealed(json.dumps(about).encode() + b"\n" + arrays))
        else:
            places = (0, len(head)) if choose.number(2) else (len(head), len(content))
            path.write_bytes(sealed(spliced(content, places, changes[2:])))
        found = Ngram(path)
        assert len(found.seal) == 64
        found.bits(["abc é?", ""])
        language = Language.of(found, info)
        for compiled in (True, False):
            beam_search([logs], language, compiled=compiled)

    described = [bytes([0, key, odd, last]) for key in range(len(keys)) for odd in range(len(ODD)) for last in (0, 1)]
    changed = [
        bytes([1, part, 0, place, 0, 0, 1, value]) for part in (0, 1) for place in range(250) for value in (0, 255)
    ]
    return described + changed, one


TARGETS: dict[str, Callable[[Path], tuple[list[bytes], Bytes]]] = {
    "image": image, "metadata": metadata, "onnx": onnx, "tflite": tflite, "openvino": openvino, "ngram": ngram,
}  # fmt: skip
