"""`.ort`: an ONNX model as small builds of onnxruntime read it."""

from __future__ import annotations

import tempfile
from pathlib import Path

import onnxruntime  # type: ignore[import-untyped]

from ..runtime.engines import first_line
from ..runtime.engines.onnx import FAILURES, FATAL
from ..runtime.errors import HtrjandError, UsageError
from ..runtime.kinds import Info
from ..runtime.seal import MARK, seal
from . import onnx
from .kinds import Net


def export(network: Net, info: Info, out: Path, width: int | None = None) -> None:
    """Writes `out`, self-describing and sealed (not atomic, and not proven). Its lines may have any width, its pages
    any size."""
    with tempfile.TemporaryDirectory() as folder:
        model = Path(folder) / "model.onnx"
        onnx.export(network, info, model)
        convert(model, out)


def redescribe(model: Path, info: Info, out: Path) -> None:
    """No part of an `.ort` file can be written anew: raises a UsageError."""
    raise UsageError(
        f"{model}: the description of an .ort file cannot be changed; change its .onnx, and convert that again"
    )


def convert(model: Path, out: Path) -> None:
    """Writes an `.onnx` file as `.ort`: already optimised, for builds of onnxruntime that cannot read ONNX.

    Left out are layouts that fit one kind of processor only. Metadata and precision are those of the model.

    Raises:
        HtrjandError: onnxruntime cannot read the model.
    """
    options = onnxruntime.SessionOptions()
    options.log_severity_level = FATAL
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_EXTENDED  # fuses; no layouts
    options.optimized_model_filepath = str(out)
    options.add_session_config_entry("session.save_model_format", "ORT")
    try:
        onnxruntime.InferenceSession(str(model), options, providers=["CPUExecutionProvider"])
    except FAILURES as error:
        raise HtrjandError(f"{model}: onnxruntime cannot convert it ({first_line(error)}); export it again") from error
    if MARK in out.read_bytes():
        seal(out)
