"""The detector's weights: a .safetensors with the network's recipe in its metadata."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path

import torch
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


def mean_detector(paths: Sequence[Path]) -> Detector:
    """A detector with the mean of several ones' weights.

    Where all come from the same one by further training, the mean errs less than each (Wortsman et al. 2022,
    "Model soups"). HtrjandError as for `load_detector`, and where they are of different shapes.
    """
    detectors = [load_detector(path) for path in paths]
    mean = detectors[0]
    for path, other in zip(paths[1:], detectors[1:], strict=True):
        if other.recipe != mean.recipe:
            raise HtrjandError(f"{path}: a network of another shape than {paths[0]}; give weights of one recipe")
    states = [detector.state_dict() for detector in detectors]
    mean.load_state_dict(
        {name: torch.stack([state[name].double() for state in states]).mean(0) for name in mean.state_dict()}
    )
    return mean


if __name__ == "__main__":
    if len(sys.argv) < 3:
        sys.exit(
            "usage: python -m htrjand.train.page.weights WEIGHTS... OUT: "
            "copies a detector in half precision, or the mean of several"
        )
    *given, out = map(Path, sys.argv[1:])
    save_detector(mean_detector(given), out, half=True)
