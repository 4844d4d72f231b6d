"""Makes the test vectors of line detectors (docs/embedding.md): maps and their lines, the bundled page, cuts, order.

python -m htrjand.benchmarks.studies.vectors tests/vectors
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from ...runtime.bundled import bundled_in
from ...runtime.errors import UsageError
from ...runtime.page.cut import cut_line
from ...runtime.page.detect import DetectedLine, FloatMap, find_lines, prepare
from ...runtime.page.detector import BUNDLED, LineDetector
from ...runtime.page.inputs import load_page
from ...runtime.page.order import reading_order
from ...runtime.page.upright import with_upright

PAGE = Path(__file__).resolve().parents[2] / "benchmarks" / "sample" / "page.png"
STEPS = np.array([255, 255, 32, 32], np.float32)[:, None, None]  # a grey level of maps.png is a step of so little
PART = (192, 288, 320, 64)  # of the prepared page: left, top, width, height
# Of the page: an outline and a baseline each, so that a cut is level, turned, bent, and reduced before it is turned.
CUTS = {
    "level": ([(30, 45), (400, 45), (400, 118), (30, 118)], [(30, 96), (400, 96)]),
    "turned": ([(60, 60), (420, 20), (440, 100), (80, 150)], [(70, 130), (430, 84)]),
    "bent": (
        [(500, 40), (640, 10), (780, 40), (780, 120), (640, 90), (500, 120)],
        [(500, 100), (570, 82), (640, 75), (710, 82), (780, 100)],
    ),
    "high": ([(100, 100), (800, 120), (800, 420), (100, 400)], [(100, 330), (800, 350)]),
}
# Lines as left, right, middle, height: a heading over two columns, a row of two cells, a note.
ORDER = [
    (620, 1100, 180, 30), (100, 1120, 60, 40), (110, 500, 180, 32), (100, 520, 230, 30), (630, 1090, 232, 31),
    (105, 510, 285, 30), (625, 1100, 290, 30), (110, 290, 340, 30), (320, 500, 344, 28), (620, 1000, 345, 30),
    (300, 480, 700, 30),
]  # fmt: skip
# Boxes of lines (left, top, right, foot) on a page, as they are found there, and on that page turned clockwise: two
# across, three pieces of one on the margin; on the turned page that one, and two that are none.
PAGE_SIZE = (600, 800)
FOUND = [
    (100, 100, 500, 130), (100, 300, 500, 330), (30, 100, 60, 250), (30, 260, 60, 280), (32, 300, 58, 350),
]  # fmt: skip
TURNED = [(440, 28, 710, 62), (400, 200, 720, 230), (100, 540, 300, 570)]


def make(folder: Path) -> None:
    """Writes maps.png, prepared.png, a picture of each cut, and page.json."""
    model = bundled_in(BUNDLED, ".onnx")
    if model is None:
        raise UsageError(f"{BUNDLED}.onnx is not bundled: the vectors are of that file")
    folder.mkdir(parents=True, exist_ok=True)
    detector, page = LineDetector(model, threads=1), load_page(PAGE).grey
    drawn = np.round(drawn_maps() * STEPS).astype(np.uint8)
    Image.fromarray(drawn.reshape(-1, drawn.shape[2])).save(folder / "maps.png", optimize=True)
    image, scale = prepare(page)
    left, top, width, height = PART
    Image.fromarray(image[0, 0, top : top + height, left : left + width]).save(folder / "prepared.png", optimize=True)
    for name, (polygon, baseline) in CUTS.items():
        Image.fromarray(cut_line(page, polygon, baseline)).save(folder / f"{name}.png", optimize=True)
    baselines, heights = order_lines()
    told: dict[str, Any] = {
        "model": model.name, "seal": detector.session.metadata["seal"],
        "maps": [described(line) for line in find_lines(maps_of(folder))],
        "page": {
            "image": PAGE.name, "scale": scale, "width": image.shape[3], "height": image.shape[2],
            "part": PART, "baselines": [rounded(line.baseline) for line in detector.detect(page)],
        },
        "cuts": {name: {"polygon": polygon, "baseline": baseline} for name, (polygon, baseline) in CUTS.items()},
        "order": {
            "baselines": [line.tolist() for line in baselines], "heights": heights,
            "regions": reading_order(baselines, heights),
        },
        "upright": {
            "size": PAGE_SIZE, "found": [described(line) for line in found_lines()],
            "turned": [described(line) for line in turned_lines()],
            "lines": [described(line) for line in with_upright(found_lines(), PAGE_SIZE, turned_lines)],
        },
    }  # fmt: skip
    (folder / "page.json").write_text(json.dumps(told, allow_nan=False) + "\n", encoding="utf-8")


def drawn_maps() -> FloatMap:
    """Maps [4, 64, 120] with a core of every kind: what comes of each stands in docs/embedding.md."""
    maps = np.zeros((4, 64, 120), np.float32)
    core, ends = maps[0], maps[1]
    maps[2], maps[3] = np.log(np.linspace(10, 18, 120)), np.log(np.linspace(9, 6, 120))
    core[3:6, 4:110] = 0.9  # straight, with a gap that is faint
    core[2, 4:110] = core[6, 4:110] = 0.4
    core[2:7, 50:58] = 0.35
    for column in range(6, 100):  # falling
        core[12 + column // 16 : 15 + column // 16, column] = 0.8
    core[26:29, 4:60] = core[35:38, 8:64] = 0.95  # two that hang together
    core[29:35, 30:33] = 0.7
    core[26:29, 80:110] = 0.4  # too weak
    core[44:47, 4:110] = 0.9  # one on which a line ends and the next begins
    ends[44:47, 52:55] = 0.9
    core[52:55, 10:15] = 0.9  # too short to tell a direction
    core[52:55, 30:60] = core[53:56, 66:112] = 0.9  # two pieces of one line
    core[60, 40:42] = 0.9  # too small
    core[10:30, 113:116] = core[36:60, 113:116] = 0.9  # two pieces of one that runs upwards
    return maps


def maps_of(folder: Path) -> FloatMap:
    """The maps [4, H, W] that are stored in a folder."""
    with Image.open(folder / "maps.png") as image:
        levels = np.asarray(image, dtype=np.float32)
    return levels.reshape(4, -1, levels.shape[1]) / STEPS


def order_lines() -> tuple[list[npt.NDArray[np.float64]], list[float]]:
    """The baselines and heights of `ORDER`."""
    baselines = [np.array([(a, middle + height / 2), (b, middle + height / 2)]) for a, b, middle, height in ORDER]
    return baselines, [float(line[3]) for line in ORDER]


def found_lines() -> list[DetectedLine]:
    """The lines of `FOUND`, along the longer sides of their boxes."""
    return [box_line(*box, upwards=box[3] - box[1] > box[2] - box[0]) for box in FOUND]


def turned_lines() -> list[DetectedLine]:
    """The lines of `TURNED`."""
    return [box_line(*box) for box in TURNED]


def box_line(left: int, top: int, right: int, foot: int, upwards: bool = False) -> DetectedLine:
    if upwards:
        outline, base = [(left, foot), (left, top), (right, top), (right, foot)], [(right - 5, foot), (right - 5, top)]
    else:
        outline, base = [(left, top), (right, top), (right, foot), (left, foot)], [(left, foot - 5), (right, foot - 5)]
    return DetectedLine(np.array(base, np.float64), np.array(outline, np.float64), 0.9)


def described(line: DetectedLine) -> dict[str, Any]:
    return {
        "baseline": rounded(line.baseline), "polygon": rounded(line.polygon), "score": round(line.score, 4)
    }  # fmt: skip


def rounded(points: npt.NDArray[np.float64]) -> list[list[float]]:
    return [[round(float(x), 2), round(float(y), 2)] for x, y in points]
