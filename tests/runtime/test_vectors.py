"""The test vectors of the file contract (docs/embedding.md): the package gives them, and so do the page's own steps."""

from __future__ import annotations

import json
import math
import re
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import plain_decoders
import plain_pixels
import pytest
from PIL import Image, ImageOps

from htrjand.benchmarks.studies.vectors import ABSENT, SOURCES, decoded, from_text
from htrjand.runtime import ModelInfo, Recognizer
from htrjand.runtime.bundled import bundled_in
from htrjand.runtime.decode.greedy import softmax
from htrjand.runtime.image import load_line, load_line_and_width, pad_line, paper_grey
from htrjand.runtime.page.detector_info import DetectorInfo

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "tests" / "vectors"
PAGE = (ROOT / "docs" / "embedding.md").read_text(encoding="utf-8")
VECTORS = json.loads((FOLDER / "vectors.json").read_text(encoding="utf-8"))
LINES = VECTORS["lines"]
AGAIN = "make them again: python -m htrjand.benchmarks.studies.vectors tests/vectors"
each_line = pytest.mark.parametrize("line", LINES, ids=lambda line: line["name"])


def picture(line: dict[str, Any], kind: str) -> Image.Image:
    with Image.open(FOLDER / f"{line['name']}.{kind}.png") as image:
        return ImageOps.exif_transpose(image)


def stored_logits(line: dict[str, Any]) -> np.ndarray:
    return from_text((FOLDER / f"{line['name']}.logits.txt").read_text(encoding="ascii"), VECTORS["classes"])


@pytest.fixture(scope="module")
def reader() -> Recognizer:
    return Recognizer(bundled_in(Path(VECTORS["model"]).stem, ".onnx"), threads=1)


def test_the_vectors_are_those_of_the_bundled_files(reader: Recognizer) -> None:
    assert reader.language is not None
    assert VECTORS["seal"] == reader.session.metadata["seal"], f"vectors of another file; {AGAIN}"
    assert VECTORS["language_model_seal"] == reader.language.ngram.seal, f"vectors of another n-gram; {AGAIN}"
    assert len(LINES) == len(SOURCES) == 10
    assert sum(path.stat().st_size for path in FOLDER.iterdir()) < 400_000


def test_the_page_tells_the_constants_and_keys_of_the_code() -> None:
    constants = re.findall(r"^\| `([\w/]+)\.py:(\w+)` \| ([-\d., ]+) \|", PAGE, re.MULTILINE)
    assert len(constants) == 58
    for path, name, values in constants:
        found = getattr(import_module(f"htrjand.{path.replace('/', '.')}"), name)
        told = [float(value) for value in values.split(",")]
        assert np.ravel(found) == pytest.approx(told, abs=5e-5), f"{path}.py:{name} is {found}"
    for title, info in (("Metadata", ModelInfo("", "", ("", "a"))), ("The detector's file", DetectorInfo("", ""))):
        section = PAGE.split(f"### {title}\n")[1].split("###")[0]
        rows = re.findall(r"^\| (`.*?) \|", section, re.MULTILINE)
        assert {key for row in rows for key in re.findall(r"`(\w+)`", row)} == set(info.to_metadata())


@each_line
def test_an_image_becomes_the_pixels(line: dict[str, Any]) -> None:
    grey, width = load_line_and_width(FOLDER / f"{line['name']}.source.png")
    assert (width, grey.shape[1], paper_grey(grey)) == (line["columns"], line["scaled_columns"], line["paper"])
    assert np.array_equal(pad_line(grey), np.asarray(picture(line, "prepared")))


