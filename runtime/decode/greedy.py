"""Greedy CTC decoding, with a confidence and a place in the image for every character."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ..info import ModelInfo
from .line import Character, Line

REACH = 20  # columns at 64 rows that a character reaches beyond its frames at most: the widest letters are some 45 wide


def decode_greedy(logits: npt.NDArray[np.float32], info: ModelInfo, line_width: int, image_width: int) -> Line:
    """Reads the most probable path.

    A character's confidence is its greatest probability among its frames. The line's is the product over all runs of
    equal frames: for a character the same; for the blanks between two characters that of their weakest frame, where
    either neighbour is as good as a blank (it changes no text), unless both neighbours are the same character: then
    that of the surest blank, which keeps them two. It stands for the probability CTC gives the text, without its loop.
    Probabilities are the softmax of logits / `info.temperature`: that temperature is what makes chances of them.

    Args:
        logits: [T, V].
        info: the charset, blank, frame stride and temperature.
        line_width: columns of the scaled line before it was padded.
        image_width: columns of the image as it was given: `x0` and `x1` are in these.
    """
    best = logits.argmax(axis=1)  # T
    starts = np.concatenate(([0], np.flatnonzero(best[1:] != best[:-1]) + 1))  # R: runs of equal frames
    classes = best[starts]  # R
    inked = classes != info.blank  # R
    runs = run_confidences(logits, info.temperature, best, starts, info.blank)  # R
    ends = np.append(starts[1:], len(best))  # R
    x0, x1 = spans(starts[inked], ends[inked], info.frame_stride, line_width)
    scale = image_width / line_width
    characters = tuple(
        Character(info.charset[index], chance, left, right)
        for index, chance, left, right in zip(
            classes[inked].tolist(), runs[inked].tolist(), (x0 * scale).tolist(), (x1 * scale).tolist(), strict=True
        )
    )
    text = "".join(character.char for character in characters)
    return Line(text, float(runs.prod()), characters)


def softmax(logits: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Probabilities over the last axis."""
    powers: npt.NDArray[np.float32] = np.exp(logits - logits.max(axis=-1, keepdims=True))
    powers /= powers.sum(axis=-1, keepdims=True)
    return powers


def run_confidences(
    logits: npt.NDArray[np.float32], temperature: float, best: npt.NDArray[np.intp], starts: npt.NDArray[np.intp],
    blank: int,
) -> npt.NDArray[np.float64]:  # fmt: skip
    """The chance that each run of equal frames is right, as `decode_greedy` defines it.

    Args:
        logits: [T, V]; what it needs of their softmax is computed here.
        best: [T], the class of each frame.
        starts: [R], the first frame of each run.
    """
    frames = np.arange(len(best))
    powers = logits - logits[frames, best][:, None]  # T, V
    powers /= np.float32(temperature)
    np.exp(powers, out=powers)  # 1 for the best class
    totals = powers.sum(axis=1)  # T
    classes = best[starts]  # R
    peak = 1 / np.minimum.reduceat(totals, starts)  # R
    before = np.concatenate(([blank], classes[:-1]))  # R
    after = np.append(classes[1:], blank)  # R
    lengths = np.diff(starts, append=len(best))
    left, right = np.repeat(before, lengths), np.repeat(after, lengths)  # T
    harmless = powers[:, blank].copy()  # T
    harmless += np.where(left != blank, powers[frames, left], 0)
    harmless += np.where((right != blank) & (right != left), powers[frames, right], 0)
    weakest = np.minimum.reduceat(harmless / totals, starts)  # R
    parts_twins = (before == after) & (before != blank)
    chance = np.where((classes != blank) | parts_twins, peak, weakest)
    return np.minimum(chance.astype(np.float64), 1.0)


def spans(
    starts: npt.NDArray[np.intp], ends: npt.NDArray[np.intp], stride: int, width: int
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Where characters stand, in columns of a line `width` wide: half-way to their neighbours, at most `REACH` beyond.

    CTC fires in the midst of a character, in one or two frames: its edges are guesses. They are in order and inside the
    line, x0 < x1, even for a character that was fired in the padding.

    Args:
        starts: [K], first frame of each character.
        ends: [K], the frame after its last.
        stride: columns a frame stands for.
    """
    count = len(starts)
    first, last = starts * float(stride), ends * float(stride)  # K
    middle = (last[:-1] + first[1:]) / 2  # K - 1
    x0 = np.maximum(np.concatenate(([0.0], middle)) if count else first, first - REACH)
    x1 = np.minimum(np.append(middle, np.inf) if count else last, last + REACH)
    least = min(1.0, width / max(count, 1))  # columns every character keeps when the line's end presses it
    room = width - least * np.arange(count, -1, -1)  # K + 1
    return np.minimum(x0, np.maximum(room[:-1], 0.0)), np.minimum(x1, room[1:])
