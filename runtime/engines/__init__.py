"""Engines run a model file. One small protocol; the file's suffix chooses the engine, which is imported only then."""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt

from ..errors import HtrjandError, UsageError
from ..image import HEIGHT
from ..info import ModelInfo
from ..seal import check_seal


class Engine(Protocol):
    """A model file, opened and checked."""

    info: ModelInfo

    def run(self, images: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        """Logits float32 [N, T, V] of images uint8 [N, 1, 64, W], W a multiple of `info.width_multiple`."""
        ...


def open_engine(path: str | Path, threads: int | None = None) -> Engine:
    """Opens a model file with the engine for its format.

    Args:
        path: the file; its suffix names the format.
        threads: threads to compute with; None leaves it to the engine (as a rule, one for each core).

    Raises:
        HtrjandError: there is no such file, its format is unknown, its engine is missing, or the file is damaged or
            cannot be used.
        UsageError: `threads` is less than 1.
    """
    path = Path(path).expanduser()
    if threads is not None and threads < 1:
        raise UsageError(f"{threads} threads cannot run a model; give 1 or more, or leave it out")
    opener = OPENERS.get(path.suffix.lower())
    if opener is None:
        raise HtrjandError(
            f"{path}: unknown model format {path.suffix!r}; give a file that ends in {', '.join(OPENERS)}"
        )
    if not path.is_file():
        raise HtrjandError(f"{path}: no such model file; check the path")
    check_seal(path)  # before a native parser meets the file
    engine = opener(path, threads)
    if engine.info.height != HEIGHT:
        raise HtrjandError(
            f"{path}: it reads lines {engine.info.height} pixels high, this edition makes {HEIGHT}; export it again"
        )
    return engine


def check_logits(logits: npt.NDArray[np.float32], images: npt.NDArray[np.uint8], info: ModelInfo, path: Path) -> None:
    """Raises an HtrjandError when the answer is not finite, or not of the shape that the file says of itself."""
    expected = (images.shape[0], images.shape[3] // info.frame_stride, len(info.charset))
    if logits.shape != expected:
        raise HtrjandError(
            f"{path}: images {list(images.shape)} gave logits {list(logits.shape)} instead of {list(expected)}: "
            "charset or frame stride do not match the weights; export the model again"
        )
    if not np.isfinite(logits).all():
        raise HtrjandError(
            f"{path}: the model's answer is not finite; take another precision of it, or export it again"
        )


def check_classes(classes: int, info: ModelInfo, path: Path) -> None:
    """Raises an HtrjandError unless the model tells as many classes apart as its charset has."""
    if classes != len(info.charset):
        raise HtrjandError(
            f"{path}: a charset of {len(info.charset)} (with the blank) does not match the weights, "
            f"which tell {classes} classes apart; export the model again with its own charset"
        )


def first_line(error: Exception) -> str:
    """The first line of an engine's message, shortened: most run over many."""
    return (str(error).strip() or type(error).__name__).splitlines()[0][:200]


def _open_onnx(path: Path, threads: int | None) -> Engine:
    from .onnx import OnnxEngine

    return OnnxEngine(path, threads)


def _open_litert(path: Path, threads: int | None) -> Engine:
    from .litert import LiteRtEngine

    return LiteRtEngine(path, threads)


def _open_openvino(path: Path, threads: int | None) -> Engine:
    from .openvino import OpenVinoEngine

    return OpenVinoEngine(path, threads)


def is_installed(suffix: str) -> bool:
    """Whether a library that reads files of this suffix can be imported."""
    return any(find_spec(name) is not None for name in LIBRARIES[suffix])


# Suffix -> the libraries that read such a file: the first that is installed does.
LIBRARIES = {
    ".onnx": ("onnxruntime",),
    ".ort": ("onnxruntime",),
    ".tflite": ("ai_edge_litert", "tflite_runtime"),
    ".xml": ("openvino",),
}

OPENERS: dict[str, Callable[[Path, int | None], Engine]] = {
    ".onnx": _open_onnx,
    ".ort": _open_onnx,
    ".tflite": _open_litert,
    ".xml": _open_openvino,
}