@each_line
def test_the_steps_of_the_page_give_the_same_pixels(line: dict[str, Any]) -> None:
    image = picture(line, "source")
    if image.mode.startswith("I"):
        grey = (np.asarray(image) // 257).astype(np.uint8)
    elif image.mode == "RGBA":
        grey = plain_pixels.grey(plain_pixels.on_white(np.asarray(image)))
    else:
        grey = plain_pixels.grey(np.asarray(image.convert("RGB")))
    prepared = plain_pixels.pad(plain_pixels.scale(grey))
    assert np.array_equal(prepared, np.asarray(picture(line, "prepared")))


@pytest.mark.parametrize("size", [(50, 200), (63, 64), (97, 333), (256, 800), (300, 911), (700, 1203), (31, 40)])
def test_the_steps_of_the_page_scale_as_the_runtime_does(size: tuple[int, int]) -> None:
    noise = np.random.default_rng(0).integers(0, 256, size).astype(np.uint8)
    assert np.array_equal(plain_pixels.scale(noise), load_line(noise))


@each_line
def test_pixels_become_the_logits(reader: Recognizer, line: dict[str, Any]) -> None:
    """Nearly: an engine sums in the order that suits its processor."""
    found = reader.run(np.asarray(picture(line, "prepared"))[None, None])[0]  # T, V
    stored = stored_logits(line)
    assert found.shape == stored.shape
    kept = stored != ABSENT
    assert np.abs(found - stored)[kept].mean() < 0.1, AGAIN
    assert np.mean(found.argmax(1) == stored.argmax(1)) > 0.98, AGAIN


@each_line
def test_logits_become_the_texts(reader: Recognizer, line: dict[str, Any]) -> None:
    found = decoded(reader, stored_logits(line), line["scaled_columns"], line["columns"])
    for kind in ("greedy", "beam"):
        told = line[kind]
        assert found[kind]["text"] == told["text"]
        assert found[kind]["confidence"] == pytest.approx(told["confidence"], rel=0.01)
        for key in ("confidences", "x0", "x1"):
            assert found[kind][key] == pytest.approx(told[key], abs=0.002), key


@pytest.fixture(scope="module")
def fit(reader: Recognizer) -> plain_decoders.Fit:
    fitted = reader.info.language_model
    assert reader.language is not None and fitted is not None
    ngram = plain_decoders.Ngram(reader.language.ngram.path)
    return plain_decoders.fit(ngram, list(reader.info.charset), fitted.weight, fitted.bonus, fitted.temperature)


@each_line
def test_the_search_of_the_page_finds_the_same_text(
    reader: Recognizer, fit: plain_decoders.Fit, line: dict[str, Any]
) -> None:
    told, sizes = line["beam"], (line["scaled_columns"], line["columns"])
    logs = np.log(np.maximum(softmax(stored_logits(line)), 1e-30)).tolist()
    text, frames = plain_decoders.search(logs, fit)
    assert "".join(reader.info.charset[c] for c in text) == told["text"]
    chances = plain_decoders.confidences(text, frames, logs, fit)
    assert chances == pytest.approx(told["confidences"], abs=0.002)
    assert math.prod(chances) == pytest.approx(told["confidence"], rel=0.01)
    x0, x1 = plain_decoders.places([(frame, frame + 1) for frame in frames], *sizes)
    assert (x0, x1) == (pytest.approx(told["x0"], abs=0.01), pytest.approx(told["x1"], abs=0.01))


@each_line
def test_the_greedy_decoder_of_the_page_finds_the_same_text(reader: Recognizer, line: dict[str, Any]) -> None:
    told, sizes = line["greedy"], (line["scaled_columns"], line["columns"])
    chances = softmax(stored_logits(line) / np.float32(reader.info.temperature)).tolist()
    classes, sure, whole, spans = plain_decoders.greedy(chances)
    assert "".join(reader.info.charset[c] for c in classes) == told["text"]
    assert sure == pytest.approx(told["confidences"], abs=0.002)
    assert whole == pytest.approx(told["confidence"], rel=0.01)
    x0, x1 = plain_decoders.places(spans, *sizes)
    assert (x0, x1) == (pytest.approx(told["x0"], abs=0.01), pytest.approx(told["x1"], abs=0.01))
