"""The contact sheet: every line and its text is on it, whatever their length and whatever the font lacks."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from generated import printed, printed_row
from PIL import Image, ImageFont

from htrjand.cli import main
from htrjand.runtime.errors import HtrjandError
from htrjand.train.data.contact_sheet import find_font, lacking, sheet, spell, wrap
from htrjand.train.data.lines import write_lines

ASCII = ImageFont.load_default(18)  # Pillow's own font: no accents


def ink(picture: Image.Image) -> np.ndarray:
    return np.asarray(picture) < 200


def test_lines_stand_at_their_own_size_with_the_text_beneath() -> None:
    pixels = np.full((64, 300), 130, np.uint8)
    picture = np.asarray(sheet([(pixels, "first"), (pixels, "second")], width=800, font=ASCII))
    assert picture.shape[1] == 800
    assert (picture[12:76, 12:312] == 130).all()
    assert (picture[12:76, 412:712] == 130).all(), "the second column"
    assert ink(picture[78:100, 12:60]).any(), "the caption of the first"


def test_a_line_wider_than_its_column_is_scaled_down_and_its_caption_wraps() -> None:
    pixels = np.full((64, 3000), 130, np.uint8)
    one_row = sheet([(pixels, "short")], columns=1, width=400, font=ASCII)
    two_rows = sheet([(pixels, "many words " * 8)], columns=1, width=400, font=ASCII)
    assert two_rows.height > one_row.height
    assert (np.asarray(two_rows)[:, 390:] == 255).all(), "nothing runs into the margin"
    rows = wrap("some words and one" + "x" * 200, ASCII, 150)
    assert all(ASCII.getlength(row) <= 150 for row in rows)
    assert "".join(rows).replace(" ", "") == "somewordsandone" + "x" * 200


def test_an_empty_sheet_and_an_empty_caption_are_drawn() -> None:
    assert sheet([]).size[0] == 1600
    assert sheet([(printed("ab"), "")], font=ASCII).height > 64


def test_what_a_font_lacks_and_what_cannot_be_seen_stands_as_its_code_point() -> None:
    assert lacking("abcé ꝑ\u200b", ASCII) == "éꝑ"
    assert spell("aé b\u200bc\n", ASCII) == "a[E9] b[200B]c\n"


def test_the_font_that_lacks_least_is_chosen() -> None:
    assert len(lacking("éœ", find_font(["éœ"]))) <= len(lacking("éœ", ASCII))
    with pytest.raises(HtrjandError, match="nowhere.ttf"):
        find_font(["a"], Path("nowhere.ttf"))


@pytest.fixture
def lines(tmp_path: Path) -> Path:
    rows = [printed_row("abc cab", f"t{i}") for i in range(6)] + [printed_row("ba", "v", "val", "other")]
    write_lines(tmp_path / "lines.parquet", rows)
    return tmp_path / "lines.parquet"


def run(*arguments: object) -> tuple[int, str, str]:
    result = CliRunner().invoke(main, ["data", "show", *map(str, arguments)])
    return result.exit_code, result.stdout, result.stderr


def test_the_command_draws_the_lines_asked_for(lines: Path, tmp_path: Path) -> None:
    out = tmp_path / "sheet.png"
    assert run(lines, "-o", out, "--count", 4)[:2] == (0, f"{out}: 4 lines\n")
    four = Image.open(out).height
    assert run(lines, "-o", out, "--dataset", "other", "--split", "val")[:2] == (0, f"{out}: 1 line\n")
    assert Image.open(out).height < four
    same = [run(lines, "-o", tmp_path / f"{i}.png", "--count", 2, "--seed", 7) and i for i in range(2)]
    assert (tmp_path / "0.png").read_bytes() == (tmp_path / "1.png").read_bytes(), same


def test_a_broken_line_is_named_and_the_others_are_drawn(tmp_path: Path) -> None:
    row = printed_row("ab", "good")
    write_lines(tmp_path / "x.parquet", [row, replace(row, id="bad", image=b"none")])
    status, said, complaint = run(tmp_path / "x.parquet", "-o", tmp_path / "sheet.png")
    assert (status, said) == (1, f"{tmp_path / 'sheet.png'}: 1 line\n")
    assert "line bad of printed" in complaint


def test_what_the_font_lacks_is_said(tmp_path: Path) -> None:
    write_lines(tmp_path / "x.parquet", [printed_row("a\u0e01", "thai")])  # in none of the fonts that are looked for
    status, _, complaint = run(tmp_path / "x.parquet", "-o", tmp_path / "sheet.png")
    assert status == 0
    assert "lacks \u0e01" in complaint


def test_wrong_usage(lines: Path, tmp_path: Path) -> None:
    assert run(lines, "-o", tmp_path / "sheet.txt")[0] == 2
    status, _, complaint = run(lines, "-o", tmp_path / "sheet.png", "--dataset", "none")
    assert status == 1
    assert "no line" in complaint
