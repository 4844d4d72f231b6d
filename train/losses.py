"""What is minimised over a batch, and what is counted over one."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from rapidfuzz.distance import Levenshtein
from torch import Tensor
from torch.nn import functional as F

from .batches import Batch
from .network import FRAME_STRIDE

Counts = npt.NDArray[np.float64]  # errors and characters, a row a line or a data set


def ctc_loss(logits: Tensor, batch: Batch) -> Tensor:
    """CTC a character, so that long lines do not outweigh short ones; logits float [N, T, V]."""
    frames = batch.targets // FRAME_STRIDE
    log_probs = logits.log_softmax(-1).transpose(0, 1)  # T, N, V
    return F.ctc_loss(log_probs, batch.classes, frames, batch.lengths, zero_infinity=True)


def count_errors(logits: Tensor, batch: Batch) -> Counts:
    """Edit distance of each line's greedy reading to its text, and the text's length: float64 [N, 2]."""
    counts, at = np.zeros((len(batch.lengths), 2)), 0
    for line, (scores, width, size) in enumerate(
        zip(logits, batch.targets.tolist(), batch.lengths.tolist(), strict=True)
    ):
        path = scores[: width // FRAME_STRIDE].argmax(-1).cpu().numpy()  # T
        read = path[np.flatnonzero(np.diff(path, prepend=-1))]
        text = batch.classes[at : at + size].tolist()
        counts[line] = Levenshtein.distance(read[read != 0].tolist(), text), size
        at += size
    return counts


def percent(counts: Counts) -> float:
    """The CER, in percent, of errors and characters [N, 2]."""
    errors, length = counts.sum(0)
    return 100 * float(errors) / max(1.0, float(length))
