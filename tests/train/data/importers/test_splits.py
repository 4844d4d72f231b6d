"""Documents are assigned to splits whole, as near to the shares as possible, and always in the same way."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from htrjand.train.data.importers.splits import deal, read_split_files


def test_shares_are_met_and_do_not_depend_on_the_order() -> None:
    sizes = {f"doc{number}": 10 + number for number in range(50)}
    dealt = deal(sizes, 0.1, 0.2)
    assert dealt == deal(dict(reversed(sizes.items())), 0.1, 0.2)
    lines = Counter(
        {split: sum(sizes[doc] for doc in sizes if dealt[doc] == split) for split in ("train", "val", "test")}
    )
    total = sum(sizes.values())
    assert lines["val"] / total == pytest.approx(0.1, abs=0.03)
    assert lines["test"] / total == pytest.approx(0.2, abs=0.03)


def test_few_documents_give_one_to_each_and_keep_one_to_train() -> None:
    assert Counter(deal({"big": 900, "a": 50, "b": 50}, 0.1, 0.1).values()) == {"train": 1, "val": 1, "test": 1}
    assert deal({"big": 900, "small": 100}, 0.01, 0)["small"] == "val"
    assert deal({"only": 10}, 0.5, 0.4) == {"only": "train"}
    assert Counter(deal({"a": 1, "b": 1}, 0.5, 0.4).values()) == {"train": 1, "val": 1}
    assert set(deal({"a": 1, "b": 1, "c": 1}, 0, 0).values()) == {"train"}


def test_split_files_in_other_peoples_spellings(tmp_path: Path) -> None:
    (tmp_path / "tr.lst").write_text("\ufeffa01 further words\n# remark\n\nb01.png\n", encoding="utf-8")
    (tmp_path / "va.lst").write_text("c.1.2\n")
    (tmp_path / "TestLines.txt").write_text("d\n")
    (tmp_path / "readme.txt").write_text("not an id\n")
    assert read_split_files([tmp_path]) == {"a01": "train", "b01": "train", "c.1.2": "val", "d": "test"}


def test_a_folder_without_test_file_tells_no_splits(tmp_path: Path) -> None:
    (tmp_path / "train.txt").write_text("a\n")
    assert read_split_files([tmp_path, tmp_path / "none"]) == {}
