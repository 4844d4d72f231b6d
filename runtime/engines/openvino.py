"""OpenVINO on the CPU: the engine of `.xml` files, whose weights are in a `.bin` beside them."""

from __future__ import annotations

import platform
import sys
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ..errors import HtrjandError
from ..image import HEIGHT
from ..info import ModelInfo
from . import check_classes, check_logits, first_line

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


class OpenVinoEngine:
    """A model file that OpenVINO runs.

    Raises:
        HtrjandError: the file is no OpenVINO model, does not describe itself, or is not what it describes.
    """

    def __init__(self, path: Path, threads: int | None = None) -> None:
        self.path = path
        core = openvino.Core()
        core.set_property({"ENABLE_MMAP": False})  # a file in use can be replaced
        try:
            model = core.read_model(path, path.with_suffix(".bin"))
        except RuntimeError as error:
            raise HtrjandError(
                f"{path}: not a whole OpenVINO model ({first_line(error)}); copy it and the .bin beside it again, or "
                "export it again"
            ) from error
        self.info = ModelInfo.from_metadata(read_metadata(model), path)
        check_port(path, "input", model.inputs, "image", openvino.Type.u8, [None, 1, HEIGHT, None])
        check_port(path, "output", model.outputs, "logits", openvino.Type.f32, [None, None, None])
        classes = model.output(0).get_partial_shape()[2]
        if classes.is_static:
            check_classes(classes.get_length(), self.info, path)
        config = CONFIG | ({} if threads is None else {"INFERENCE_NUM_THREADS": threads})
        try:
            self.request = core.compile_model(model, "CPU", config).create_infer_request()
        except RuntimeError as error:
            raise HtrjandError(
                f"{path}: OpenVINO cannot prepare it ({first_line(error)}); export the model again"
            ) from error

    def run(self, images: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        """Logits float32 [N, T, V] of images uint8 [N, 1, 64, W]."""
        try:
            logits = self.request.infer([images])[0]
        except RuntimeError as error:
            raise HtrjandError(
                f"{self.path}: OpenVINO cannot run it on images {list(images.shape)} ({first_line(error)}); "
                "export the model again"
            ) from error
        check_logits(logits, images, self.info, self.path)
        return np.asarray(logits, dtype=np.float32)  # N, T, V


def read_metadata(model: openvino.Model) -> dict[str, str]:
    """What a model says of itself; nothing where it has no such section."""
    if not model.has_rt_info([SECTION]):
        return {}
    found: dict[str, Any] = model.get_rt_info(SECTION).value
    return {key: str(model.get_rt_info([SECTION, key]).value) for key in found}


def check_port(
    path: Path, kind: str, ports: list[Any], name: str, dtype: openvino.Type, shape: list[int | None]
) -> None:
    """Raises an HtrjandError unless the only `kind` is `name` of this type and shape (None: any size)."""

    def fits(port: Any) -> bool:
        sizes = port.get_partial_shape()
        return (
            name in port.get_names()
            and port.get_element_type() == dtype
            and len(sizes) == len(shape)
            and all(want is None or have == want for have, want in zip(sizes, shape, strict=True))
        )

    if len(ports) != 1 or not fits(ports[0]):
        found = ", ".join(f"{'/'.join(port.names)} {port.element_type} {port.partial_shape}" for port in ports)
        wanted = [size or "any" for size in shape]
        raise HtrjandError(
            f"{path}: its {kind} is {found}, where a line recogniser has {name} {dtype} {wanted}; "
            "take a model file that htrjand exported"
        )
