"""A drawn page shows its lines and doubtful words where they are."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from pages_made import MAKERS, line, made
from PIL import Image

from htrjand.runtime.page.draw import DOUBT, OUTLINE, draw_page
from htrjand.runtime.page.page import Page


def near(picture: Image.Image, x: int, y: int, colour: tuple[int, ...], reach: int = 2) -> bool:
    pixels = np.asarray(picture)[max(0, y - reach) : y + reach + 1, max(0, x - reach) : x + reach + 1].reshape(-1, 3)
    return bool((np.abs(pixels.astype(int) - colour).sum(1) < 30).any())


@pytest.mark.parametrize("name", MAKERS)
def test_every_page_is_drawn_in_its_size(tmp_path: Path, name: str) -> None:
    page = made(name, tmp_path)
    picture = Image.open(page.path)
    drawn = draw_page(page, picture)
    assert drawn.size == picture.size and drawn.mode == "RGB"
    assert (np.asarray(drawn).min() < 255) == bool(page.lines)


@pytest.mark.parametrize("scale", [1, 2])
def test_outlines_numbers_and_doubtful_words(scale: int) -> None:
    size = (1000, 700)
    page = Page("", *size, (line("deux mots", 200, 100, 700, 160, size), line("trois", 200, 300, 700, 360, size)))
    white = Image.new("L", (1000 // scale, 700 // scale), 255)  # reduced, as a large scan is
    plain, doubted = draw_page(page, white, 0.5), draw_page(page, white, 0.95)
    for drawn in (plain, doubted):
        assert near(drawn, 450 // scale, 100 // scale, OUTLINE) and near(drawn, 450 // scale, 360 // scale, OUTLINE)
        assert not near(drawn, 450 // scale, 230 // scale, OUTLINE)
        assert near(drawn, 190 // scale, 135 // scale, DOUBT, 12 // scale), "the number stands before the line"
    middle = (120 // scale, 280 // scale)  # y, x: inside the first word
    assert np.asarray(plain)[middle].min() == 255 and np.asarray(doubted)[middle].min() < 230
