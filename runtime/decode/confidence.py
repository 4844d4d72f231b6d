"""How sure each character of a text is that was read with a language model."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from . import kernel
from .language import Found, Language
from .ngram import States

Indices = npt.NDArray[np.intp]
UNLIKELY = -8.0  # ln p at its peak of a character that is not put in another one's place


def confidences(
    found: Sequence[Found], logs: Sequence[npt.NDArray[np.float32]], language: Language, compiled: bool = True
) -> list[list[float]]:
    """The chance of each character against others in its place, of some lines.

    Every other character that the image leaves possible at the peak is put in its place. What that changes of the
    text's score is ln p at that frame, and `language.weight` times ln p of all n-grams that hold the character. The
    softmax over these scores, divided by `language.temperature`, is the chance. It knows nothing of characters that
    are left out or added.

    Args:
        found: of each line what `beam_search` found.
        logs: of each line ln p [T, V].
        compiled: look n-grams up with the compiled kernel, where there is one.
    """
    lengths = [len(line.classes) for line in found]
    if not sum(lengths):
        return [[] for _ in found]
    chosen = np.concatenate([np.array(line.classes, np.intp) for line in found])  # K: characters of all lines
    ends = np.repeat(np.cumsum(lengths), lengths)  # K: where the line of each ends
    peaks = np.concatenate([values[line.frames] for line, values in zip(found, logs, strict=True)])  # K, V
    start = language.ngram.start()
    before = np.concatenate([np.array([start, *line.states][:-1], np.uint32) for line in found])  # K
    possible = peaks > UNLIKELY
    possible[:, 0] = False  # the blank is no character
    possible[np.arange(len(chosen)), chosen] = True
    place, other = np.nonzero(possible)  # M: a place, and a character in it
    use = kernel.said if compiled and kernel.library() is not None else said
    language_logs = use(language, chosen, before, ends, place, other)
    scores = (peaks[place, other] + np.float32(language.weight) * language_logs) / np.float32(language.temperature)
    first = np.flatnonzero(np.diff(place, prepend=-1))  # K: where each place begins
    powers = np.exp(scores - np.maximum.reduceat(scores, first)[place])
    chances = (powers / np.add.reduceat(powers, first)[place])[other == chosen[place]].tolist()
    return [chances[end - length : end] for end, length in zip(np.cumsum(lengths).tolist(), lengths, strict=True)]


def said(
    language: Language, chosen: Indices, before: States, ends: Indices, place: Indices, other: Indices
) -> npt.NDArray[np.float32]:
    """ln p of all n-grams that hold a character, when others stand in its place [M], as far as it counts.

    Args:
        chosen, before, ends: [K], of each character of some lines its class, the n-gram's state before it, and where
            its line ends.
        place, other: [M], the character that is replaced, and the class that stands there now.
    """
    ngram, codes, scales = language.ngram, language.codes, language.scales
    sums, states = ngram.advance(before[place], codes[other])
    sums *= scales[other]
    left, at = np.arange(len(place)), place
    for _ in range(ngram.order - 1):  # the characters behind it, as far as an n-gram reaches
        at = at + 1
        inside = at < ends[place[left]]
        left, at, states = left[inside], at[inside], states[inside]
        logs, states = ngram.advance(states, codes[chosen[at]])
        sums[left] += logs * scales[chosen[at]]
    return sums
