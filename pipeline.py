"""One recipe, from lines to proven files and their figures; what is done is not done again.

teacher → student (distilled) → pruned (distilled again) → files (exported, quantised, proven) → benchmark. Each stage
is a command of its own too. This chains them, stops where a budget breaks, and remembers what each result was made
from (`ledger.py`). Everything is made inside `stages/`; files get their names in the end, when all of them are proven.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch.distributed

from .benchmarks.document import as_json
from .benchmarks.machine import usable_cores
from .benchmarks.report.tables import markdown
from .benchmarks.run import Settings
from .benchmarks.run import run as run_bench
from .compress.distill import DistillRecipe, distil
from .compress.prune import PruneRecipe, prune
from .compress.qat import qat
from .export.proof import BudgetError, Reference, summary_line
from .ledger import Ledger, digest_rows
from .pipeline_files import Files, Made, publish
from .pipeline_lines import RunLines
from .pipeline_recipe import PipelineRecipe
from .runtime.errors import HtrjandError
from .runtime.files import atomic_path
from .train.fit import Machine, Outcome, train

# Parts of the package that work is done with: a change of others makes nothing again.
READING, TRAINING, BENCH = ("runtime", "train"), ("runtime", "train", "compress"), ("runtime", "train", "benchmarks")
# Set by whatever starts the processes of a distributed run (Lightning, torchrun, Slurm): 0 in the first one.
RANKS = ("RANK", "LOCAL_RANK", "NODE_RANK", "GROUP_RANK", "SLURM_PROCID")


class Stopped(Exception):
    """Ends another process of a distributed run, where the first one has stopped with an error and reports it."""


class Pipeline:
    """One run of a recipe, in a folder that remembers what is done.

    Of several processes the first does everything; the others take part in the trainings and return no file.

    Args:
        recipe: what to do.
        recipe_path: its relative paths begin there.
        out: the folder.
        machine: what training may use.
        log: called with a line for each step.

    Raises:
        HtrjandError: there is no line to hold the run to.
    """

    def __init__(
        self, recipe: PipelineRecipe, recipe_path: Path, out: Path, machine: Machine, log: Callable[[str], None]
    ) -> None:
        self.recipe, self.recipe_path, self.out, self.machine = recipe, recipe_path, out, machine
        self.is_first = is_first_process(machine)
        self.log = log if self.is_first else lambda _: None
        self.ledger = Ledger(out, self.log, writes=self.is_first)
        self.lines = RunLines(recipe, recipe_path)
        _ = self.lines.proof, self.lines.bench  # where one is empty, an error before anything is trained
        self.cers: dict[Path, float] = {}  # of weights, percent
        self.notes: list[str] = []  # what the report says of the stages

    def run(self) -> list[Path]:
        """All stages; stops with an error at the first whose budget does not hold. Returns the files."""
        try:
            teacher = self.teacher()
            student = self.student(teacher)
            weights = self.pruned(student, teacher)
        except Stopped:
            return []
        leave_process_group()  # all that is trained in several processes is trained
        if not self.is_first:
            return []
        keep, tune = self.choose(weights)
        choices: tuple[str, ...] = ("modules in float",) if self.recipe.quantize.search else ()
        if tune:
            weights, choices = self.tuned(weights, keep), (*choices, "fine-tuning")
        made = self.files(weights, keep, choices, may_tune=not tune and self.recipe.quantize.qat is not None)
        files = [publish(file, self.out, self.recipe.quantize.max_cer_increase) for file in made]
        for path, file in zip(files, made, strict=True):
            self.note(f"{path.name}: {file.proof['bytes']:,} bytes, {summary_line(file.proof)}")
        self.report(files)
        return files

    # Weights.

    def teacher(self) -> Path:
        """Weights of the teacher."""
        stage = self.recipe.teacher
        recipe = replace(stage.train, data=self.recipe.data)
        weights = self.weights(
            "teacher", stage.weights, recipe, self.named(begin=recipe.begin),
            lambda out: train(recipe, self.recipe_path, out, machine=self.machine, log=self.log),
        )  # fmt: skip
        remedy = "train on more lines (teacher.train.total_lines), or allow more (teacher.max_cer)"
        self.check_cer("teacher", weights, None, stage.max_cer, remedy)
        return weights

    def student(self, teacher: Path) -> Path:
        """Weights of the student, within its budget over the teacher."""
        stage = self.recipe.student
        recipe = self.taught_by(teacher, stage.distill)
        weights = self.weights(
            "student", stage.weights, recipe, {"teacher": teacher} | self.named(begin=recipe.train.begin),
            lambda out: distil(recipe, self.recipe_path, out, machine=self.machine, log=self.log)["student"],
        )  # fmt: skip
        remedy = "distil on more lines (student.distill.train.total_lines), or allow more (student.max_cer_increase)"
        self.check_cer("student", weights, teacher, stage.max_cer_increase, remedy)
        return weights

    def pruned(self, student: Path, teacher: Path) -> Path:
        """Weights of the pruned student, within its budget; the student's own where nothing is pruned."""
        stage = self.recipe.prune
        if not stage.ratio:
            return student
        recipe = PruneRecipe(str(student), stage.ratio, stage.steps, self.taught_by(teacher, stage.distill))
        weights = self.weights(
            "prune", None, recipe, {"weights": student, "teacher": teacher},
            lambda out: prune(recipe, self.recipe_path, out, machine=self.machine, log=self.log),
        )  # fmt: skip
        remedy = (
            "prune less (prune.ratio), distil on more lines (prune.distill.train.total_lines), or allow more "
            "(prune.max_cer_increase)"
        )
        self.check_cer("prune", weights, student, stage.max_cer_increase, remedy)
        return weights

    def tuned(self, weights: Path, keep: tuple[str, ...]) -> Path:
        """Weights fine-tuned to bear eight bits."""
        stage = self.recipe.quantize
        assert stage.qat is not None
        recipe = replace(stage.qat, begin=str(weights), keep=keep, data=self.recipe.data)
        tuned = self.weights(
            "qat", None, recipe, {"begin": weights} | self.named(teacher=recipe.teacher),
            lambda out: qat(recipe, self.recipe_path, out, machine=self.machine, log=self.log),
        )  # fmt: skip
        remedy = "fine-tune on more lines (quantize.qat.total_lines), or allow more (quantize.max_cer_increase)"
        self.check_cer("qat", tuned, weights, stage.max_cer_increase, remedy)
        return tuned

    def weights(
        self, name: str, existing: str | None, recipe: Any, inputs: Mapping[str, Path], work: Callable[[Path], Outcome]
    ) -> Path:
        """Weights that exist, or what a training makes by this recipe of these inputs and the run's lines."""
        if existing:
            return self.beside(existing)

        def trained(folder: Path) -> tuple[dict[str, Any], list[Path]]:
            weights = work(folder).weights
            return {}, [weights, weights.with_suffix(".json")]

        done = self.ledger.do(name, recipe, inputs, self.lines.training_digest, trained, TRAINING)
        return done.files[0]

    def check_cer(self, name: str, weights: Path, before: Path | None, budget: float, remedy: str) -> None:
        """Raises an HtrjandError where weights read worse, over those before them, than a stage's budget allows.

        In the other processes of a distributed run, which wait here for the first, it raises Stopped.
        """
        problem = None
        if self.is_first:
            cer = self.cers[weights] = self.cer(name, weights)
            base = self.cers[before] if before else 0.0
            self.note(f"{name}: {cer:.2f} % CER on {len(self.lines.proof)} {self.recipe.prove.split} lines")
            if cer - base > budget:
                than = f", {cer - base:.2f} points more than {base:.2f} %" if before else ""
                problem = (
                    f"{self.recipe_path}: {name}: {cer:.2f} % CER{than}; the budget of {budget:g} is broken by "
                    f"{cer - base - budget:.2f}: {remedy}; weights: {weights}"
                )
        problem = from_first_process(problem)
        if problem:
            raise HtrjandError(problem) if self.is_first else Stopped

    def cer(self, name: str, weights: Path) -> float:
        """Percent, of weights on the lines that the run is held to."""

        def work(_: Path) -> tuple[dict[str, Any], list[Path]]:
            return {"cer": Reference(weights, self.lines.proof).reading.cer()}, []

        done = self.ledger.do(f"cer-{name}", None, {"weights": weights}, self.lines.proof_digest, work, READING)
        return float(done.result["cer"])

    # Files.

    def choose(self, weights: Path) -> tuple[tuple[str, ...], bool]:
        """Modules to keep in float, and whether the weights are to be fine-tuned before any file is made."""
        stage = self.recipe.quantize
        if not stage.search:
            return stage.keep, False
        from .compress.search import search  # here: it brings a library that nothing else needs

        def work(_: Path) -> tuple[dict[str, Any], list[Path]]:
            pixels = [row.pixels() for row in self.lines.calibration(0)]
            found = search(weights, pixels, self.lines.proof, stage.max_cer_increase)
            return {"keep": list(found.keep), "qat": found.qat}, []

        recipe = {"budget": stage.max_cer_increase}  # the search ends at the first trial within it
        found = self.ledger.do("search", recipe, {"weights": weights}, self.lines.calibration_digest(0), work).result
        self.note(f"search: in float: {', '.join(found['keep']) or 'nothing'}; fine-tuning needed: {found['qat']}")
        return tuple(found["keep"]), found["qat"] and stage.qat is not None

    def files(self, weights: Path, keep: tuple[str, ...], choices: tuple[str, ...], may_tune: bool) -> list[Made]:
        """Every file of the recipe, proven and within its budgets; from fine-tuned weights where int8 asks for it.

        Args:
            weights: what all files are made from.
            keep: modules that stay in float.
            choices: what was chosen by CER on the lines of the proof: "modules in float", "fine-tuning".
            may_tune: whether an int8 file that reads worse than it may is a reason to fine-tune.
        """
        files = Files(self.recipe, self.lines, self.ledger, weights, keep, choices)
        files.make_floats()  # where one of them breaks its budget, fine-tuning for eight bits is no remedy
        try:
            return [files.make(target) for target in files.targets()]
        except BudgetError as error:
            if not may_tune:
                raise
            self.log(f"{error}. Fine-tuning the weights to bear eight bits")
            return self.files(self.tuned(weights, keep), keep, (*choices, "fine-tuning"), may_tune=False)

    # The report.

    def report(self, files: Sequence[Path]) -> None:
        """Measures the files in one run, and writes what all stages came to into `report.md`."""
        stage = self.recipe.bench
        if stage is not None:
            settings = Settings(
                stage.threads or (1, usable_cores()),
                stage.queries,
                seconds=stage.seconds,
                cold_starts=stage.cold_starts,
            )
            rows = self.lines.bench

            def work(_: Path) -> tuple[dict[str, Any], list[Path]]:
                return run_bench([str(path) for path in files], rows, settings), []  # greedy, as the budgets are

            inputs = {path.name: path for path in files}
            result = self.ledger.do("bench", settings, inputs, {"bench": digest_rows(rows)}, work, BENCH).result
            self.write("bench.json", as_json(result))
            self.notes += ["", markdown([result])]
        self.write("report.md", "\n".join(self.notes).rstrip() + "\n")

    def note(self, text: str) -> None:
        """Logs a text, and keeps it for the report."""
        self.log(text)
        self.notes.append(f"- {text}")

    def write(self, name: str, text: str) -> None:
        """A text file of the run."""
        with atomic_path(self.out / name) as part:
            part.write_text(text, encoding="utf-8")

    # Paths of the recipe.

    def taught_by(self, teacher: Path, recipe: DistillRecipe) -> DistillRecipe:
        """A distillation by this teacher, on the run's data."""
        return replace(recipe, teacher=str(teacher), train=replace(recipe.train, data=self.recipe.data))

    def beside(self, name: str) -> Path:
        """A path of the recipe."""
        return (self.recipe_path.resolve().parent / name).resolve()

    def named(self, **names: str | None) -> dict[str, Path]:
        """Those inputs that the recipe names, by role."""
        return {role: self.beside(name) for role, name in names.items() if name}


def is_first_process(machine: Machine) -> bool:
    """Whether this is the one process of a run, or of several the one that writes."""
    return machine.devices * machine.nodes == 1 or all(os.environ.get(name, "0") == "0" for name in RANKS)


def from_first_process(value: str | None) -> str | None:
    """What the first of the processes that train together has to say: it gets there when all of them have come."""
    if not (torch.distributed.is_available() and torch.distributed.is_initialized()):
        return value
    box = [value]
    torch.distributed.broadcast_object_list(box)
    return box[0]


def leave_process_group() -> None:
    """Ends the connection between the processes that train together; one that ends is no harm to the others then."""
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()
