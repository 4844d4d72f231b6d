"""What pages are written as is valid by the formats' own schemas, and others' programs read the same from it."""

from __future__ import annotations

import csv
import io
import json
import subprocess
import sys
from pathlib import Path

import pytest
from alto_tools import alto_tools
from hocr_tools_lib.tools.hocr_lines import lines as hocr_lines
from hocr_tools_lib.utils.node_utils import get_bbox
from lxml import etree, html
from pages_made import MAKERS, made
from pypxml import PageType, PageXML

from htrjand import __version__
from htrjand.runtime import UsageError
from htrjand.runtime.page.outputs import OUTPUTS, as_bytes, output_of
from htrjand.runtime.page.outputs.xml import clean
from htrjand.runtime.page.page import Page

SCHEMAS = Path(__file__).resolve().parents[2] / "schemas"
ALTO = "{http://www.loc.gov/standards/alto/ns-v4#}"
PAGE = "{http://schema.primaresearch.org/PAGE/gts/pagecontent/2019-07-15}"


# What ALTO's schema includes from elsewhere: attributes for links, which we do not write.
XLINK = """<schema xmlns="http://www.w3.org/2001/XMLSchema" targetNamespace="http://www.w3.org/1999/xlink">
  <attributeGroup name="simpleLink"/>
</schema>"""


class Local(etree.Resolver):
    """Finds XLINK where a schema asks for it; nothing is fetched."""

    def resolve(self, url, public_id, context):
        return self.resolve_string(XLINK, context) if url.endswith("xlink.xsd") else None


def validate(data: bytes, schema: str) -> etree._Element:
    parser = etree.XMLParser(no_network=True)
    parser.resolvers.add(Local())
    root = etree.fromstring(data)
    etree.XMLSchema(etree.parse(SCHEMAS / schema, parser)).assertValid(root)
    return root


def words_of(page: Page) -> list:
    return [word for line in page.lines for word in line.words]


@pytest.fixture(params=MAKERS)
def page(request, tmp_path) -> Page:
    return made(request.param, tmp_path)


def test_alto_is_valid_and_holds_all_words(page):
    root = validate(as_bytes(page, "alto"), "alto-4-2.xsd")
    strings = [string for string in root.iter(f"{ALTO}String") if string.get("CONTENT")]
    assert [string.get("CONTENT") for string in strings] == [clean(word.text) for word in words_of(page)]
    for string, word in zip(strings, words_of(page), strict=True):
        assert float(string.get("WC")) == pytest.approx(word.confidence, abs=1e-4)
        left, top, right, bottom = word.box
        place = [int(string.get(key)) for key in ("HPOS", "VPOS", "WIDTH", "HEIGHT")]
        assert place == [left, top, right - left, bottom - top]
        assert right <= page.width and bottom <= page.height
    assert len(list(root.iter(f"{ALTO}TextLine"))) == len(page.lines)
    for element, line in zip(root.iter(f"{ALTO}TextLine"), page.lines, strict=True):
        points = [tuple(map(int, point.split(","))) for point in element.get("BASELINE").split()]
        assert points == [(round(x), round(y)) for x, y in line.baseline]


def test_alto_says_what_wrote_it_and_in_which_language():
    root = validate(as_bytes(MAKERS["plain"]("folder/scan.png"), "alto"), "alto-4-2.xsd")
    assert root.findtext(f".//{ALTO}softwareName") == "htrjand"
    assert root.findtext(f".//{ALTO}softwareVersion") == __version__
    assert root.findtext(f".//{ALTO}processingStepSettings") == "model tiny 1; languages fr"
    assert root.findtext(f".//{ALTO}fileName") == "scan.png"
    assert [block.get("LANG") for block in root.iter(f"{ALTO}TextBlock")] == ["fr", "fr"]


def test_alto_tools_reads_our_alto(page, tmp_path, capsys):
    path = tmp_path / "page.xml"
    path.write_bytes(as_bytes(page, "alto"))
    with path.open(encoding="utf-8") as stream:
        alto, xml, namespace = alto_tools.alto_parse(stream)
        alto_tools.alto_text(xml, namespace)
        read = capsys.readouterr().out
        confidence = alto_tools.alto_confidence(alto, xml, namespace)
    assert [line.split() for line in read.split("\n")[1:]] == [clean(line.text).split() for line in page.lines]
    mean = sum(word.confidence for word in words_of(page)) / max(1, len(words_of(page)))
    assert confidence == pytest.approx(100 * mean, abs=0.02)


