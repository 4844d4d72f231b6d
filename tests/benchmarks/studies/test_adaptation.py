"""The adaptation benchmark: whole pages are kept for the test, and the table has a row for each number of lines."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

from click.testing import CliRunner
from generated import TEXTS, printed_row

from htrjand.benchmarks.studies.adaptation import divide, main
from htrjand.train.checkpoint import load_card, save_card
from htrjand.train.data.lines import read_lines, write_lines


def test_pages_are_not_cut_in_two() -> None:
    rows = [replace(printed_row("ab", f"{page}-{i}"), page=f"p{page}") for page in range(5) for i in range(4)]
    pool, test = divide(rows)
    assert {row.page for row in test} == {"p3", "p4"}
    assert len(pool) == 12 and not {row.page for row in pool} & {row.page for row in test}


def test_hands_are_left_out(tmp_path: Path) -> None:
    rows = [replace(printed_row("ab", f"{doc}-{i}"), doc=doc) for doc in ("one", "two") for i in range(3)]
    (tmp_path / "lines").mkdir()
    write_lines(tmp_path / "lines" / "printed.parquet", rows)
    write_lines(tmp_path / "lines" / "single.parquet", [replace(row, dataset="single") for row in rows])
    command = ["leave-out", "printed:two", "single", "-i", str(tmp_path / "lines"), "-o", str(tmp_path / "rest")]
    done = CliRunner().invoke(main, command)
    assert done.exit_code == 0 and "printed.parquet: 3 of 6 lines left out" in done.output, done.output
    assert [path.name for path in (tmp_path / "rest").iterdir()] == ["printed.parquet"]
    assert {row.doc for row in read_lines(tmp_path / "rest")} == {"one"}


def test_a_table_of_before_and_after(tiny_run: Path, tmp_path: Path) -> None:
    quick = tmp_path / "quick.yaml"
    quick.write_text("total_lines: 20\nval_every: 5\ndata: {hold_out: 0.25, too_narrow: skip}\nbf16: false\n")
    rows = [replace(printed_row(text, str(i), dataset="other"), page=f"p{i % 4}") for i, text in enumerate(TEXTS)]
    write_lines(tmp_path / "lines.parquet", [*rows, replace(printed_row("abc", "x"), doc="small")])
    command = ["measure", "-i", str(tmp_path / "lines.parquet"), "-o", str(tmp_path / "out"), "--count", "4",
               "--recipe", str(quick), "--others", str(tiny_run / "lines.parquet")]  # fmt: skip
    weights = tmp_path / "weights.safetensors"
    shutil.copy(tiny_run / "run" / "weights.safetensors", weights)
    card = load_card(tiny_run / "run" / "weights.safetensors")
    save_card(weights, replace(card, languages=("en",), training_data=("other",)))
    refused = CliRunner().invoke(main, [*command, "--from", str(weights)])
    assert "was trained on lines of this dataset; take a document of val or test" in str(refused.exception)
    write_lines(tmp_path / "lines.parquet", [replace(row, split="test") for row in rows])
    done = CliRunner().invoke(main, [*command, "--from", str(weights)])
    assert done.exit_code == 0, done.output
    result = json.loads((tmp_path / "out" / "adaptation.json").read_text())
    assert result["hand"] == "lines: doc" and result["test_lines"] == 4
    assert [row["lines"] for row in result["rows"]] == [0, 4]
    before = result["rows"][0]["cer"]
    assert list(before) == ["hand greedily", "hand with the n-gram", "lines greedily", "lines with the n-gram"]
    assert before["hand greedily"] == before["lines greedily"] == 0, "the tiny network knows these lines by heart"
    assert result["rows"][1]["lines_seen"] >= 20
    assert "| 4 |" in done.output
