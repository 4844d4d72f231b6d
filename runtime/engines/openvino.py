"""OpenVINO on the CPU: the engine of `.xml` files, whose weights are in a `.bin` beside them."""

from __future__ import annotations

import platform
import sys
import threading
from pathlib import Path
from typing import Any

import numpy.typing as npt

from ..errors import HtrjandError
from . import Port, cannot_run, first_line

# OpenVINO reports each import and conversion to its makers if this module can be imported. A reader of private papers
# talks to nobody.
sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
try:
    import openvino as openvino  # the library: imports are absolute, so the name is not this module's
except ImportError as missing:
    raise HtrjandError(f"openvino is not installed ({missing}): pip install 'htrjand[openvino]'") from missing

SECTION = "htrjand"  # of `rt_info`: what the file says of itself

CONFIG: dict[str, Any] = {
    "PERFORMANCE_HINT": "LATENCY",
    # Left to itself it computes in bf16 where the processor can, which is not what was proven.
    "INFERENCE_PRECISION_HINT": "f32",
    "ENABLE_CPU_PINNING": False,  # or two processes of one thread each would share one core
    # Kernels are kept by shape. Of 5000, its default, 256 shapes of lines filled 1.3 GB; of 256 they fill 0.4 GB, and
    # a dozen widths in turn still find theirs.
    "CPU_RUNTIME_CACHE_CAPACITY": 256,
}
if platform.machine() in ("aarch64", "arm64"):
    # Its int8 dense layers are wrong there (2025.4 to 2026.4: logits off by 100), so they are computed in float, as
    # convolutions are on such a processor anyway.
    CONFIG["LP_TRANSFORMS_MODE"] = False


class OpenVinoSession:
    """A graph that OpenVINO runs, a thread at a time: it has one request, which holds the inputs and outputs.

    Args:
        path: what errors call it.
        model: a compiled graph.
        metadata: what the file says of itself.
    """

    engine = f"openvino {openvino.__version__.partition('-')[0]}"

    def __init__(self, path: Path, model: openvino.CompiledModel, metadata: dict[str, str]) -> None:
        self.path, self.metadata = path, metadata
        self.inputs, self.outputs = tuple(map(port, model.inputs)), tuple(map(port, model.outputs))
        self.request = model.create_infer_request()
        self.lock = threading.Lock()

    def run(self, *inputs: npt.NDArray[Any]) -> list[npt.NDArray[Any]]:
        """The outputs, in the order of the file's."""
        try:
            with self.lock:
                return list(self.request.infer(list(inputs)).values())  # copies
        except RuntimeError as error:
            raise cannot_run(self.path, "OpenVINO", inputs, error) from error


def open_session(path: Path, threads: int | None = None) -> OpenVinoSession:
    """Opens a file; an HtrjandError where it is no OpenVINO model or cannot be prepared."""
    core = openvino.Core()
    core.set_property({"ENABLE_MMAP": False})  # a file in use can be replaced
    try:
        model = core.read_model(path, path.with_suffix(".bin"))
    except (RuntimeError, UnicodeDecodeError) as error:  # its messages quote the file
        raise HtrjandError(
            f"{path}: not a whole OpenVINO model ({first_line(error)}); copy it and the .bin beside it again, or "
            "export it again"
        ) from error
    config = CONFIG | ({} if threads is None else {"INFERENCE_NUM_THREADS": threads})
    try:
        return OpenVinoSession(path, core.compile_model(model, "CPU", config), read_metadata(model))
    except (RuntimeError, UnicodeDecodeError) as error:
        raise HtrjandError(
            f"{path}: OpenVINO cannot prepare it ({first_line(error)}); export the model again"
        ) from error


def read_metadata(model: openvino.Model) -> dict[str, str]:
    """What a model says of itself; nothing where it has no such section."""
    if not model.has_rt_info([SECTION]):
        return {}
    found: dict[str, Any] = model.get_rt_info(SECTION).value
    return {key: str(model.get_rt_info([SECTION, key]).value) for key in found}


def port(described: Any) -> Port:
    """An input or output of a graph."""
    sizes = (size.get_length() if size.is_static else None for size in described.get_partial_shape())
    names = sorted(described.get_names())
    return Port("/".join(names), described.get_element_type().to_dtype().name, tuple(sizes))