def test_what_was_read_stays_beside_what_was_corrected(tmp_path):
    page = made("corrected", tmp_path)
    root = validate(as_bytes(page, "alto"), "alto-4-2.xsd")
    strings = {string.get("CONTENT"): string.findtext(f"{ALTO}ALTERNATIVE") for string in root.iter(f"{ALTO}String")}
    assert strings == {"le": None, "petit": "petir", "chat": None, "rien": None}
    root = validate(as_bytes(page, "page"), "page-2019-07-15.xsd")
    texts = [
        [(one.get("index"), one.findtext(f"{PAGE}Unicode")) for one in element.findall(f"{PAGE}TextEquiv")]
        for element in root.iter(f"{PAGE}TextLine")
    ]
    assert texts == [[("0", "le petit chat"), ("1", "le petir chat")], [(None, "rien")]]
    first, second = json.loads(as_bytes(page, "json"))["lines"]
    assert (first["text"], first["read"]) == ("le petit chat", "le petir chat") and "read" not in second
    assert Page.from_dict(page.to_dict()).lines[0].line.read == "le petir chat"


def test_page_xml_is_valid_and_holds_all_words(page):
    root = validate(as_bytes(page, "page"), "page-2019-07-15.xsd")
    elements = list(root.iter(f"{PAGE}Word"))
    assert [element.findtext(f".//{PAGE}Unicode") for element in elements] == [
        clean(word.text) for word in words_of(page)
    ]
    for element, word in zip(elements, words_of(page), strict=True):
        assert float(element.find(f"{PAGE}TextEquiv").get("conf")) == pytest.approx(word.confidence, abs=1e-4)
    for element, line in zip(root.iter(f"{PAGE}TextLine"), page.lines, strict=True):
        assert (element.findtext(f"{PAGE}TextEquiv/{PAGE}Unicode") or "") == clean(line.text)
        assert float(element.find(f"{PAGE}TextEquiv").get("conf")) == 0.75
    sheet = root.find(f"{PAGE}Page")
    assert (int(sheet.get("imageWidth")), int(sheet.get("imageHeight"))) == (page.width, page.height)
    assert float(sheet.get("orientation")) == page.turned


def test_page_xml_says_what_wrote_it_and_which_languages_it_reads():
    root = validate(as_bytes(MAKERS["awkward_text"]("folder/scan.png"), "page"), "page-2019-07-15.xsd")
    assert root.findtext(f".//{PAGE}Creator") == f"htrjand {__version__}"
    labels = [(label.get("type"), label.get("value")) for label in root.iter(f"{PAGE}Label")]
    assert labels == [("model", '<"&\ufffd>'), ("language", "de"), ("language", "en")]


def test_pypxml_reads_our_page_xml(page, tmp_path):
    path = tmp_path / "page.xml"
    path.write_bytes(as_bytes(page, "page"))
    document = PageXML.open(path)
    assert document.creator == f"htrjand {__version__}"
    assert document.created.strftime("%Y-%m-%dT%H:%M:%SZ") == page.created
    assert document.reading_order == [f"region_{n + 1}" for n in range(len(list(page.blocks)))]
    lines = list(document.find_all(pagetype=PageType.TextLine, depth=-1))
    assert len(lines) == len(page.lines)
    for element, line in zip(lines, page.lines, strict=True):
        texts = [text.text or "" for text in element.find_all(pagetype=PageType.Unicode, depth=-1)]
        *of_words, of_line = texts[: len(line.words) + 1]  # what was read follows a corrected line
        assert of_words == [clean(word.text) for word in line.words] and of_line == clean(line.text)


def run_tool(*words: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, *map(str, words)], capture_output=True, text=True, check=False)


@pytest.mark.parametrize("name", MAKERS)
def test_hocr_is_valid_by_the_specification(name, tmp_path):
    path = tmp_path / "page.hocr"
    path.write_bytes(as_bytes(made(name, tmp_path), "hocr"))
    etree.parse(path)  # well-formed XML too
    check = "import sys; from hocr_spec.cli import main; sys.exit(main())"
    done = run_tool("-W", "ignore", "-c", check, path)
    assert done.returncode == 0 and "Document is valid" in done.stdout + done.stderr, done.stdout + done.stderr


def test_hocr_that_is_not_valid_is_found_out(tmp_path):
    path = tmp_path / "page.hocr"
    path.write_bytes(as_bytes(made("plain", tmp_path), "hocr").replace(b"x_wconf", b"x_wonky"))
    check = "import sys; from hocr_spec.cli import main; sys.exit(main())"
    done = run_tool("-W", "ignore", "-c", check, path)
    assert "Document is valid" not in done.stdout + done.stderr


def test_hocr_tools_reads_our_hocr(page, tmp_path):
    path = tmp_path / "page.hocr"
    path.write_bytes(as_bytes(page, "hocr"))
    assert [line.split() for line in hocr_lines(path)] == [clean(line.text).split() for line in page.lines]
    words = html.parse(path).xpath("//span[@class='ocrx_word']")
    assert [tuple(map(int, get_bbox(word))) for word in words] == [word.box for word in words_of(page)]
    confidences = [int(word.get("title").split("x_wconf ")[1]) for word in words]
    assert confidences == [round(100 * word.confidence) for word in words_of(page)]


