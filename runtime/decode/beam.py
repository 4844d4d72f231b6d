"""Prefix beam search: the text that CTC and a language model together find most probable (Hannun 2014).

A hypothesis is a prefix of the text; its score is ln p(CTC) + weight · ln p(language) + bonus · characters. The
hypotheses of all lines of a batch advance together, in arrays [N, B]; a line reads in a batch as it reads alone.

Where `beam.c` was compiled, the same search runs there, line by line, in a tenth of the time.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from ..info import ModelInfo
from . import kernel
from .confidence import confidences
from .greedy import softmax, spans
from .language import Found, Language, Scored
from .line import Character, Line
from .rescore import KEPT, Rescorer

WIDTH = 64  # hypotheses kept of each line
CANDIDATES = 10  # characters tried at a frame
UNLIKELY = -6.0  # ln p of a character that is not tried
SURE = float(np.log(0.99))  # ln p of a blank after which nothing but a blank is tried
BEHIND = 20.0  # a hypothesis whose CTC score is so far behind the best one's is given up before the language is asked
TINY = np.float32(1e-30)  # of a probability: its logarithm is finite
NEVER = np.float32(-1e30)  # the logarithm of nothing: small enough, and its sums stay finite
MIX = np.uint64(0x9E3779B97F4A7C15)  # odd, of random bits: prefixes are told apart by a hash of their characters
EMPTY = Scored(Found([], [], []), 0.0, 0.0)

Floats = npt.NDArray[np.float32]
Indices = npt.NDArray[np.intp]


class Step(NamedTuple):
    """A frame's step of a search; arrays [N, B]."""

    source: Indices  # the hypothesis that each came from
    added: Indices  # the class that it added, or −1
    before: Indices  # the step of the peak of the last character before that
    state: npt.NDArray[np.uint32]  # of the language model, after it


@dataclass
class Beam:
    """The hypotheses of N lines, B each; every field is an array [N, B]."""

    blank: Floats  # ln p of all paths to the prefix that end in a blank
    inked: Floats  # ln p of those that end in its last character
    language: Floats  # ln p of the prefix by the language model
    length: Floats  # characters of the prefix
    state: npt.NDArray[np.uint32]  # of the language model
    last: Indices  # class
    prefix: npt.NDArray[np.uint64]  # a hash
    parent: npt.NDArray[np.uint64]  # that of the prefix without its last character
    peak: Floats  # the greatest ln p of the last character, and the step of it
    peak_step: Indices


def decode_beam(
    logits: Sequence[Floats], info: ModelInfo, language: Language, widths: Sequence[tuple[int, int]],
    beam: int = WIDTH, rescorer: Rescorer | None = None,
) -> list[Line]:  # fmt: skip
    """Reads the lines of a batch.

    A character's confidence is its chance against others in its place (`confidence.py`); the line's is the product of
    these, of an empty line the probability of its least sure blank.

    Args:
        logits: of each line, [T, V].
        info: the charset, blank and frame stride.
        widths: columns of each line before padding, and of its image as it was given, which `x0` and `x1` are in.
        beam: hypotheses kept of each line.
        rescorer: what chooses among the best texts of each line; None: the first is taken.
    """
    logs = [np.log(np.maximum(softmax(line), TINY)) for line in logits]
    if rescorer:
        found = rescorer.best(best_texts(logs, language, info.blank, beam, KEPT), language)
    else:
        found = beam_search(logs, language, info.blank, beam)
    sure = confidences(found, logs, language)
    return [
        as_line(line, chances, values, info, *width)
        for line, chances, values, width in zip(found, sure, logs, widths, strict=True)
    ]


def as_line(found: Found, chances: list[float], logs: Floats, info: ModelInfo, width: int, image_width: int) -> Line:
    """A text with the confidence and the place of each character; logs: ln p [T, V]."""
    starts = np.array(found.frames, np.intp)
    x0, x1 = spans(starts, starts + 1, info.frame_stride, width)
    scale = image_width / width
    characters = tuple(
        Character(info.charset[c], chance, left, right)
        for c, chance, left, right in zip(
            found.classes, chances, (x0 * scale).tolist(), (x1 * scale).tolist(), strict=True
        )
    )
    whole = float(np.prod(chances)) if chances else float(np.exp(logs[:, info.blank].min()))
    return Line("".join(item.char for item in characters), whole, characters)


def beam_search(
    logs: Sequence[Floats], language: Language | None, blank: int = 0, width: int = WIDTH, compiled: bool = True
) -> list[Found]:
    """The best text of each line: the first of `best_texts`."""
    return [texts[0].found for texts in best_texts(logs, language, blank, width, 1, compiled)]


