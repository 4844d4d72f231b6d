"""ALTO XML: the shapes of its versions and writers, and what is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from htrjand.train.data.importers import Found, Skipped, Source
from htrjand.train.data.importers.alto import read
from htrjand.train.data.lines import LineRow

WIDTH, HEIGHT = 400, 300
BOX = 'HPOS="20" VPOS="40" WIDTH="360" HEIGHT="40"'
POLYGON = '<Shape><Polygon POINTS="20,40 380,40 380,80 20,80"/></Shape>'
WORD = '<String CONTENT="abc"/>'


def line(attributes: str = BOX, inner: str = WORD, name: str = "l1") -> str:
    return f'<TextLine ID="{name}" {attributes}>{inner}</TextLine>'


def alto(
    *lines: str,
    version: int = 4,
    unit: str = "pixel",
    size: str = f'WIDTH="{WIDTH}" HEIGHT="{HEIGHT}"',
    image: str = "<fileName>p1.png</fileName>",
    block: str = "",
    pages: int = 1,
) -> str:
    page = (
        f'<Page ID="p" {size}><PrintSpace><ComposedBlock ID="c"><TextBlock ID="b" {block}><Shape>'
        f'<Polygon POINTS="0 0 9 0 9 9"/></Shape>{"".join(lines)}</TextBlock></ComposedBlock></PrintSpace></Page>'
    )
    return (
        f'<?xml version="1.0" encoding="UTF-8"?><alto xmlns="http://www.loc.gov/standards/alto/ns-v{version}#">'
        f"<Description><MeasurementUnit>{unit}</MeasurementUnit><sourceImageInformation>{image}"
        f"</sourceImageInformation></Description><Layout>{page * pages}</Layout></alto>"
    )


def found(tmp_path: Path, xml: str, lang: str = "") -> list[Found]:
    pixels = np.full((HEIGHT, WIDTH), 220, np.uint8)
    pixels[50:70, 40:-40] = 30
    Image.fromarray(pixels).save(tmp_path / "p1.png")
    (tmp_path / "p1.xml").write_text(xml, encoding="utf-8")
    return list(read(Source(tmp_path, "mine", lang=lang)))


def one(tmp_path: Path, xml: str, lang: str = "") -> LineRow:
    (result,) = found(tmp_path, xml, lang)
    assert isinstance(result, LineRow), result
    return result


@pytest.mark.parametrize("version", [2, 3, 4])
@pytest.mark.parametrize(
    ("attributes", "shape"),
    [
        (BOX, ""),
        (BOX + ' BASELINE="70"', ""),
        ("", POLYGON),
        ('BASELINE="20 70 380 70"', POLYGON),
        ('BASELINE="20,70 380,70"', POLYGON.replace(",", " ")),
        ('BASELINE=" 20,70 200,70 380,70 "', POLYGON),
        ('HPOS="0" VPOS="0" WIDTH="400" HEIGHT="300"', POLYGON),  # the outline goes before the box
    ],
)
def test_the_shapes_of_all_versions_cut_the_same_line(
    tmp_path: Path, version: int, attributes: str, shape: str
) -> None:
    row = one(tmp_path, alto(line(attributes, shape + WORD), version=version))
    assert (row.id, row.doc, row.page, row.text, row.split) == ("p1/l1", "p1", "p1", "abc", "train")
    assert (row.width, row.height) == (576, 64)
    pixels = row.pixels()
    assert pixels[32, 288] < 60 < 180 < pixels[4, 288]


@pytest.mark.parametrize(
    ("inner", "expected"),
    [
        ('<String CONTENT="une ligne entière"/>', "une ligne entière"),
        ('<String CONTENT="un"/><SP/><String CONTENT="mot"/>', "un mot"),
        ('<String CONTENT="un"/><SP/><String CONTENT="mot"/><String CONTENT="."/>', "un mot."),
        ('<String CONTENT="sans"/><String CONTENT="SP"/>', "sans SP"),
        ('<String CONTENT="cou" SUBS_TYPE="HypPart1" SUBS_CONTENT="couper"/><HYP CONTENT="-"/>', "cou-"),
        ('<String CONTENT="cou"/><HYP CONTENT="&#173;"/>', "cou-"),
        ('<String CONTENT="cou"/><HYP/>', "cou-"),
        ('<String CONTENT="cou-"/><HYP CONTENT="-"/>', "cou-"),
        ('<String CONTENT="ab"><Glyph CONTENT="a"/><Glyph CONTENT="b"/><ALTERNATIVE>xx</ALTERNATIVE></String>', "ab"),
        ('<String CONTENT="e\u0301te\u0301"/>', "été"),
        ('<String CONTENT="&lt;&gt;"/>', "<>"),
    ],
)
def test_the_text_is_what_is_written(tmp_path: Path, inner: str, expected: str) -> None:
    assert one(tmp_path, alto(line(inner=inner))).text == expected


@pytest.mark.parametrize("unit", ["mm10", "inch1200"])
def test_other_units_are_scaled_by_the_size_of_the_page(tmp_path: Path, unit: str) -> None:
    box = 'HPOS="200" VPOS="400" WIDTH="3600" HEIGHT="400"'
    size = 'WIDTH="4000" HEIGHT="3000"'
    assert one(tmp_path, alto(line(box), unit=unit, size=size)).width == 576


@pytest.mark.parametrize(
    ("xml", "expected"),
    [
        (alto(line(), unit="mm10", size=""), "coordinates are not in pixels, and the page has no size"),
        (alto(line(), size='WIDTH="300" HEIGHT="400"'), "image has another shape than the page in the XML"),
        (alto(line(), pages=2), "XML holds several pages"),
        (alto(line(), pages=0), "XML holds no page"),
        (alto(), "page has no text lines"),
        (alto(line(""), size=""), "line has no outline and no baseline"),
        (alto(line(inner="")), "line has no text"),
        (alto(line(inner='<String CONTENT=" "/>')), "line has no text"),
        (alto(line(BOX.replace("360", "much"))), "coordinates cannot be read"),
        (alto(line(BOX.replace("360", "NaN"))), "coordinates cannot be read"),
        (alto(line(BOX.replace('"40"', '"0"'))), "outline of the line has no area"),
        (alto(line(BOX.replace('"20"', '"2000"'))), "line lies outside the page"),
        (alto(line(BOX + ' BASELINE="a b"')), "coordinates cannot be read"),
        (alto(line(BOX + ' BASELINE="low"')), "coordinates cannot be read"),
    ],
)
def test_what_cannot_be_used_has_a_fixed_reason(tmp_path: Path, xml: str, expected: str) -> None:
    (result,) = found(tmp_path, xml)
    assert isinstance(result, Skipped), result
    assert result.reason == expected
    assert "p1.xml" in result.where


def test_pixels_need_no_size_of_the_page(tmp_path: Path) -> None:
    assert one(tmp_path, alto(line(), size="")).width == 576


def test_the_box_of_a_baseline_is_no_outline(tmp_path: Path) -> None:
    lines = [
        line(f'BASELINE="20 {y} 380 {y + 1}" HPOS="20" VPOS="{y}" WIDTH="360" HEIGHT="1"', name=f"l{y}")
        for y in (70, 120, 170)
    ]
    first, *_ = found(tmp_path, alto(*lines))
    assert isinstance(first, LineRow)
    assert first.width == pytest.approx(360 * 64 / 50, abs=12)  # of the line spacing, not of the one row of the box


def test_an_outline_without_area_makes_way_for_a_band(tmp_path: Path) -> None:
    shape = '<Shape><Polygon POINTS="20,70 380,70"/></Shape>'
    assert one(tmp_path, alto(line('BASELINE="20 70 380 70"', shape + WORD))).height == 64


def test_a_second_line_of_the_same_id_is_left_out(tmp_path: Path) -> None:
    first, second = found(tmp_path, alto(line(), line()))
    assert isinstance(first, LineRow)
    assert isinstance(second, Skipped)
    assert second.reason == "line id is there twice"


@pytest.mark.parametrize("image", ["", "<fileName/>", "<fileName>/srv/media/p1.tif</fileName>"])
def test_the_image_is_found_by_the_name_of_the_xml_too(tmp_path: Path, image: str) -> None:
    assert one(tmp_path, alto(line(), image=image)).id == "p1/l1"


@pytest.mark.parametrize(
    ("block", "attributes", "expected"),
    [
        ('LANG="fr"', BOX, "fr"),
        ('language="fr"', BOX, "fr"),
        ('LANG="fr"', BOX + ' LANG="de"', "de"),
        ('LANG="Old French"', BOX, "en"),
        ("", BOX, "en"),
    ],
)
def test_the_language_is_that_of_the_line_or_its_block(
    tmp_path: Path, block: str, attributes: str, expected: str
) -> None:
    assert one(tmp_path, alto(line(attributes), block=block), lang="en").lang == expected


def test_a_folder_that_mixes_layouts_gives_alto_alone(tmp_path: Path) -> None:
    (tmp_path / "p0.xml").write_text("<PcGts><Page/></PcGts>")
    left_out, row = found(tmp_path, alto(line()))
    assert isinstance(left_out, Skipped)
    assert left_out.reason == "not ALTO XML"
    assert isinstance(row, LineRow)
