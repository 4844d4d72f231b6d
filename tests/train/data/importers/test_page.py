"""PAGE XML: small pages as the programs that write it write them, and the ways in which they come broken."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from htrjand.runtime.errors import HtrjandError
from htrjand.train.data.importers import Found, Skipped, Source
from htrjand.train.data.importers.page import read
from htrjand.train.data.lines import LineRow

WIDTH, HEIGHT = 400, 300
COORDS = '<Coords points="20,40 380,40 380,80 20,80"/>'
BASELINE = '<Baseline points="20,70 380,70"/>'


def scan(path: Path, width: int = WIDTH, height: int = HEIGHT) -> None:
    """A page with a dark bar in the band of rows 50 to 70 of 300."""
    pixels = np.full((height, width), 220, np.uint8)
    pixels[height * 50 // 300 : height * 70 // 300, width // 10 : -width // 10] = 30
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)


def line(text: str | None = "abc", name: str = "l1", places: str = COORDS + BASELINE, inner: str = "") -> str:
    said = "" if text is None else f"<TextEquiv><Unicode>{text}</Unicode></TextEquiv>"
    return f'<TextLine id="{name}">{places}{inner}{said}</TextLine>'


SIZE = f'imageWidth="{WIDTH}" imageHeight="{HEIGHT}"'


def page(*lines: str, image: str = "p1.png", size: str = SIZE, date: str = "2019-07-15", more: str = "") -> str:
    return (
        f'<?xml version="1.0" encoding="UTF-8"?><PcGts xmlns="http://schema.primaresearch.org/PAGE/gts/pagecontent/{date}">'
        f'<Metadata><Creator>x</Creator></Metadata><Page imageFilename="{image}" {size} {more}>'
        f'<TextRegion id="r1"><Coords points="0,0 399,0 399,299 0,299"/>{"".join(lines)}</TextRegion></Page></PcGts>'
    )


def found(folder: Path, **more: object) -> list[Found]:
    return list(read(Source(folder, "mine", **more)))  # type: ignore[arg-type]


def one(tmp_path: Path, xml: str, **more: object) -> Found:
    """What comes of a folder with one scan and one page of one line."""
    scan(tmp_path / "p1.png")
    (tmp_path / "p1.xml").write_text(xml, encoding="utf-8")
    (result,) = found(tmp_path, **more)
    return result


def row(result: Found) -> LineRow:
    assert isinstance(result, LineRow), result
    return result


def reason(result: Found) -> str:
    assert isinstance(result, Skipped), result
    return result.reason


@pytest.mark.parametrize("date", ["2010-03-19", "2013-07-15", "2017-07-15", "2018-07-15", "2019-07-15"])
def test_a_line_of_any_edition_becomes_a_row(tmp_path: Path, date: str) -> None:
    got = row(one(tmp_path, page(line("Noe\u0308l  à\tParis"), date=date), split="val", lang="fr"))
    assert (got.id, got.dataset, got.doc, got.page) == ("p1/l1", "mine", "p1", "p1")
    assert (got.split, got.lang, got.text) == ("val", "fr", "Noël à Paris")  # NFC, one space
    assert (got.height, got.width) == (64, 576)
    assert Image.open(io.BytesIO(got.image)).size == (576, 64)
    pixels = got.pixels()
    assert pixels[32, 288] < 60 < 180 < pixels[4, 288]


def test_points_as_elements_are_read(tmp_path: Path) -> None:
    corners = "".join(f'<Point x="{x}" y="{y}"/>' for x, y in [(20, 40), (380, 40), (380, 80), (20, 80)])
    assert row(one(tmp_path, page(line(places=f"<Coords>{corners}</Coords>")))).width == 576


def words(*texts: str) -> str:
    return "".join(
        f'<Word id="w{n}"><Coords points="1,1 2,1 2,2"/><TextEquiv><Unicode>{text}</Unicode></TextEquiv></Word>'
        for n, text in enumerate(texts)
    )


@pytest.mark.parametrize(
    ("inner", "text", "expected"),
    [
        (words("un", "mot"), "le vers", "le vers"),
        (words("un", "mot"), None, "un mot"),
        (words("un", "mot"), " ", "un mot"),
        (
            '<TextEquiv index="2"><Unicode>third</Unicode></TextEquiv><TextEquiv index="0"><Unicode>first</Unicode>'
            '</TextEquiv><TextEquiv index="1"><Unicode>second</Unicode></TextEquiv>',
            None,
            "first",
        ),
        (
            "<Word><Glyph><TextEquiv><Unicode>o</Unicode></TextEquiv></Glyph>"
            "<Glyph><TextEquiv><Unicode>k</Unicode></TextEquiv></Glyph></Word>",
            None,
            "ok",
        ),
        ("", "&lt;&gt;", "<>"),
    ],
)
def test_the_text_is_that_of_the_line_and_of_its_words_where_it_has_none(
    tmp_path: Path, inner: str, text: str | None, expected: str
) -> None:
    assert row(one(tmp_path, page(line(text, inner=inner)))).text == expected


def test_nested_regions_and_table_cells_are_walked_in_document_order(tmp_path: Path) -> None:
    scan(tmp_path / "p1.png")
    inside = f'<TextRegion id="n">{line("two", "l2")}</TextRegion>'
    table = f'<TableRegion id="t"><TextRegion id="c">{line("four", "l4")}</TextRegion></TableRegion>'
    (tmp_path / "p1.xml").write_text(page(line("one"), inside, line("three", "l3"), table))
    assert [row(result).text for result in found(tmp_path)] == ["one", "two", "three", "four"]


@pytest.mark.parametrize(
    ("marked", "expected"),
    [("fr", "fr"), ("de-Latf", "de-Latf"), ("German", "en"), ("", "en")],
)
def test_the_language_is_taken_where_it_is_a_code(tmp_path: Path, marked: str, expected: str) -> None:
    assert row(one(tmp_path, page(line(), more=f'primaryLanguage="{marked}"'), lang="en")).lang == expected


@pytest.mark.parametrize(
    ("named", "lies"),
    [
        ("p1.png", "work/page/p1.png"),
        ("/data/old/p1.png", "work/page/p1.png"),
        ("C:\\scans\\p1.png", "work/p1.png"),
        ("IMG/p1.png", "work/IMG/p1.png"),
        ("p1.png", "work/page/images/p1.png"),
        ("p1.png", "elsewhere/p1.png"),
        ("p1.tif", "work/p1.JPG"),
        ("", "work/page/0001.png"),
        ("x" * 3000, "work/page/0001.png"),
    ],
)
def test_the_image_is_found_where_the_path_in_the_xml_is_wrong(tmp_path: Path, named: str, lies: str) -> None:
    scan(tmp_path / lies)
    xml = tmp_path / "work" / "page" / "0001.xml"
    xml.parent.mkdir(parents=True, exist_ok=True)
    xml.write_text(page(line(), image=named))
    assert [row(result).id for result in found(tmp_path / "work", images=tmp_path / "elsewhere")] == ["page/0001/l1"]
    assert [row(result).id for result in found(xml, images=tmp_path / "elsewhere")] == ["0001/l1"]


def test_coordinates_are_scaled_to_the_image(tmp_path: Path) -> None:
    as_is = row(one(tmp_path, page(line())))
    scan(tmp_path / "p1.png", 2 * WIDTH, 2 * HEIGHT)
    (result,) = found(tmp_path)
    assert row(result).width == as_is.width
    assert abs(row(result).pixels().astype(int) - as_is.pixels()).mean() < 6


def test_an_image_of_another_shape_is_refused(tmp_path: Path) -> None:
    assert reason(one(tmp_path, page(line(), size='imageWidth="300" imageHeight="400"'))) == (
        "image has another shape than the page in the XML"
    )


@pytest.mark.parametrize("coords", ['<Coords points="20,{top} 380,{top} 380,{y} 20,{y}"/>', '<Coords points=""/>', ""])
def test_a_line_with_no_outline_or_one_that_cuts_letters_is_cut_by_the_line_spacing(
    tmp_path: Path, coords: str
) -> None:
    scan(tmp_path / "p1.png")
    places = [(y, coords.format(top=y - 10, y=y) + f'<Baseline points="20,{y} 380,{y}"/>') for y in (70, 120, 170)]
    (tmp_path / "p1.xml").write_text(page(*(line("x", f"l{y}", place) for y, place in places)))
    first, second, third = found(tmp_path)
    assert row(first).width == round(360 * 64 / 50)
    assert (row(first).pixels() < 60).any()
    assert (reason(second), reason(third)) == ("image is blank", "image is blank")  # the bar is not theirs


@pytest.mark.parametrize(
    ("bad", "expected"),
    [
        (line(""), "line has no text"),
        (line(" \n "), "line has no text"),
        (line(None), "line has no text"),
        (line(places=""), "line has no outline and no baseline"),
        (line(places='<Coords points="1,1 90,1"/>'), "outline of the line has no area"),
        (line(places='<Coords points="1,1 50,50 90,90"/>'), "outline of the line has no area"),
        (line(places='<Coords points="900,1 990,1 990,50 900,50"/>'), "line lies outside the page"),
        (line(places='<Coords points="-90,-90 -10,-90 -10,-9"/>'), "line lies outside the page"),
        (line(places='<Coords points="NaN,1 90,1 90,50"/>'), "coordinates cannot be read"),
        (line(places='<Coords points="1,1 90,inf 90,50"/>'), "coordinates cannot be read"),
        (line(places='<Coords points="1,1 90,1 90,50 7"/>'), "coordinates cannot be read"),
        (line(places='<Coords points="not a number"/>'), "coordinates cannot be read"),
        (line(places='<Coords><Point x="1"/></Coords>'), "coordinates cannot be read"),
        (line(places=COORDS + '<Baseline points="x,y z,w"/>'), "coordinates cannot be read"),
        (line(name="last"), "line id is there twice"),
    ],
)
def test_a_line_that_cannot_be_used_is_left_out_and_the_others_are_read(
    tmp_path: Path, bad: str, expected: str
) -> None:
    scan(tmp_path / "p1.png")
    (tmp_path / "p1.xml").write_text(page(line(name="last"), bad) if "last" in bad else page(bad, line(name="last")))
    results = found(tmp_path)
    assert [one.reason for one in results if isinstance(one, Skipped)] == [expected]
    assert [one.id for one in results if isinstance(one, LineRow)] == ["p1/last"]


def test_a_line_partly_outside_is_clipped(tmp_path: Path) -> None:
    outline = '<Coords points="-100,40 100,40 100,80 -100,80"/>'
    assert row(one(tmp_path, page(line(places=outline)))).width == 160


def test_a_page_that_cannot_be_used_is_left_out_and_the_others_are_read(tmp_path: Path) -> None:
    for stem in "abcdefg":
        (tmp_path / f"{stem}.xml").write_text(page(line(), image=f"{stem}.png"))
        scan(tmp_path / f"{stem}.png")
    whole = (tmp_path / "b.xml").read_bytes()
    (tmp_path / "b.xml").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "c.png").unlink()
    (tmp_path / "d.png").write_bytes((tmp_path / "d.png").read_bytes()[:150])
    (tmp_path / "e.xml").write_text('<alto xmlns="http://www.loc.gov/standards/alto/ns-v4#"><Layout/></alto>')
    (tmp_path / "f.xml").write_text(page(image="f.png"))
    (tmp_path / "mets.xml").write_text('<mets xmlns="http://www.loc.gov/METS/"/>')
    (tmp_path / "h.xml").write_text("<PcGts/>")
    (tmp_path / ".hidden.xml").write_text("not XML at all")
    results = found(tmp_path)
    assert [one.id for one in results if isinstance(one, LineRow)] == ["a/l1", "g/l1"]
    left_out = [one for one in results if isinstance(one, Skipped)]
    assert [one.reason for one in left_out] == [
        "XML is cut short or broken",
        "image is missing",
        "image cannot be read",
        "not PAGE XML",
        "page has no text lines",
        "XML holds no page",
        "not PAGE XML",
    ]
    assert [Path(one.where.split(": ")[0]).name for one in left_out] == [
        *("b.xml", "c.xml", "d.xml", "e.xml", "f.xml", "h.xml", "mets.xml")
    ]


def test_a_decompression_bomb_is_left_out(tmp_path: Path) -> None:
    (tmp_path / "p1.xml").write_text(page(line()))
    Image.new("1", (10_000, 6_000)).save(tmp_path / "p1.png")
    (result,) = found(tmp_path)
    assert reason(result) == "image cannot be read"
    assert isinstance(result, Skipped)
    assert "too many" in result.where


def test_pages_in_folders_are_documents(tmp_path: Path) -> None:
    for folder in ("b/page", "a"):
        scan(tmp_path / folder / "0001.png")
        (tmp_path / folder / "0001.xml").write_text(page(line(), image="0001.png"))
    rows = [row(result) for result in found(tmp_path)]
    assert [(one.id, one.doc, one.page) for one in rows] == [
        ("a/0001/l1", "a", "0001"),
        ("b/page/0001/l1", "b/page", "0001"),
    ]


@pytest.mark.parametrize("content", [None, "", "mets", "file"])
def test_nothing_of_the_layout_is_an_error_that_names_the_path(tmp_path: Path, content: str | None) -> None:
    path = tmp_path / "here"
    if content is not None and content != "file":
        path.mkdir()
    if content:
        target = path if content == "file" else path / "mets.xml"
        target.write_text("<mets/>")
    with pytest.raises(HtrjandError, match="here: no "):
        found(path)
