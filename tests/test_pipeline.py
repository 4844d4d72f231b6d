"""`htrjand run`: the quick recipe, from generated lines to proven, measured files in every format; where it stops."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from generated import TEXTS, printed_row

from htrjand.cli import main
from htrjand.export.proof import proof_path
from htrjand.runtime import Recognizer
from htrjand.train.data.lines import read_lines, write_lines

ROOT = Path(__file__).resolve().parents[1]
SPLITS = ("train", "val", "test")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The quick recipe beside printed lines that its network can learn."""
    folder = tmp_path_factory.mktemp("pipeline")
    shutil.copy(ROOT / "train" / "recipes" / "quick.yaml", folder)
    rows = [printed_row(text, f"{split}-{i}", split) for split in SPLITS for i, text in enumerate(TEXTS)]
    write_lines(folder / "lines.parquet", rows)
    return folder


def run(recipe: Path, out: Path) -> Result:
    return CliRunner().invoke(main, ["run", str(recipe), "-o", str(out), "--device", "cpu", "--workers", "0"])


@pytest.fixture(scope="module")
def done(folder: Path) -> Result:
    return run(folder / "quick.yaml", folder / "out")


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_recipe_becomes_proven_files_that_read(folder: Path, done: Result) -> None:
    assert done.exit_code == 0, done.output
    files = [Path(line) for line in done.stdout.splitlines()]
    assert [path.name for path in files] == [
        f"quick-{name}"
        for name in (
            "fp32.onnx", "fp16.onnx", "int8.onnx", "fp32.ort", "int8.ort", "fp32.tflite", "fp16.tflite", "int8.tflite",
            "fp32.xml", "fp16.xml", "int8.xml",
        )
    ]  # fmt: skip
    rows = list(read_lines(folder / "lines.parquet", "test"))
    for path in files:
        reader, proof = Recognizer(path, 1), json.loads(proof_path(path).read_text())
        assert reader.info.precision == path.stem.rpartition("-")[2]
        assert [line.text for line in reader.read_lines([row.image for row in rows])] == list(TEXTS), path
        assert (proof["split"], proof["texts equal"], proof["reference"]["file"]) == ("test", 8, "weights.safetensors")
    bench = json.loads((folder / "out" / "bench.json").read_text())
    assert [row["name"] for row in bench["engines"]] == [path.name for path in files]
    assert all(row["accuracy"]["all"]["cer"] == 0 and row["latency"] for row in bench["engines"])
    report = (folder / "out" / "report.md").read_text()
    assert all(f"- {stage}: " in report for stage in ("teacher", "student", "prune", *(path.name for path in files)))


@pytest.mark.slow
def test_what_is_done_is_not_done_again(folder: Path, done: Result) -> None:
    out = folder / "out"
    before = {path: path.stat().st_mtime_ns for path in out.glob("quick-*")}
    again = run(folder / "quick.yaml", out)
    assert again.exit_code == 0 and again.stdout == done.stdout
    assert again.stderr.count("done already") >= 18 and " …" not in again.stderr
    assert {path: path.stat().st_mtime_ns for path in out.glob("quick-*")} == before


@pytest.mark.slow
def test_a_file_that_was_changed_is_made_anew_and_what_hangs_on_it(folder: Path, done: Result) -> None:
    out = folder / "out"
    (out / "quick-int8.ort").write_bytes(b"gone")
    again = run(folder / "quick.yaml", out)
    assert again.exit_code == 0 and "…" not in again.stderr, "its copy in stages/ is whole, and is published again"
    assert Recognizer(out / "quick-int8.ort").info.precision == "int8"
    (made,) = (out / "stages").glob("quick-int8.ort-*/quick-int8.ort")
    made.write_bytes(b"gone")
    again = run(folder / "quick.yaml", out)
    assert again.exit_code == 0, again.output
    made = [line.removesuffix(" …") for line in again.stderr.splitlines() if line.endswith("…")]
    assert made[0] == "quick-int8.ort" and set(made[1:]) <= {"bench"}, "no two .ort files need be the same"
    assert Recognizer(out / "quick-int8.ort").info.precision == "int8"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("before", "after", "says"),
    [
        (
            "max_cer_increase: 5\nprune",
            "max_cer_increase: -1\nprune",
            r"student: .* the budget of -1 is broken by 1.00",
        ),
        (
            "name: quick",
            "name: quick\nexport: {max_bytes: 1000}",
            r"bytes, [\d,]+ more than its budget of 1,000; prune",
        ),
        ("split: test", "split: test\n  datasets: [nobody]", "no test line to hold the run to"),
        ("ratio: 0.25", "ratio: 0.25\n  share: 1", "unknown key share"),
        (
            "name: quick",
            "name: quick\nexport: {formats: [caffe]}",
            "formats: some of onnx, ort, tflite, xml; got caffe",
        ),
    ],
)
def test_where_it_stops(folder: Path, done: Result, tmp_path: Path, before: str, after: str, says: str) -> None:
    text = (folder / "quick.yaml").read_text()
    assert before in text
    recipe = folder / f"{abs(hash(after))}.yaml"
    recipe.write_text(text.replace(before, after, 1))
    shutil.copytree(folder / "out", tmp_path / "out")
    stopped = run(recipe, tmp_path / "out")
    assert stopped.exit_code in (1, 2)
    last = stopped.stderr.splitlines()[-1]
    assert last.startswith("htrjand: ") and re.search(says, last), last
