"""Crops keep image, maps and mask together."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from htrjand.runtime.page.detect import LONGER_SIDE, ZERO, find_lines
from htrjand.train.page.augment import PageAugmentRecipe, bent, draw_guides, ruled, training_crop
from htrjand.train.page.pages import Page, load_pages
from htrjand.train.page.targets import LineShape

STILL = PageAugmentRecipe(scale=0.3, stretch=0.1, turn=5, together=0, bleed=0, ruled=0, shade=0, blur=0)
WILD = PageAugmentRecipe(bend=1, together=0.5, bleed=1, ruled=1, shade=1, blur=1)


@pytest.fixture(scope="module")
def pages(drawn_pages: Path) -> list[Page]:
    return load_pages([drawn_pages / "drawn.parquet"], "train")


def test_pages_are_read(pages: list[Page]):
    (page,) = pages
    assert page.image.shape == (1024, 768)
    assert len(page.polygons) == len(page.shapes) == 12
    assert page.ignore == ((712.0, 495.0, 765.0, 545.0),)


def test_boxes_of_some_datasets_are_learned_from(drawn_pages: Path):
    (page,) = load_pages([drawn_pages / "drawn.parquet"], "val", ["drawn"])
    assert page.ignore == ()


@pytest.mark.parametrize("seed", range(8))
def test_cores_lie_on_ink_however_the_page_is_placed(pages: list[Page], seed: int):
    crop = training_crop(pages, np.ones(1), 512, STILL, np.random.default_rng(seed))
    cores = np.kron(crop.maps[0] > 0.5, np.ones((4, 4), dtype=bool))
    assert cores.any()
    ink = crop.image > 2 * ZERO
    near, far = (np.kron(grown(crop.maps[2] > 0, times), np.ones((4, 4), dtype=bool)) for times in (4, 6))
    assert ink[cores].mean() > 0.2
    assert ink[far & ~near].mean() < 0.1  # above and below the lines


def test_a_bent_line_is_where_its_ink_is():
    grey = np.full((200, 300), 255, dtype=np.float32)
    grey[100:103, 20:280] = 0
    x = np.arange(20.0, 280.0, 10)
    line = LineShape(np.stack([x, np.full(len(x), 101.0)], axis=1), np.full(len(x), 10.0), np.full(len(x), 5.0))
    down = (12 * np.sin(np.arange(300) / 60)).astype(np.float32)
    ink = bent(grey, down)
    for column, row in line.bent(down).baseline.round().astype(int):
        assert ink[row, column] < 128 and ink[row - 5, column] > 128 and ink[row + 5, column] > 128


def grown(mask: np.ndarray, times: int) -> np.ndarray:
    """A mask and its neighbours."""
    for _ in range(times):
        padded = np.pad(mask, 1)
        mask = mask | padded[2:, 1:-1] | padded[:-2, 1:-1] | padded[1:-1, 2:] | padded[1:-1, :-2]
    return mask


def test_unlabelled_ink_has_no_weight_and_lines_have(pages: list[Page]):
    whole = dataclasses.replace(STILL, scale=0)
    for seed in range(4):
        crop = training_crop(pages, np.ones(1), LONGER_SIDE, whole, np.random.default_rng(seed))
        assert 0 < (crop.weight == 0).mean() < 0.05
        assert crop.weight[crop.maps[0] > 0.5].min() == 1


@pytest.mark.parametrize("seed", range(6))
def test_the_wildest_crop_is_whole(pages: list[Page], seed: int):
    crop = training_crop(pages, np.ones(1), 256, WILD, np.random.default_rng(seed))
    assert crop.image.shape == (256, 256) and crop.image.dtype == np.uint8
    assert crop.maps.shape == (4, 64, 64) and np.isfinite(crop.maps).all()
    assert crop.weight.shape == (64, 64)


def test_a_crop_depends_on_its_seed_alone(pages: list[Page]):
    first, second, other = (
        training_crop(pages, np.ones(1), 256, WILD, np.random.default_rng(seed)) for seed in (3, 3, 4)
    )
    assert (first.image == second.image).all() and (first.maps == second.maps).all()
    assert (first.image != other.image).any()


def test_two_pages_side_by_side_have_a_fold_without_cores(pages: list[Page]):
    both = PageAugmentRecipe(scale=0, stretch=0, turn=0, together=1, bleed=0, ruled=0, shade=0, blur=0)
    crop = training_crop(pages, np.ones(1), 960, both, np.random.default_rng(5))
    columns = np.flatnonzero(crop.maps[0].max(0) > 0.5)
    assert np.diff(columns).max() > 10  # the margins at the fold
    assert len(find_lines(crop.maps)) > 12


def test_ruling_is_straight_and_only_darkens():
    upright = set()
    for seed in range(40):
        paper = np.full((256, 256), 200, dtype=np.float32)
        dark = 200 - ruled(paper, [], np.random.default_rng(seed))
        assert (dark >= 0).all() and 0 < (dark > 5).mean() < 0.4
        column, row = ((dark > 5).mean(axis).max() for axis in (0, 1))  # the fullest of each
        upright.add(bool(column > row))
        assert len(np.unique(dark.round())) <= 4  # paper, rules, finer rules
    assert upright == {True, False}


def test_forms_have_a_rule_under_each_line_as_long_as_the_longest():
    sheet = Image.new("L", (300, 200), 255)
    lines = [line_across(20, 120, 60), line_across(40, 280, 140)]
    draw_guides(sheet, lines, 0, 1, np.random.default_rng(1))
    rows, columns = np.nonzero(np.asarray(sheet) == 0)
    assert columns.min() == 20 and columns.max() == 280
    assert len(set(rows)) == 2 and max(rows) - min(rows) == 80


def line_across(left: float, right: float, base: float) -> LineShape:
    ends = np.array([(left, base), (right, base)], dtype=float)
    return LineShape(ends, np.full(2, 15.0), np.full(2, 5.0))


def test_recipes_out_of_range_are_refused():
    for wrong in ({"turn": 90}, {"bleed": 1.5}, {"scale": -1}):
        with pytest.raises(ValueError):
            PageAugmentRecipe(**wrong)
