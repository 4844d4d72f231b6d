"""Pages for the tests of outputs: made, not read, so that it is known where each word lies."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from PIL import Image

from htrjand.runtime.decode import Character, Line
from htrjand.runtime.page.page import Page, PageLine, place_line

COLUMNS = 640  # of each line's cut: other than the pixels of the page, as it is with real lines


def read(text: str, confidence: float = 0.9) -> Line:
    """What a reader might say of a cut of COLUMNS columns: characters side by side, all as wide."""
    step = COLUMNS / max(1, len(text))
    characters = tuple(Character(char, confidence, i * step, (i + 1) * step) for i, char in enumerate(text))
    return Line(text, 0.75, characters)


def line(
    text: str, left: float, top: float, right: float, bottom: float, size: tuple[int, int], turned: int = 0,
    region: int = 0,
) -> PageLine:  # fmt: skip
    """A horizontal line of the image as it was turned; its baseline at three quarters of its height."""
    polygon = [(left, top), (right, top), (right, bottom), (left, bottom)]
    foot = top + 0.75 * (bottom - top)
    return place_line(read(text), COLUMNS, polygon, [(left, foot), (right, foot)], size, turned, region)


def plain(path: str) -> Page:
    size = (1000, 700)
    texts = ["Élève œuvre", "straße Ärger", "une autre page"]
    lines = [line(text, 60, 80 + 120 * i, 560, 130 + 120 * i, size, region=i // 2) for i, text in enumerate(texts)]
    regions = ((50, 70, 570, 260), (50, 310, 570, 380))
    return Page(path, *size, tuple(lines), 1, 0, regions, "tiny 1", ("fr",), "2026-01-31T12:00:00Z")


def empty(path: str) -> Page:
    return Page(path, 1000, 700, ())


def corrected(path: str) -> Page:
    size = (1000, 700)
    first = line("le petit chat", 60, 80, 560, 130, size)
    first = replace(first, line=replace(first.line, read="le petir chat"))
    return Page(path, *size, (first, line("rien", 60, 180, 560, 230, size)))


def unread_line(path: str) -> Page:
    size = (1000, 700)
    return Page(path, *size, (line("", 60, 80, 560, 130, size), line("lu", 60, 180, 560, 230, size)))


def to_the_border(path: str) -> Page:
    size = (300, 100)
    polygon = [(-20.0, -10.0), (320.0, -10.0), (320.0, 40.0), (-20.0, 40.0)]
    placed = place_line(read("jusqu'au bord"), COLUMNS, polygon, [(-20.0, 30.0), (320.0, 30.0)], size)
    return Page(path, *size, (placed, line("en bas", 240, 90, 300, 100, size)))


def awkward_text(path: str) -> Page:
    size = (1000, 700)
    text = "a&b <c> \"d\" 'e' ]]> f\x00g h\x0ci\ufffe j\U0001d504 \ud800k (l) \\m"
    return Page(path, *size, (line(text, 60, 80, 960, 130, size),), model='<"&\x01>', languages=("de", "en"))


def many_lines(path: str) -> Page:
    size = (2000, 9000)
    lines = [line(f"ligne {i} sur 200", 60, 40 * i + 20, 1900, 40 * i + 55, size, region=i // 50) for i in range(200)]
    return Page(path, *size, tuple(lines))


def on_its_side(path: str) -> Page:
    """The text runs upwards in the image as given: it was read after a quarter turn clockwise."""
    size = (700, 1000)
    return Page(path, *size, (line("tourné à droite", 60, 80, 560, 130, size, 90),), turned=90)


def upside_down(path: str) -> Page:
    size = (1000, 700)
    return Page(path, *size, (line("à l'envers", 60, 80, 560, 130, size, 180),), turned=180)


MAKERS: dict[str, Callable[[str], Page]] = {
    maker.__name__: maker
    for maker in (
        plain, empty, corrected, unread_line, to_the_border, awkward_text, many_lines, on_its_side, upside_down,
    )
}  # fmt: skip


def made(name: str, folder: Path, file_name: str = "scan.png") -> Page:
    """A page of MAKERS, with a white image of its size in the folder."""
    page = MAKERS[name](str(folder / file_name))
    Image.new("L", (page.width, page.height), 255).save(page.path)
    return page
