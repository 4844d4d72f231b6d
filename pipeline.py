"""`htrjand run`: a recipe, from lines to proven files and their figures; what is done is not done again.

teacher → student (distilled) → prune (distilled again) → quantise → export and prove → bench. Each stage is a command
of its own too; this chains them, stops where a budget breaks, and remembers what each was made from.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import click
import numpy as np
import numpy.typing as npt

from .benchmarks.machine import usable_cores
from .benchmarks.report import markdown
from .benchmarks.run import Settings
from .benchmarks.run import run as run_bench
from .compress.distill import DistillRecipe, distil
from .compress.prune import PruneRecipe, prune
from .compress.qat import QatRecipe, qat
from .compress.quantize import QuantizeRecipe, quantize_proven
from .export.cli import told
from .export.files import convert_file, export_files
from .export.proof import BUDGET, BudgetError, Reference, proof_path
from .ledger import Ledger
from .runtime.errors import HtrjandError, UsageError
from .runtime.files import atomic_path
from .runtime.formats import FORMATS, PRECISIONS, parts_of
from .train.cli import log, run_options
from .train.data.lines import LineRow, parquet_files, read_lines, spread
from .train.fit import Machine, Outcome, train
from .train.recipe import DataRecipe, TrainRecipe, find_data
from .train.recipe_loader import at_least_one, load_recipe


@dataclass(frozen=True)
class TeacherStage:
    """A teacher: to be trained, or weights that are there."""

    weights: str | None = None  # relative to the recipe; then nothing is trained
    train: TrainRecipe = field(default_factory=TrainRecipe)
    max_cer: float = 100.0  # percent; a worse teacher stops the run


@dataclass(frozen=True)
class StudentStage:
    """A student: to be distilled, or weights that are there."""

    weights: str | None = None
    distill: DistillRecipe = field(default_factory=DistillRecipe)
    max_cer_increase: float = 2.0  # points over the teacher


@dataclass(frozen=True)
class PruneStage:
    """What goes from the student, and how the rest learns again; nothing at a ratio of 0."""

    ratio: float = 0.0
    steps: int = 1
    distill: DistillRecipe = field(default_factory=lambda: DistillRecipe(inherit=False, control=False))
    max_cer_increase: float = 1.0  # points over the student


@dataclass(frozen=True)
class QuantizeStage:
    """How eight bits come about: as said here, or as a search finds; by fine-tuning where a budget would break."""

    calibrate: int = QuantizeRecipe.calibrate
    draws: int = 1  # other lines to calibrate on, where a file breaks its budget, before anything else is tried
    keep: tuple[str, ...] = QuantizeRecipe.keep
    search: bool = False  # let the search choose `keep`, or that fine-tuning is needed
    qat: QatRecipe | None = None  # None: a broken budget stops the run
    max_cer_increase: float = BUDGET  # points over torch, on each dataset, of every file

    def __post_init__(self) -> None:
        at_least_one(self, "calibrate", "draws")


@dataclass(frozen=True)
class ExportStage:
    """Which files."""

    formats: tuple[str, ...] = tuple(form.name for form in FORMATS.values())
    precisions: tuple[str, ...] = PRECISIONS
    widths: tuple[int, ...] = ()  # .tflite files of one width beside the one of any
    max_bytes: int = 1_000_000  # of an int8 file; an .ort, a tenth larger than its .onnx, is not held to it

    def __post_init__(self) -> None:
        for name, given, known in (
            ("formats", self.formats, [form.name for form in FORMATS.values()]),
            ("precisions", self.precisions, PRECISIONS),
        ):
            if not given or set(given) - set(known):
                raise ValueError(f"{name}: some of {', '.join(known)}; got {', '.join(given) or 'none'}")


@dataclass(frozen=True)
class ProveStage:
    """The lines that budgets and files are held to, of the run's own."""

    split: str = "val"
    datasets: tuple[str, ...] = ()  # none: all
    core: bool = False


@dataclass(frozen=True)
class BenchStage:
    """What is measured at the end; none of it decides anything."""

    split: str = "test"
    datasets: tuple[str, ...] = ()
    limit: int | None = None  # lines a dataset
    queries: int = 100
    seconds: float = 10.0
    threads: tuple[int, ...] = (1,)


@dataclass(frozen=True)
class PipelineRecipe:
    """All of a run. `data` holds for every stage that trains."""

    name: str = "student"  # begins the names of the files
    data: DataRecipe = field(default_factory=DataRecipe)
    teacher: TeacherStage = field(default_factory=TeacherStage)
    student: StudentStage = field(default_factory=StudentStage)
    prune: PruneStage = field(default_factory=PruneStage)
    quantize: QuantizeStage = field(default_factory=QuantizeStage)
    export: ExportStage = field(default_factory=ExportStage)
    prove: ProveStage = field(default_factory=ProveStage)
    bench: BenchStage | None = field(default_factory=BenchStage)


