"""The CTC loss of a batch, and the reading errors of one."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from torch import Tensor
from torch.nn import functional as F

from .batches import Batch
from .data.error_rates import character_errors
from .network import FRAME_STRIDE

Counts = npt.NDArray[np.float64]  # errors and characters, a row a line or a dataset


def ctc_loss(logits: Tensor, batch: Batch) -> Tensor:
    """CTC loss a character, averaged over lines, so that long ones weigh no more; logits float [N, T, V]."""
    frames = batch.padded_widths // FRAME_STRIDE
    log_probs = logits.log_softmax(-1).transpose(0, 1)  # T, N, V
    return F.ctc_loss(log_probs, batch.classes, frames, batch.lengths, zero_infinity=True)


def count_errors(logits: Tensor, batch: Batch, charset: Sequence[str]) -> Counts:
    """Edits and reference characters of each line, read greedily: float64 [N, 2]; logits float [N, T, V].

    Edits are counted as in a proof or a benchmark, between texts as `normalize` spells them; which lines are counted
    differs, see `load_data`.
    """
    counts, start = np.zeros((len(batch.lengths), 2)), 0
    paths = logits.argmax(-1).cpu().numpy()  # N, T
    classes = batch.classes.tolist()
    for line, (path, width, length) in enumerate(
        zip(paths, batch.padded_widths.tolist(), batch.lengths.tolist(), strict=True)
    ):
        text = "".join(charset[number] for number in classes[start : start + length])
        counts[line] = character_errors(text, greedy_text(path[: width // FRAME_STRIDE], charset))
        start += length
    return counts


def greedy_text(path: npt.NDArray[np.int64], charset: Sequence[str]) -> str:
    """The text of the best class of each frame [T]: repeats count once, the blank (class 0) separates."""
    starts = np.diff(path, prepend=-1) != 0
    return "".join(charset[number] for number in path[starts & (path != 0)].tolist())
