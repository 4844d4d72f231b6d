"""Tables of paths and texts: names of columns, quotes, byte order marks, and rows that are broken."""

from __future__ import annotations

from pathlib import Path

import pytest
from generated import printed
from PIL import Image

from htrjand.runtime.errors import HtrjandError, UsageError
from htrjand.train.data.importers import REPEATED, Skipped, Source, import_lines
from htrjand.train.data.importers.rows import IMAGE_MISSING, TEXT_ENCODING
from htrjand.train.data.importers.table import BAD_ROW, BAD_SPLIT
from htrjand.train.data.lines import LineRow


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "img").mkdir()
    for name in ("1", "2", "3"):
        Image.fromarray(printed("ab" + name)).save(tmp_path / "img" / f"{name}.png")
    return tmp_path


def table(folder: Path, content: str, name: str = "lines.csv", **more: str) -> list[LineRow | Skipped]:
    (folder / name).write_text(content, encoding="utf-8", newline="")
    return list(import_lines(Source(folder / name, "set", **more), Path(name).suffix[1:]))


def texts(found: list[LineRow | Skipped]) -> list[str]:
    return [each.text for each in found if isinstance(each, LineRow)]


def test_every_column_of_a_table_with_names(folder: Path) -> None:
    head = "\ufeffText,Image,id,doc,page,split,lang,dataset\r\n"
    [row] = table(folder, head + '"Paris, le ""3"" mai",img/1.png,l1,marie,p9,Valid,fr,letters\r\n')
    assert isinstance(row, LineRow)
    assert (row.text, row.id, row.doc, row.page) == ('Paris, le "3" mai', "l1", "marie", "p9")
    assert (row.split, row.lang, row.dataset) == ("val", "fr", "letters")


def test_two_columns_without_names(folder: Path) -> None:
    found = table(folder, 'img/1.png,"a, b"\nimg\\2.png,c\n')
    assert texts(found) == ["a, b", "c"]
    assert [row.id for row in found if isinstance(row, LineRow)] == ["img/1", "img/2"]
    assert {row.doc for row in found if isinstance(row, LineRow)} == {"img"}


def test_a_quote_in_a_list_with_tabs_swallows_no_rows(folder: Path) -> None:
    assert texts(table(folder, 'img/1.png\t"Oui\nimg/2.png\t"Non"\n', "lines.tsv")) == ['"Oui', '"Non"']


def test_tabs_with_names_are_unquoted_where_the_whole_field_is(folder: Path) -> None:
    content = 'image\ttext\nimg/1.png\t"a ""b"""\nimg/2.png\t"Oui\nimg/3.png\t"x" et "y"\n'
    assert texts(table(folder, content, "lines.tsv")) == ['a "b"', '"Oui', '"x" et "y"']


def test_columns_can_be_named(folder: Path) -> None:
    content = "scan,words,text\nimg/1.png,one,two\n"
    assert texts(table(folder, content, image_column="scan", text_column="words")) == ["one"]
    with pytest.raises(UsageError, match="no column nope; it has scan, words, text"):
        table(folder, content, image_column="nope")


def test_a_table_that_tells_no_columns_is_refused(folder: Path) -> None:
    with pytest.raises(HtrjandError, match="names no image and text column"):
        table(folder, "a,b,c\n1,2,3\n")
    with pytest.raises(HtrjandError, match="empty"):
        table(folder, "")


def test_rows_that_cannot_be_used(folder: Path) -> None:
    found = table(folder, "image,text,split\nimg/1.png,a,train\nimg/9.png,b,train\nimg/2.png,c\nimg/2.png,c,x\n"
                  "img/1.png,again,train\n\nimg/2.png,d,test\n")  # fmt: skip
    assert texts(found) == ["a", "d"]
    assert [each.reason for each in found if isinstance(each, Skipped)] == [IMAGE_MISSING, BAD_ROW, BAD_SPLIT, REPEATED]


def test_text_of_another_encoding_is_left_out(folder: Path) -> None:
    (folder / "lines.csv").write_bytes("image,text\nimg/1.png,été\n".encode("latin-1") + b"img/2.png,ok\n")
    found = list(import_lines(Source(folder / "lines.csv", "set"), "csv"))
    assert texts(found) == ["ok"]
    assert [each.reason for each in found if isinstance(each, Skipped)] == [TEXT_ENCODING]


def test_tables_called_as_splits(folder: Path) -> None:
    for number, name in enumerate(("train", "val", "test"), 1):
        (folder / f"{name}.tsv").write_text(f"img/{number}.png\t{name}\n")
    found = list(import_lines(Source(folder, "set"), "tsv"))
    assert {row.text: row.split for row in found if isinstance(row, LineRow)} == {
        "train": "train",
        "val": "val",
        "test": "test",
    }


def test_images_elsewhere_and_names_without_suffix(folder: Path) -> None:
    (folder / "tables").mkdir()
    (folder / "tables" / "a.csv").write_text("file_name,transcription\n1,ab1\n")
    [row] = import_lines(Source(folder / "tables" / "a.csv", "set", images=folder / "img"), "csv")
    assert isinstance(row, LineRow) and row.id == "1"
