"""What is put on a page is where its shape says, and what is made up has lines, or none, as it should."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from htrjand.train.page.augment import PageAugmentRecipe, training_crop
from htrjand.train.page.compose import composed, piece_of, with_words, without_text
from htrjand.train.page.pages import Page, load_pages


@pytest.fixture(scope="module")
def page(drawn_pages: Path) -> Page:
    (page,) = load_pages([drawn_pages / "drawn.parquet"], "train")
    return page


def darkness(image: np.ndarray, shape) -> float:
    """How much darker the pixels of a shape's outline are than the paper's grey."""
    (x0, y0), (x1, y1) = shape.polygon().min(0).astype(int), shape.polygon().max(0).astype(int)
    return float(np.median(image) - image[max(0, y0) : y1, max(0, x0) : x1].mean())


@pytest.mark.parametrize("seed", range(4))
def test_words_are_added_with_their_ink_and_nothing_else_changes(page: Page, seed: int):
    empty = dataclasses.replace(page, image=np.full_like(page.image, 225))
    after = with_words(empty, page, np.random.default_rng(seed))
    added = after.shapes[len(page.shapes) :]
    assert len(added) >= 3 and after.shapes[: len(page.shapes)] == page.shapes
    assert len(after.polygons) == len(after.shapes)
    assert all(darkness(after.image, shape) > 3 for shape in added)
    untouched = np.ones(page.image.shape, dtype=bool)
    for shape in added:
        (x0, y0), (x1, y1) = np.floor(shape.polygon().min(0)).astype(int), np.ceil(shape.polygon().max(0)).astype(int)
        untouched[y0 : y1 + 1, x0 : x1 + 1] = False
    assert (after.image[untouched] == 225).all()
    assert (page.image != 225).any()  # the source is as it was


@pytest.mark.parametrize("seed", range(4))
def test_a_composed_page_has_lines_of_ink_on_paper(page: Page, seed: int):
    made = composed([page, page], np.random.default_rng(seed))
    assert made.image.dtype == np.uint8 and max(made.image.shape) <= 1280
    assert len(made.shapes) == len(made.polygons) >= 3
    for shape in made.shapes:
        assert darkness(made.image, shape) > 3
        assert shape.polygon().min() >= 0 and (shape.polygon().max(0) <= made.image.shape[::-1]).all()


def test_pages_without_text_have_no_line_and_differ():
    first, second = (without_text(np.random.default_rng(seed)) for seed in (1, 2))
    assert first.shapes == first.polygons == first.ignore == ()
    assert first.image.shape == second.image.shape and (first.image != second.image).any()


def test_pieces_are_as_long_as_asked(page: Page):
    rng = np.random.default_rng(0)
    for length in (0.5, 2.0, 100.0):
        piece = piece_of(page, rng, length)
        assert 2 <= len(piece.baseline) == len(piece.above) == len(piece.below)
        run = float(np.hypot(*(piece.baseline[-1] - piece.baseline[0])))
        assert run <= max(length * piece.height + 0.6 * piece.height, 1) or length == 0.5


def test_pages_of_which_nothing_can_be_taken_stay_as_they_are(page: Page):
    bare = dataclasses.replace(page, shapes=(), polygons=())
    assert with_words(page, bare, np.random.default_rng(0)) is page
    assert composed([bare], np.random.default_rng(0)).shapes == ()


def test_a_page_on_its_side_has_upright_cores(page: Page):
    still = PageAugmentRecipe(scale=0, stretch=0, turn=0, together=0, bleed=0, ruled=0, shade=0, blur=0)
    lying = dataclasses.replace(still, sideways=1)
    upright = 0
    for seed in range(10):
        crop = training_crop([page], np.ones(1), 512, lying, np.random.default_rng(seed))
        across, down = (float(np.abs(np.diff(crop.maps[0], axis=axis)).sum()) for axis in (1, 0))
        upright += across > 2 * down
    assert upright >= 5  # four of five are turned by a right angle
    level = training_crop([page], np.ones(1), 512, still, np.random.default_rng(0)).maps[0]
    assert np.abs(np.diff(level, axis=0)).sum() > 2 * np.abs(np.diff(level, axis=1)).sum()


def test_short_lines_and_ends_of_lines_count_more(page: Page):
    still = PageAugmentRecipe(scale=0, stretch=0, turn=0, together=0, bleed=0, ruled=0, shade=0, blur=0)
    short = dataclasses.replace(page, shapes=tuple(piece_of(page, np.random.default_rng(k), 1.0) for k in range(12)))
    usual, more = (training_crop([one], np.ones(1), 512, still, np.random.default_rng(0)) for one in (page, short))
    assert set(np.unique(usual.weight)) <= {0.0, 1.0, 2.0} and usual.weight.max() == 2
    assert more.weight[more.maps[0] > 0.5].min() == 3


def test_every_kind_of_page_makes_a_whole_crop(page: Page):
    for name in ("sideways", "words", "composed", "empty"):
        recipe = dataclasses.replace(PageAugmentRecipe(), **{name: 1.0})
        crop = training_crop([page], np.ones(1), 256, recipe, np.random.default_rng(7))
        assert crop.image.shape == (256, 256) and np.isfinite(crop.maps).all()
        assert crop.maps[0].any() != (name == "empty")
