"""Weights in, proven model files out: what the formats share."""

from __future__ import annotations

import dataclasses
from importlib import import_module
from pathlib import Path
from typing import Any

from ..runtime.errors import UsageError
from ..runtime.files import atomic_model
from ..runtime.formats import FORMATS, format_of
from ..runtime.image import MAX_WIDTH, WIDTH_MULTIPLE
from ..runtime.kinds import Info, info_of
from ..runtime.page.detector_info import DetectorInfo
from .kinds import Net, is_detector, load_weights
from .page_proof import PageReference
from .proof import AnyReference, Reference, prove, write_proof

FLOATS = ("fp32", "fp16")


def export_files(
    weights: Path, outs: list[Path], precision: str = "fp32", width: int | None = None,
    reference: AnyReference | None = None, budget: float | None = None,
) -> list[dict[str, Any]]:  # fmt: skip
    """Writes float files of some weights, each proven equal to them; the proofs stand beside them as JSON.

    Args:
        weights: a `.safetensors` file of a line reader or of a line detector, its card beside it.
        outs: where to; each suffix names a format.
        precision: fp32, or fp16 (weights in 16 bits, computed in float).
        width: the only width that the files take (TFLite); None for any.
        reference: what to prove against, with lines to read; the weights alone by default.
        budget: points of CER that a file may have more than the reference, or of recall and precision less; None for
            the kind's own.

    Returns:
        The proofs.

    Raises:
        UsageError: a suffix, precision or width that is not known.
        HtrjandError: the weights cannot be used, or a file is not equal to them. That file and those after it are not
            written.
    """
    for out in outs:
        check_target(out, precision, width)
    network, described = load_weights(weights)
    info = dataclasses.replace(described, precision=precision)
    if width:
        if isinstance(info, DetectorInfo):
            raise UsageError(f"{weights}: is a line detector, whose pages have any size; --width is for line readers")
        info = dataclasses.replace(info, width_multiple=width, max_width=width)
    reference = reference or reference_of(weights)
    proofs = []
    for out in outs:
        with atomic_model(out) as part:
            write(network, info, part, width)
            proofs.append(prove(part, out, reference, budget))
            write_proof(out, proofs[-1])
    return proofs


def convert_file(model: Path, out: Path, reference: AnyReference, budget: float | None = None) -> dict[str, Any]:
    """Writes a model file, int8 too, in a format that is converted from its own (`.onnx` as `.ort`). Returns the proof.

    Raises:
        UsageError: the one is not converted from the other.
        HtrjandError: the model cannot be used, or the file is not equal to the reference; it is not written then.
    """
    form = format_of(out)
    if form.converted_from != model.suffix:
        pairs = ", ".join(f"{one.converted_from} to {one.suffix}" for one in FORMATS.values() if one.converted_from)
        raise UsageError(
            f"{out}: cannot be converted from {model}; what is converted is {pairs}; for other formats give the weights"
        )
    precision = info_of(model).precision  # a damaged file is found before it is written anew
    if precision not in form.precisions:
        raise UsageError(f"{out}: {form.suffix} files have no {precision}; convert an fp32 or int8 file")
    with atomic_model(out) as part:
        import_module(form.exporter).convert(model, part)
        proof = prove(part, out, reference, budget)
        write_proof(out, proof)
    return proof


def reference_of(path: Path) -> AnyReference:
    """What files of the kind of these weights are held against, in their values alone."""
    return PageReference(path) if is_detector(path) else Reference(path)


def write(network: Net, info: Info, out: Path, width: int | None = None) -> None:
    """One file in the format of its suffix, not proven."""
    import_module(format_of(out).exporter).export(network, info, out, width)


def check_target(out: Path, precision: str, width: int | None) -> None:
    """Raises a UsageError for a file that cannot be asked for."""
    form = format_of(out)
    if precision not in FLOATS:
        raise UsageError(f"{out}: {precision} is not exported; export fp32 and give that file to `htrjand quantize`")
    if precision not in form.precisions:
        others = ", ".join(one.suffix for one in FORMATS.values() if precision in one.precisions)
        raise UsageError(f"{out}: {form.suffix} files have no {precision}; export {others}, or fp32")
    if width is not None and not form.fixed_width:
        fixed = ", ".join(one.suffix for one in FORMATS.values() if one.fixed_width)
        raise UsageError(f"{out}: takes lines of any width; --width is for {fixed}")
    if width is not None and (width % WIDTH_MULTIPLE or not 0 < width <= MAX_WIDTH):
        raise UsageError(f"{out}: --width is a multiple of {WIDTH_MULTIPLE}, at most {MAX_WIDTH}; got {width}")
