"""Eight bits, in whichever format a float file has: what the formats share."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ...export.files import check_float_source
from ...export.proof import BUDGET, BudgetError, Reference, prove, write_proof
from ...runtime.engines import open_engine
from ...runtime.errors import HtrjandError, UsageError
from ...runtime.files import atomic_model
from ...runtime.info import ModelInfo

FEWEST = 8  # lines; ranges seen on fewer are those of a single hand
Lines = Sequence[npt.NDArray[np.uint8]]

# Suffix of the int8 file -> the module here that writes it, and its function. The float file has the same suffix.
WRITERS = {
    ".onnx": ("onnx", "quantize_onnx"),
    ".xml": ("openvino", "quantize_openvino"),
    ".tflite": ("tflite", "quantize_tflite"),
}


@dataclass(frozen=True)
class QuantizeRecipe:
    """How a float file becomes an int8 one.

    The first convolution is a fiftieth of the work and has the widest input range: in int8 it took most of what was
    lost on the student's validation lines.
    """

    calibrate: int = 128  # training lines that the ranges of activations are seen on
    keep: tuple[str, ...] = ("convs.0",)  # modules of the network that stay in float, with all inside them

    def keeps(self, module: str) -> bool:
        """Whether a module, by its dotted path, stays in float."""
        return any(module == name or module.startswith(f"{name}.") for name in self.keep)


def quantize_file(model: Path, lines: Lines, out: Path, recipe: QuantizeRecipe) -> None:
    """Writes an int8 edition of a float model file (not atomic: hand it a path of `atomic_files`).

    Weights are int8 a channel, activations int8 a tensor. Products of two activations (attention scores), normalisation
    and softmax stay in float.

    Args:
        model: the float file; its suffix names the format.
        lines: training lines, uint8 [64, W].
        out: where to write.

    Raises:
        HtrjandError: the model cannot be used or is no float file, or there are too few lines.
        UsageError: the format is unknown, or a module to keep is not in the network.
    """
    check_format(out)
    check_float(model, open_engine(model, 1).info)
    check_calibration(lines, model)
    module, name = WRITERS[out.suffix]
    writer: Callable[[Path, Lines, Path, QuantizeRecipe], None] = getattr(
        import_module(f".{module}", __package__), name
    )
    writer(model, lines, out, recipe)


def quantize_proven(
    model: Path, lines: Lines, out: Path, recipe: QuantizeRecipe, reference: Reference, budget: float = BUDGET
) -> dict[str, Any]:
    """As `quantize_file`, whole or not at all, and only if it reads as the reference does within a budget of CER.

    Where an OpenVINO file does not, NNCF puts back into float what harms it most, until it does.

    Returns:
        The proof, which stands beside the file.

    Raises:
        HtrjandError: as `quantize_file`; or the file reads worse, or there is no line to tell by.
    """
    check_format(out)
    check_float_source(model, out)
    if not reference.rows:
        raise HtrjandError(f"{out}: no line to compare its errors on; check the lines and the split")
    with atomic_model(out) as part:
        quantize_file(model, lines, part, recipe)
        try:
            proof = prove(part, out, reference, budget)
        except BudgetError:
            if out.suffix != ".xml":
                raise
            from .openvino import quantize_openvino_within

            quantize_openvino_within(model, lines, reference.rows, part, recipe, budget)
            proof = prove(part, out, reference, budget) | {"accuracy control": True}
        proof |= {"calibration lines": len(lines), "in float": list(recipe.keep)}
        write_proof(out, proof)
    return proof


def check_format(out: Path) -> None:
    """Raises a UsageError for a format that has no int8 files, or where these come about in another way."""
    if out.suffix not in WRITERS:
        raise UsageError(f"{out}: int8 files are written as {', '.join(WRITERS)}; an .ort file is made from an .onnx")


def check_float(model: Path, info: ModelInfo) -> None:
    """Raises an HtrjandError unless the file is in fp32."""
    if info.precision != "fp32":
        raise HtrjandError(f"{model}: is {info.precision} already; quantise the fp32 file")


def check_calibration(lines: Lines, model: Path) -> None:
    """Raises an HtrjandError where there are too few lines to calibrate on."""
    if len(lines) < FEWEST:
        raise HtrjandError(
            f"{model}: {len(lines)} calibration lines are too few to see its ranges; give {FEWEST} or more"
        )


def check_kept(recipe: QuantizeRecipe, modules: Sequence[str], model: Path) -> None:
    """Raises a UsageError for a module to keep that no weight of the file belongs to."""
    unknown = [name for name in recipe.keep if not any(path == name or path.startswith(f"{name}.") for path in modules)]
    if unknown:
        raise UsageError(f"{model}: no module {', '.join(unknown)} to keep in float; there are {', '.join(modules)}")
