from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from htrjand.cli import main
from htrjand.runtime import HtrjandError, Recognizer
from htrjand.train.data.error_rates import character_errors, percent
from htrjand.train.data.lines import LineRow, read_lines, write_lines
from htrjand.train.data.recombine import align, recombine

SAMPLE = Path(__file__).parents[3] / "benchmarks" / "sample" / "sample.parquet"


@pytest.fixture(scope="module")
def reader() -> Recognizer:
    return Recognizer(lm=None)


@pytest.fixture(scope="module")
def rows() -> list[LineRow]:
    return list(read_lines(SAMPLE, "train"))


@pytest.fixture(scope="module")
def made(rows: list[LineRow], reader: Recognizer) -> list[LineRow]:
    return recombine(rows, reader, 40, seed=3)[0]


def cer(reader: Recognizer, rows: list[LineRow]) -> float:
    texts = [line.text for line in reader.read_lines([row.pixels() for row in rows])]
    return percent(*np.array([character_errors(row.text, text) for row, text in zip(rows, texts, strict=True)]).T)


def test_the_words_are_those_of_the_document_in_an_order_of_their_own(rows: list[LineRow], made: list[LineRow]) -> None:
    known = {row.text for row in rows}
    for row in made:
        words = {word for other in rows if other.doc == row.doc for word in other.text.split()}
        assert set(row.text.split()) <= words
        assert (row.dataset, row.split, row.pixels().shape) == ("sample-mixed", "train", (64, row.width))
    assert sum(row.text in known for row in made) < 4


def test_each_word_is_where_its_text_says(rows: list[LineRow], made: list[LineRow], reader: Recognizer) -> None:
    """A model reads the new lines nearly as well as those they were cut from."""
    assert cer(reader, made) < cer(reader, rows) + 4


def test_a_seed_gives_its_lines_and_another_seed_others(
    rows: list[LineRow], made: list[LineRow], reader: Recognizer
) -> None:
    assert recombine(rows, reader, 40, seed=3)[0] == made
    assert recombine(rows, reader, 40, seed=4)[0] != made


def test_a_line_with_the_text_of_another_is_left_out(rows: list[LineRow], reader: Recognizer) -> None:
    document = [row for row in rows if row.doc == rows[0].doc]
    wrong = [replace(row, text=other.text) for row, other in zip(document, reversed(document), strict=True)]
    with pytest.raises(HtrjandError, match="does not fit the image"):
        recombine(wrong, reader, 1)


def test_a_path_has_each_character_once_in_order() -> None:
    shown = [0, 2, 2, 0, 2, 1, 0]  # the blank is 0
    logs = np.log(np.full((7, 3), 0.05, np.float32) + 0.85 * np.eye(3, dtype=np.float32)[shown])
    assert align(logs, np.array([2, 2, 1])) == [(1, 2), (4, 4), (5, 5)]
    assert align(logs[:4], np.array([2, 2, 1])) is None


def test_the_command_writes_a_file_and_says_what_it_left_out(rows: list[LineRow], tmp_path: Path) -> None:
    write_lines(tmp_path / "lines.parquet", [*rows, replace(rows[0], text="> <")])
    done = CliRunner().invoke(
        main, ["data", "recombine", str(tmp_path / "lines.parquet"), "-o", str(tmp_path / "m.parquet"), "--count", "5"]
    )
    assert done.exit_code == 0 and "5 lines" in done.output and "marked" in done.output
    assert len(list(read_lines(tmp_path / "m.parquet"))) == 5
    done = CliRunner().invoke(main, ["data", "recombine", str(SAMPLE), "-o", "x.parquet", "--dataset", "none"])
    assert done.exit_code == 1 and "no line was given" in done.output