class Pipeline:
    """One run of a recipe, in a folder that remembers what is done.

    Args:
        recipe: what to do.
        path: of the recipe; its relative paths begin there.
        out: the folder.
        machine: what training may use.
        say: is told how far it is.

    Raises:
        HtrjandError: there is no line to hold the run to.
    """

    def __init__(self, recipe: PipelineRecipe, path: Path, out: Path, machine: Machine, say: Callable[[str], None]):
        self.recipe, self.path, self.out, self.machine, self.say = recipe, path, out, machine, say
        self.ledger = Ledger(out, say)
        self.lines = parquet_files(find_data((*recipe.data.files, *recipe.data.val_files), path))
        self.proof_rows = list(self.rows(recipe.prove.split, recipe.prove.core, recipe.prove.datasets))
        if not self.proof_rows:
            raise HtrjandError(f"{path}: no {recipe.prove.split} line to hold the run to; check data and prove")
        self.told: list[str] = []  # what the report says of the stages

    def run(self) -> list[Path]:
        """All stages; stops with an error at the first whose budget does not hold. Returns the files."""
        teacher = self.teacher()
        student = self.student(teacher)
        weights = self.pruned(student, teacher)
        keep, tune = self.choose(weights)
        if tune:
            weights = self.tuned(weights, keep)
        try:
            files = self.files(weights, keep)
        except BudgetError as error:
            if tune or self.recipe.quantize.qat is None:
                raise
            self.say(f"{error}. Fine-tuning the weights to bear eight bits")
            files = self.files(self.tuned(weights, keep), keep)
        self.report(files)
        return files

    def teacher(self) -> Path:
        """Weights of the teacher."""
        stage = self.recipe.teacher
        recipe = replace(stage.train, data=self.recipe.data)
        begun = [self.path.resolve().parent / recipe.begin] if recipe.begin else []
        weights = self.weights(
            "teacher", stage.weights, stage.train, begun, lambda out: train(recipe, self.path, out, **self.how)
        )
        self.hold("teacher", weights, None, stage.max_cer, "train on more lines (train.total_lines)")
        return weights

    def student(self, teacher: Path) -> Path:
        """Weights of the student, within its budget over the teacher."""
        stage = self.recipe.student
        recipe = self.taught(stage.distill, teacher)
        weights = self.weights(
            "student", stage.weights, stage.distill, [teacher],
            lambda out: distil(recipe, self.path, out, **self.how)["student"],
        )  # fmt: skip
        self.hold(
            "student", weights, teacher, stage.max_cer_increase, "distil on more lines (distill.train.total_lines)"
        )
        return weights

    def pruned(self, student: Path, teacher: Path) -> Path:
        """Weights of the pruned student, within its budget; the student's own where nothing goes."""
        stage = self.recipe.prune
        if not stage.ratio:
            return student
        recipe = PruneRecipe(str(student), stage.ratio, stage.steps, self.taught(stage.distill, teacher))
        weights = self.weights(
            "prune",
            None,
            replace(stage, max_cer_increase=0),
            [student, teacher],
            lambda out: prune(recipe, self.path, out, **self.how),
        )
        remedy = "prune less (ratio) or distil on more lines (distill.train.total_lines)"
        self.hold("prune", weights, student, stage.max_cer_increase, remedy)
        return weights

    def choose(self, weights: Path) -> tuple[tuple[str, ...], bool]:
        """Modules to keep in float, and whether the weights are to be fine-tuned before any file is made."""
        stage = self.recipe.quantize
        if not stage.search:
            return stage.keep, False
        from .compress.search import search  # here: it brings a library that nothing else needs

        def work(_: Path) -> tuple[dict[str, Any], list[Path]]:
            found = search(weights, self.calibration(), self.proof_rows, stage.max_cer_increase)
            return {"keep": list(found.keep), "qat": found.qat}, []

        settings = {"calibrate": stage.calibrate, "budget": stage.max_cer_increase} | asdict(self.recipe.prove)
        found = self.ledger.do("search", settings, [weights, *self.lines], work)
        self.note(f"search: in float: {', '.join(found['keep']) or 'nothing'}; fine-tuning needed: {found['qat']}")
        return tuple(found["keep"]), found["qat"] and stage.qat is not None

    def tuned(self, weights: Path, keep: tuple[str, ...]) -> Path:
        """Weights fine-tuned to bear eight bits."""
        assert self.recipe.quantize.qat is not None
        recipe = replace(self.recipe.quantize.qat, begin=str(weights), keep=keep, data=self.recipe.data)
        tuned = self.weights(
            "qat", None, replace(recipe, begin=""), [weights], lambda out: qat(recipe, self.path, out, **self.how)
        )
        self.hold(
            "qat", tuned, weights, self.recipe.quantize.max_cer_increase, "fine-tune on more lines (qat.total_lines)"
        )
        return tuned

    def files(self, weights: Path, keep: tuple[str, ...]) -> list[Path]:
        """Every file that is asked for, proven; a float file comes before what is made from it."""
        reference, wanted = Reference(weights, self.proof_rows), self.recipe.export.precisions
        files = []
        for suffix, width in self.shapes():
            if "fp32" in wanted or "int8" in wanted:
                files.append(self.float_file(reference, "fp32", suffix, width))
            if "fp16" in wanted and suffix != "ort":
                files.append(self.float_file(reference, "fp16", suffix, width))
            if "int8" in wanted:
                files.append(self.int8_file(reference, keep, suffix, width))
        return files

    def float_file(self, reference: Reference, precision: str, suffix: str, width: int | None) -> Path:
        """One float file, from the weights."""
        out, budget = self.file(precision, suffix, width), self.recipe.quantize.max_cer_increase
        weights = reference.path
        self.proven(out, [weights], lambda: export_files(weights, [out], precision, width, reference, budget)[0])
        return out

    def int8_file(self, reference: Reference, keep: tuple[str, ...], suffix: str, width: int | None) -> Path:
        """One int8 file, from the float file of its format; an `.ort` from the int8 `.onnx`."""
        out, budget = self.file("int8", suffix, width), self.recipe.quantize.max_cer_increase
        if suffix == "ort":
            model = self.file("int8", "onnx")
            self.proven(out, [model], lambda: convert_file(model, out, reference, budget))
        else:
            model, recipe = self.file("fp32", suffix, width), QuantizeRecipe(self.recipe.quantize.calibrate, keep)
            settings = asdict(recipe) | {"draws": self.recipe.quantize.draws}
            self.proven(out, parts_of(model), lambda: self.quantized(model, out, recipe, reference), settings)
        return out

    def quantized(self, model: Path, out: Path, recipe: QuantizeRecipe, reference: Reference) -> dict[str, Any]:
        """Writes an int8 file, calibrated on the first draw of lines with which it keeps its budget; its proof."""
        stage = self.recipe.quantize
        for draw in range(stage.draws):
            try:
                proof = quantize_proven(model, self.calibration(draw), out, recipe, reference, stage.max_cer_increase)
                return proof | {"calibration draw": draw}
            except BudgetError as error:
                if draw + 1 == stage.draws:
                    raise
                self.say(f"{error}. Calibrating on other lines")
        raise AssertionError("draws: 1 or more")

    def report(self, files: list[Path]) -> None:
        """Measures the files in one run, and writes what all stages came to into `report.md`."""
        stage = self.recipe.bench
        if stage is not None:
            settings = Settings(stage.threads or (1, usable_cores()), stage.queries, stage.seconds)

            def work(_: Path) -> tuple[dict[str, Any], list[Path]]:
                rows = [row for row in self.rows(stage.split, False, stage.datasets)]
                chosen = spread(rows, stage.limit) if stage.limit else rows
                return run_bench([str(path) for path in files], chosen, settings), []

            result = self.ledger.do("bench", asdict(stage), [*files, *self.lines], work)
            self.write("bench.json", json.dumps(result, indent=1, ensure_ascii=False) + "\n")
            self.told += ["", markdown([result])]
        self.write("report.md", "\n".join(self.told).rstrip() + "\n")

    # What the stages share.

    def calibration(self, draw: int = 0) -> list[npt.NDArray[np.uint8]]:
        """Training lines, uint8 [64, W], of the datasets that the files are held to; other ones at each draw."""
        rows = self.rows("train", self.recipe.data.core, self.recipe.prove.datasets)
        return [row.pixels() for row in spread(rows, self.recipe.quantize.calibrate, draw)]

    @property
    def how(self) -> dict[str, Any]:
        """How a training runs."""
        return {"machine": self.machine, "log": self.say}

    def rows(self, split: str, core: bool, datasets: Sequence[str]) -> Iterator[LineRow]:
        """Lines of the run's data."""
        for row in read_lines(self.lines, split, core=core, exclude=self.recipe.data.exclude):
            if not datasets or row.dataset in datasets:
                yield row

    def taught(self, recipe: DistillRecipe, teacher: Path) -> DistillRecipe:
        """A distillation on the run's data, by its teacher."""
        return replace(recipe, teacher=str(teacher), train=replace(recipe.train, data=self.recipe.data))

    def weights(
        self, name: str, given: str | None, part: Any, inputs: list[Path], work: Callable[[Path], Outcome]
    ) -> Path:
        """Weights that are there, or what a training makes of inputs, the run's lines, and this part of the recipe."""
        if given:
            return self.path.resolve().parent / given

        def trained(folder: Path) -> tuple[dict[str, Any], list[Path]]:
            weights = work(folder).weights
            return {"weights": os.path.relpath(weights, self.out)}, [weights, weights.with_suffix(".json")]

        found = self.ledger.do(
            name, asdict(part) | {"lines": asdict(self.recipe.data)}, [*inputs, *self.lines], trained
        )
        return (self.out / str(found["weights"])).resolve()

    def proven(
        self, out: Path, sources: list[Path], work: Callable[[], dict[str, Any]], recipe: dict[str, Any] | None = None
    ) -> None:
        """A file with its proof, and, in eight bits, within its size."""

        def made(_: Path) -> tuple[dict[str, Any], list[Path]]:
            proof = work()
            return proof, [*parts_of(out), proof_path(out)]

        settings = {"budget": self.recipe.quantize.max_cer_increase} | asdict(self.recipe.prove) | (recipe or {})
        proof = self.ledger.do(out.name, settings, [*sources, *self.lines], made)
        limit = self.recipe.export.max_bytes
        if proof["precision"] == "int8" and proof["bytes"] > limit and out.suffix != ".ort":
            raise HtrjandError(
                f"{out}: {proof['bytes']:,} bytes, {proof['bytes'] - limit:,} more than its budget of {limit:,}; prune "
                "more (prune.ratio), keep less in float (quantize.keep), or allow more (export.max_bytes)"
            )
        self.note(f"{out.name}: {proof['bytes']:,} bytes, {told(proof)}")

    def hold(self, name: str, weights: Path, before: Path | None, budget: float, remedy: str) -> None:
        """Raises an HtrjandError where weights read worse, over those before them, than a stage's budget allows."""
        cer = self.cer(weights)
        base = self.cer(before) if before else 0.0
        self.note(f"{name}: {cer:.2f} % CER on {len(self.proof_rows)} {self.recipe.prove.split} lines")
        if cer - base > budget:
            than = f", {cer - base:.2f} points more than {base:.2f} %" if before else ""
            raise HtrjandError(
                f"{self.path}: {name}: {cer:.2f} % CER{than}; the budget of {budget:g} is broken by "
                f"{cer - base - budget:.2f}: "
                f"{remedy}, or allow more ({name}.max_cer{'_increase' if before else ''}); weights: {weights}"
            )

    def cer(self, weights: Path) -> float:
        """Percent, of weights on the lines that the run is held to."""

        def work(_: Path) -> tuple[dict[str, Any], list[Path]]:
            return {"cer": Reference(weights, self.proof_rows).reading.cer()}, []

        inputs = [weights, *self.lines]
        return float(self.ledger.do(f"cer-{weights.stem}", asdict(self.recipe.prove), inputs, work)["cer"])

    def shapes(self) -> list[tuple[str, int | None]]:
        """Suffix and width of the files, in the order they are made."""
        formats = [form.name for form in FORMATS.values() if form.name in self.recipe.export.formats]
        return [(name, None) for name in formats] + [("tflite", w) for w in self.recipe.export.widths]

    def file(self, precision: str, suffix: str, width: int | None = None) -> Path:
        """Where a file is to stand."""
        return self.out / f"{self.recipe.name}-{precision}{f'-{width}' if width else ''}.{suffix}"

    def note(self, text: str) -> None:
        """Says something, and keeps it for the report."""
        self.say(text)
        self.told.append(f"- {text}")

    def write(self, name: str, text: str) -> None:
        """A text file of the run."""
        with atomic_path(self.out / name) as part:
            part.write_text(text, encoding="utf-8")


@click.command("run")
@click.argument("recipe", type=click.Path(path_type=Path))
@click.option("-i", "--input", "lines", multiple=True, type=click.Path(path_type=Path), help="In place of its lines.")
@run_options
def run(recipe: Path, lines: tuple[Path, ...], output: Path, max_time: float | None, machine: Machine) -> None:
    """Do all that RECIPE (YAML) says: train, distil, prune, quantise, export, prove and measure, into OUTPUT.

    What is done is not done again. A stage that breaks its budget stops the run.
    """
    loaded = load_recipe(PipelineRecipe, recipe)
    if max_time is not None:
        raise UsageError(
            "--max-time: a pipeline has no clock of its own; say in the recipe how many lines a stage sees"
        )
    if lines:
        names = tuple(str(line.resolve()) for line in lines)
        loaded = replace(loaded, data=replace(loaded.data, files=names, val_files=()))
    files = Pipeline(loaded, recipe, output, machine, log).run()
    for path in files:
        click.echo(path)
