"""One charset by name, and what becomes of editorial marks before a line is checked against it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner
from generated import printed_row

from htrjand.runtime.errors import UsageError
from htrjand.runtime.text import normalize
from htrjand.train.data.charset import BLANK, CHARSETS, WESTERN
from htrjand.train.data.coverage import cover, table
from htrjand.train.data.coverage import main as coverage
from htrjand.train.data.lines import write_lines
from htrjand.train.data.marks import without_marks
from htrjand.train.dataset import load_data
from htrjand.train.recipe import DataRecipe


def test_the_western_charset_is_what_people_type() -> None:
    assert WESTERN[0] == BLANK
    assert len(WESTERN) == len(set(WESTERN)) == 135
    assert list(WESTERN) == sorted(WESTERN)
    for char in WESTERN[1:]:
        assert char == " " or normalize(char) == char, "what is folded has no class"
    assert set("Ça coûte 3,50 € ; où ? L'Œuvre naïve Größe « Übung » \"it's\" 5 % §") <= set(WESTERN)
    assert not set("<>^~|{}\\õ") & set(WESTERN)


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("M^r et Mʳ. de S^t Jean", "Mr et Mr. de St Jean"),
        ("nõ contẽ vr̃e com̄e", "no conte vre come"),
        ("M~gr rue du ~", "Mgr rue du "),
        ("un ⋎ tableau‸", "un  tableau"),
        ("El Niño, señor", "El Niño, señor"),
        ("classé #17, 100# a", "classé #17, 100# a"),
        ("lieu ..... dit", "lieu ..... dit"),
        ("[source insuffisante]", "[source insuffisante]"),
        ("le >mot< struck", None),
        ("il <> lit", None),
        ("du # DETACHEMENT", None),
        ("en [?] commun", None),
        ("[[modestes]] attendre", None),
        ("rue Félix [XXX]", None),
        ("signé ¥", None),
    ],
)
def test_marks_are_taken_off_or_leave_the_line_out(text: str, plain: str | None) -> None:
    assert without_marks(text) == plain


def test_a_recipe_names_its_charset_and_strips_marks(tmp_path: Path) -> None:
    said = ("M^r B", "le >mot< ici", "abc", "a|b")
    rows = [printed_row(text, f"{split}-{text}", split) for split in ("train", "val") for text in said]
    write_lines(tmp_path / "lines.parquet", rows)
    recipe, path = DataRecipe(files=("lines.parquet",)), tmp_path / "recipe.yaml"
    kept = load_data(recipe, path)
    assert "^" in kept.charset and len(kept.train) == 4
    stripped = load_data(replace(recipe, marks="strip"), path)
    assert "^" not in stripped.charset and ">" not in stripped.charset
    assert [line.row.text for line in stripped.train] == ["Mr B", "abc", "a|b"]
    western = load_data(replace(recipe, marks="strip", charset="western"), path)
    assert western.charset == WESTERN
    assert [line.row.text for line in western.train] == [line.row.text for line in western.val] == ["Mr B", "abc"]
    assert "1 training lines left out: marked as struck" in western.notes
    assert "1 validation lines left out: no text, or a character outside" in western.notes


def test_weights_of_another_charset_keep_it_or_grow(tmp_path: Path) -> None:
    write_lines(tmp_path / "lines.parquet", [printed_row("ab", split, split) for split in ("train", "val")])
    recipe, path = DataRecipe(files=("lines.parquet",), charset="western"), tmp_path / "recipe.yaml"
    with pytest.raises(UsageError, match="lack 132 characters of data.charset western"):
        load_data(recipe, path, ("", "a", "b"))
    grown = load_data(recipe, path, ("", "b", "a", "õ"), grow=True)
    assert grown.charset[:4] == ("", "b", "a", "õ") and set(grown.charset) == {*WESTERN, "õ"}
    assert load_data(recipe, path, WESTERN).charset == WESTERN


def test_a_wrong_name_is_explained() -> None:
    with pytest.raises(ValueError, match="charset: western or none, not 'latin'"):
        DataRecipe(charset="latin")
    with pytest.raises(ValueError, match="marks: keep or strip"):
        DataRecipe(marks="off")
    assert list(CHARSETS) == ["western"]


def test_coverage_counts_lines_and_characters(tmp_path: Path) -> None:
    texts = ("aé b", "a", "a|b", "il <> lit")
    write_lines(tmp_path / "lines.parquet", [printed_row(text, text) for text in texts])
    done = CliRunner().invoke(coverage, ["western", "-i", str(tmp_path)])
    assert done.exit_code == 0, done.output
    assert "| printed | 2 | 1 | 1 | `\\|` 1 |" in done.output
    assert "| `a` 2 | space 1 | `b` 1 | `é` 1 |" in done.output


def test_coverage_names_characters_as_common_in_one_order() -> None:
    rows = [printed_row(text, text) for text in ("a{", "a}", "aÑ", "a|", "b|")]
    found, _ = cover(rows, WESTERN)
    assert table(found)[-1] == r"| all | 0 | 0 | 5 | `\|` 2, `{` 1, `}` 1, `Ñ` 1 |"
