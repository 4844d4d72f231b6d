from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import ImageFont

from htrjand.cli import main
from htrjand.runtime import HtrjandError
from htrjand.train.data.lines import read_lines
from htrjand.train.data.synth import hand
from htrjand.train.data.synth.fonts import find_hands
from htrjand.train.data.synth.hand import draws_capitals
from htrjand.train.data.synth.lines import Plan, parse_styles, synthesise
from htrjand.train.data.synth.press import draw_press
from htrjand.train.data.synth.text import CAPITALS, PRINTED_CAPITALS, Writer, capitals

TEXT = "On the 12th of May, at noon."
FACE = "special-elite-latin-400-normal.woff"  # in the list, as a typewriter


@pytest.fixture(scope="module")
def fonts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two hands and a typewriter, all of the one font that Pillow carries."""
    folder = tmp_path_factory.mktemp("fonts")
    for name in ("anna.ttf", "bert.ttf", FACE):
        (folder / name).write_bytes(ImageFont.load_default(20).font_bytes)
    return folder


def test_print_is_a_dataset_of_its_own(fonts: Path, tmp_path: Path) -> None:
    synthesise(Plan(fonts, 16, {"en": 1}, styles=parse_styles("hand,typewriter:2")), tmp_path / "both.parquet")
    rows = list(read_lines(tmp_path / "both.parquet"))
    assert {(row.dataset, row.doc) for row in rows} == {
        ("synthetic", "anna"), ("synthetic", "bert"), ("synthetic-print", "special-elite"),
    }  # fmt: skip
    assert all(row.pixels().shape[0] == 64 for row in rows) and len({row.id for row in rows}) == 16


def test_faces_of_print_change_nothing_for_hands(fonts: Path, tmp_path: Path) -> None:
    hands, passed_over = find_hands(fonts)
    assert [hand.name for hand in hands] == ["anna", "bert"] and passed_over == {"other style": 1}
    alone = tmp_path / "alone"
    shutil.copytree(fonts, alone)
    (alone / FACE).unlink()
    for folder, name in ((fonts, "beside"), (alone, "apart")):
        synthesise(Plan(folder, 6, {"en": 1}), tmp_path / f"{name}.parquet")
    assert list(read_lines(tmp_path / "beside.parquet")) == list(read_lines(tmp_path / "apart.parquet"))
    with pytest.raises(HtrjandError, match="no font for typewriter"):
        find_hands(alone, ["hand", "typewriter"])


@pytest.mark.parametrize("typewriter", [False, True])
def test_worn_print_is_fainter_than_clean_print_and_both_can_be_seen(fonts: Path, typewriter: bool) -> None:
    def contrast(difficulty: float) -> list[float]:
        lines = [
            draw_press(TEXT, fonts / "anna.ttf", np.random.default_rng(n), difficulty, typewriter) for n in range(12)
        ]
        assert all(line.shape[0] == 64 and line.dtype == np.uint8 for line in lines)
        return [float(np.percentile(line, 80) - np.percentile(line, 2)) for line in lines]

    assert np.mean(contrast(0)) > np.mean(contrast(1)) + 40
    assert min(contrast(1)) > 15
    with pytest.raises(HtrjandError, match="has no 字"):
        draw_press("a 字", fonts / "anna.ttf", np.random.default_rng(0), 0)


def test_print_has_more_lines_in_capitals() -> None:
    writer = Writer("de")

    def share(wanted: float) -> float:
        return float(np.mean([writer.line(np.random.default_rng([6, n]), wanted).isupper() for n in range(400)]))

    assert share(0) < 0.01 < share(CAPITALS) < 0.06
    assert share(PRINTED_CAPITALS) == pytest.approx(PRINTED_CAPITALS, abs=0.04)
    assert capitals("Straße, e\u0301té d’œuvre") == "STRASSE, ÉTÉ D’ŒUVRE"


def test_the_text_of_a_font_that_draws_capitals_alone_is_in_capitals(
    fonts: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Capitals:
        """A font whose small letters look like its capitals."""

        def __init__(self, font: ImageFont.FreeTypeFont) -> None:
            self.font = font

        def getmask(self, text: str) -> Any:
            return self.font.getmask(text.upper())

    assert not draws_capitals(str(fonts / "anna.ttf"))
    folder = tmp_path / "fonts"
    folder.mkdir()
    shutil.copy(fonts / "anna.ttf", folder / "only.ttf")
    opened = hand.open_font
    monkeypatch.setattr(hand, "open_font", lambda path, size: Capitals(opened(path, size)))
    assert draws_capitals(str(folder / "only.ttf"))  # and it is kept in mind
    monkeypatch.setattr(hand, "open_font", opened)
    synthesise(Plan(folder, 8, {"en": 1}), tmp_path / "lines.parquet")
    texts = [row.text for row in read_lines(tmp_path / "lines.parquet")]
    assert texts == [capitals(text) for text in texts] and any(text.isupper() for text in texts)


def test_the_command_takes_a_style_and_a_share_of_prose(fonts: Path, tmp_path: Path) -> None:
    book = tmp_path / "book.txt"
    book.write_text("plain words of a plain tale that goes on and on\n" * 20, encoding="utf-8")
    for name in (FACE, "caveat-latin-400-normal.woff"):  # a hand of the list
        shutil.copy(fonts / FACE, tmp_path / name)
    command = ["data", "synth", "-o", str(tmp_path / "p.parquet"), "--fonts", str(tmp_path), "--lang", "en"]
    command += ["--text", f"en={book}", "--count", "6", "--prose", "1"]
    result = CliRunner().invoke(main, [*command, "--style", "typewriter"])
    assert result.exit_code == 0 and "passed over 1: other style" in result.stderr
    rows = list(read_lines(tmp_path / "p.parquet"))
    assert {(row.dataset, row.doc) for row in rows} == {("synthetic-print", "special-elite")}
    known = set(book.read_text(encoding="utf-8").split())
    assert all(set(row.text.lower().split()[:-1]) <= known for row in rows)
    result = CliRunner().invoke(main, [*command, "--style", "print"])
    assert result.exit_code == 1 and "no font for print" in result.stderr
    result = CliRunner().invoke(main, [*command, "--prose", "1.5"])
    assert result.exit_code == 2 and "--prose" in result.stderr
