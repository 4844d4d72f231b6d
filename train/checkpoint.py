"""Weights as safetensors with a small JSON beside them; the state of a run in the same form."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from ..runtime.errors import HtrjandError, UsageError
from ..runtime.files import atomic_path
from ..runtime.info import LanguageFit
from ..runtime.text import json_text
from .network import Network, NetworkRecipe
from .recipe_loader import from_dict

FORMAT = 1


@dataclass(frozen=True)
class Card:
    """The JSON beside weights: the network's shape, its charset, and where the weights come from."""

    network: NetworkRecipe
    charset: tuple[str, ...]
    name: str = "htrjand"
    version: str = "0"
    languages: tuple[str, ...] = ()
    licence: str = ""
    training_data: tuple[str, ...] = ()
    lines_seen: int = 0
    val_cer: float | None = None  # percent, on the validation lines
    cer: dict[str, float] = field(default_factory=dict)  # percent, on the test lines of each dataset: set on release
    temperature: float = 1.0  # this and the next: see runtime/info.py
    language_model: LanguageFit | None = None
    history: dict[str, str] = field(default_factory=dict)  # SHA-256 of the teacher, of the weights it began from, …


# What was measured of weights: others that are made of them begin without it.
NOT_MEASURED: dict[str, Any] = {"cer": {}, "temperature": 1.0, "language_model": None}


def save_network(path: str | Path, weights: dict[str, Tensor], card: Card) -> None:
    """Writes `path` (.safetensors) and the JSON beside it, each whole or not at all."""
    path = Path(path)
    with atomic_path(path) as part:
        save_file({name: tensor.detach().cpu().contiguous() for name, tensor in weights.items()}, part)
    save_card(path, card)


def save_card(path: str | Path, card: Card) -> None:
    """Writes the JSON beside weights."""
    values = {"format": FORMAT, "sha256": sha256(path), **dataclasses.asdict(card)}
    with atomic_path(Path(path).with_suffix(".json")) as part:
        part.write_text(json_text(values, indent=1) + "\n", encoding="utf-8")


def weights_of(network: Network) -> dict[str, Tensor]:
    """The tensors that a weights file keeps: no counters of batches, and not the head that names datasets."""
    return {
        name: tensor
        for name, tensor in network.state_dict().items()
        if not name.endswith("num_batches_tracked") and not name.startswith("origin.")
    }


def halve(path: str | Path, out: str | Path) -> None:
    """Copies weights and their card with matrices and kernels in fp16: half the size; `load_network` reads both alike.

    Vectors keep 32 bits: they are few, and some are variances too small for fp16.
    """
    save_network(out, in_half(load_tensors(path)), load_card(path))


def in_half(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: tensor.half() if tensor.ndim > 1 else tensor for name, tensor in weights.items()}


def write_mean(paths: Sequence[Path], out: Path) -> None:
    """Writes the mean of several weights, in halves as `halve` does, with the card of the first and nothing measured.

    Languages and licence are `inherited` from whichever weights name some: a run's own do not.

    Where all come from the same ones by further training, the mean errs less than each (Wortsman et al. 2022, "Model
    soups"). Of the saved state of a run (`state.safetensors`) its moving average counts: its `weights.safetensors` are
    those that it began from, as long as none read better. A file given twice counts twice.

    Raises:
        HtrjandError: a file is not there or not whole, or is of another network or charset than the first.
    """
    cards = [load_card(path.with_name("weights.safetensors") if is_state(path) else path) for path in paths]
    shapes = [(replace(card.network, layer_drop=0.0, dropout=0.0), card.charset) for card in cards]
    for path, shape in zip(paths, shapes, strict=True):
        if shape != shapes[0]:
            raise HtrjandError(f"{path}: of another network or charset than {paths[0]}; give weights of one kind")
    names = weights_of(Network(cards[0].network, len(cards[0].charset)))
    states = [load_tensors(path) for path in paths]
    prefixes = ["ema." * is_state(path) for path in paths]
    mean = {
        name: torch.stack([state[prefix + name].double() for state, prefix in zip(states, prefixes, strict=True)])
        .mean(0)
        .float()
        for name in names
    }
    save_network(out, in_half(mean), replace(cards[0], **inherited(cards), val_cer=None, **NOT_MEASURED))


def inherited(cards: Sequence[Card]) -> dict[str, Any]:
    """The languages of some cards, each once, and the first licence: what weights made of theirs have."""
    languages = tuple(dict.fromkeys(name for card in cards for name in card.languages))
    return {"languages": languages, "licence": next((card.licence for card in cards if card.licence), "")}


def is_state(path: Path) -> bool:
    """Whether a file is the saved state of a run, by its name."""
    return path.name == "state.safetensors"


