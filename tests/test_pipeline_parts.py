"""`htrjand run`, a part at a time, with the tiny network for teacher and student: keys, lines, budgets, processes."""

from __future__ import annotations

import io
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from generated import CPU, TEXTS, TINY, printed_row
from hurting import widen
from PIL import Image

from htrjand.compress.qat import QatRecipe
from htrjand.export.proof import BudgetError, proof_path
from htrjand.pipeline import Pipeline
from htrjand.pipeline_lines import RunLines
from htrjand.pipeline_recipe import (
    BenchStage,
    ExportStage,
    PipelineRecipe,
    ProveStage,
    QuantizeStage,
    StudentStage,
    TeacherStage,
)
from htrjand.runtime import Recognizer
from htrjand.runtime.errors import HtrjandError, UsageError
from htrjand.train.checkpoint import load_network, save_network, weights_of
from htrjand.train.data.lines import LineRow, read_lines, write_lines
from htrjand.train.recipe import DataRecipe, TrainRecipe
from htrjand.train.recipe_loader import load_recipe

ROOT = Path(__file__).resolve().parents[1]
SPLITS = ("train", "val", "test")


@pytest.fixture(scope="module")
def tiny(tiny_run: Path) -> PipelineRecipe:
    weights = str(tiny_run / "run" / "weights.safetensors")
    return PipelineRecipe(
        name="tiny",
        data=DataRecipe(files=(str(tiny_run / "lines.parquet"),)),
        teacher=TeacherStage(weights=weights),
        student=StudentStage(weights=weights),
        quantize=QuantizeStage(calibrate=8, max_cer_increase=5),
        export=ExportStage(("onnx",), ("fp32", "int8")),
        bench=None,
    )


def run_into(folder: Path, recipe: PipelineRecipe) -> list[str]:
    """Runs a recipe into `out` of a folder; returns what it logs."""
    said: list[str] = []
    Pipeline(recipe, folder / "recipe.yaml", folder / "out", CPU, said.append).run()
    return said


@pytest.fixture
def run_tiny(tmp_path: Path) -> Callable[[PipelineRecipe], list[str]]:
    """The same, into a folder of the test."""
    return partial(run_into, tmp_path)


