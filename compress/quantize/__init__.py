"""Eight bits, in whichever format a float file has. The module of each format is named in `runtime/formats.py`."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import Any

from ...export.proof import AnyReference, BudgetError, Reference, prove, write_proof
from ...runtime.errors import HtrjandError, UsageError
from ...runtime.files import atomic_model
from ...runtime.formats import FORMATS, Format, format_of
from ...runtime.kinds import info_of
from ...runtime.page.detector_info import DetectorInfo
from .recipe import Lines, QuantizeRecipe, check_calibration, check_float, fed

__all__ = ["Lines", "QuantizeRecipe", "controls_accuracy", "quantize_file", "quantize_proven"]


def quantize_file(model: Path, lines: Lines, out: Path, recipe: QuantizeRecipe) -> list[str]:
    """Writes an int8 edition of a float model file (not atomic: hand it a path of `atomic_model`).

    Weights are int8 a channel, activations int8 a tensor. Products of two activations (attention scores), normalisation
    and softmax stay in float.

    Args:
        model: the float file; its suffix names the format.
        lines: training lines, uint8 [64, W]; for a detector training pages, uint8 [H, W].
        out: where to write.

    Returns:
        The modules with weights that stay in float.

    Raises:
        HtrjandError: the model cannot be used or is no float file, or there are too few lines.
        UsageError: the format is unknown, or a module to keep is not in the network.
    """
    module = quantizer(out)
    info = info_of(model)
    check_float(model, info)
    check_calibration(lines, model, "pages" if isinstance(info, DetectorInfo) else "lines")
    kept: list[str] = module.quantize(model, fed(lines, info, model), out, recipe)
    return kept


def quantize_proven(
    model: Path, lines: Lines, out: Path, recipe: QuantizeRecipe, reference: AnyReference, budget: float | None = None
) -> dict[str, Any]:
    """As `quantize_file`, whole or not at all, and only if it reads as the reference does within a budget of CER; or
    finds lines as the reference does, within a budget of recall and precision.

    Where a line reader's file does not, and its format can (OpenVINO), what harms it most goes back into float until it
    does.

    Returns:
        The proof, which stands beside the file.

    Raises:
        HtrjandError: as `quantize_file`; or the file reads worse, or there is no line to compare errors on.
    """
    module = quantizer(out)
    if model.suffix != out.suffix:
        raise UsageError(f"{out}: is made from a float file of its own format; {model} is none")
    if model.resolve() == out.resolve():
        raise HtrjandError(f"{out}: is the float file itself; give another name")
    if not reference.rows:
        of = reference.of
        raise HtrjandError(f"{out}: no {of.removesuffix('s')} to compare its errors on; check the {of} and the split")
    with atomic_model(out) as part:
        kept = quantize_file(model, lines, part, recipe)
        try:
            proof = prove(part, out, reference, budget)
        except BudgetError:
            if not (controls_accuracy(format_of(out)) and isinstance(reference, Reference)):
                raise
            most = reference.budget if budget is None else budget
            kept = module.quantize_within(model, lines, reference.rows, part, recipe, most)
            proof = prove(part, out, reference, budget)
            proof |= {"accuracy control": True, "chosen on these lines": ["accuracy control"]}
        proof |= {f"calibration {reference.of}": len(lines), "in float": kept}
        write_proof(out, proof)
    return proof


def controls_accuracy(form: Format) -> bool:
    """Whether int8 files of a format can be made anew with more in float, until they read well enough."""
    return form.quantizer is not None and hasattr(import_module(form.quantizer), "quantize_within")


def quantizer(out: Path) -> Any:
    """The module that writes int8 files of a format; a UsageError where they come about in another way."""
    form = format_of(out)
    if form.quantizer is None:
        suffixes = ", ".join(one.suffix for one in FORMATS.values() if one.quantizer)
        raise UsageError(
            f"{out}: int8 files are written as {suffixes}; a {form.suffix} file is converted from the int8 "
            f"{form.converted_from} by `htrjand export`"
        )
    return import_module(form.quantizer)
