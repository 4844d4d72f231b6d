"""onnxruntime on the CPU: the engine of `.onnx` and `.ort` files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ..errors import HtrjandError
from . import Port, cannot_run, first_line

try:
    import onnxruntime  # type: ignore[import-untyped]
    from onnxruntime.capi import onnxruntime_pybind11_state as native  # type: ignore[import-untyped]
except ImportError as missing:
    raise HtrjandError(f"onnxruntime is not installed ({missing}): pip install onnxruntime") from missing

# What onnxruntime raises has no base class of its own, and the list grows with its editions.
RAISED = (item for item in vars(native).values() if isinstance(item, type) and issubclass(item, Exception))
FAILURES: tuple[type[Exception], ...] = (UnicodeDecodeError, *RAISED)  # the one: metadata or names that are no text
FATAL = 4  # log severity: whatever goes wrong comes as an exception, once
TYPES = {"tensor(float)": "float32", "tensor(double)": "float64", "tensor(float16)": "float16"}  # others: as numpy's


class OnnxSession:
    """A model file that onnxruntime runs; it may be used by many threads.

    Raises:
        HtrjandError: the file is cut short or is no ONNX file.
    """

    engine = f"onnxruntime {onnxruntime.__version__}"

    def __init__(self, path: Path, threads: int | None = None) -> None:
        options = onnxruntime.SessionOptions()
        options.log_severity_level = FATAL
        options.intra_op_num_threads = threads or 0
        options.inter_op_num_threads = 1
        # Threads that wait leave their cores to others.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        self.path = path
        try:
            # There is nothing to fall back to, and it would tell of it on standard output.
            self.session = onnxruntime.InferenceSession(
                str(path), options, providers=["CPUExecutionProvider"], enable_fallback=0
            )
            self.metadata: Mapping[str, str] = self.session.get_modelmeta().custom_metadata_map
            self.inputs = tuple(map(port, self.session.get_inputs()))
            self.outputs = tuple(map(port, self.session.get_outputs()))
        except FAILURES as error:
            raise HtrjandError(
                f"{path}: not a whole ONNX model ({first_line(error)}); copy the file again, or export it again"
            ) from error

    def run(self, *inputs: npt.NDArray[Any]) -> list[npt.NDArray[Any]]:
        """The outputs, in the order of the file's."""
        try:
            found = self.session.run(None, {port.name: array for port, array in zip(self.inputs, inputs, strict=True)})
        except FAILURES as error:
            raise cannot_run(self.path, "onnxruntime", inputs, error) from error
        return [np.asarray(array) for array in found]

    def run_part(self, outputs: Sequence[str], inputs: Mapping[str, npt.NDArray[Any]]) -> list[npt.NDArray[Any]]:
        """Some outputs, by name, of a graph of several parts: no operator runs that they do not need."""
        options = onnxruntime.RunOptions()
        options.only_execute_path_to_fetches = True
        try:
            found = self.session.run(list(outputs), dict(inputs), options)
        except FAILURES as error:
            raise cannot_run(self.path, "onnxruntime", tuple(inputs.values()), error) from error
        return [np.asarray(array) for array in found]


open_session = OnnxSession


def port(described: Any) -> Port:
    """An input or output as onnxruntime describes it; a size that is no number may be any."""
    dtype = TYPES.get(described.type, described.type.removeprefix("tensor(").removesuffix(")"))
    return Port(described.name, dtype, tuple(size if isinstance(size, int) else None for size in described.shape))