def best_texts(
    logs: Sequence[Floats], language: Language | None, blank: int = 0, width: int = WIDTH, keep: int = 1,
    compiled: bool = True,
) -> list[list[Scored]]:  # fmt: skip
    """The best texts of each line, best first: one at least.

    Args:
        logs: of each line ln p, float32 [T, V].
        language: None: what CTC alone finds most probable.
        blank: the class that is no character.
        width: hypotheses kept of each line.
        keep: texts of each line that are wanted; there may be fewer.
        compiled: search with the compiled kernel, where there is one.
    """
    frames = [np.flatnonzero(line[:, blank] < SURE) for line in logs]
    if compiled and kernel.library() is not None:
        return [
            search_compiled(line, chosen, language, blank, width, keep)
            for line, chosen in zip(logs, frames, strict=True)
        ]
    count, steps = len(logs), max((len(chosen) for chosen in frames), default=0)
    if not steps:
        return [[EMPTY] for _ in logs]
    classes = logs[0].shape[1]
    values = np.full((count, steps, classes), NEVER, np.float32)
    values[:, :, blank] = 0.0  # behind its last frame a line sees blanks
    gaps = np.zeros((count, steps), bool)  # whether sure blanks came before
    for index, (line, chosen) in enumerate(zip(logs, frames, strict=True)):
        values[index, : len(chosen)] = line[chosen]
        gaps[index, : len(chosen)] = np.diff(chosen, prepend=-1) > 1
    tried = values.copy()
    tried[:, :, blank] = NEVER
    many = min(CANDIDATES, classes - 1)
    order = np.argpartition(-tried, many - 1, axis=2)[:, :, :many]  # N, S, K
    chances = np.take_along_axis(tried, order, 2)
    used = int((chances > UNLIKELY).sum(2).max(initial=1))
    rank = np.argsort(-chances, axis=2, kind="stable")[:, :, : max(1, used)]
    order, chances = np.take_along_axis(order, rank, 2), np.take_along_axis(chances, rank, 2)
    chances[chances <= UNLIKELY] = NEVER

    start = language.ngram.start() if language else 0
    beam = Beam(
        blank=np.full((count, width), NEVER, np.float32), inked=np.full((count, width), NEVER, np.float32),
        language=np.zeros((count, width), np.float32), length=np.zeros((count, width), np.float32),
        state=np.full((count, width), start, np.uint32), last=np.full((count, width), blank),
        prefix=np.zeros((count, width), np.uint64), parent=np.full((count, width), 1, np.uint64),
        peak=np.full((count, width), NEVER, np.float32), peak_step=np.zeros((count, width), np.intp),
    )  # fmt: skip
    beam.blank[:, 0] = 0.0
    history: list[Step] = []
    for step in range(steps):
        frame = values[:, step], order[:, step], chances[:, step], gaps[:, step]
        history.append(advance(beam, step, *frame, language, blank))
    whole = np.logaddexp(beam.blank, beam.inked)
    order = np.argsort(-total(whole, beam.language, beam.length, language), axis=1, kind="stable")[:, :keep]
    return [
        [
            Scored(
                trace(history, beam, index, place, chosen),
                float(whole[index, place]),
                float(beam.language[index, place]),
            )
            for place in places
            if whole[index, place] > NEVER / 2
        ]
        for index, (places, chosen) in enumerate(zip(order.tolist(), frames, strict=True))
    ]


def search_compiled(
    line: Floats, frames: Indices, language: Language | None, blank: int, width: int, keep: int
) -> list[Scored]:
    """The best texts of one line, of which these frames are searched."""
    if not len(frames):
        return [EMPTY]
    settings = kernel.Settings(
        blank, width, CANDIDATES, UNLIKELY, BEHIND, language.weight if language else 0.0,
        language.bonus if language else 0.0,
    )  # fmt: skip
    gaps = np.diff(frames, prepend=-1) > 1
    return [
        Scored(Found(classes.tolist(), frames[peaks].tolist(), states.tolist()), ctc, spoken)
        for classes, peaks, states, ctc, spoken in kernel.search(line[frames], gaps, settings, language, keep)
    ]


