"""Words of a list in prose: of the same case, with the same ending, as often as is asked."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from htrjand.cli import main
from htrjand.runtime.errors import HtrjandError
from htrjand.train.lm.words import FEWEST, Words, with_words

PROSE = "Le cheval mangeait. Cheval de Monsieur Dupont, il trottait vers PARIS en 1870.\n" * 3 + "cheval\n"


@pytest.fixture
def listed(tmp_path: Path) -> Path:
    """Twenty words that end in -ait, and as many names."""
    words = [f"{chr(97 + i)}{chr(97 + i)}onait\t{i + 1}" for i in range(FEWEST)]
    names = [f"{chr(65 + i)}olm {i + 1}" for i in range(FEWEST)]
    path = tmp_path / "words.tsv"
    path.write_text("\n".join([*words, *names, "ab", "two words here", "x1y", ""]), encoding="utf-8")
    return path


@pytest.fixture
def text(tmp_path: Path) -> Path:
    path = tmp_path / "prose.txt"
    path.write_text(PROSE, encoding="utf-8")
    return path


def mixed(text: Path, listed: Path, share: float = 1, keep: int = 0, flat: float = 1, seed: int = 1) -> list[str]:
    random = np.random.default_rng(seed)
    return list(with_words(text, Words(listed, flat, random), share, keep, random))


def test_a_word_gives_place_to_one_that_looks_like_it(text: Path, listed: Path) -> None:
    for line in mixed(text, listed)[:3]:
        first, horse, ate, second, of, mister, name, he, trotted, *rest = line.replace(",", "").split()
        assert (first, of, he) == ("Le", "de", "il")
        assert rest[-3:] == ["PARIS", "en", "1870."], "short words, capitals and numbers stay"
        assert ate.endswith("onait.") and trotted.endswith("onait"), "an ending that the list has"
        assert horse.endswith("onait") and horse.islower(), "none ends in -val: any"
        assert second[0].isupper() and second.endswith("onait"), "at the beginning of a sentence: no name"
        assert name.endswith("olm") and mister.endswith("olm"), "names for names"


def test_the_commonest_words_stay_and_so_does_a_share(text: Path, listed: Path) -> None:
    assert mixed(text, listed, keep=99) == PROSE.splitlines()
    (tall := text.with_name("tall.txt")).write_text("cheval " * 2000, encoding="utf-8")
    kept = mixed(tall, listed, share=0.3)[0].split().count("cheval")
    assert 1300 < kept < 1500


def test_frequencies_say_how_often(text: Path, listed: Path) -> None:
    (tall := text.with_name("tall.txt")).write_text("cheval " * 4000, encoding="utf-8")
    often = Counter(mixed(tall, listed)[0].split())
    alike = Counter(mixed(tall, listed, flat=0)[0].split())
    assert often["tt" + "onait"] > 8 * often["bb" + "onait"], "20 to 2"
    assert 0.5 < alike["tt" + "onait"] / alike["bb" + "onait"] < 2
    assert mixed(tall, listed) == mixed(tall, listed) != mixed(tall, listed, seed=2)


def test_the_command_writes_a_text_that_can_be_counted(text: Path, listed: Path, tmp_path: Path) -> None:
    out = tmp_path / "mixed.txt"
    run = CliRunner().invoke(main, ["lm", "words", str(text), str(text), "--words", str(listed), "-o", str(out)])
    assert run.exit_code == 0 and f"{out.stat().st_size:,} bytes" in run.stdout, run.output
    assert "40 words, and 3 lines passed over" in run.stdout
    assert len(out.read_text(encoding="utf-8").splitlines()) == 8


def test_lists_that_cannot_be_are_named(tmp_path: Path) -> None:
    path = tmp_path / "words.txt"
    for content, problem in (
        ("ab\n12345\n", "no word of 3 letters"),
        ("alpha 1\nbeta -1\n", "line 2: -1 is no frequency"),
        ("alpha inf\n", "line 1: inf is no frequency"),
    ):
        path.write_text(content, encoding="utf-8")
        with pytest.raises(HtrjandError, match=rf"words\.txt.*{problem}"):
            Words(path, 1, np.random.default_rng(1))
    with pytest.raises(HtrjandError, match="no such file"):
        Words(tmp_path / "none.txt", 1, np.random.default_rng(1))
