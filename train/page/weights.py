"""The detector's weights: a .safetensors with the network's recipe in its metadata."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from ...runtime.errors import HtrjandError
from ...runtime.files import atomic_path
from ..recipe_loader import from_dict, to_json
from .network import Detector, DetectorRecipe


def save_detector(network: Detector, path: Path, half: bool = False) -> None:
    """Writes a detector, whole or not at all; with `half` its kernels in fp16, which `load_detector` reads as well."""
    tensors = {
        name: (tensor.half() if half and tensor.ndim > 1 else tensor).contiguous()
        for name, tensor in network.state_dict().items()
    }
    with atomic_path(path) as part:
        save_file(tensors, part, metadata={"recipe": to_json(network.recipe)})


def load_detector(path: Path) -> Detector:
    """Reads a detector, in evaluation mode; HtrjandError where the file is missing, cut short or of something else."""
    try:
        with safe_open(path, "pt") as file:
            recipe = from_dict(DetectorRecipe, json.loads((file.metadata() or {})["recipe"]), str(path))
            network = Detector(recipe)
            network.load_state_dict({name: file.get_tensor(name) for name in file.keys()})  # noqa: SIM118
    except (SafetensorError, OSError, KeyError, RuntimeError, ValueError) as error:
        raise HtrjandError(f"{path}: not the weights of a line detector ({error})") from error
    return network.eval()


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit("usage: python -m htrjand.train.page.weights WEIGHTS OUT: copies a detector in half precision")
    save_detector(load_detector(Path(sys.argv[1])), Path(sys.argv[2]), half=True)
