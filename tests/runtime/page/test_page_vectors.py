"""The test vectors of line detectors (docs/embedding.md): the package gives them, each step by itself."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from htrjand.benchmarks.studies.page_vectors import CUTS, PAGE, maps_of, order_lines
from htrjand.runtime.bundled import bundled_in
from htrjand.runtime.page.cut import cut_line
from htrjand.runtime.page.detect import DetectedLine, find_lines, prepare
from htrjand.runtime.page.detector import BUNDLED, LineDetector
from htrjand.runtime.page.inputs import load_page
from htrjand.runtime.page.order import reading_order
from htrjand.runtime.page.upright import with_upright

FOLDER = Path(__file__).resolve().parents[2] / "vectors" / "page"
TOLD = json.loads((FOLDER / "page.json").read_text(encoding="utf-8"))
AGAIN = "make them again: python -m htrjand.benchmarks.studies.vectors tests/vectors"
NEAR = 6.0  # pixels of the page: a map's pixel is five of them


def picture(name: str) -> np.ndarray:
    with Image.open(FOLDER / f"{name}.png") as image:
        return np.asarray(image)


def test_they_are_small() -> None:
    assert sum(path.stat().st_size for path in FOLDER.iterdir()) < 60_000


def test_the_page_becomes_the_image() -> None:
    told = TOLD["page"]
    image, scale = prepare(load_page(PAGE).grey)
    assert (scale, image.shape) == (told["scale"], (1, 1, told["height"], told["width"]))
    left, top, width, height = told["part"]
    assert np.array_equal(image[0, 0, top : top + height, left : left + width], picture("prepared")), AGAIN


def test_the_maps_become_the_lines() -> None:
    found = find_lines(maps_of(FOLDER))
    assert len(found) == len(TOLD["maps"]) == 9
    for line, told in zip(found, TOLD["maps"], strict=True):
        assert line.baseline == pytest.approx(np.array(told["baseline"]), abs=0.01)
        assert line.polygon == pytest.approx(np.array(told["polygon"]), abs=0.01)
        assert line.score == pytest.approx(told["score"], abs=1e-4)


def test_the_bundled_file_finds_the_baselines_of_the_page() -> None:
    """Nearly: an engine sums in the order that suits its processor."""
    detector = LineDetector(bundled_in(BUNDLED, ".onnx"), threads=1)
    assert detector.session.metadata["seal"] == TOLD["seal"], f"vectors of another file; {AGAIN}"
    found = detector.detect(load_page(PAGE).grey)
    assert len(found) == len(TOLD["page"]["baselines"]) == 12
    for line, told in zip(found, map(np.array, TOLD["page"]["baselines"]), strict=True):
        ends = np.abs(line.baseline[[0, -1]] - told[[0, -1]])
        assert ends.max() < NEAR, AGAIN


@pytest.mark.parametrize("name", CUTS)
def test_lines_are_cut(name: str) -> None:
    told = TOLD["cuts"][name]
    assert np.array_equal(cut_line(load_page(PAGE).grey, told["polygon"], told["baseline"]), picture(name)), AGAIN


def test_lines_are_ordered() -> None:
    told = TOLD["order"]
    baselines, heights = order_lines()
    assert [line.tolist() for line in baselines] == told["baselines"]
    assert heights == told["heights"]
    assert reading_order(baselines, heights) == told["regions"], AGAIN
    assert len(told["regions"]) == 3


def test_upright_lines_are_those_of_the_turned_page() -> None:
    told = TOLD["upright"]
    found, turned = (
        [DetectedLine(np.array(line["baseline"]), np.array(line["polygon"]), line["score"]) for line in told[kind]]
        for kind in ("found", "turned")
    )
    lines = with_upright(found, told["size"], lambda: turned)
    assert len(lines) == len(told["lines"]) == 3
    for line, stored in zip(lines, told["lines"], strict=True):
        assert line.baseline.tolist() == stored["baseline"] and line.polygon.tolist() == stored["polygon"], AGAIN