def test_hocr_says_how_a_line_runs(tmp_path):
    def title(name: str) -> str:
        document = etree.fromstring(as_bytes(made(name, tmp_path), "hocr"))
        return document.find(".//{*}span[@class='ocr_line']").get("title")

    assert title("plain") == "bbox 60 80 560 130; baseline 0.0000 -12.5"
    assert title("on_its_side").endswith("textangle 90") and title("upside_down").endswith("textangle 180")


def test_tsv_is_tesseracts_table(page):
    rows = list(csv.DictReader(io.StringIO(as_bytes(page, "tsv").decode()), delimiter="\t", quoting=csv.QUOTE_NONE))
    assert list(rows[0]) == [
        "level", "page_num", "block_num", "par_num", "line_num", "word_num", "left", "top", "width", "height", "conf",
        "text",
    ]  # fmt: skip
    assert all(None not in row and None not in row.values() for row in rows)
    assert [row["level"] for row in rows].count("4") == len(page.lines)
    words = [row for row in rows if row["level"] == "5"]
    assert [row["text"] for row in words] == [clean(word.text) for word in words_of(page)]
    for row, word in zip(words, words_of(page), strict=True):
        left, top, width, height = (int(row[key]) for key in ("left", "top", "width", "height"))
        assert (left, top, left + width, top + height) == word.box
        assert float(row["conf"]) == pytest.approx(100 * word.confidence, abs=0.005)
    assert {row["conf"] for row in rows if row["level"] != "5"} == {"-1"}
    places = [tuple(int(row[key]) for key in list(rows[0])[1:6]) for row in rows]
    assert len(set(places)) == len(places) and places == sorted(places)


def test_text_has_the_lines_of_the_page(page):
    text = as_bytes(page, "txt").decode()
    assert text.count("\n") == len(page.lines)
    assert [line.split() for line in text.split("\n")[:-1]] == [clean(line.text).split() for line in page.lines]


def test_json_is_a_page_a_line(page):
    data = as_bytes(page, "json")
    assert data.count(b"\n") == 1 and data.endswith(b"\n")
    assert json.loads(data) == page.to_dict()


def test_a_file_name_that_is_no_text_is_kept_in_json_and_stops_no_output(tmp_path):
    page = MAKERS["plain"]("folder/scan\udcff.png")
    assert json.loads(as_bytes(page, "json"))["path"] == page.path
    validate(as_bytes(page, "alto"), "alto-4-2.xsd")
    validate(as_bytes(page, "page"), "page-2019-07-15.xsd")
    etree.fromstring(as_bytes(page, "hocr"))


@pytest.mark.parametrize("name", [name for name, output in OUTPUTS.items() if output.joined])
def test_pages_can_be_joined_in_one_file_as_they_come(name, tmp_path):
    """What was written of a page before the next one is there is as much as when there is no next one."""
    pages = [made("plain", tmp_path, "1.png"), made("empty", tmp_path, "2.png"), made("many_lines", tmp_path, "3.png")]
    stream = io.BytesIO()
    sizes = []

    def one_by_one():
        for page in pages:
            yield page
            sizes.append(stream.tell())

    OUTPUTS[name].write(one_by_one(), stream)
    assert sizes == sorted(sizes) and sizes[0] > 40 and len(stream.getvalue()) >= sizes[2] > sizes[0]
    data = stream.getvalue()
    if name == "txt":
        assert data.decode().split("\f") == [as_bytes(page, "txt").decode() for page in pages]
    if name == "json":
        assert [json.loads(line)["path"] for line in data.splitlines()] == [page.path for page in pages]
    if name == "tsv":
        numbers = [line.split("\t")[1] for line in data.decode().splitlines()[1:]]
        assert numbers == sorted(numbers) and set(numbers) == {"1", "2", "3"}
    if name == "hocr":
        root = etree.fromstring(data)
        sheets = root.findall(".//{*}div[@class='ocr_page']")
        assert [sheet.get("title").split('"')[1] for sheet in sheets] == ["1.png", "2.png", "3.png"]
        names = [element.get("id") for element in root.iter() if element.get("id")]
        assert len(set(names)) == len(names)


@pytest.mark.parametrize("name", [name for name, output in OUTPUTS.items() if not output.joined])
def test_an_output_of_one_page_takes_no_more_and_no_less(name):
    page = MAKERS["plain"]("")
    for pages in ([], [page, page]):
        with pytest.raises(UsageError, match=f"holds one page, not {len(pages)}"):
            OUTPUTS[name].write(pages, io.BytesIO())


def test_an_unknown_output_is_answered_with_those_there_are():
    with pytest.raises(UsageError, match="'docx'.*txt, json, tsv, hocr, alto, page, pdf"):
        output_of("docx")


def test_suffixes_tell_outputs_apart():
    assert len({output.suffix for output in OUTPUTS.values()}) == len(OUTPUTS)
