"""From maps to lines: numpy alone, on maps drawn here by hand."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

from htrjand.runtime.page.detect import (
    CORE,
    LONGER_SIDE,
    MULTIPLE,
    ROOM_ABOVE,
    ROOM_AT_ENDS,
    ROOM_BELOW,
    STRIDE,
    ZERO,
    evened,
    find_lines,
    prepare,
)
from htrjand.runtime.page.instances import components

Maps = npt.NDArray[np.float32]
HEIGHT, ABOVE = 40.0, 28.0  # pixels of the lines drawn here, and above their baseline


def blank(height: int = 256, width: int = 192) -> Maps:
    maps = np.zeros((4, height, width), dtype=np.float32)
    half = CORE / 2 * HEIGHT
    maps[2], maps[3] = np.log(ABOVE - half), np.log(HEIGHT - ABOVE + half)
    return maps


def draw(maps: Maps, x0: int, x1: int, middle: npt.ArrayLike, half: float = 2.0) -> None:
    """A core in pixels of the map, its middle at each of the columns x0 to x1."""
    columns = np.arange(x0, x1)
    rows = np.arange(maps.shape[1])[:, None]
    away = np.abs(rows + 0.5 - np.broadcast_to(middle, columns.shape))
    maps[0][:, columns] = np.maximum(maps[0][:, columns], np.clip(half + 0.5 - away, 0, 1))


def test_a_level_line_has_its_baseline_and_heights():
    maps = blank()
    draw(maps, 20, 120, 50.0)
    (line,) = find_lines(maps)
    base = 50.0 * STRIDE + CORE / 2 * HEIGHT
    assert np.abs(line.baseline[:, 1] - base).max() < 0.5
    assert line.polygon[:, 1].min() == pytest.approx(base - ROOM_ABOVE * ABOVE, abs=0.5)
    assert line.polygon[:, 1].max() == pytest.approx(base + ROOM_BELOW * (HEIGHT - ABOVE), abs=0.5)
    # the core was drawn as it is without the ends: 0.2 of the height shorter on each side
    assert line.baseline[0, 0] == pytest.approx(20 * STRIDE - (0.2 + ROOM_AT_ENDS) * HEIGHT, abs=0.5)
    assert line.baseline[-1, 0] == pytest.approx(120 * STRIDE + (0.2 + ROOM_AT_ENDS) * HEIGHT, abs=0.5)
    assert line.score > 0.8


def test_coordinates_are_those_of_the_page():
    maps = blank()
    draw(maps, 20, 120, 50.0)
    (small,), (large,) = find_lines(maps), find_lines(maps, 2.5)
    assert np.allclose(large.polygon, 2.5 * small.polygon)
    assert np.allclose(large.baseline, 2.5 * small.baseline)


@pytest.mark.parametrize("degrees", [-40, -12, 3, 20, 40])
def test_a_skewed_line_is_followed(degrees: float):
    maps = blank()
    along = np.array([np.cos(np.radians(degrees)), np.sin(np.radians(degrees))])
    y, x = np.mgrid[:256, :192] + 0.5
    s, t = (x - 96) * along[0] + (y - 128) * along[1], (y - 128) * along[0] - (x - 96) * along[1]
    maps[0] = np.clip(2.5 - np.abs(t), 0, 1) * (np.abs(s) < 60)
    (line,) = find_lines(maps)
    first, last = line.baseline[0], line.baseline[-1]
    assert np.degrees(np.arctan2(*(last - first)[::-1])) == pytest.approx(degrees, abs=1)
    across = np.ptp(line.polygon @ [-along[1], along[0]])
    assert across == pytest.approx(ROOM_ABOVE * ABOVE + ROOM_BELOW * (HEIGHT - ABOVE), abs=2)


def test_a_curved_line_is_followed():
    maps = blank()
    columns = np.arange(10, 180)
    bow = 60 + 12 * np.sin(columns / 170 * np.pi)
    draw(maps, 10, 180, bow, 2.5)
    (line,) = find_lines(maps)
    expected = np.interp(line.baseline[:, 0], (columns + 0.5) * STRIDE, bow * STRIDE) + CORE / 2 * HEIGHT
    assert np.abs(line.baseline[1:-1, 1] - expected[1:-1]).max() < 3


def test_lines_side_by_side_are_told_apart_by_their_ends():
    maps = blank()
    draw(maps, 20, 120, 50.0)
    assert len(find_lines(maps)) == 1
    maps[1, 40:60, 68:72] = 1
    left, right = find_lines(maps)
    assert left.baseline[-1, 0] <= 80 * STRIDE <= right.baseline[-1, 0]


def test_cores_that_touch_by_a_corner_are_one_and_a_row_apart_are_two():
    mask = np.zeros((6, 8), dtype=bool)
    mask[1, 1:4] = mask[2, 4:6] = True
    assert components(mask)[1] == 1
    mask[4, 1:7] = True
    labels, count = components(mask)
    assert count == 2
    assert labels[1, 1] == labels[2, 5] != labels[4, 3]
    assert (labels > 0).tolist() == mask.tolist()


def test_components_join_what_meets_only_further_down():
    mask = np.zeros((5, 9), dtype=bool)
    mask[:4, 1] = mask[:4, 4] = mask[:4, 7] = mask[4, 1:8] = True
    assert components(mask)[1] == 1


@pytest.mark.parametrize("seed", range(5))
def test_components_are_those_of_a_flood(seed: int):
    mask = np.random.default_rng(seed).random((30, 40)) < 0.45
    labels, count = components(mask)
    left, parts = {(int(y), int(x)) for y, x in zip(*np.nonzero(mask), strict=True)}, 0
    while left:
        parts += 1
        stack = [left.pop()]
        name = labels[stack[0]]
        while stack:
            y, x = stack.pop()
            assert labels[y, x] == name
            near = {(y + a, x + b) for a in (-1, 0, 1) for b in (-1, 0, 1)} & left
            left -= near
            stack += near
    assert parts == count


def test_an_empty_map_has_no_line():
    assert find_lines(blank()) == []
    assert find_lines(blank(8, 8)) == []


def test_faint_marks_and_specks_are_no_lines():
    maps = blank()
    draw(maps, 20, 120, 50.0)
    maps[0] *= 0.45
    maps[0, 100, 100] = 1
    assert find_lines(maps) == []


def test_a_blob_of_the_whole_page_is_one_line():
    maps = blank()
    maps[0] = 1
    (line,) = find_lines(maps)
    assert np.isfinite(line.polygon).all() and np.isfinite(line.baseline).all()


def test_two_hundred_lines_are_all_found_from_top_to_bottom():
    maps = blank(512, 256)
    for k in range(100):
        draw(maps, 6, 120, 3.0 + 5 * k, 1.0)
        draw(maps, 134, 250, 3.0 + 5 * k, 1.0)
    maps[1, :, 122:132] = 1
    lines = find_lines(maps)
    assert len(lines) == 200
    middles = [line.baseline[:, 1].mean() for line in lines]
    assert middles == sorted(middles)


def test_heights_out_of_all_proportion_do_not_break_a_line():
    maps = blank()
    draw(maps, 20, 60, 50.0)
    maps[2:, :, 40:] = 80.0  # e^80 pixels
    for line in find_lines(maps):
        assert np.isfinite(line.polygon).all()


def test_a_page_is_reduced_and_filled_up():
    page = np.full((3000, 2000), 200, dtype=np.uint8)
    image, scale = prepare(page)
    assert scale == pytest.approx(3000 / LONGER_SIDE)
    assert image.shape == (1, 1, 1280, 864) and image.dtype == np.uint8
    assert image.shape[2] % MULTIPLE == image.shape[3] % MULTIPLE == 0
    assert (image == ZERO).all()


@pytest.mark.parametrize("shape", [(1, 1), (1, 5000), (40, 30)])
def test_odd_pages_are_prepared(shape: tuple[int, int]):
    image, scale = prepare(np.full(shape, 90, dtype=np.uint8))
    assert image.shape[2] % MULTIPLE == image.shape[3] % MULTIPLE == 0
    assert scale > 0


def test_faint_writing_is_evened_to_the_strength_of_ink():
    rng = np.random.default_rng(0)
    strokes = rng.random((256, 256)) < 0.1
    light = np.linspace(150, 240, 256)  # uneven, across the page
    strong, faint = (evened((light - contrast * strokes).astype(np.uint8)) for contrast in (90, 25))
    assert strong[strokes].mean() > 120 and faint[strokes].mean() > 0.6 * strong[strokes].mean()
    for image in (strong, faint):
        assert np.abs(image[~strokes].astype(float) - ZERO).mean() < 12


def test_the_bed_of_the_scanner_is_not_brighter_than_ink():
    page = np.full((512, 512), 220, dtype=np.uint8)
    page[:, :100] = 5
    page[100:400:20, 200:480] = 120
    image = evened(page)
    assert image[:, :90].mean() < 0.6 * image[100:400:20, 200:480].mean()
