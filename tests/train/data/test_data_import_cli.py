"""`htrjand data import`: each layout to one file of lines, what stderr says of it, and no file where it fails."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner, Result
from generated import printed
from PIL import Image

from htrjand.cli import main
from htrjand.train.data.importers import EMPTY, FORMATS, REPEATED, Found, Skipped, Source, import_lines
from htrjand.train.data.importers.guess import guess_format
from htrjand.train.data.importers.run import import_file
from htrjand.train.data.lines import ROW_GROUP, SCHEMA, LineRow, read_lines

PAGE = """<?xml version="1.0"?><PcGts xmlns="http://schema.primaresearch.org/PAGE/gts/pagecontent/2019-07-15">
<Page imageFilename="p1.png" imageWidth="400" imageHeight="100"><TextRegion id="r"><TextLine id="l1">
<Coords points="10,10 390,10 390,74 10,74"/><Baseline points="10,60 390,60"/>
<TextEquiv><Unicode>cab</Unicode></TextEquiv></TextLine></TextRegion></Page></PcGts>"""
ALTO = """<?xml version="1.0"?><alto xmlns="http://www.loc.gov/standards/alto/ns-v4#"><Description>
<MeasurementUnit>pixel</MeasurementUnit><sourceImageInformation><fileName>p1.png</fileName></sourceImageInformation>
</Description><Layout><Page ID="p" WIDTH="400" HEIGHT="100"><PrintSpace><TextBlock ID="b"><TextLine ID="l1" HPOS="10"
VPOS="10" WIDTH="380" HEIGHT="64" BASELINE="10 60 390 60"><Shape><Polygon POINTS="10 10 390 10 390 74 10 74"/></Shape>
<String CONTENT="cab" HPOS="10" VPOS="10" WIDTH="380" HEIGHT="64"/></TextLine></TextBlock></PrintSpace></Page></Layout>
</alto>"""
TREES = {
    "page": {"p1.png": "cab", "p1.xml": PAGE},
    "alto": {"p1.png": "cab", "p1.xml": ALTO},
    "gt": {"a/1.png": "cab", "a/1.gt.txt": "cab"},
    "csv": {"img/1.png": "cab", "lines.csv": "image,text\nimg/1.png,cab\n"},
    "tsv": {"img/1.png": "cab", "lines.tsv": "img/1.png\tcab\n"},
    "iam": {"ascii/lines.txt": "a01-000-00 ok 1 1 1 1 1 1 cab\n", "lines/a01/a01-000/a01-000-00.png": "cab"},
    "rimes": {"Images/a-1.png": "cab", "Transcriptions/a-1.txt": "cab", "Sets/TrainLines.txt": "a-1"},
    "bentham": {"Images/Lines/a.png": "cab", "Transcriptions/a.txt": "cab", "Partitions/TrainLines.lst": "a"},
    "saint-gall": {"data/line_images_normalized/a-1.png": "cab", "ground_truth/transcription.txt": "a-1 c-a-b cab\n"},
    "washington": {
        "data/line_images_normalized/a-1.png": "cab",
        "ground_truth/transcription.txt": "a-1 c-a-b\n",
        "sets/cv1/train.txt": "a-1\n",
    },
}  # fmt: skip


def put(root: Path, files: dict[str, str]) -> Path:
    """Writes text files; an image's content is the text that is drawn."""
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.suffix == ".png":
            picture = Image.new("L", (400, 100), 220)
            picture.paste(Image.fromarray(printed(content)), (20, 10))
            picture.save(path)
        else:
            path.write_text(content, encoding="utf-8")
    return root


@pytest.fixture
def run(tmp_path: Path) -> Callable[..., Result]:
    def run(source: Path, *options: object, status: int = 0) -> Result:
        words = ["data", "import", str(source), "-o", str(tmp_path / "out" / "lines.parquet"), *map(str, options)]
        result = CliRunner().invoke(main, words)
        assert result.exit_code == status, result.output
        return result

    return run


@pytest.fixture
def book(tmp_path: Path) -> Path:
    """Twelve documents of one to three lines, one of them without text."""
    files = {}
    for doc in range(12):
        for line in range(1 + doc % 3):
            files |= {f"d{doc}/{line}.png": "ab c", f"d{doc}/{line}.gt.txt": f"ab {doc} {line}"}
    return put(tmp_path / "book", files | {"d0/0.gt.txt": " "})


