"""What is told of a detector's weights besides the network: a small JSON beside them, where there is one."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from ...runtime.errors import HtrjandError, UsageError
from ...runtime.files import atomic_path
from ...runtime.info import sha256
from ...runtime.page.detector_info import DetectorInfo
from ...runtime.text import json_text
from ..recipe_loader import from_dict
from .measure import ALL
from .score import Found


@dataclass(frozen=True)
class DetectorCard:
    """The card of weights `NAME.safetensors` is `NAME.json`."""

    name: str = "detector"
    version: str = "0"
    licence: str = ""
    training_data: tuple[str, ...] = ()
    found: dict[str, tuple[float, ...]] = field(default_factory=dict)  # dataset -> recall, precision on test pages, %
    sha256: str = ""  # of the weights that `found` was measured of; none where nothing was measured


def load_card(weights: Path) -> DetectorCard:
    """The card beside weights; one that tells nothing where there is none.

    Raises:
        HtrjandError: it cannot be read, or its figures are those of other weights.
    """
    path = weights.with_suffix(".json")
    if not path.exists():
        return DetectorCard()
    try:
        card = from_dict(DetectorCard, json.loads(path.read_text(encoding="utf-8")), str(path))
    except (OSError, ValueError, UsageError) as error:
        raise HtrjandError(f"{path}: not the card of a line detector ({error}); put it right, or remove it") from error
    if card.sha256 and card.sha256 != sha256(weights):
        raise HtrjandError(
            f"{path}: its figures are those of other weights; measure these: "
            f"htrjand detector score {weights} --split test --card"
        )
    return card


def save_scores(weights: Path, scores: Mapping[str, Found]) -> None:
    """Writes recall and precision of these very weights into their card."""
    path = weights.with_suffix(".json")
    values = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    card = from_dict(DetectorCard, values | {"found": {}, "sha256": ""}, str(path))
    found: dict[str, tuple[float, ...]] = {
        name: (round(score.recall, 1), round(score.precision, 1))
        for name, score in sorted(scores.items())
        if name != ALL
    }
    card = dataclasses.replace(card, found=found, sha256=sha256(weights))
    with atomic_path(path) as part:
        part.write_text(json_text(dataclasses.asdict(card), indent=1) + "\n", encoding="utf-8")


def detector_info(weights: Path, multiple: int) -> DetectorInfo:
    """What a file made from these weights is to say of itself; `multiple`: that of their network."""
    card = load_card(weights)
    try:
        return DetectorInfo(
            name=card.name, version=card.version, licence=card.licence, training_data=card.training_data,
            found={name: (pair[0], pair[-1]) for name, pair in card.found.items()}, weights_sha256=sha256(weights),
            multiple=multiple,
        )  # fmt: skip
    except (HtrjandError, IndexError) as error:
        raise HtrjandError(f"{weights.with_suffix('.json')}: {error}; put it right, or remove it") from error
