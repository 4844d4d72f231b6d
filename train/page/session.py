"""The torch network behind the runtime's own detector: same preparation, same reading of the maps, other arithmetic."""

from __future__ import annotations

from pathlib import Path

from safetensors import SafetensorError, safe_open

from ...runtime.errors import HtrjandError
from ...runtime.info import sha256
from ...runtime.page.detector import INPUT, OUTPUT, LineDetector
from ...runtime.page.detector_info import DetectorInfo
from ..reader import TorchSession
from .network import Detector
from .weights import load_detector


class DetectorSession(TorchSession):
    """A detector's network as a session of the runtime."""

    inputs, outputs = (INPUT,), (OUTPUT,)

    def __init__(self, path: Path, network: Detector) -> None:
        super().__init__(path, network)
        info = DetectorInfo(path.stem, "0", weights_sha256=sha256(path), multiple=network.recipe.multiple)
        self.metadata = info.to_metadata()


def open_detector(path: Path) -> LineDetector:
    """A detector of a model file, or of weights."""
    if path.suffix != ".safetensors":
        return LineDetector(path)
    return LineDetector.over(DetectorSession(path, load_detector(path)))


def are_detector_weights(path: Path) -> bool:
    """Whether a .safetensors file is that of a detector, and not of a line reader; HtrjandError for one cut short."""
    try:
        with safe_open(path, "pt") as file:
            return "recipe" in (file.metadata() or {})
    except FileNotFoundError as error:
        raise HtrjandError(f"{path}: no such file; check the path") from error
    except (SafetensorError, OSError) as error:
        raise HtrjandError(f"{path}: not a whole safetensors file ({error}); copy it again") from error
