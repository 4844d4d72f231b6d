"""The ledger: what is done is not done again, and all that decides a result is part of its key."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from generated import printed_row

import htrjand.ledger as module
from htrjand.ledger import PARTS, Ledger, digest_rows, plain, source_files, sources_digest
from htrjand.train.recipe import DataRecipe

ROOT = Path(__file__).resolve().parents[1]


@dataclass(frozen=True)
class Inner:
    lines: int = 3


@dataclass(frozen=True)
class Recipe:
    """A recipe with a part that has a key of its own named as others are, and a path."""

    weights: str
    train: Inner = Inner()
    lines: int = 1


class Folder:
    """A ledger's folder with an input beside it; counts how often the work was done."""

    def __init__(self, root: Path) -> None:
        self.root, self.count = root, 0
        root.mkdir(exist_ok=True)
        self.input = root / "in.safetensors"
        self.input.write_bytes(b"weights")
        self.input.with_suffix(".json").write_text("{}")
        self.recipe = Recipe(str(self.input))

    def work(self, folder: Path) -> tuple[dict[str, Any], list[Path]]:
        self.count += 1
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "made").write_text("made")
        return {"count": self.count}, [folder / "made"]

    def do(self, recipe: Any = None, rows: str = "a", role: str = "weights", name: str = "x", **options: Any) -> int:
        ledger = Ledger(self.root / "out", lambda _: None, **options)
        done = ledger.do(name, recipe or self.recipe, {role: self.input}, {"proof": rows}, self.work)
        assert [path.read_text() for path in done.files] == ["made"]
        return int(done.result["count"])


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    folder = Folder(tmp_path / "run")
    assert folder.do() == folder.do() == 1, "the second time it stands"
    return folder


def test_all_that_decides_a_result_is_in_its_key(folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    assert folder.do(replace(folder.recipe, lines=2)) == 2
    assert folder.do(replace(folder.recipe, train=Inner(4))) == 3, "a key of the same name elsewhere does not hide it"
    assert folder.do(rows="b") == 4
    assert folder.do(role="teacher") == 5
    assert folder.do(name="y") == 6
    folder.input.with_suffix(".json").write_text("[]")
    assert folder.do() == 7, "the card beside weights is part of them"
    folder.input.write_bytes(b"others")
    assert folder.do() == 8
    monkeypatch.setattr(module, "__version__", "another")
    assert folder.do() == 9
    monkeypatch.setattr(module, "sources_digest", lambda parts: "another")
    assert folder.do() == 10
    assert folder.do() == 10


def test_a_result_stands_while_its_files_are_as_they_were(folder: Folder) -> None:
    (made,) = (folder.root / "out" / "stages").glob("x-*/made")
    made.write_text("other")
    assert folder.do() == 2
    made.unlink()
    assert folder.do() == 3
    made.with_name("done.json").write_text("{")
    assert folder.do() == 4
    assert folder.do() == 4


def test_a_folder_may_be_moved(folder: Folder, tmp_path: Path) -> None:
    moved = Folder(tmp_path / "moved")
    shutil.copytree(folder.root / "out", moved.root / "out")
    assert moved.do() == 1 and moved.count == 0, "the path of an input in the recipe counts by its role"
    shutil.rmtree(folder.root)
    assert moved.do() == 1, "and files are found where they are now"


def test_another_process_of_a_run_reads_what_stands_and_writes_nothing(folder: Folder) -> None:
    assert folder.do(writes=False) == 1
    assert folder.do(rows="b", writes=False) == 2
    assert folder.do(rows="b") == 3, "that was not written down"


def test_the_record_says_what_a_result_was_made_from(folder: Folder) -> None:
    (record,) = (folder.root / "out" / "stages").glob("x-*/done.json")
    values = json.loads(record.read_text())
    assert values["recipe"] == {"weights": "<weights>", "train": {"lines": 3}, "lines": 1}
    assert values["inputs"].keys() == {"weights"} and len(values["inputs"]["weights"]) == 2
    assert (values["rows"], values["sources"]) == ({"proof": "a"}, sources_digest())


def test_lines_are_told_apart_by_what_they_say_and_show() -> None:
    row, other = printed_row("abc", "1"), printed_row("abd", "1")
    rows = [row, replace(row, id="2"), replace(row, dataset="2"), replace(row, split="val"), replace(row, text="2")]
    rows.append(replace(row, image=other.image))
    assert len({digest_rows([row]) for row in rows}) == len(rows)
    assert digest_rows(rows) != digest_rows(rows[::-1]) != digest_rows([])
    assert digest_rows(iter(rows)) == digest_rows(rows)


def test_the_sources_are_those_of_the_parts_without_verbs_and_studies() -> None:
    names = {path.relative_to(ROOT).as_posix() for part in (*PARTS, "benchmarks") for path in source_files(ROOT / part)}
    assert {"export/onnx.py", "runtime/engines/onnx.py", "train/data/lines.py", "benchmarks/run.py"} <= names
    assert not [name for name in names if name.endswith("/cli.py") or "studies" in name]
    assert sources_digest() == sources_digest(PARTS) and len(sources_digest()) == 64
    assert len({sources_digest(parts) for parts in (("runtime",), ("runtime", "train"), PARTS)}) == 3


def test_where_lines_lie_is_no_part_of_a_key() -> None:
    first, moved = (DataRecipe(files=(name,), val_files=(name,)) for name in ("a.parquet", "b/a.parquet"))
    assert plain({"data": first}, {}) == plain({"data": moved}, {}) != plain({"data": replace(first, core=True)}, {})
