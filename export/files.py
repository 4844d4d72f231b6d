"""Weights in, proven model files out: what the formats share."""

from __future__ import annotations

import dataclasses
import tempfile
from pathlib import Path
from typing import Any

from ..runtime.engines import open_engine
from ..runtime.errors import HtrjandError, UsageError
from ..runtime.files import atomic_model
from ..runtime.image import MAX_WIDTH, WIDTH_MULTIPLE
from ..runtime.info import ModelInfo
from ..train.checkpoint import load_network
from ..train.network import Network
from ..train.reader import model_info
from .proof import BUDGET, Reference, prove, write_proof

SUFFIXES = (".onnx", ".ort", ".xml", ".tflite")
FLOATS = ("fp32", "fp16")


def export_files(
    weights: Path, outs: list[Path], precision: str = "fp32", width: int | None = None,
    reference: Reference | None = None, budget: float = BUDGET,
) -> list[dict[str, Any]]:  # fmt: skip
    """Writes float files of some weights, each proven equal to them; the proofs stand beside them as JSON.

    Args:
        weights: a `.safetensors` file, its card beside it.
        outs: where to; each suffix names a format.
        precision: fp32, or fp16 (weights in 16 bits, computed in float).
        width: the only width that the files take (TFLite); None for any.
        reference: what to prove against, with lines to read; the weights alone by default.
        budget: points of CER that a file may have more than the reference.

    Returns:
        The proofs.

    Raises:
        UsageError: a suffix, precision or width that is not known.
        HtrjandError: the weights cannot be used, or a file is not equal to them. That file and those after it are not
            written.
    """
    for out in outs:
        check_target(out, precision, width)
    network, card = load_network(weights)
    info = dataclasses.replace(model_info(card, weights), precision=precision)
    if width:
        info = dataclasses.replace(info, width_multiple=width, max_width=width)
    proofs = []
    for out in outs:
        with atomic_model(out) as part:
            write(network, info, part, width)
            proofs.append(prove(part, out, reference or Reference(weights), budget))
            write_proof(out, proofs[-1])
    return proofs


def convert_ort(model: Path, out: Path, reference: Reference, budget: float = BUDGET) -> dict[str, Any]:
    """Writes an `.onnx` file, int8 too, as `.ort`, proven against the reference. Returns the proof."""
    from .onnx import write_ort

    if out.suffix != ".ort":
        raise UsageError(f"{out}: give a name that ends in .ort")
    open_engine(model, 1)  # a damaged one is found before onnxruntime writes it anew
    with atomic_model(out) as part:
        write_ort(model, part)
        proof = prove(part, out, reference, budget)
        write_proof(out, proof)
    return proof


def write(network: Network, info: ModelInfo, out: Path, width: int | None = None) -> None:
    """One file in the format of its suffix, not proven."""
    if out.suffix == ".tflite":
        from .tflite import write_tflite

        write_tflite(network, info, out, width)
        return
    from .onnx import write_onnx, write_ort

    if out.suffix == ".onnx":
        write_onnx(network, info, out)
        return
    with tempfile.TemporaryDirectory() as folder:
        model = Path(folder) / "model.onnx"
        if out.suffix == ".ort":
            write_onnx(network, info, model)
            write_ort(model, out)
        else:
            from .openvino import write_openvino

            write_onnx(network, dataclasses.replace(info, precision="fp32"), model)
            write_openvino(model, info, out)


def check_target(out: Path, precision: str, width: int | None) -> None:
    """Raises a UsageError for a file that cannot be asked for."""
    if out.suffix not in SUFFIXES:
        raise UsageError(f"{out}: unknown format; give a name that ends in {', '.join(SUFFIXES)}")
    if precision not in FLOATS:
        raise UsageError(f"{out}: {precision} is not exported; export fp32 and give that file to `htrjand quantize`")
    if precision == "fp16" and out.suffix == ".ort":
        raise UsageError(f"{out}: onnxruntime folds fp16 weights into floats in an .ort file; export .onnx, or fp32")
    if width is not None and out.suffix != ".tflite":
        raise UsageError(f"{out}: takes lines of any width; --width is for .tflite")
    if width is not None and (width % WIDTH_MULTIPLE or not 0 < width <= MAX_WIDTH):
        raise UsageError(f"{out}: --width is a multiple of {WIDTH_MULTIPLE}, at most {MAX_WIDTH}; got {width}")


def check_float_source(model: Path, out: Path) -> None:
    """Raises unless `model` is the kind of file that the int8 file `out` is made from."""
    if model.suffix != out.suffix:
        raise UsageError(f"{out}: is made from a float file of its own format; {model} is none")
    if model.resolve() == out.resolve():
        raise HtrjandError(f"{out}: is the float file itself; give another name")
