"""Words of a list in prose: of the same case, with the same ending, as often as is asked."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from string import ascii_lowercase

import numpy as np
import pytest
from click.testing import CliRunner

from htrjand.cli import main
from htrjand.runtime.errors import HtrjandError
from htrjand.train.lm.words import Words, with_words

PROSE = "Le cheval mangeait. Cheval de Monsieur Dupont, il trottait vers PARIS en 1870.\n" * 3 + "cheval\n"


@pytest.fixture
def listed(tmp_path: Path) -> Path:
    """Words that end in -ait, and names; of each as many with a vowel at the beginning as with none."""
    words = [f"{first}{letter}onait\t{i}" for first in "ab" for i, letter in enumerate(ascii_lowercase, 1)]
    names = [f"{first}{letter}olm {i}" for first in "AB" for i, letter in enumerate(ascii_lowercase, 1)]
    path = tmp_path / "words.tsv"
    path.write_text("\n".join([*words, *names, "ab", "two words here", "x1y", "12", ""]), encoding="utf-8")
    return path


@pytest.fixture
def text(tmp_path: Path) -> Path:
    path = tmp_path / "prose.txt"
    path.write_text(PROSE, encoding="utf-8")
    return path


def mixed(*texts: Path, listed: Path, share: float = 1, keep: int = 0, power: float = 1, seed: int = 1) -> list[str]:
    random = np.random.default_rng(seed)
    return list(with_words(texts, Words(listed, power, random), share, keep, random))


def test_a_word_gives_place_to_one_that_looks_like_it(text: Path, listed: Path) -> None:
    for line in mixed(text, listed=listed)[:3]:
        first, horse, ate, second, of, mister, name, he, trotted, *rest = line.replace(",", "").split()
        assert (first, of, he) == ("Le", "de", "il")
        assert rest[-3:] == ["PARIS", "en", "1870."], "short words, capitals and numbers stay"
        assert ate.endswith("onait.") and trotted.endswith("onait"), "an ending that the list has"
        assert horse.endswith("onait") and horse.islower(), "none ends in -val: any"
        assert second[0].isupper() and second.endswith("onait"), "at the beginning of a sentence: no name"
        assert name.endswith("olm") and mister.endswith("olm"), "names for names"


def test_what_stands_before_a_word_still_fits(tmp_path: Path, listed: Path) -> None:
    (text := tmp_path / "elided.txt").write_text("l'homme vit d'amour. une école, le cheval\n" * 50, encoding="utf-8")
    for line in mixed(text, listed=listed, keep=0):
        _, man, _, _, love, _, school, the, horse = line.replace("'", " ").replace(".", "").replace(",", "").split()
        assert man[0] == love[0] == school[0] == "a" and (the, horse[0]) == ("le", "b"), line


def test_the_commonest_words_stay_and_so_does_a_share(text: Path, listed: Path) -> None:
    assert mixed(text, listed=listed, keep=99) == PROSE.splitlines()
    (tall := text.with_name("tall.txt")).write_text("cheval " * 2000, encoding="utf-8")
    kept = mixed(tall, listed=listed, share=0.3)[0].split().count("cheval")
    assert 1300 < kept < 1500
    (other := text.with_name("other.txt")).write_text("chameau", encoding="utf-8")
    *_, last = mixed(tall, other, listed=listed, keep=1)
    assert last != "chameau", "the commonest of all texts, not of each"


def test_frequencies_say_how_often(text: Path, listed: Path) -> None:
    (tall := text.with_name("tall.txt")).write_text("cheval " * 4000, encoding="utf-8")
    often = Counter(mixed(tall, listed=listed)[0].split())
    alike = Counter(mixed(tall, listed=listed, power=0)[0].split())
    assert often["btonait"] > 5 * often["bbonait"], "20 to 2"
    assert 0.5 < alike["btonait"] / alike["bbonait"] < 2
    assert mixed(tall, listed=listed) == mixed(tall, listed=listed) != mixed(tall, listed=listed, seed=2)
    with listed.open("a", encoding="utf-8") as file:
        file.write("bbonait 400\n")
    assert Counter(mixed(tall, listed=listed)[0].split())["bbonait"] > 1500, "what stands twice is summed"


def test_the_command_writes_a_text(text: Path, listed: Path, tmp_path: Path) -> None:
    out = tmp_path / "mixed.txt"
    command = ["lm", "words", str(text), str(text), "--words", str(listed), "-o", str(out), "--keep", "0"]
    run = CliRunner().invoke(main, [*command, "--share", "1"])
    assert run.exit_code == 0 and f"{out.stat().st_size:,} bytes" in run.stdout, run.output
    assert "104 words, 4 other lines passed over" in run.stdout
    lines = out.read_text(encoding="utf-8").splitlines()
    assert len(lines) == 8 and "onait" in lines[0] and "cheval" not in "".join(lines)
    (empty := tmp_path / "empty.txt").write_text("", encoding="utf-8")
    refused = CliRunner().invoke(main, ["lm", "words", str(empty), *command[4:]])
    assert refused.exit_code and "no text" in refused.output
    assert out.read_text(encoding="utf-8").splitlines() == lines, "what was there is left"


def test_lists_that_cannot_be_are_named(tmp_path: Path) -> None:
    path = tmp_path / "words.txt"
    for content, problem in (
        ("ab\n12345\n", "no word of at least 3 letters"),
        ("alpha 1\nbeta -1\n", "line 2: -1 is no frequency"),
        ("alpha inf\n", "line 1: inf is no frequency"),
    ):
        path.write_text(content, encoding="utf-8")
        with pytest.raises(HtrjandError, match=rf"words\.txt.*{problem}"):
            Words(path, 1, np.random.default_rng(1))
    with pytest.raises(HtrjandError, match="no such file"):
        Words(tmp_path / "none.txt", 1, np.random.default_rng(1))
    path.write_text("alpha 1e299\nbeta 1e299\nnan\ninfinity\n", encoding="utf-8")
    assert Words(path, 1, np.random.default_rng(1)).count == 4, "words that are called like numbers"
