"""XML that nobody vouches for: what is refused, and which encodings are read."""

from __future__ import annotations

from pathlib import Path

import pytest

from htrjand.train.data.importers import xml
from htrjand.train.data.importers.xml import XmlError, child, parse_xml
from htrjand.train.data.importers.xml_pages import lines_below

TEXT = "Été à Noël"


def write(tmp_path: Path, content: bytes) -> Path:
    path = tmp_path / "a.xml"
    path.write_bytes(content)
    return path


@pytest.mark.parametrize(
    ("declared", "codec"),
    [("UTF-8", "utf-8"), ("UTF-8", "utf-8-sig"), ("UTF-16", "utf-16"), ("ISO-8859-1", "latin-1"), ("cp1252", "cp1252")],
)
def test_reads_the_encoding_a_file_declares(tmp_path: Path, declared: str, codec: str) -> None:
    content = f'<?xml version="1.0" encoding="{declared}"?><a xmlns="urn:x"><b>{TEXT}</b></a>'.encode(codec)
    found = child(parse_xml(write(tmp_path, content)), "b")
    assert found is not None
    assert found.text == TEXT


LAUGHS = "".join(f'<!ENTITY l{n} "{f"&l{n - 1};" * 10}">' for n in range(1, 12))


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (f'<!DOCTYPE a [<!ENTITY l0 "ha">{LAUGHS}]><a>&l11;</a>', "document type"),
        ('<!DOCTYPE a [<!ENTITY e SYSTEM "secret.txt">]><a>&e;</a>', "document type"),
        ('<!DOCTYPE a [<!ENTITY % p SYSTEM "http://127.0.0.1:9/x.dtd"> %p;]><a/>', "document type"),
        ('<!DOCTYPE a SYSTEM "a.dtd"><a/>', "document type"),
        ("<a><b>cut in the mid", "cut short or broken"),
        ("", "cut short or broken"),
        ("<a>&nothing;</a>", "cut short or broken"),
        ('<?xml version="1.0" encoding="no-such-code"?><a/>', "cut short or broken"),
        ("<a>\x01</a>", "cut short or broken"),
    ],
)
def test_refuses_tricks_and_broken_files_with_a_fixed_reason(tmp_path: Path, content: str, reason: str) -> None:
    (tmp_path / "secret.txt").write_text("secret")
    with pytest.raises(XmlError, match=reason) as caught:
        parse_xml(write(tmp_path, content.encode()))
    assert str(tmp_path) not in str(caught.value)  # reasons are counted: no two files have their own


def test_refuses_bytes_that_are_not_the_declared_encoding(tmp_path: Path) -> None:
    with pytest.raises(XmlError, match="broken"):
        parse_xml(write(tmp_path, b'<?xml version="1.0" encoding="UTF-8"?><a>\xe9</a>'))


def test_refuses_a_file_over_the_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path, b"<a>" + b" " * 100 + b"</a>")
    assert parse_xml(path).tag == "a"
    monkeypatch.setattr(xml, "MAX_BYTES", 100)
    with pytest.raises(XmlError, match="larger than"):
        parse_xml(path)


def test_a_folder_of_that_name_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(XmlError, match="no plain file"):
        parse_xml(tmp_path)


def test_deep_nesting_is_no_trouble(tmp_path: Path) -> None:
    deep = 5_000
    root = parse_xml(write(tmp_path, b"<a>" * deep + b"<TextLine/>" + b"</a>" * deep))
    assert len(list(lines_below(root))) == 1
