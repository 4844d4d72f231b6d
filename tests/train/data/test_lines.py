"""The line contract: what is streamed, what is filtered, and what is refused by name."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from generated import printed_row

from htrjand.runtime.errors import HtrjandError, UsageError
from htrjand.train.data.charset import build_charset, encode, frames_needed
from htrjand.train.data.lines import SCHEMA, Place, data_dir, parquet_files, read_lines, spread, write_lines
from htrjand.train.examples import examples

PLACE = Place(Path("lines.parquet"), 0, 0)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    rows = [printed_row("ab", "1"), printed_row("ba", "2", "val"), printed_row("cc", "3", dataset="other")]
    write_lines(tmp_path / "lines.parquet", rows)
    return tmp_path / "lines.parquet"


def test_rows_come_back_as_they_were_written(file: Path) -> None:
    row = next(read_lines(file))
    assert row == printed_row("ab", "1")
    assert row.pixels().shape == (64, row.width)
    assert row.pixels().dtype == np.uint8


def test_filters(file: Path) -> None:
    assert [row.id for row in read_lines(file, "train")] == ["1", "3"]
    assert [row.id for row in read_lines(file.parent, exclude=["other"])] == ["1", "2"]
    assert [row.id for row in read_lines([file], limit=2)] == ["1", "2"]
    with pytest.raises(UsageError, match="train, val, test"):
        next(read_lines(file, "training"))


def test_core_takes_marked_rows_only(file: Path, tmp_path: Path) -> None:
    marked = pq.read_table(file).append_column("core", pa.array([True, False, True]))
    pq.write_table(marked, tmp_path / "marked.parquet")
    assert [row.id for row in read_lines(tmp_path / "marked.parquet", core=True)] == ["1", "3"]
    assert [row.id for row in read_lines(file, core=True)] == ["1", "2", "3"]


def test_a_file_is_streamed_not_read_whole(tmp_path: Path) -> None:
    path = tmp_path / "half.parquet"
    table = pa.Table.from_pylist([vars(printed_row("ab", str(i))) for i in range(600)], schema=SCHEMA)
    pq.write_table(table, path, row_group_size=100)
    rows = read_lines(path)
    assert next(rows).id == "0"
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2] + bytes(len(whole) - len(whole) // 2))
    assert next(rows).id == "1", "what was read before the file broke is there; the rest was never loaded"


@pytest.mark.parametrize("damage", ["cut", "empty", "text", "missing", "column"])
def test_a_bad_file_is_named(file: Path, damage: str) -> None:
    if damage == "cut":
        file.write_bytes(file.read_bytes()[:-40])
    elif damage == "empty":
        file.write_bytes(b"")
    elif damage == "text":
        file.write_text("id,text\n")
    elif damage == "missing":
        file.unlink()
    else:
        pq.write_table(pq.read_table(file).drop_columns(["text"]), file)
    with pytest.raises(HtrjandError, match=r"lines\.parquet"):
        list(read_lines(file))


def test_a_broken_image_names_its_line() -> None:
    row = printed_row("ab", "17")
    with pytest.raises(HtrjandError, match="line 17 of printed"):
        replace(row, image=row.image[:60]).pixels()


def test_an_empty_folder_and_a_missing_data_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(HtrjandError, match=r"no \*\.parquet"):
        parquet_files(tmp_path)
    monkeypatch.setenv("HTRJAND_DATA", str(tmp_path / "nowhere"))
    with pytest.raises(UsageError, match="HTRJAND_DATA"):
        data_dir()


def test_charset_is_sorted_nfc_and_without_rare_characters() -> None:
    assert build_charset(["be\u0301", "b ’"]) == ("", " ", "'", "b", "é")
    assert build_charset(["aab", "a"], least=2) == ("", "a")


def test_encoding() -> None:
    charset = ("", " ", "a", "b")
    classes = encode("aa b", charset)
    assert classes is not None
    assert classes.tolist() == [2, 2, 1, 3]
    assert frames_needed(classes) == 5
    assert encode("aé", charset) is None
    assert encode("  ", charset) is None


def test_a_text_longer_than_its_frames_is_an_error_or_left_out() -> None:
    narrow = replace(printed_row("ab" * 60, "9"), width=120)
    charset = ("", "a", "b")
    with pytest.raises(HtrjandError, match=r"line 9 of printed: 120 characters need 120 frames .* give 32"):
        examples([(narrow, PLACE)], charset, "error")
    kept, skipped = examples([(narrow, PLACE), (printed_row("ab", "1"), PLACE)], charset, "skip")
    assert [example.row.id for example in kept] == ["1"]
    assert skipped["more text than frames"] == 1


def test_spread_is_a_random_choice_fixed_by_its_seed() -> None:
    rows = [printed_row("a", str(i)) for i in range(50)]
    chosen = [row.id for row in spread(rows, 10)]
    assert len(set(chosen)) == 10
    assert chosen == [row.id for row in spread(rows, 10)] != [str(i) for i in range(10)]
    assert len(spread(rows[:3], 10)) == 3


def test_the_real_lines_follow_the_contract(real_lines_dir: Path) -> None:
    for path in parquet_files(real_lines_dir):
        row = next(read_lines(path))
        assert row.pixels().shape == (64, row.width)
        assert row.split in ("train", "val", "test")