def load_card(path: str | Path) -> Card:
    """The card beside a weights file; HtrjandError where one of them is missing or the card is of another format."""
    if not Path(path).is_file():
        raise HtrjandError(f"{path}: no such file; check the path")
    beside = Path(path).with_suffix(".json")
    try:
        values = json.loads(beside.read_text(encoding="utf-8"))
        if values.pop("format") != FORMAT:
            raise HtrjandError(f"{beside}: written by another version of htrjand; train or convert it again")
        values.pop("sha256")  # of the weights: see load_network
        return from_dict(Card, values, str(beside))
    except FileNotFoundError as error:
        raise HtrjandError(f"{beside}: no such file; keep the .json beside its .safetensors") from error
    except (ValueError, KeyError, AttributeError, TypeError, UsageError) as error:
        raise HtrjandError(f"{beside}: not the card of a network ({error}); copy it again") from error


def load_network(path: str | Path) -> tuple[Network, Card]:
    """The network with its weights, in eval mode, and its card.

    Raises:
        HtrjandError: a file is missing or cut short, or the weights are of another network or charset.
    """
    card = load_card(path)
    network = Network(card.network, len(card.charset))
    weights = load_tensors(path)
    head = weights.get("head.weight")
    if head is not None and head.shape[0] != len(card.charset):
        raise HtrjandError(
            f"{path}: {head.shape[0]} classes, and the charset beside it has {len(card.charset)}; "
            "take the .json that was written with these weights"
        )
    try:
        network.load_state_dict(weights)
    except RuntimeError as error:
        raise HtrjandError(f"{path}: the weights are of another network than its .json says ({error})") from error
    if json.loads(Path(path).with_suffix(".json").read_text(encoding="utf-8"))["sha256"] != sha256(path):
        raise HtrjandError(f"{path}: not the weights that the .json beside it was written with; copy both again")
    return network.eval(), card


def load_tensors(path: str | Path) -> dict[str, Tensor]:
    """The tensors of a safetensors file; HtrjandError where it is missing or cut short."""
    try:
        return load_file(path)
    except FileNotFoundError as error:
        raise HtrjandError(f"{path}: no such file; check the path") from error
    except (SafetensorError, OSError) as error:
        raise HtrjandError(f"{path}: not a whole safetensors file ({error}); copy it again") from error


def save_state(
    path: Path, module: torch.nn.Module, optimizer: torch.optim.Optimizer, ema: dict[str, Tensor], rest: Any
) -> None:
    """Writes all that a run needs to go on as if it had never stopped.

    Args:
        path: a safetensors file.
        module: the network in training.
        ema: the moving average of its weights.
        rest: what is no tensor, as JSON in the file's metadata.
    """
    tensors = {f"model.{name}": tensor for name, tensor in module.state_dict().items()}
    tensors |= {f"ema.{name}": tensor for name, tensor in ema.items()}
    for index, state in optimizer.state_dict()["state"].items():
        tensors |= {f"optimizer.{index}.{name}": tensor for name, tensor in state.items()}
    with atomic_path(path) as part:
        copies = {name: tensor.detach().cpu().clone().contiguous() for name, tensor in tensors.items()}
        save_file(copies, part, metadata={"rest": json.dumps(rest)})


def load_state(path: Path, module: torch.nn.Module, optimizer: torch.optim.Optimizer, ema: dict[str, Tensor]) -> None:
    """Puts back what `save_state` wrote; `ema` is filled in place."""
    tensors = load_tensors(path)
    try:
        put_back(tensors, module, optimizer, ema)
    except (RuntimeError, KeyError, ValueError) as error:
        raise HtrjandError(
            f"{path}: the saved state is of another network; choose another folder with -o, or remove it"
        ) from error


def put_back(
    tensors: dict[str, Tensor], module: torch.nn.Module, optimizer: torch.optim.Optimizer, ema: dict[str, Tensor]
) -> None:
    """Copies the tensors of a saved state into the module, the optimiser and the moving average."""
    module.load_state_dict({name[6:]: tensor for name, tensor in tensors.items() if name.startswith("model.")})
    for name in ema:
        ema[name].copy_(tensors[f"ema.{name}"])
    whole = optimizer.state_dict()
    states: dict[int, dict[str, Tensor]] = {}
    for name, tensor in tensors.items():
        if name.startswith("optimizer."):
            _, index, key = name.split(".")
            states.setdefault(int(index), {})[key] = tensor
    optimizer.load_state_dict({"state": states, "param_groups": whole["param_groups"]})


def read_rest(path: Path) -> Any:
    """The JSON kept with a saved state."""
    from safetensors import safe_open

    try:
        with safe_open(path, "pt") as file:
            return json.loads(file.metadata()["rest"])
    except (SafetensorError, OSError, KeyError, TypeError, ValueError) as error:
        raise HtrjandError(f"{path}: not the saved state of a run ({error}); remove it to begin anew") from error


def sha256(path: str | Path) -> str:
    """The file's SHA-256 as hex."""
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()


if __name__ == "__main__":
    if len(sys.argv) < 3:
        sys.exit(
            "usage: python -m htrjand.train.checkpoint WEIGHTS... OUT: copies weights in half precision, or the mean "
            "of several; of a run that is not done, or reads no better than what it began from, its state.safetensors"
        )
    if len(sys.argv) == 3 and not is_state(Path(sys.argv[1])):
        halve(sys.argv[1], sys.argv[2])
    else:
        *given, to = map(Path, sys.argv[1:])
        write_mean(given, to)
