"""The torch network behind the runtime's own reader: same preparation, same decoding, other arithmetic."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from ..runtime import Recognizer
from ..runtime.engines import Port
from ..runtime.errors import HtrjandError, UsageError
from ..runtime.image import HEIGHT, MAX_WIDTH, WIDTH_MULTIPLE, pad_line
from ..runtime.info import ModelInfo, sha256
from ..runtime.text import normalize
from .checkpoint import Card, load_network
from .data.error_rates import character_errors, percent
from .data.lines import LineRow
from .network import FRAME_STRIDE

SCORE_BATCH = 16


class TorchSession:
    """A function of torch, from images to logits, as a session of the runtime; kept out of it for the weight of torch.

    Args:
        path: the weights, for messages.
        forward: from `image` uint8 [N, 1, 64, W] to logits float [N, T, V].
        device: where both are.
    """

    inputs = (Port("image", "uint8", (None, 1, HEIGHT, None)),)
    outputs = (Port("logits", "float32", (None, None, None)),)
    engine = f"torch {torch.__version__}"

    def __init__(self, path: Path, forward: Callable[[Tensor], Tensor], device: str = "cpu") -> None:
        self.path, self.forward, self.device = path, forward, device
        self.metadata: dict[str, str] = {}  # the card beside the weights describes them

    def run(self, *inputs: npt.NDArray[Any]) -> list[npt.NDArray[Any]]:
        """The logits of images."""
        with torch.inference_mode():
            return [self.forward(*(torch.from_numpy(value).to(self.device) for value in inputs)).cpu().numpy()]

    @property
    def gpu(self) -> str | None:
        """The name of the GPU that it runs on, if it does."""
        return torch.cuda.get_device_name() if self.device == "cuda" else None


def open_weights(path: str | Path, threads: int | None = None, gpu: bool = False) -> Recognizer:
    """A reader over a `.safetensors` file.

    Args:
        path: the weights; their card (.json) stands beside them.
        threads: of torch, for the whole process; None leaves them as they are.
        gpu: run it on the GPU; UsageError where torch finds none.
    """
    if gpu and not torch.cuda.is_available():
        raise UsageError(f"{path}: torch finds no GPU on this machine; measure the file on the processor (no @gpu)")
    if threads is not None:
        torch.set_num_threads(threads)
    network, card = load_network(path)
    device = "cuda" if gpu else "cpu"
    return Recognizer.over(TorchSession(Path(path), network.to(device), device), model_info(card, Path(path)))


def model_info(card: Card, weights: Path) -> ModelInfo:
    """What a file exported from these weights is to say of itself; HtrjandError where the card cannot be right."""
    try:
        return ModelInfo(
            name=card.name,
            version=card.version,
            charset=card.charset,
            languages=card.languages,
            licence=card.licence,
            training_data=card.training_data,
            cer=card.cer,
            weights_sha256=sha256(weights),
            frame_stride=FRAME_STRIDE,
            height=HEIGHT,
            width_multiple=WIDTH_MULTIPLE,
            max_width=MAX_WIDTH,
            temperature=card.temperature,
            language_model=card.language_model,
        )
    except HtrjandError as error:
        raise HtrjandError(f"{weights.with_suffix('.json')}: {error}; copy it again, or put it right") from error


@dataclass(frozen=True)
class Reading:
    """What a reader read: the normalised texts, and (edits, reference characters) of each dataset, in order of name."""

    texts: list[str]
    errors: dict[str, tuple[int, int]]

    def cer(self, dataset: str | None = None) -> float:
        """In percent, of one dataset or of all; an HtrjandError where these hold no text."""
        counts = np.array([count for name, count in self.errors.items() if dataset in (None, name)])
        return percent(*counts.reshape(-1, 2).T)


def read_rows(reader: Recognizer, rows: Sequence[LineRow], width: int | None = None) -> Reading:
    """Reads lines, padded to a width if one is given, and counts the errors of each dataset, over normalised texts."""
    pixels = (row.pixels() for row in rows)
    images = [image if width is None else pad_line(image, width) for image in pixels]
    texts = [normalize(line.text) for line in reader.read_lines(images, SCORE_BATCH)]
    errors = {name: (0, 0) for name in sorted({row.dataset for row in rows})}
    for row, text in zip(rows, texts, strict=True):
        edits, length = character_errors(row.text, text)
        errors[row.dataset] = errors[row.dataset][0] + edits, errors[row.dataset][1] + length
    return Reading(texts, errors)
