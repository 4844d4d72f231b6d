"""The files of one set of weights: made and proven inside `stages/`, held to their budgets, and published."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from .compress.quantize import controls_accuracy, quantize_proven
from .compress.quantize.recipe import QuantizeRecipe
from .export.files import convert_file, export_files
from .export.proof import BudgetError, Reference, check_budget, proof_path, write_proof
from .ledger import Ledger
from .pipeline_lines import RunLines
from .pipeline_recipe import PipelineRecipe
from .runtime.errors import HtrjandError
from .runtime.files import atomic_path
from .runtime.formats import FORMATS, PRECISIONS, Format, parts_of
from .runtime.text import json_text

Work = Callable[[Path], dict[str, Any]]  # where to write a file -> its proof


@dataclass(frozen=True)
class Target:
    """A file to be made: its precision, the suffix of its format, and the only width that it takes; None for any."""

    precision: str
    suffix: str
    width: int | None = None

    @property
    def format(self) -> Format:
        return FORMATS[self.suffix]


@dataclass(frozen=True)
class Made:
    """A file inside `stages/`, its proof, and what of it was chosen by CER on the lines of that proof."""

    path: Path
    proof: dict[str, Any]
    choices: tuple[str, ...] = ()


class Files:
    """The files of one set of weights.

    A file is made without a budget, and its proof is held to the budget whenever it is asked for: so another budget
    judges what stands already. Only where the budget decides what is made (accuracy control) is it part of a key.

    Args:
        recipe: of the whole run.
        lines: of the run.
        ledger: what is made already.
        weights: what all files are made from.
        keep: modules that stay in float.
        choices: what was chosen by CER on the lines of the proof: "modules in float", "fine-tuning".
    """

    def __init__(
        self, recipe: PipelineRecipe, lines: RunLines, ledger: Ledger, weights: Path, keep: tuple[str, ...],
        choices: tuple[str, ...],
    ) -> None:  # fmt: skip
        self.recipe, self.lines, self.ledger, self.weights, self.choices = recipe, lines, ledger, weights, choices
        self.quantize = QuantizeRecipe(recipe.quantize.calibrate, keep)
        self.reference = Reference(weights, lines.proof)
        self.made: dict[Target, Made] = {}

    def targets(self) -> list[Target]:
        """The files of the recipe, in order. What they are made from besides stays inside `stages/`."""
        stage = self.recipe.export
        shapes: list[tuple[Format, int | None]] = [
            (form, None) for form in FORMATS.values() if form.name in stage.formats
        ]
        shapes += [(form, width) for form, _ in list(shapes) if form.fixed_width for width in stage.widths]
        return [
            Target(precision, form.suffix, width)
            for form, width in shapes
            for precision in PRECISIONS
            if precision in stage.precisions and precision in form.precisions
        ]

    def make(self, target: Target) -> Made:
        """A file; one that is made already is not made again.

        Raises:
            BudgetError: it reads worse than it may.
            HtrjandError: it is too large, or differs from the weights otherwise.
        """
        if target not in self.made:
            if target.precision != "int8":
                self.made[target] = self.exported(target)
            elif target.format.quantizer is None:
                self.made[target] = self.converted(target)
            else:
                self.made[target] = self.quantized(target)
        return self.made[target]

    def make_floats(self) -> None:
        """The float files, those among them that int8 files are made from."""
        for target in self.targets():
            self.make(self.source(target) if target.precision == "int8" else target)

    @staticmethod
    def source(target: Target) -> Target:
        """The float file that an int8 file is made from: of its own format, or of that which it is converted from."""
        return replace(target, precision="fp32", suffix=target.format.converted_from or target.suffix)

    def exported(self, target: Target) -> Made:
        """A float file, from the weights."""

        def work(out: Path) -> dict[str, Any]:
            return export_files(self.weights, [out], target.precision, target.width, self.reference, math.inf)[0]

        return self.file(target, target, {}, self.lines.proof_digest, work)

    def converted(self, target: Target) -> Made:
        """An int8 file, from the int8 file of the format that it is converted from."""
        source = self.make(replace(target, suffix=target.format.converted_from or target.suffix))

        def work(out: Path) -> dict[str, Any]:
            return convert_file(source.path, out, self.reference, math.inf)

        return self.file(target, target, {"model": source.path}, self.lines.proof_digest, work, source.choices)

    def quantized(self, target: Target) -> Made:
        """An int8 file, from the float file of its format, calibrated on the first draw that keeps the budget.

        Where none does, and the format can, it is made once more with operators put back into float.
        """
        draws, budget = self.recipe.quantize.draws, self.recipe.quantize.max_cer_increase
        for draw in range(draws):
            try:
                return self.calibrated(target, draw, math.inf, ("calibration draw",) if draw else ())
            except BudgetError as error:
                if draw + 1 < draws:
                    self.ledger.log(f"{error}. Calibrating on other lines")
                elif controls_accuracy(target.format):
                    self.ledger.log(f"{error}. Putting operators back into float")
                else:
                    raise
        return self.calibrated(target, 0, budget, ("accuracy control",))

    def calibrated(self, target: Target, draw: int, budget: float, choices: tuple[str, ...]) -> Made:
        """An int8 file of one draw of calibration lines; with a budget, accuracy control may hold it to that."""
        model = self.make(self.source(target)).path

        def work(out: Path) -> dict[str, Any]:
            pixels = [row.pixels() for row in self.lines.calibration(draw)]
            proof = quantize_proven(model, pixels, out, self.quantize, self.reference, budget)
            return proof | {"calibration draw": draw + 1}

        settings: dict[str, Any] = {"target": target, "quantize": self.quantize, "draw": draw}
        if math.isfinite(budget):
            settings["accuracy control"] = budget
        rows = self.lines.calibration_digest(draw)
        return self.file(target, settings, {"model": model}, rows, work, (*self.choices, *choices))

    def file(
        self, target: Target, recipe: Any, inputs: Mapping[str, Path], rows: Mapping[str, str], work: Work,
        choices: tuple[str, ...] = (),
    ) -> Made:  # fmt: skip
        """What `work` writes into the folder of a stage, with its proof; then it is held to its budgets."""
        width = f"-{target.width}" if target.width else ""
        name = f"{self.recipe.name}-{target.precision}{width}{target.suffix}"

        def made(folder: Path) -> tuple[dict[str, Any], list[Path]]:
            proof = work(folder / name)
            write_proof(folder / name, proof)
            return proof, parts_of(folder / name)

        done = self.ledger.do(name, recipe, {"weights": self.weights, **inputs}, rows, made)
        check_budget(done.result, name, self.recipe.quantize.max_cer_increase)
        size, limit = done.result["bytes"], self.recipe.export.max_bytes
        if target.precision == "int8" and target.format.quantizer and size > limit:
            raise HtrjandError(
                f"{name}: {size:,} bytes, {size - limit:,} more than its budget of {limit:,}; prune more "
                "(prune.ratio), keep less in float (quantize.keep), or allow more (export.max_bytes)"
            )
        return Made(done.files[0], done.result, choices)


def publish(made: Made, folder: Path, budget: float) -> Path:
    """Copies a file, with its proof and OpenVINO's `.bin`, into a folder; they get their names when all are copied.

    The proof then says which budget was held, and what was chosen by CER on its own lines: of such a file it is no test
    on untouched lines. What has this content already stays as it is. Returns the path of the file.
    """
    out = folder / made.path.name
    proof = made.proof | {"budget": budget, "chosen on these lines": made.choices}
    contents = {out.with_name(part.name): part.read_bytes() for part in parts_of(made.path)}
    contents[proof_path(out)] = (json_text(proof, indent=1) + "\n").encode()
    if any(not path.is_file() or path.read_bytes() != content for path, content in contents.items()):
        with ExitStack() as stack:
            for path, content in contents.items():
                stack.enter_context(atomic_path(path)).write_bytes(content)
    return out
