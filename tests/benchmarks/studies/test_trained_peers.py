"""The parts of the study of trained peers that need no peer: lines as files, commands with a limit, errors, table."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from htrjand.benchmarks.studies.trained_peers import errors_of, run, table, write_set, write_symbols
from htrjand.runtime.errors import HtrjandError
from htrjand.runtime.text import normalize
from htrjand.train.data.lines import read_lines

SAMPLE = Path(__file__).parents[3] / "benchmarks/sample/sample.parquet"


def test_each_tool_gets_the_same_lines(tmp_path: Path) -> None:
    rows = list(read_lines(SAMPLE))[:3]
    write_set(tmp_path / "val", rows)
    paths = (tmp_path / "val_paths.txt").read_text("utf-8").splitlines()
    tables = dict(line.split(" ", 1) for line in (tmp_path / "val.txt").read_text("utf-8").splitlines())
    assert len(paths) == len(tables) == 3
    for path, row in zip(map(Path, paths), rows, strict=True):
        assert (np.asarray(Image.open(path)) == row.pixels()).all()
        assert path.with_suffix(".gt.txt").read_text("utf-8") == normalize(row.text)
        assert "".join(tables[path.stem].split()).replace("<space>", " ") == normalize(row.text)
        width, height = row.pixels().shape[::-1]
        assert Image.open(path.parent / "128" / path.name).size == (round(width * 128 / height), 128)


def test_the_blank_is_the_first_symbol(tmp_path: Path) -> None:
    write_symbols(tmp_path / "syms.txt", ("", " ", "a", "é"))
    assert (tmp_path / "syms.txt").read_text("utf-8") == "<ctc> 0\n<space> 1\na 2\né 3\n"


def test_a_command_at_its_limit_is_interrupted_and_keeps_what_it_has(tmp_path: Path) -> None:
    code = "import time\ntry:\n print('begun', flush=True)\n time.sleep(60)\nexcept KeyboardInterrupt: print('kept')"
    done = run([sys.executable, "-c", code], 1, tmp_path / "log", limit=3)
    assert done.output.split() == ["begun", "kept"] and 3 <= done.seconds < 30 and done.peak > 1e6
    with pytest.raises(HtrjandError, match=r"failed \(3\)"):
        run([sys.executable, "-c", "raise SystemExit(3)"], 1, tmp_path / "log")


def test_the_table_has_a_row_a_tool_and_a_column_a_set() -> None:
    rows = list(read_lines(SAMPLE))[:4]
    perfect, nothing = errors_of(rows, [row.text for row in rows]), errors_of(rows, [""] * 4)
    assert perfect["all"]["cer"] == perfect["all"]["wer"] == 0 and nothing["all"]["cer"] == 100
    measured = {
        "version": "1.2, torch 2", "lines_seen": 1234, "training_seconds": 60,
        "ms_a_line": 10.04, "peak_bytes": 3e8, "bytes": 2.9e6,
    }  # fmt: skip
    each = {"a": perfect, "b": nothing, "c": None}
    tools = [{"name": name, "errors": errors} | measured for name, errors in each.items()]
    head, _, first, second, third = table({"tools": tools}).splitlines()
    assert all(name in head for name in perfect if name != "all") and len(head.split("|")) == len(first.split("|"))
    assert first.startswith("| a 1.2 | 1,234 | 0.0 (0.0–0.0) |") and first.endswith("| 10.0 | 2.9 | 300 |")
    assert "| 100.0 (100.0–100.0) |" in second
    assert third.startswith("| c 1.2 | 1,234 | – |") and len(third.split("|")) == len(head.split("|"))