def written(tmp_path: Path) -> list[LineRow]:
    return list(read_lines(tmp_path / "out" / "lines.parquet"))


@pytest.mark.parametrize("form", TREES)
@pytest.mark.parametrize("asked", [True, False])
def test_every_layout_is_imported_and_guessed(
    tmp_path: Path, run: Callable[..., Result], form: str, asked: bool
) -> None:
    source = put(tmp_path / "source", TREES[form])
    result = run(source, *(["-f", form] if asked else []))
    [row] = written(tmp_path)
    assert (row.text, row.split, row.lang) == ("cab", "train", FORMATS[form].lang)
    assert row.dataset == (form if FORMATS[form].named else "source")
    assert row.pixels().shape == (row.height, row.width)
    assert ("taken as " + form in result.stderr) is not asked
    assert result.stdout == ""


def test_the_help_lists_every_format(run: Callable[..., Result]) -> None:
    output = CliRunner().invoke(main, ["data", "import", "--help"]).output
    assert not [name for name in FORMATS if name not in output.replace(",", " ").split()]


def test_documents_are_dealt_out_whole_and_counted(tmp_path: Path, book: Path, run: Callable[..., Result]) -> None:
    output = run(book, "--val-share", "0.2", "--test-share", "0.2", "--lang", "fr", "--dataset", "mine").stderr
    rows = written(tmp_path)
    assert len(rows) == 23 and {(row.dataset, row.lang) for row in rows} == {("mine", "fr")}
    splits = {row.doc: {other.split for other in rows if other.doc == row.doc} for row in rows}
    assert all(len(each) == 1 for each in splits.values())
    counts = Counter(row.split for row in rows)
    assert set(counts) == {"train", "val", "test"}
    assert (
        f"23 lines (train {counts['train']}, val {counts['val']}, test {counts['test']}), dealt out by document"
        in output
    )
    assert f"left out 1: {EMPTY} (first: {book}/d0/0.png: d0/0)" in output
    first = (tmp_path / "out" / "lines.parquet").read_bytes()
    run(book, "--val-share", "0.2", "--test-share", "0.2", "--lang", "fr", "--dataset", "mine")
    assert (tmp_path / "out" / "lines.parquet").read_bytes() == first


def test_one_document_is_dealt_out_by_page_and_one_page_not_at_all(tmp_path: Path, run: Callable[..., Result]) -> None:
    files = {f"p{page}_l{line}": "ab" for page in range(5) for line in range(2)}
    many = put(tmp_path / "many", {f"{name}{end}": "ab" for name in files for end in (".png", ".gt.txt")})
    assert "dealt out by page, for there is one document" in run(many).stderr
    pages = {
        row.page: {other.split for other in written(tmp_path) if other.page == row.page} for row in written(tmp_path)
    }
    assert sorted(map(sorted, pages.values())) == [["train"]] * 4 + [["val"]]
    two = put(tmp_path / "two", {f"{d}/{n}{end}": "ab" for d in "ab" for n in range(5) for end in (".png", ".gt.txt")})
    assert "val has 50% of the lines, not 10%: no document is divided; see --val-share" in run(two).stderr
    one = put(tmp_path / "one", {f"{name}{end}": "ab" for name in ("1", "2") for end in (".png", ".gt.txt")})
    assert "all to train, for there is one page of one document" in run(one).stderr
    assert {row.split for row in written(tmp_path)} == {"train"}


def test_split_and_report(tmp_path: Path, book: Path, run: Callable[..., Result]) -> None:
    output = run(book, "--split", "test", "--report", tmp_path / "report.json").stderr
    assert "23 lines (test 23)" in output and "dealt" not in output
    report = json.loads((tmp_path / "report.json").read_text())
    assert report["lines"] == 23 and report["format"] == "gt"
    assert report["skipped"] == {EMPTY: 1} == Counter(each["reason"] for each in report["skips"])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["-f", "pdf"], "format 'pdf': it is one of page, alto, gt"),
        (["--lang", "French!"], "--lang 'French!'"),
        (["--val-share", "0.6", "--test-share", "0.4"], "leave nothing to train on"),
        (["--images", "/no/such"], "no such folder"),
        (["-o", "lines.csv"], "ends in .parquet"),
    ],
)
def test_wrong_usage(book: Path, run: Callable[..., Result], options: list[str], message: str) -> None:
    assert message in run(book, *options, status=2).stderr