def advance(
    beam: Beam, step: int, values: Floats, candidates: Indices, chances: Floats, gaps: npt.NDArray[np.bool_],
    language: Language | None, blank: int,
) -> Step:  # fmt: skip
    """One frame of each line, in place.

    Args:
        values: ln p [N, V].
        candidates: classes that are tried [N, K].
        chances: their ln p [N, K].
        gaps: whether a sure blank came before [N].
    """
    count, width = beam.blank.shape
    lines = np.arange(count)[:, None]
    whole = np.logaddexp(beam.blank, beam.inked)  # N, B
    beam.blank = np.where(gaps[:, None], whole, beam.blank)
    beam.inked = np.where(gaps[:, None], NEVER, beam.inked)
    stay_blank = whole + values[:, blank][:, None]
    stay_inked = np.where(beam.last == blank, NEVER, beam.inked + values[lines, beam.last])
    again = candidates[:, None, :] == beam.last[:, :, None]
    more = np.where(again, beam.blank[:, :, None], whole[:, :, None]) + chances[:, None, :]  # N, B, K

    # A hypothesis that another one grows into takes what that brings.
    alive = whole > NEVER / 2  # the others fill their places, and may have the prefixes of those that live
    n, child, source = np.nonzero(
        (beam.parent[:, :, None] == beam.prefix[:, None, :]) & alive[:, :, None] & alive[:, None, :]
    )
    same = candidates[n] == beam.last[n, child][:, None]
    place, found = same.argmax(1), same.any(1)
    n, child, source, place = n[found], child[found], source[found], place[found]
    stay_inked[n, child] = np.logaddexp(stay_inked[n, child], more[n, source, place])
    more[n, source, place] = NEVER

    after = np.zeros(more.shape, np.uint32)
    spoken = np.repeat(beam.language[:, :, None], more.shape[2], 2)
    worth = more > (whole.max(1) + values.max(1) - BEHIND)[:, None, None]
    more[~worth] = NEVER
    if language:
        n, source, place = np.nonzero(worth)
        logs, states = language.ngram.advance(beam.state[n, source], language.codes[candidates[n, place]])
        spoken[n, source, place] += logs * language.scales[candidates[n, place]]
        after[n, source, place] = states
    stay_total = total(np.logaddexp(stay_blank, stay_inked), beam.language, beam.length, language)
    more_total = total(more, spoken, beam.length[:, :, None] + 1, language)
    scores = np.concatenate((stay_total, more_total.reshape(count, -1)), 1)
    kept = np.argpartition(-scores, width - 1, axis=1)[:, :width]

    grown = kept >= width
    source = np.where(grown, (kept - width) // more.shape[2], kept)
    place = np.where(grown, (kept - width) % more.shape[2], 0)
    added = np.where(grown, candidates[lines, place], -1)
    prefix = beam.prefix[lines, source]
    beam.blank = np.where(grown, NEVER, stay_blank[lines, source])
    beam.inked = np.where(grown, more[lines, source, place], stay_inked[lines, source])
    beam.language = np.where(grown, spoken[lines, source, place], beam.language[lines, source])
    beam.length = beam.length[lines, source] + grown
    beam.state = np.where(grown, after[lines, source, place], beam.state[lines, source])
    beam.parent = np.where(grown, prefix, beam.parent[lines, source])
    beam.last = np.where(grown, added, beam.last[lines, source])
    beam.prefix = np.where(grown, (prefix + added.astype(np.uint64) + np.uint64(1)) * MIX, prefix)
    beam.prefix ^= np.where(grown, beam.prefix >> np.uint64(29), np.uint64(0))
    seen = values[lines, beam.last]  # of the last characters as they are now
    before, step_before = beam.peak[lines, source], beam.peak_step[lines, source]
    beam.peak = np.where(grown, seen, np.maximum(seen, before))
    beam.peak_step = np.where(grown | (seen > before), step, step_before)
    return Step(source, added, step_before, beam.state)


def total(ctc: Floats, spoken: Floats, length: Floats, language: Language | None) -> Floats:
    """The score of hypotheses."""
    if language is None:
        return ctc
    scores: Floats = ctc + np.float32(language.weight) * spoken + np.float32(language.bonus) * length
    return scores


def trace(history: Sequence[Step], beam: Beam, line: int, place: int, frames: Indices) -> Found:
    """A hypothesis, followed from its last character to its first."""
    classes, peaks, states = [], [], []
    peak = int(beam.peak_step[line, place])
    for step in reversed(history):
        if step.added[line, place] >= 0:
            classes.append(int(step.added[line, place]))
            peaks.append(int(frames[peak]))
            states.append(int(step.state[line, place]))
            peak = int(step.before[line, place])
        place = int(step.source[line, place])
    return Found(classes[::-1], peaks[::-1], states[::-1])
