"""Hugging Face data sets from folders, with the real library."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
from generated import printed
from PIL import Image

from htrjand.runtime.errors import HtrjandError, UsageError
from htrjand.train.data.importers import FORMATS, Skipped, Source, import_lines
from htrjand.train.data.importers.guess import guess_format
from htrjand.train.data.importers.rows import IMAGE_MISSING
from htrjand.train.data.lines import LineRow

datasets = pytest.importorskip("datasets", reason="pip install datasets")

TEXTS = ("abc", "cab ab")


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")


def columns(*texts: str, **more: list[str]) -> object:
    values = {"image": [Image.fromarray(printed(text)) for text in texts], "text": list(texts), **more}
    return datasets.Dataset.from_dict(values).cast_column("image", datasets.Image())


def rows_of(path: Path, **more: str) -> list[LineRow]:
    found = list(import_lines(Source(path, "set", **more), "hf"))
    assert not [each for each in found if isinstance(each, Skipped)], found
    return [each for each in found if isinstance(each, LineRow)]


def test_a_saved_data_set_with_splits(tmp_path: Path) -> None:
    saved = datasets.DatasetDict(train=columns(*TEXTS, writer=["w1", "w2"]), validation=columns("b"), test=columns("c"))
    saved.save_to_disk(tmp_path / "set")
    rows = rows_of(tmp_path / "set")
    assert [(row.text, row.split) for row in rows] == [
        ("abc", "train"),
        ("cab ab", "train"),
        ("b", "val"),
        ("c", "test"),
    ]
    assert [row.doc for row in rows] == ["w1", "w2", "set", "set"]
    assert (rows[1].pixels() == printed("cab ab")).all()
    assert guess_format(tmp_path / "set") == "hf"


def test_one_split_tells_none(tmp_path: Path) -> None:
    columns(*TEXTS).save_to_disk(tmp_path / "set")
    assert [(row.split, row.id) for row in rows_of(tmp_path / "set")] == [("", "train-000000"), ("", "train-000001")]


def test_a_folder_of_parquet_files(tmp_path: Path) -> None:
    (tmp_path / "set" / "data").mkdir(parents=True)
    for split, texts in (("train", TEXTS), ("test", ("b",))):
        columns(*texts).to_parquet(tmp_path / "set" / "data" / f"{split}-00000-of-00001.parquet")
    assert [(row.text, row.split) for row in rows_of(tmp_path / "set")] == [
        ("abc", "train"), ("cab ab", "train"), ("b", "test"),
    ]  # fmt: skip
    assert guess_format(tmp_path / "set") == "hf"
    assert len(rows_of(tmp_path / "set" / "data" / "train-00000-of-00001.parquet")) == 2


@pytest.mark.parametrize("table", ["metadata.csv", "metadata.jsonl"])
def test_an_image_folder(tmp_path: Path, table: str) -> None:
    for split, text in (("train", "abc"), ("test", "cab")):
        folder = tmp_path / "set" / split
        folder.mkdir(parents=True)
        Image.fromarray(printed(text)).save(folder / "p1_1.png")
        line = {"file_name": "p1_1.png", "text": text}
        as_csv = f"file_name,text\np1_1.png,{text}\n"
        (folder / table).write_text(as_csv if table.endswith("csv") else json.dumps(line) + "\n")
    rows = rows_of(tmp_path / "set")
    assert [(row.text, row.split) for row in rows] == [("abc", "train"), ("cab", "test")]
    assert {row.page for row in rows} == {"p1"}
    assert guess_format(tmp_path / "set") == "hf"


def test_columns_are_named_where_their_names_are_unusual(tmp_path: Path) -> None:
    columns(*TEXTS).rename_columns({"image": "scan", "text": "words"}).save_to_disk(tmp_path / "set")
    assert [row.text for row in rows_of(tmp_path / "set", text_column="words")] == list(TEXTS)
    with pytest.raises(UsageError, match="no text column among scan, words; name it by --text-column"):
        rows_of(tmp_path / "set")


def test_a_row_without_image_is_left_out(tmp_path: Path) -> None:
    values = {"image": [None, Image.fromarray(printed("a"))], "text": ["x", "a"]}
    features = datasets.Features(image=datasets.Image(), text=datasets.Value("string"))
    datasets.Dataset.from_dict(values, features=features).save_to_disk(tmp_path / "set")
    found = list(import_lines(Source(tmp_path / "set", "set"), "hf"))
    assert [each.reason for each in found if isinstance(each, Skipped)] == [IMAGE_MISSING]
    assert len(found) == 2


def test_a_folder_that_is_no_data_set(tmp_path: Path) -> None:
    (tmp_path / "set").mkdir()
    with pytest.raises(HtrjandError, match="cannot be loaded as a Hugging Face dataset"):
        rows_of(tmp_path / "set")


def test_without_the_library_one_error_says_how_to_get_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "datasets", None)  # what Python itself keeps of a module that must not be there
    with pytest.raises(HtrjandError, match="datasets is not installed, and -f hf needs it: pip install datasets"):
        rows_of(tmp_path)


def test_every_format_has_its_importer() -> None:
    from importlib import import_module

    for layout in FORMATS.values():
        assert callable(getattr(import_module(f"htrjand.train.data.importers.{layout.module}"), layout.function))