@pytest.fixture(scope="module")
def tiny_out(tiny: PipelineRecipe, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run of the tiny recipe; a copy of it goes on where this one stands."""
    folder = tmp_path_factory.mktemp("done")
    assert made(run_into(folder, tiny)) == ["cer-teacher", "cer-student", "tiny-fp32.onnx", "tiny-int8.onnx"]
    return folder / "out"


def made(said: list[str]) -> list[str]:
    return [line.removesuffix(" …") for line in said if line.endswith(" …")]


def proof_of(folder: Path, name: str) -> dict[str, Any]:
    values: dict[str, Any] = json.loads(proof_path(folder / "out" / name).read_text(encoding="utf-8"))
    return values


@pytest.fixture(scope="module")
def hurt(tiny_run: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    """Weights that read as the tiny network does, and of which eight bits make nonsense."""
    network, card = load_network(tiny_run / "run" / "weights.safetensors")
    for block in (1, 2):
        widen(network, block, 300)
    path = tmp_path_factory.mktemp("hurt") / "hurt.safetensors"
    save_network(path, weights_of(network), card)
    return str(path)


def white(row: LineRow) -> LineRow:
    """A line of nothing but paper: calibrated on such lines, a file reads nonsense."""
    stream = io.BytesIO()
    Image.new("L", (256, 64), 255).save(stream, "PNG")
    return replace(row, image=stream.getvalue(), width=256)


@contextmanager
def first_draw_is_white(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The first draw of calibration lines shows nothing; the others are as ever."""
    draw = RunLines.calibration
    with monkeypatch.context() as patch:
        patch.setattr(
            RunLines, "calibration", lambda self, n: draw(self, n) if n else [white(row) for row in draw(self, n)]
        )
        yield


@pytest.mark.parametrize(
    ("recipe", "says"),
    [
        ("teacher: {train: {data: {files: [x.parquet]}}}", "teacher.train.data: a run takes this from data"),
        ("student: {distill: {teacher: other.safetensors}}", "student.distill.teacher: a run takes this from teacher"),
        ("quantize: {qat: {keep: [head]}}", "quantize.qat.keep: a run takes this from quantize.keep"),
        ("export: {formats: [onnx], widths: [640]}", "widths: no file of onnx is made for one width"),
        ("export: {widths: [100]}", "widths: multiples of 16, at most 4096; got 100"),
        ("export: {formats: [ort], precisions: [fp16]}", "precisions: ort files have no fp16"),
        ("bench: {split: valid}", "bench: split: one of train, val, test, not 'valid'"),
        ("bench: {limit: 0}", "limit: 1 or more"),
        ("name: a/b", "name: the beginning of file names"),
    ],
)
def test_recipes_that_cannot_be_run_are_refused_before_anything_is_trained(
    tmp_path: Path, recipe: str, says: str
) -> None:
    (tmp_path / "recipe.yaml").write_text(recipe, encoding="utf-8")
    with pytest.raises(UsageError, match=re.escape(says)):
        load_recipe(PipelineRecipe, tmp_path / "recipe.yaml")


def test_a_training_on_more_lines_is_another(tiny: PipelineRecipe, tmp_path: Path) -> None:
    (tmp_path / "tiny.yaml").write_text(TINY, encoding="utf-8")
    train = replace(load_recipe(TrainRecipe, tmp_path / "tiny.yaml"), val_every=10, data=DataRecipe())
    tuning = QatRecipe(augment=train.augment, batch_columns=2048, val_every=10, warm_up=5)

    def weights(lines: int) -> tuple[Path, Path]:
        recipe = replace(
            tiny,
            teacher=TeacherStage(train=replace(train, total_lines=lines), max_cer=1000),
            quantize=QuantizeStage(qat=replace(tuning, total_lines=lines), max_cer_increase=1000),
        )
        pipeline = Pipeline(recipe, tmp_path / "recipe.yaml", tmp_path / "out", CPU, lambda _: None)
        teacher = pipeline.teacher()
        return teacher, pipeline.tuned(teacher, ())

    few, more = weights(20), weights(40)
    assert [load_network(path)[1].lines_seen >= 40 for path in (*few, *more)] == [False, False, True, True]
    assert weights(20) == few


@pytest.mark.slow
def test_a_data_set_that_is_left_out_is_in_no_result(
    tiny: PipelineRecipe, tiny_run: Path, tmp_path: Path, run_tiny: Callable[[PipelineRecipe], list[str]]
) -> None:
    rows = list(read_lines(tiny_run / "lines.parquet"))
    write_lines(tmp_path / "lines.parquet", [*rows, *(replace(row, dataset="other") for row in rows)])
    bench = BenchStage(split="val", queries=1, seconds=0.01)
    tiny = replace(tiny, data=DataRecipe(files=("lines.parquet",)), bench=bench)
    first = run_tiny(tiny)
    assert proof_of(tmp_path, "tiny-int8.onnx")["cer"].keys() == {"printed", "other", "all"}
    again = run_tiny(replace(tiny, data=replace(tiny.data, exclude=("other",))))
    assert made(again) == made(first) == ["cer-teacher", "cer-student", "tiny-fp32.onnx", "tiny-int8.onnx", "bench"]
    assert proof_of(tmp_path, "tiny-int8.onnx")["cer"].keys() == {"printed", "all"}
    measured = json.loads((tmp_path / "out" / "bench.json").read_text())
    assert [(entry["dataset"], entry["items"]) for entry in measured["data"]] == [("printed", 8)]


def test_calibration_takes_the_lines_that_training_takes(tiny: PipelineRecipe, tmp_path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    from htrjand.train.data.lines import to_table

    rows = [printed_row(text, f"{split}-{i}", split) for split in SPLITS for i, text in enumerate(TEXTS)]
    table = to_table(rows).append_column("core", pa.array([i % 2 == 0 for i in range(len(rows))]))
    pq.write_table(table, tmp_path / "lines.parquet")

    def lines(**changes: Any) -> RunLines:
        recipe = replace(tiny, data=DataRecipe(files=("lines.parquet",), **changes))
        return RunLines(recipe, tmp_path / "recipe.yaml")

    everything, core, few = lines(), lines(core=True), lines(limit=3)
    assert [len(list(some.training())) for some in (everything, core, few)] == [8, 4, 3]
    assert [len(some.calibration(0)) for some in (everything, core, few)] == [8, 4, 3]
    assert len(lines(core=True, whole=("printed",)).calibration(0)) == 8
    digests = [some.calibration_digest(0) for some in (everything, core, few)]
    assert len({digest["calibration"] for digest in digests}) == 3
    assert len({digest["proof"] for digest in digests}) == 1, "prove.core says which lines those are"
    assert len({some.training_digest["training"] for some in (everything, core, few)}) == 3


def test_no_line_is_proven_or_measured_twice(tiny: PipelineRecipe, tmp_path: Path) -> None:
    rows = [printed_row(text, f"{split}-{i}", split) for split in SPLITS for i, text in enumerate(TEXTS)]
    write_lines(tmp_path / "all.parquet", rows)
    write_lines(tmp_path / "some.parquet", [row for row in rows if row.split != "train"][2:])

    def lines(val_files: tuple[str, ...]) -> RunLines:
        recipe = replace(tiny, data=DataRecipe(files=("all.parquet",), val_files=val_files), bench=BenchStage())
        return RunLines(recipe, tmp_path / "recipe.yaml")

    for val_files, proven in ((), 8), (("all.parquet",), 8), (("some.parquet",), 6):
        assert len(lines(val_files).proof) == proven, "what val_files leave out is in no proof"
        assert len(lines(val_files).bench) == 8
    alone = lines(("some.parquet",))
    alone.recipe = replace(alone.recipe, prove=ProveStage("test"))
    assert len(alone.proof) == 8


def test_the_bench_takes_so_many_lines_of_each_data_set(tiny: PipelineRecipe, tmp_path: Path) -> None:
    rows = [printed_row(text, str(i), "test", name) for name in "ab" for i, text in enumerate(TEXTS)]
    write_lines(tmp_path / "lines.parquet", rows)
    recipe = replace(tiny, data=DataRecipe(files=("lines.parquet",)), bench=BenchStage(limit=3))
    chosen = RunLines(recipe, tmp_path / "recipe.yaml").bench
    assert [row.dataset for row in chosen] == ["a"] * 3 + ["b"] * 3


def test_a_budget_judges_what_stands(
    tiny: PipelineRecipe, tiny_out: Path, tmp_path: Path, run_tiny: Callable[[PipelineRecipe], list[str]]
) -> None:
    shutil.copytree(tiny_out, tmp_path / "out")
    before = {path.name: path.read_bytes() for path in (tmp_path / "out").glob("tiny-*")}
    assert made(run_tiny(replace(tiny, quantize=replace(tiny.quantize, max_cer_increase=6)))) == []
    assert proof_of(tmp_path, "tiny-int8.onnx")["budget"] == 6
    run_tiny(tiny)
    with pytest.raises(BudgetError, match=r"tiny-fp32\.onnx: 0\.00 % CER on all lines .* the budget is -1"):
        run_tiny(replace(tiny, quantize=replace(tiny.quantize, max_cer_increase=-1)))
    with pytest.raises(HtrjandError, match=r"tiny-int8\.onnx: .* more than its budget of 1,000"):
        run_tiny(replace(tiny, export=replace(tiny.export, max_bytes=1000)))
    assert {path.name: path.read_bytes() for path in (tmp_path / "out").glob("tiny-*")} == before


def test_a_proof_says_which_draw_made_a_file_and_what_was_chosen_on_its_lines(
    tiny: PipelineRecipe, tiny_out: Path, tmp_path: Path, run_tiny: Callable[[PipelineRecipe], list[str]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    shutil.copytree(tiny_out, tmp_path / "out")
    tiny = replace(tiny, quantize=QuantizeStage(calibrate=8, draws=3, max_cer_increase=5))
    with first_draw_is_white(monkeypatch):
        said = run_tiny(tiny)
        assert [line for line in said if line.endswith("Calibrating on other lines")]
        proof = proof_of(tmp_path, "tiny-int8.onnx")
        assert (proof["calibration draw"], proof["chosen on these lines"]) == (2, ["calibration draw"])
        assert proof_of(tmp_path, "tiny-fp32.onnx")["chosen on these lines"] == []
        again = run_tiny(replace(tiny, quantize=replace(tiny.quantize, max_cer_increase=1000)))
    assert made(again) == [], "the first draw stands, and is within this budget"
    proof = proof_of(tmp_path, "tiny-int8.onnx")
    assert (proof["calibration draw"], proof["chosen on these lines"], proof["budget"]) == (1, [], 1000)


def test_a_broken_run_leaves_what_is_released(
    tiny: PipelineRecipe, tiny_out: Path, hurt: str, tmp_path: Path, run_tiny: Callable[[PipelineRecipe], list[str]]
) -> None:
    shutil.copytree(tiny_out, tmp_path / "out")
    before = {path.name: path.read_bytes() for path in (tmp_path / "out").glob("tiny-*")}
    files = ("tiny-fp32.onnx", "tiny-int8.onnx")
    assert before.keys() == {*files, *(f"{file}.proof.json" for file in files)}
    with pytest.raises(BudgetError, match=r"tiny-int8\.onnx: .* where hurt\.safetensors has"):
        run_tiny(replace(tiny, student=StudentStage(weights=hurt)))
    assert {path.name: path.read_bytes() for path in (tmp_path / "out").glob("tiny-*")} == before


@pytest.mark.slow
def test_a_float_file_is_no_reason_to_fine_tune_for_eight_bits(
    tiny: PipelineRecipe, tmp_path: Path, run_tiny: Callable[[PipelineRecipe], list[str]]
) -> None:
    quantize = QuantizeStage(calibrate=8, max_cer_increase=-1, qat=QatRecipe(total_lines=20))
    tiny = replace(tiny, quantize=quantize, export=ExportStage(("onnx",), ("fp16",)))
    with pytest.raises(BudgetError, match=r"tiny-fp16\.onnx"):
        run_tiny(tiny)
    assert not list((tmp_path / "out" / "stages").glob("qat-*"))


@pytest.mark.slow
def test_what_a_file_is_made_from_need_not_be_asked_for(
    tiny: PipelineRecipe, tmp_path: Path, run_tiny: Callable[[PipelineRecipe], list[str]]
) -> None:
    said = run_tiny(replace(tiny, export=ExportStage(("ort",), ("int8",))))
    assert made(said)[2:] == ["tiny-fp32.onnx", "tiny-int8.onnx", "tiny-int8.ort"]
    released = {path.name for path in (tmp_path / "out").glob("tiny-*")}
    assert released == {"tiny-int8.ort", "tiny-int8.ort.proof.json"}
    assert Recognizer(tmp_path / "out" / "tiny-int8.ort").info.precision == "int8"


@pytest.mark.slow
def test_accuracy_control_and_an_openvino_file_published_with_its_weights(
    tiny: PipelineRecipe, tmp_path: Path, run_tiny: Callable[[PipelineRecipe], list[str]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    with first_draw_is_white(monkeypatch):
        run_tiny(replace(tiny, export=ExportStage(("xml",), ("int8",))))
    names = {"tiny-int8.xml", "tiny-int8.bin", "tiny-int8.xml.proof.json"}
    assert {path.name for path in (tmp_path / "out").glob("tiny-*")} == names
    assert Recognizer(tmp_path / "out" / "tiny-int8.xml").info.precision == "int8"
    assert proof_of(tmp_path, "tiny-int8.xml")["chosen on these lines"] == ["accuracy control"]
    records = (tmp_path / "out" / "stages").glob("tiny-int8.xml-*/done.json")
    budgets = [json.loads(record.read_text())["recipe"].get("accuracy control") for record in records]
    assert sorted(budgets, key=str) == [5, None], "the budget is in the key of what it decided, and of nothing else"


@pytest.mark.slow
def test_fine_tuning_follows_where_eight_bits_break_the_budget(
    tiny: PipelineRecipe, hurt: str, tmp_path: Path, run_tiny: Callable[[PipelineRecipe], list[str]]
) -> None:
    (tmp_path / "tiny.yaml").write_text(TINY, encoding="utf-8")
    train = load_recipe(TrainRecipe, tmp_path / "tiny.yaml")
    tuning = QatRecipe(
        augment=train.augment, total_lines=1200, batch_columns=2048, peak_rate=2e-3, warm_up=2, val_every=5, ema=0.8
    )
    quantize = replace(tiny.quantize, qat=replace(tuning, teacher=hurt), max_cer_increase=25)
    said = run_tiny(replace(tiny, student=StudentStage(weights=hurt), quantize=quantize))
    files = ["tiny-fp32.onnx", "tiny-int8.onnx"]
    assert made(said)[2:] == [*files, "qat", "cer-qat", *files]
    proofs = [proof_of(tmp_path, name) for name in files]
    assert {proof["reference"]["file"] for proof in proofs} == {"weights.safetensors"}, "all are of the tuned weights"
    assert [proof["chosen on these lines"] for proof in proofs] == [[], ["fine-tuning"]]


TWO = """
import sys
from dataclasses import replace
from pathlib import Path
from htrjand.cli import main
from htrjand.pipeline import Pipeline
from htrjand.pipeline_recipe import PipelineRecipe
from htrjand.train.fit import Machine
from htrjand.train.recipe_loader import load_recipe

path = Path(sys.argv[1])
recipe = load_recipe(PipelineRecipe, path)
recipe = replace(recipe, teacher=replace(recipe.teacher, max_cer=float(sys.argv[2])))
machine = Machine("cpu", 2, progress=False)
pipeline = Pipeline(recipe, path, path.parent / "out", machine, lambda text: print(text, file=sys.stderr))
files = pipeline.run()
print(len(files), "files")
if files:
    print(pipeline.tuned(list(pipeline.cers)[-1], ()).name, "tuned")
"""


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_of_two_processes_one_proves_and_writes(tiny_run: Path, tmp_path: Path) -> None:
    shutil.copy(tiny_run / "lines.parquet", tmp_path)
    none = "{scale: 0, slant: 0, height: 0, shift: 0, wave: 0, elastic: 0, thickness: 0, blur: 0, contrast: 0}"
    train = (
        f"{{network: {{channels: [12, 16, 16, 24], dim: 32, heads: 2, feed: 64, blocks: 1}}, augment: {none}, "
        "total_lines: 64, batch_columns: 2048, val_every: 10, warm_up: 5, bf16: false}"
    )
    (tmp_path / "recipe.yaml").write_text(
        f"name: two\ndata: {{files: [lines.parquet]}}\nteacher: {{train: {train}}}\n"
        f"student:\n  max_cer_increase: 1000\n  distill: {{control: false, train: {train}}}\n"
        f"prune:\n  ratio: 0.2\n  max_cer_increase: 1000\n"
        f"  distill: {{control: false, inherit: false, train: {train}}}\n"
        f"quantize: {{max_cer_increase: 1000, qat: {{total_lines: 20, batch_columns: 2048, augment: {none}}}}}\n"
        "export: {formats: [onnx], precisions: [fp32]}\nbench: null\n"
    )
    (tmp_path / "two.py").write_text(TWO)
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT / ".paths")}

    def run(max_cer: int) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, str(tmp_path / "two.py"), str(tmp_path / "recipe.yaml"), str(max_cer)]
        return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=180)

    stopped = run(-1)
    assert stopped.returncode == 1 and "the budget of -1 is broken" in stopped.stderr.splitlines()[-1], stopped.stderr
    assert stopped.stderr.count("Traceback") == 1 and stopped.stdout == "0 files\n", "the other ends without a word"

    done = run(1000)
    assert done.returncode == 0, done.stderr
    assert sorted(done.stdout.splitlines()) == ["0 files", "1 files", "weights.safetensors tuned"]
    said = done.stderr.splitlines()
    assert [line for line in said if "done already" in line] == ["teacher: done already", "cer-teacher: done already"]
    assert made(said) == ["student", "cer-student", "prune", "cer-prune", "two-fp32.onnx", "qat", "cer-qat"]
    assert [path.name for path in (tmp_path / "out").glob("two-*.onnx")] == ["two-fp32.onnx"]
