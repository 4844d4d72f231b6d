"""What is minimised over a batch, and what is counted over one."""

from __future__ import annotations

import numpy as np
from rapidfuzz.distance import Levenshtein
from torch import Tensor
from torch.nn import functional as F

from .batches import Batch
from .network import FRAME_STRIDE


def ctc_loss(logits: Tensor, batch: Batch) -> Tensor:
    """CTC a character, so that long lines do not outweigh short ones; logits float [N, T, V]."""
    frames = batch.targets // FRAME_STRIDE
    log_probs = logits.log_softmax(-1).transpose(0, 1)  # T, N, V
    return F.ctc_loss(log_probs, batch.classes, frames, batch.lengths, zero_infinity=True)


def count_errors(logits: Tensor, batch: Batch) -> tuple[int, int]:
    """Edit distance of the greedy reading to the text, and the text's length, both summed over a batch."""
    errors = length = 0
    at = 0
    for scores, width, size in zip(logits, batch.targets.tolist(), batch.lengths.tolist(), strict=True):
        path = scores[: width // FRAME_STRIDE].argmax(-1).cpu().numpy()  # T
        read = path[np.flatnonzero(np.diff(path, prepend=-1))]
        text = batch.classes[at : at + size].tolist()
        errors, length, at = errors + Levenshtein.distance(read[read != 0].tolist(), text), length + size, at + size
    return errors, length
