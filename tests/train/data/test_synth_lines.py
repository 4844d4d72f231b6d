from __future__ import annotations

import gzip
import lzma
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import ImageFont

from htrjand.cli import main
from htrjand.runtime import HtrjandError
from htrjand.runtime.errors import UsageError
from htrjand.train.data.lines import read_lines
from htrjand.train.data.synth import Look, draw_line, look_at
from htrjand.train.data.synth.fonts import STYLES, find_hands, listed, split_of
from htrjand.train.data.synth.lines import Plan, parse_difficulty, parse_languages, parse_styles, parse_text, synthesise
from htrjand.train.data.synth.sample import HANDS
from htrjand.train.data.synth.text import LANGUAGES, LONGEST, SHORTEST, Writer

TEXT = "On the 12th of May, at noon."
BOOK = [
    "L'empereur regardait la plaine ; « rien ne bouge » , disait-il ! Puis il se tut longuement, immobile.",
    "Les chevaux revinrent tranquillement vers l'auberge : on entendait sonner leurs grelots dans l'obscurité.",
    "Personne, d'ailleurs, ne s'inquiétait de cette extraordinaire disparition, ni le maire ni les gendarmes.",
]


@pytest.fixture(scope="module")
def fonts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three hands of one font, the one that Pillow carries (it has no accents), and a demo hand."""
    folder = tmp_path_factory.mktemp("fonts")
    data = ImageFont.load_default(20).font_bytes
    for name in ("anna.ttf", "bert.ttf", "carl.ttf", "zeyada-latin-400-normal.woff"):
        (folder / name).write_bytes(data)
    return folder


@pytest.fixture(scope="module")
def drawn(fonts: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    output = tmp_path_factory.mktemp("drawn") / "lines.parquet"
    assert synthesise(Plan(fonts, 24, {"en": 1}), output)[0] == 24
    return output


def test_the_lines_follow_the_contract(drawn: Path) -> None:
    rows = list(read_lines(drawn))
    assert len({row.id for row in rows}) == 24
    assert {row.dataset for row in rows} == {"synthetic"} and {row.lang for row in rows} == {"en"}
    assert {row.doc: row.split for row in rows} == {name: split_of(name) for name in ("anna", "bert", "carl")}
    for row in rows:
        assert row.pixels().shape == (row.height, row.width) and row.height == 64
        assert SHORTEST <= len(row.text) <= LONGEST and row.page.startswith("difficulty-0.")


def test_workers_change_nothing_and_a_seed_does(fonts: Path, drawn: Path, tmp_path: Path) -> None:
    synthesise(Plan(fonts, 24, {"en": 1}), tmp_path / "two.parquet", workers=2)
    assert list(read_lines(tmp_path / "two.parquet")) == list(read_lines(drawn))
    synthesise(Plan(fonts, 6, {"en": 1}, seed=2), tmp_path / "other.parquet")
    assert {row.text for row in read_lines(tmp_path / "other.parquet")}.isdisjoint({r.text for r in read_lines(drawn)})


def test_texts_a_font_has_no_letters_for_are_counted_and_the_rest_goes_on(fonts: Path, tmp_path: Path) -> None:
    written, reasons = synthesise(Plan(fonts, 30, {"fr": 1}), tmp_path / "fr.parquet")
    assert 0 < written <= 30
    assert reasons["the font lacks a letter of the text"] > 5
    assert reasons["test hand of the bundled sample"] == 1
    assert reasons.get("line left out: no hand could write it", 0) == 30 - written


def test_a_file_that_is_no_font_is_passed_over(fonts: Path, tmp_path: Path) -> None:
    folder = tmp_path / "fonts"
    folder.mkdir()
    (folder / "good.ttf").write_bytes((fonts / "anna.ttf").read_bytes())
    (folder / "bad.ttf").write_bytes(b"no font")
    written, reasons = synthesise(Plan(folder, 6, {"en": 1}), tmp_path / "lines.parquet")
    assert written == 6 and reasons["the font cannot be drawn with"] >= 3
    (folder / "good.ttf").unlink()
    with pytest.raises(HtrjandError, match="no line could be drawn"):
        synthesise(Plan(folder, 3, {"en": 1}), tmp_path / "none.parquet")
    assert not (tmp_path / "none.parquet").exists()


def test_a_hard_line_is_further_from_clean_than_an_easy_one(fonts: Path) -> None:
    def rough(difficulty: float) -> float:
        """Grey levels by which pixels of the paper differ from their neighbours."""
        lines = [draw_line(TEXT, fonts / "anna.ttf", np.random.default_rng(n), look_at(difficulty)) for n in range(12)]
        return float(np.mean([np.median(np.abs(np.diff(line.astype(float), axis=1))) for line in lines]))

    def contrast(difficulty: float) -> float:
        lines = [draw_line(TEXT, fonts / "anna.ttf", np.random.default_rng(n), look_at(difficulty)) for n in range(12)]
        return float(np.mean([np.percentile(line, 80) - np.percentile(line, 2) for line in lines]))

    assert rough(0) < rough(1) - 1
    assert contrast(0) > contrast(1) + 40


def test_difficulty_0_is_the_clean_look_and_more_than_1_is_wrong() -> None:
    assert look_at(0) == Look()
    assert look_at(0.5).slant == pytest.approx((-0.175, 0.375))
    with pytest.raises(UsageError, match="0 to 1"):
        look_at(1.5)


def test_a_letter_that_the_font_lacks_and_a_blank_text_are_errors(fonts: Path) -> None:
    with pytest.raises(HtrjandError, match="has no 字"):
        draw_line("a 字", fonts / "anna.ttf", np.random.default_rng(0), Look())
    with pytest.raises(HtrjandError, match="without text"):
        draw_line(" ", fonts / "anna.ttf", np.random.default_rng(0), Look())


@pytest.mark.parametrize("language", LANGUAGES)
def test_own_texts_fill_lines_of_every_language(language: str) -> None:
    writer = Writer(language)
    lines = [writer.line(np.random.default_rng([3, number])) for number in range(300)]
    assert all(SHORTEST <= len(line) <= LONGEST for line in lines)
    assert 30 <= np.median([len(line) for line in lines]) <= 50
    assert len(set(lines)) > 280 and not any("{" in line or "_" in line for line in lines)
    letters = set("".join(lines))
    assert set("0123456789.,ABCDEFGHIJLMNOPRSTVW") <= letters
    assert set({"fr": "éèàçêôî’'", "de": "äöüßÄ", "en": "’'£"}[language]) <= letters


def test_a_list_of_words_and_prose_are_told_apart(tmp_path: Path) -> None:
    (tmp_path / "words.txt").write_text("zwieback\nzymbel\nx86\n", encoding="utf-8")
    (tmp_path / "prose.txt").write_text("A first sentence of it. And a second!\nA third one.\n", encoding="utf-8")
    writer = Writer("en", [tmp_path / "words.txt", tmp_path / "prose.txt"])
    assert writer.words == ["zwieback", "zymbel"]
    assert [source.path for source in writer.prose] == [tmp_path / "prose.txt"]
    with pytest.raises(HtrjandError, match=r"absent\.txt: cannot be read"):
        Writer("en", [tmp_path / "absent.txt"])
    (tmp_path / "latin.txt").write_bytes("été".encode("latin-1"))
    with pytest.raises(HtrjandError, match="not UTF-8"):
        Writer("fr", [tmp_path / "latin.txt"])


@pytest.mark.parametrize(("suffix", "pack"), [(".txt", bytes), (".txt.xz", lzma.compress), (".txt.gz", gzip.compress)])
def test_prose_may_be_compressed_and_its_lines_stand_in_the_book(
    tmp_path: Path, suffix: str, pack: Callable[[bytes], bytes]
) -> None:
    path = tmp_path / f"book{suffix}"
    path.write_bytes(pack("".join(f"{line}\n" for line in BOOK).encode()))
    writer = Writer("fr", [path], prose=1)
    lines = [writer.line(np.random.default_rng([4, number]), 0).replace("’", "'") for number in range(200)]
    assert len(set(lines)) > 50 and all(SHORTEST <= len(line) <= LONGEST for line in lines)
    assert all(any(line.removesuffix("-") in paragraph for paragraph in BOOK) for line in lines)
    assert any(line.endswith("-") for line in lines)  # a word broken at the end of the line
    assert not any(line.startswith((";", "!", "»", " ")) for line in lines)
    assert "empereur" in writer.words


def test_the_share_of_prose_is_kept(tmp_path: Path) -> None:
    sentence = "a plain tale with neither end nor figures "
    (tmp_path / "prose.txt").write_text(sentence * 40, encoding="utf-8")
    for share in (0.0, 0.8):
        writer = Writer("en", [tmp_path / "prose.txt"], share)
        lines = [writer.line(np.random.default_rng([5, number]), 0) for number in range(300)]
        assert sum(set(line.split()[:-1]) <= set(sentence.split()) for line in lines) / 300 == pytest.approx(
            share, abs=0.08
        )


def test_a_text_that_is_no_prose_is_named(tmp_path: Path) -> None:
    (tmp_path / "code.txt").write_text("x = {y | z} \\ q\n" * 30, encoding="utf-8")
    with pytest.raises(HtrjandError, match=r"code\.txt: holds no sentences"):
        Writer("en", [tmp_path / "code.txt"])
    (tmp_path / "broken.xz").write_bytes(b"no archive")
    with pytest.raises(HtrjandError, match=r"broken\.xz: cannot be read"):
        Writer("en", [tmp_path / "broken.xz"])


def test_the_list_of_hands_keeps_the_demo_apart_and_is_open() -> None:
    rows = listed().values()
    assert sum(row.languages == "fr,en,de" and row.use != "demo" for row in rows) >= 150
    assert {row.hand for row in rows if row.use == "demo"} == set(HANDS["test"])
    assert {row.licence for row in rows} <= {"OFL-1.0", "OFL-1.1", "Apache-2.0"}
    assert len({row.hand for row in rows}) == len(rows)
    styles = {style: {row.use for row in rows if row.style == style} for style in STYLES}
    assert all(styles[style] - {"demo"} == {"train", "val", "test"} for style in STYLES)
    families = {row.package: {other.use for other in rows if other.package == row.package} for row in rows}
    assert all(len(uses) == 1 for package, uses in families.items() if package.startswith("@"))


def test_folders_without_fonts_are_named(tmp_path: Path) -> None:
    with pytest.raises(HtrjandError, match="no font for hand in it"):
        find_hands(tmp_path)
    with pytest.raises(HtrjandError, match="no such folder"):
        find_hands(tmp_path / "absent")


def test_options_are_read_or_refused() -> None:
    assert parse_difficulty("medium") == 0.5 and parse_difficulty("mixed") is None
    assert parse_languages("fr:5,en") == {"fr": 5.0, "en": 1.0}
    assert parse_text("de=a=b.txt") == ("de", Path("a=b.txt"))
    for wrong in ("2", "x"):
        with pytest.raises(UsageError, match=wrong):
            parse_difficulty(wrong)
    assert parse_styles("print:3,typewriter:2") == {"print": 3.0, "typewriter": 2.0}
    with pytest.raises(UsageError, match="--style pencil: write hand, print, typewriter"):
        parse_styles("pencil")
    for wrong in ("xx", "fr:0"):
        with pytest.raises(UsageError, match=wrong):
            parse_languages(wrong)
    with pytest.raises(UsageError, match="write the language"):
        parse_text("book.txt")


def test_the_command_says_what_it_wrote_and_what_it_passed_over(fonts: Path, tmp_path: Path) -> None:
    output = tmp_path / "lines.parquet"
    command = ["data", "synth", "-o", str(output), "--fonts", str(fonts), "--lang", "en", "--count", "3"]
    result = CliRunner().invoke(main, [*command, "--difficulty", "easy"])
    assert result.exit_code == 0 and "3 lines" in result.stdout
    assert "passed over 1: test hand of the bundled sample" in result.stderr
    assert {row.page for row in read_lines(output)} == {"difficulty-0.10"}
    result = CliRunner().invoke(main, [*command, "--lang", "xx"])
    assert result.exit_code == 2 and "xx" in result.stderr
