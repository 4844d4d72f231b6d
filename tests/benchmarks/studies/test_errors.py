"""Where errors come from, on lines that a tiny network was trained on and on others."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from click.testing import CliRunner
from generated import TEXTS, printed_row

from htrjand.benchmarks.studies.errors import as_written, main
from htrjand.train.data.lines import write_lines


def test_learnt_lines_beside_others_and_the_worst_of_them(tiny_run: Path, tmp_path: Path) -> None:
    learnt = [printed_row(text, str(i)) for i, text in enumerate(TEXTS)]
    others = [replace(row, split="val", id=f"v{row.id}") for row in learnt]
    others[2] = replace(others[2], text="<wrong>")  # not what the image shows: left out
    others[3] = replace(others[3], text="quite & other")
    write_lines(tmp_path / "printed.parquet", [*learnt, *others])
    weights, lines = str(tiny_run / "run" / "weights.safetensors"), str(tmp_path / "printed.parquet")
    done = CliRunner().invoke(main, ["gap", weights, "-i", lines])
    assert done.exit_code == 0, done.output
    cells = [cell.strip() for cell in done.output.splitlines()[-1].split("|")[1:-1]]
    assert cells[:3] == ["printed", f"{len(TEXTS)}, {len(TEXTS) - 1}", "0.0"] and float(cells[3]) > 5
    done = CliRunner().invoke(main, ["worst", weights, "-i", lines, "--count", "2", "-o", str(tmp_path / "out")])
    assert done.exit_code == 0, done.output
    assert f"2 of {len(TEXTS) - 1} lines, 100 % of the errors" in done.output
    page = (tmp_path / "out" / "printed-val.html").read_text("utf-8")
    assert page.index("quite &amp; other") < page.index("<i>") and page.count("<img") == 2


def test_marks_are_taken_off_and_lines_that_say_otherwise_left_out() -> None:
    row = printed_row("ab", "x")
    rows = [replace(row, text=text) for text in ("M^r", "a >b< c", "ab")]
    assert [one.text for one in as_written(rows)] == ["Mr", "ab"]
