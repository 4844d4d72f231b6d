"""Makes the test vectors of the file contract (docs/embedding.md): ten images, their pixels, logits and texts.

Those of line detectors, which `page_vectors.py` makes, go into a folder of their own.

python -m htrjand.benchmarks.studies.vectors tests/vectors
"""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from ...runtime.bundled import bundled_in
from ...runtime.decode import Line, decode_greedy
from ...runtime.decode.beam import decode_beam
from ...runtime.errors import UsageError
from ...runtime.image import Grey, load_line_and_width, pad_line, paper_grey
from ...runtime.recognizer import BUNDLED, Recognizer, bundled_ngram
from ...train.data.lines import read_lines
from . import page_vectors

Floats = npt.NDArray[np.float32]
ROOT = Path(__file__).resolve().parents[2]
SAMPLE = ROOT / "benchmarks" / "sample" / "sample.parquet"
NEAR = 10.0  # logits this far below a frame's greatest are left out: no decoder tries a character 8 below (ln p)
ABSENT = np.float32(-1e4)  # what stands for those


def tinted(line: Grey) -> npt.NDArray[np.uint8]:
    """Brown ink on yellowish paper, [H, W, 3]."""
    share = line[:, :, None] / 255
    return np.round(share * [255, 244, 214] + (1 - share) * [92, 40, 20]).astype(np.uint8)


def times(line: Grey, factor: int) -> Image.Image:
    return Image.fromarray(line.repeat(factor, 0).repeat(factor, 1))


def clear(line: Grey) -> Image.Image:
    """Blue ink of which the paper is transparent."""
    ink = np.broadcast_to(np.array([20, 30, 120], np.uint8), (*line.shape, 3))
    return Image.fromarray(np.concatenate((ink, 255 - line[:, :, None]), 2))


def turned(line: Grey) -> Image.Image:
    """Lies on its side, as its EXIF orientation says."""
    image = Image.fromarray(line).transpose(Image.Transpose.ROTATE_90)
    image.getexif()[0x0112] = 6
    return image


# Row of the sample -> what is made of it, so that every step from pixels to 64 rows of grey is seen once.
SOURCES: dict[str, tuple[str, Callable[[Grey], Image.Image]]] = {
    "test-08": ("grey, 64 rows: only padded", Image.fromarray),
    "test-14": ("grey, 64 rows, a multiple of 16 columns: nothing is done", Image.fromarray),
    "test-15": ("colour", lambda line: Image.fromarray(tinted(line))),
    "test-27": ("a palette of colours, 192 rows: scaled down", lambda line: Image.fromarray(tinted(line)).quantize(32)),
    "test-28": ("transparent paper", clear),
    "train-02": ("grey of 16 bits", lambda line: Image.fromarray(line.astype(np.uint16) * 257)),
    "train-03": ("448 rows: reduced by 3, then scaled down", lambda line: times(line, 7)),
    "train-04": ("320 rows: reduced by 2, then scaled down", lambda line: times(line, 5)),
    "train-05": ("41 rows: scaled up", lambda line: Image.fromarray(line).resize((line.shape[1] * 41 // 64, 41))),
    "train-06": ("on its side, with an EXIF orientation of 6", turned),
}


def make(folder: Path) -> None:
    """Writes NN.source.png, NN.prepared.png and NN.logits.txt of each line, and vectors.json."""
    model = bundled_in(BUNDLED, ".onnx")
    if model is None:
        raise UsageError(f"{BUNDLED}.onnx is not bundled: the vectors are of that file")
    reader = Recognizer(model, threads=1)
    rows = {row.id: row for row in read_lines([SAMPLE])}
    folder.mkdir(parents=True, exist_ok=True)
    lines = []
    for number, (name, (about, change)) in enumerate(SOURCES.items(), 1):
        path = folder / f"{number:02}"
        stored = np.asarray(Image.open(io.BytesIO(rows[name].image)).convert("L"))
        image = change((stored & 0xF0 | 0x08).astype(np.uint8))  # 16 greys: small files
        image.save(f"{path}.source.png", optimize=True, exif=image.getexif())
        line, width = load_line_and_width(f"{path}.source.png")
        prepared = pad_line(line)
        Image.fromarray(prepared).save(f"{path}.prepared.png", optimize=True)
        logits = reader.logits([line])[0]
        Path(f"{path}.logits.txt").write_text(as_text(logits), encoding="ascii")
        texts = decoded(reader, from_text(as_text(logits), logits.shape[1]), line.shape[1], width)
        for kind, read in decoded(reader, logits, line.shape[1], width).items():
            if read["text"] != texts[kind]["text"]:
                raise UsageError(f"{name}: the stored logits do not give the text of all of them; raise NEAR")
        sizes = {"columns": width, "scaled_columns": line.shape[1], "padded_columns": prepared.shape[1]}
        lines.append({"name": path.name, "about": about} | sizes | {"paper": paper_grey(line)} | texts)
    told = {
        "model": model.name, "classes": len(reader.info.charset), "seal": reader.session.metadata["seal"],
        "language_model_seal": bundled_ngram().seal,
    }  # fmt: skip
    written = [f" {json.dumps(line, ensure_ascii=False, allow_nan=False)}" for line in lines]
    text = json.dumps(told, indent=0, allow_nan=False)[:-2] + ',\n"lines": [\n' + ",\n".join(written) + "\n]\n}\n"
    (folder / "vectors.json").write_text(text, encoding="utf-8")


def as_text(logits: Floats) -> str:
    """A frame a line: `class:logit` of the classes at most `NEAR` below the greatest, and of the blank (class 0)."""
    rows = []
    for frame in logits:
        kept = np.flatnonzero(frame >= frame.max() - NEAR)
        rows.append(" ".join(f"{index}:{frame[index]:.2f}" for index in sorted({0, *kept.tolist()})))
    return "\n".join(rows) + "\n"


def from_text(text: str, classes: int) -> Floats:
    """Logits [T, V] that `as_text` wrote; those left out are `ABSENT`."""
    rows = [[item.split(":") for item in row.split()] for row in text.splitlines()]
    logits = np.full((len(rows), classes), ABSENT, np.float32)
    for frame, row in enumerate(rows):
        for index, value in row:
            logits[frame, int(index)] = float(value)
    return logits  # T, V


def decoded(reader: Recognizer, logits: Floats, line_width: int, image_width: int) -> dict[str, Any]:
    """What both decoders make of the logits [T, V] of a line."""
    if reader.language is None:
        raise UsageError(f"{reader.path}: reads no language of the bundled n-gram")
    [beam] = decode_beam([logits], reader.info, reader.language, [(line_width, image_width)])
    return {"greedy": brief(decode_greedy(logits, reader.info, line_width, image_width)), "beam": brief(beam)}


def brief(line: Line) -> dict[str, Any]:
    """A text, its confidence, and of each character its confidence and place."""
    whole = line.to_dict()
    return {
        "text": line.text, "confidence": float(f"{line.confidence:.4g}"),
        "confidences": [item["confidence"] for item in whole["characters"]],
        "x0": [item["x0"] for item in whole["characters"]], "x1": [item["x1"] for item in whole["characters"]],
    }  # fmt: skip


if __name__ == "__main__":
    if len(sys.argv) != 2:
        raise SystemExit("usage: python -m htrjand.benchmarks.studies.vectors FOLDER")
    make(Path(sys.argv[1]))
    page_vectors.make(Path(sys.argv[1]) / "page")
