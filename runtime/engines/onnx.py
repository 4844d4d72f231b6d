"""onnxruntime on the CPU: the engine of `.onnx` and `.ort` files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ..errors import HtrjandError
from ..image import HEIGHT
from ..info import ModelInfo
from . import check_classes, check_logits, first_line

try:
    import onnxruntime  # type: ignore[import-untyped]
    from onnxruntime.capi import onnxruntime_pybind11_state as native  # type: ignore[import-untyped]
except ImportError as missing:
    raise HtrjandError(f"onnxruntime is not installed ({missing}): pip install onnxruntime") from missing

# What onnxruntime raises has no base class of its own, and the list grows with its editions.
FAILURES = tuple(item for item in vars(native).values() if isinstance(item, type) and issubclass(item, Exception))
FATAL = 4  # log severity: whatever goes wrong comes as an exception, once


class OnnxEngine:
    """A model file that onnxruntime runs.

    Raises:
        HtrjandError: the file is cut short, is no ONNX file, does not describe itself, or is not what it describes.
    """

    def __init__(self, path: Path, threads: int | None = None) -> None:
        options = onnxruntime.SessionOptions()
        options.log_severity_level = FATAL
        options.intra_op_num_threads = threads or 0
        options.inter_op_num_threads = 1
        # Threads that wait leave their cores to others.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        self.path = path
        try:
            self.session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        except FAILURES as error:
            raise HtrjandError(
                f"{path}: not a whole ONNX model ({first_line(error)}); copy the file again, or export it again"
            ) from error
        self.info = ModelInfo.from_metadata(self.session.get_modelmeta().custom_metadata_map, path)
        check_port(path, "input", self.session.get_inputs(), "image", "tensor(uint8)", [None, 1, HEIGHT, None])
        check_port(path, "output", self.session.get_outputs(), "logits", "tensor(float)", [None, None, None])
        classes = self.session.get_outputs()[0].shape[2]
        if isinstance(classes, int):
            check_classes(classes, self.info, path)

    def run(self, images: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        """Logits float32 [N, T, V] of images uint8 [N, 1, 64, W]."""
        try:
            (logits,) = self.session.run(["logits"], {"image": images})
        except FAILURES as error:
            raise HtrjandError(
                f"{self.path}: onnxruntime cannot run it on images {list(images.shape)} ({first_line(error)}); "
                "export the model again"
            ) from error
        check_logits(logits, images, self.info, self.path)
        return np.asarray(logits, dtype=np.float32)  # N, T, V


def check_port(path: Path, kind: str, ports: list[Any], name: str, dtype: str, shape: list[int | None]) -> None:
    """Raises an HtrjandError unless the only `kind` is `name` of this type and shape (None: any size)."""
    found = ", ".join(f"{port.name} {port.type} {port.shape}" for port in ports)
    fits = (
        len(ports) == 1
        and (ports[0].name, ports[0].type) == (name, dtype)
        and len(ports[0].shape) == len(shape)
        and all(want is None or have == want for have, want in zip(ports[0].shape, shape, strict=True))
    )
    if not fits:
        wanted = [size or "any" for size in shape]
        raise HtrjandError(
            f"{path}: its {kind} is {found}, where a line recogniser has {name} {dtype} {wanted}; "
            "take a model file that htrjand exported"
        )