def test_several_layouts_in_one_folder_are_not_guessed(tmp_path: Path, run: Callable[..., Result]) -> None:
    source = put(tmp_path / "source", TREES["gt"] | TREES["page"])
    assert "looks like page and gt; choose one by -f" in run(source, status=2).stderr
    assert (
        "no layout that is known; choose one by -f: page, alto"
        in run(put(tmp_path / "x", {"a.md": ""}), status=2).stderr
    )
    assert "needs -f hf" in run(tmp_path / "none", status=2).stderr


def test_a_data_set_is_told_from_what_else_lies_in_its_folder(tmp_path: Path) -> None:
    assert guess_format(put(tmp_path / "iam", TREES["iam"] | {"notes.csv": "a,b\n"})) == "iam"
    for name in ("a/lines.csv", "b/lines.tsv", "c/list.txt"):
        put(tmp_path, {name: "1.png\tcab\n"})
    assert [guess_format(tmp_path / name) for name in ("a/lines.csv", "b", "c/list.txt")] == ["csv", "tsv", "tsv"]
    wide = tmp_path / "wide.xml"
    wide.write_text(PAGE.replace('version="1.0"', 'version="1.0" encoding="UTF-16"'), encoding="utf-16")
    assert guess_format(wide) == "page"


def test_no_line_no_file(tmp_path: Path, run: Callable[..., Result]) -> None:
    source = put(tmp_path / "source", {"1.gt.txt": "ab", "2.png": "ab", "2.gt.txt": ""})
    output = run(source, "-f", "gt", status=1).stderr
    assert "not written, for no line could be used" in output and "image is missing: 1" in output
    assert list((tmp_path / "out").iterdir()) == []


def interrupted(found: Iterator[Found]) -> Iterator[Found]:
    yield next(found)
    raise KeyboardInterrupt


def test_an_import_that_is_cut_off_leaves_nothing_and_keeps_the_old_file(tmp_path: Path, book: Path) -> None:
    output = tmp_path / "out" / "lines.parquet"
    with pytest.raises(KeyboardInterrupt):
        import_file(interrupted(import_lines(Source(book, "set"), "gt")), output)
    assert list(output.parent.iterdir()) == []
    output.write_bytes(b"old")
    with pytest.raises(KeyboardInterrupt):
        import_file(interrupted(import_lines(Source(book, "set"), "gt")), output)
    assert [path.name for path in output.parent.iterdir()] == ["lines.parquet"] and output.read_bytes() == b"old"


def test_an_id_is_there_once_in_a_dataset(tmp_path: Path) -> None:
    put(tmp_path, {"1.png": "ab", "lines.csv": "image,text,id,dataset\n1.png,a,x,one\n1.png,b,x,one\n1.png,c,x,two\n"})
    found = list(import_lines(Source(tmp_path / "lines.csv", "set"), "csv"))
    assert [each.text for each in found if isinstance(each, LineRow)] == ["a", "c"]
    assert [each for each in found if isinstance(each, Skipped)] == [Skipped("one: x", REPEATED)]


def test_lines_are_streamed_in_row_groups(tmp_path: Path, book: Path) -> None:
    row = next(each for each in import_lines(Source(book, "set"), "gt") if isinstance(each, LineRow))
    written_yet: list[int] = []

    def many() -> Iterator[Found]:
        for number in range(3 * ROW_GROUP):
            if number == 2 * ROW_GROUP:
                [stage] = tmp_path.glob(".import-*/lines.parquet")
                written_yet.append(stage.stat().st_size)
            yield LineRow(**{**vars(row), "id": str(number), "doc": str(number % 7)})

    outcome = import_file(many(), tmp_path / "lines.parquet")
    assert outcome.line_count == 3 * ROW_GROUP
    assert written_yet[0] > ROW_GROUP * len(row.image), "the first group is on the disk while the third is made"
    with pq.ParquetFile(tmp_path / "lines.parquet") as file:
        assert file.num_row_groups == 3 and file.schema_arrow.equals(SCHEMA)
