"""The two kinds of weights, a line reader's and a line detector's."""

from __future__ import annotations

from pathlib import Path

from ..runtime.kinds import Info, info_of
from ..runtime.page.detector_info import DetectorInfo
from ..train.checkpoint import load_network
from ..train.network import Network
from ..train.page.card import detector_info
from ..train.page.network import Detector
from ..train.page.session import are_detector_weights
from ..train.page.weights import load_detector
from ..train.reader import model_info

Net = Network | Detector


def is_detector(path: Path) -> bool:
    """Whether weights, or a model file, are those of a line detector."""
    if path.suffix == ".safetensors":
        return are_detector_weights(path)
    return isinstance(info_of(path), DetectorInfo)


def load_weights(path: Path) -> tuple[Net, Info]:
    """The network of a .safetensors file, in eval mode, and what a float file made from it is to say of itself."""
    if are_detector_weights(path):
        detector = load_detector(path)
        return detector, detector_info(path, detector.recipe.multiple)
    network, card = load_network(path)
    return network, model_info(card, path)
