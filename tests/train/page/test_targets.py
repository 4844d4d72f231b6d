"""Targets and post-processing undo each other: lines drawn as perfect maps are found again."""

from __future__ import annotations

import numpy as np
import pytest

from htrjand.runtime.page.detect import STRIDE, find_lines
from htrjand.train.page.score import overlaps, score_lines
from htrjand.train.page.targets import ABOVE_USUAL, LineShape, draw_maps, line_shape

WIDTH, HEIGHT = 768, 1024


def rectangle(x0: float, x1: float, base: float, above: float = 22, below: float = 10) -> LineShape:
    shape = line_shape(
        [(x0, base - above), (x1, base - above), (x1, base + below), (x0, base + below)], [(x0, base), (x1, base)]
    )
    assert shape is not None
    return shape


def found_again(shapes: list[LineShape]) -> np.ndarray:
    """The overlap of each line with the best of those found in its maps."""
    lines = find_lines(draw_maps(shapes, HEIGHT, WIDTH))
    assert len(lines) == len(shapes)
    return overlaps([shape.polygon() for shape in shapes], [line.polygon for line in lines]).max(1)


def test_level_lines_are_found_again():
    assert found_again([rectangle(60, 700, 80 + 34 * k) for k in range(26)]).min() > 0.85


def test_dense_lines_are_found_again():
    assert found_again([rectangle(60, 700, 40 + 16 * k, 13, 6) for k in range(60)]).min() > 0.7


def test_short_lines_and_cells_side_by_side_are_found_again():
    assert (
        found_again([rectangle(x, x + 60, 100 + 40 * k) for k in range(20) for x in (50, 114, 178, 400)]).min() > 0.75
    )


@pytest.mark.parametrize("turn", [-0.6, -0.08, 0.08, 0.6])
def test_turned_lines_are_found_again(turn: float):
    cos, sin = np.cos(turn), np.sin(turn)
    matrix, middle = np.array([[cos, -sin], [sin, cos]]), np.array([WIDTH / 2, HEIGHT / 2])
    shapes = [rectangle(150, 620, 400 + 40 * k).moved(matrix, middle - matrix @ middle) for k in range(6)]
    assert found_again(shapes).min() > 0.8


def test_curved_lines_are_found_again():
    x = np.linspace(50, 720, 40)
    shapes = []
    for k in range(8):
        y = 150 + 60 * k + 40 * np.sin((x - 50) / 670 * np.pi)
        shapes.append(LineShape(np.stack([x, y], axis=1), np.full(40, 26.0), np.full(40, 12.0)))
    assert found_again(shapes).min() > 0.75


def test_the_baseline_is_found_again():
    shape = rectangle(100, 600, 300)
    (line,) = find_lines(draw_maps([shape], HEIGHT, WIDTH))
    assert np.abs(line.baseline[:, 1] - 300).max() < 1.5
    assert abs(line.baseline[0, 0] - 100) < STRIDE and abs(line.baseline[-1, 0] - 600) < STRIDE


def test_a_word_between_two_lines_does_not_join_them():
    shapes = [rectangle(60, 700, 300, 26, 12), rectangle(60, 700, 335, 26, 12), rectangle(300, 380, 318, 14, 6)]
    lines = find_lines(draw_maps(shapes, HEIGHT, WIDTH))
    found = score_lines([shape.polygon() for shape in shapes[:2]], [line.polygon for line in lines])
    assert found.matched == 2


def test_a_page_without_lines_has_empty_maps():
    maps = draw_maps([], 64, 96)
    assert maps.shape == (4, 16, 24) and maps.dtype == np.float32
    assert not maps.any()


def test_a_baseline_drawn_too_high_is_moved_and_the_outline_stays():
    outline = [(0, 100), (400, 100), (400, 140), (0, 140)]
    right, high = (line_shape(outline, [(0, y), (400, y)]) for y in (100 + 40 * ABOVE_USUAL, 112))
    assert right is not None and high is not None
    assert np.allclose(right.baseline, high.baseline)
    assert np.allclose(right.polygon(), high.polygon())


def test_a_flourish_does_not_raise_a_line():
    outline = [(0, 100), (300, 100), (310, 20), (320, 100), (600, 100), (600, 140), (0, 140)]
    shape = line_shape(outline, [(0, 128), (600, 128)])
    assert shape is not None
    assert shape.polygon()[:, 1].min() > 85


def test_a_baseline_from_right_to_left_is_reversed():
    outline = [(0, 100), (400, 100), (400, 140), (0, 140)]
    there, back = line_shape(outline, [(0, 128), (400, 128)]), line_shape(outline, [(400, 128), (0, 128)])
    assert there is not None and back is not None
    assert np.allclose(there.baseline, back.baseline) and np.allclose(there.above, back.above)


@pytest.mark.parametrize(
    ("polygon", "baseline"),
    [
        ([], [(0, 0), (10, 0)]),
        ([(0, 0), (10, 0)], [(0, 0), (10, 0)]),
        ([(0, 0), (50, 0), (50, 20), (0, 20)], [(5, 5)]),
        ([(0, 0), (50, 0), (50, 20), (0, 20)], [(5, 5), (5, 5)]),
        ([(0, 0), (50, 0), (50, 20), (0, 20)], []),
        ([(0, 0), (50, float("nan")), (50, 20), (0, 20)], [(0, 15), (50, 15)]),
    ],
)
def test_what_is_no_line_has_no_shape(polygon, baseline):
    assert line_shape(polygon, baseline) is None
