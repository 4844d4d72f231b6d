"""Errors like a reader's."""

from __future__ import annotations

import numpy as np
import pytest

from htrjand.train.correct.confusions import Confusions, error_rate
from htrjand.train.correct.corpus import Corpus, books_of, passage
from htrjand.train.correct.pairs import Pair, with_neighbours
from htrjand.train.data.lines import LineRow

PAIRS = [("animal", "aniwal"), ("canal", "cawal"), ("navire", "navire"), ("il y a", "il ya"), ("il y va", "il yva")] * 4


def test_pieces_are_taken_for_what_they_were_taken_for() -> None:
    confusions = Confusions(PAIRS)
    assert confusions.found["m"][:2] == (1.0, ["w"]), "every m was read as w"
    assert confusions.found["n"][0] == pytest.approx(1 / 3), "canal's n, of three"
    random = np.random.default_rng(0)
    spoilt = [confusions.spoil("mon animal y va", random, confusions.mean) for _ in range(200)]
    assert {char for text in spoilt for char in text} <= set("mon aiwlyv")
    assert all("m" in text or "w" in text for text in spoilt)
    found = error_rate([("mon animal y va", text) for text in spoilt])
    assert 10 < found < 30 and confusions.spoil("mon animal", random, 0.0) == "mon animal"


def test_worse_lines_have_more_errors() -> None:
    confusions = Confusions(PAIRS)
    rates = []
    for rate in (0.02, 0.2):
        random = np.random.default_rng(0)
        spoilt = [("un canal, un navire", confusions.spoil("un canal, un navire", random, rate)) for _ in range(300)]
        rates.append(error_rate(spoilt))
    assert rates[0] < rates[1] / 3


def test_nothing_seen_nothing_spoilt() -> None:
    confusions = Confusions([("abc", "abc")])
    assert (
        confusions.spoil("abc", np.random.default_rng(0)) == "abc"
        and confusions.spoil("", np.random.default_rng(0)) == ""
    )


def test_a_corpus_goes_on_as_if_it_had_never_stopped(tmp_path) -> None:
    (tmp_path / "book.txt").write_text("Il y a un animal, un canal.\nUn navire va; il y va € aussi.\n" * 9, "utf-8")
    books = books_of([tmp_path / "book.txt"], sorted("abcdeilmnrsuvy ,.;IUnt"))
    assert "€" not in books[0] and books[0].count("\n") == 17
    pairs = [Pair(text, read, "x") for text, read in PAIRS]
    corpus = Corpus(pairs, books, 0.5, 0.2, 4, 1)
    whole, later = corpus.batches(), corpus.batches(40)
    batches = [next(whole) for _ in range(45)]
    assert [next(later) for _ in range(5)] == batches[40:]
    drawn = [pair for batch in batches for pair in batch]
    lines = {pair.text for pair in pairs}
    assert 0.35 < np.mean([text in lines for _, text in drawn]) < 0.65, "half of them prose"
    assert all(text in lines or text in books[0] for _, text in drawn)
    assert 0.2 < np.mean([read == text for read, text in drawn]) < 0.8


def test_prose_and_lines_come_with_what_stands_around_them(tmp_path) -> None:
    book = "un deux trois quatre cinq six sept huit neuf dix onze douze treize quatorze"
    lines = [Pair("un grand canal", "un grand cahal", "x", ("un", "navire"))]
    corpus = Corpus(lines, [book], 0.5, 0.0, 4, 1, context=True)
    whole = corpus.batches()
    for given, text in (pair for _ in range(20) for pair in next(whole)):
        read, before, after = given.split("\n")
        if text == "un grand canal":
            assert (read, before, after) == ("un grand cahal", "un", "navire")
        else:
            assert (before + text + after).replace(" ", "") in book.replace(" ", "")


def test_neighbours_of_lines_are_those_of_their_page() -> None:
    def row(text: str, page: str) -> LineRow:
        return LineRow(text, "x", "doc", page, "train", "fr", text, b"", 64, 64)

    rows = [row("a", "1"), row("b", "1"), row("c", "2"), row("b", "2")]
    pairs = [Pair(text, "?", "x") for text in "abcd"]
    found = [pair.around for pair in with_neighbours(pairs, rows)]
    assert found == [("", "b"), ("a", ""), ("", "b"), ("", "")], "the first b counts, and d is nowhere"


@pytest.mark.parametrize(
    ("place", "length", "wanted"), [(0, 10, "y a un"), (3, 40, "a un animal, un canal."), (24, 9, "Un navire")]
)
def test_a_passage_is_of_whole_words_of_one_paragraph(place: int, length: int, wanted: str) -> None:
    book = "Il y a un animal, un canal.\n Un navire va."
    assert passage(book, place, length) == wanted
