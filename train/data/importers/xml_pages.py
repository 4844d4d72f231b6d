"""Shared by PAGE and ALTO: finds files and their page images, cuts lines out, makes rows.

A layout's own module turns a parsed file into a `Page`; `read_pages` does the rest.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from xml.etree.ElementTree import Element

from ....runtime.errors import HtrjandError
from ....runtime.image import Grey
from ....runtime.page.cut import MIN_AREA, CutError, Point, area, band, cut_line, is_thin_band, line_spacing, points
from ....runtime.text import normalize
from . import EMPTY, REPEATED, Found, Skipped, Source
from .images import Images
from .rows import IMAGE_MISSING, make_row, read_grey
from .xml import XmlError, local, parse_xml

SAME_SHAPE = 0.02  # how far log(scale across / scale down) of a page may be from 0: sizes are rounded, scans cropped
LANGUAGE = re.compile(r"[A-Za-z]{2,3}(-[A-Za-z0-9]{2,8})*")  # the form of BCP 47, which "German", as in PAGE, is not


@dataclass(frozen=True)
class PageLine:
    """One line as in the XML: coordinates in its own unit, None where they are missing."""

    id: str
    text: str
    polygon: list[Point] | None
    baseline: list[Point] | None
    lang: str = ""


@dataclass(frozen=True)
class Page:
    """One page as in the XML: name of its image, size that the coordinates refer to (0: unknown), and lines."""

    image: str
    width: float
    height: float
    lines: list[PageLine]
    pixels: bool = True  # whether coordinates are in pixels; other units need the page's size


def read_pages(source: Source, root_name: str, layout: str, read_page: Callable[[Element], Page]) -> Iterator[Found]:
    """The lines of every file below `source.path` whose root element is `root_name`, in order of path.

    Raises:
        HtrjandError: there is no such path, or no file of the layout in it.
    """
    files = xml_files(source.path)
    images = Images(source)
    pages, first_error = 0, ""
    for path in files:
        try:
            root = parse_xml(path)
            if local(root) != root_name:
                raise XmlError(f"not {layout}")
            pages += 1
            page = read_page(root)
        except XmlError as error:
            first_error = first_error or f"{path.name}: {error}"
            yield Skipped(str(path), str(error))
            continue
        yield from page_lines(source, path, page, images)
    if not pages:
        raise HtrjandError(f"{source.path}: no {layout} here ({first_error}); check the path and the format")


def xml_files(path: Path) -> list[Path]:
    """The file itself, or every XML file in a folder and the folders below it."""
    if path.is_file():
        return [path]
    if not path.is_dir():
        raise HtrjandError(f"{path}: no such file or folder; check the path")
    files = sorted(file for file in path.rglob("*") if file.suffix.lower() == ".xml" and file.name[0] != ".")
    if not files:
        raise HtrjandError(f"{path}: no *.xml file in this folder; name the folder that holds the pages")
    return files


def page_lines(source: Source, path: Path, page: Page, images: Images) -> Iterator[Found]:
    """The rows of one page, and its lines that cannot be used."""
    if not page.lines:
        yield Skipped(str(path), "page has no text lines")
        return
    image = images.find(path, page.image)
    if image is None:
        yield Skipped(f"{path}: {page.image}", IMAGE_MISSING)
        return
    pixels = read_grey(image, f"{path}: ")
    if isinstance(pixels, Skipped):
        yield pixels
        return
    scale = scale_of(page, pixels)
    if isinstance(scale, str):
        yield Skipped(str(path), scale)
        return
    within = path.relative_to(source.path) if source.path.is_dir() else Path(path.name)
    doc = within.stem if within.parent == Path() else within.parent.as_posix()
    lines = [in_pixels(line, scale) for line in page.lines]
    spacing = line_spacing([line.baseline for line in lines if line.baseline], pixels.shape[0])
    ids: set[str] = set()
    for line in lines:
        where, text = f"{path}: {line.id}", normalize(line.text)
        if line.id in ids:
            yield Skipped(where, REPEATED)
            continue
        ids.add(line.id)
        if not text:
            yield Skipped(where, EMPTY)
            continue
        try:
            grey = cut_line(pixels, outline_of(line, spacing), line.baseline)
        except CutError as error:
            yield Skipped(where, str(error))
            continue
        yield make_row(
            source,
            grey,
            text,
            id=f"{within.with_suffix('').as_posix()}/{line.id}",
            doc=doc,
            page=within.stem,
            split=source.split or "train",  # replaced by `import_lines`, since these layouts have no splits
            lang=line.lang if LANGUAGE.fullmatch(line.lang) else "",
        )


def scale_of(page: Page, pixels: Grey) -> tuple[float, float] | str:
    """Image pixels for each unit of the XML, across and down, or the reason why this is unknown."""
    if not (page.width > 0 and page.height > 0):
        return (1.0, 1.0) if page.pixels else "coordinates are not in pixels, and the page has no size"
    across, down = pixels.shape[1] / page.width, pixels.shape[0] / page.height
    if abs(math.log(across / down)) > SAME_SHAPE:
        return "image has another shape than the page in the XML"
    return across, down


def in_pixels(line: PageLine, scale: tuple[float, float]) -> PageLine:
    """The line with coordinates in pixels of the image."""
    if scale == (1.0, 1.0):
        return line

    def scaled(points: list[Point] | None) -> list[Point] | None:
        return points and [(x * scale[0], y * scale[1]) for x, y in points]

    return PageLine(line.id, line.text, scaled(line.polygon), scaled(line.baseline), line.lang)


def outline_of(line: PageLine, spacing: float) -> Sequence[Point] | None:
    """The line's own outline; without one, or with one too thin for a line, a band around its baseline."""
    if not line.baseline:
        return line.polygon
    outline = line.polygon or []
    if area(points(outline)) >= MIN_AREA and not is_thin_band(outline, line.baseline, spacing):
        return outline
    found: list[Point] = band(line.baseline, spacing).tolist()
    return found


def lines_below(page: Element, *languages: str) -> Iterator[tuple[Element, str]]:
    """The text lines in document order, each with the language of itself or its nearest ancestor.

    Args:
        page: the element that holds the lines.
        languages: names of attributes that hold a language.
    """
    waiting = [(page, "")]
    while waiting:  # not recursive: a file may nest regions deeper than Python's stack
        element, lang = waiting.pop()
        lang = next((element.attrib[name] for name in languages if element.get(name)), lang)
        if local(element) == "TextLine":
            yield element, lang
        else:
            waiting += [(inner, lang) for inner in reversed(element)]


def number(text: str | None) -> float:
    """A finite number, or 0 where the text is none."""
    try:
        value = float(text or 0)
    except ValueError:
        return 0.0
    return value if math.isfinite(value) else 0.0


def coordinates(text: str | None) -> list[Point]:
    """Points from "x,y x,y" or "x y x y". Unreadable text becomes a point of NaN, which is refused later."""
    values = [value for value in re.split(r"[,\s]+", text or "") if value]
    try:
        numbers = [float(value) for value in values]
    except ValueError:
        return [(math.nan, math.nan)]
    return list(zip(numbers[::2], numbers[1::2], strict=True)) if len(numbers) % 2 == 0 else [(math.nan, math.nan)]
