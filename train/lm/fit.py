"""How much a model trusts an n-gram, and how sure it may be of what it reads: fitted on validation lines."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from ...runtime import ModelInfo, Recognizer
from ...runtime.decode import Line, decode_greedy
from ...runtime.decode.beam import TINY, as_line, beam_search
from ...runtime.decode.confidence import confidences
from ...runtime.decode.greedy import softmax
from ...runtime.decode.language import Found, Language
from ...runtime.decode.ngram import Ngram
from ...runtime.errors import HtrjandError
from ...runtime.info import LanguageFit
from ..data.error_rates import character_errors, percent
from ..data.lines import LineRow
from ..data.reliability import judge_lines, judge_words

WEIGHTS, BONUSES = (
    (0.3, 0.5, 0.7, 0.9, 1.1),
    (0.5, 1.0, 1.5, 2.0, 2.5),
)  # tried first, then half-way to their neighbours
TEMPERATURES = tuple(float(value) for value in np.round(np.geomspace(0.5, 4.0, 43), 2))
BATCH = 16


@dataclass(frozen=True)
class Fit:
    """What was fitted, and what it brought: percent of CER, and errors of calibration (0 to 1)."""

    info: ModelInfo  # with the values in it
    greedy: dict[str, float]
    beam: dict[str, float]

    def summary(self) -> str:
        """In two lines."""
        said = self.info.language_model
        assert said is not None
        return (
            f"greedy: {told(self.greedy)}, temperature {self.info.temperature:g}\n"
            f"with language: {told(self.beam)}, weight {said.weight:g}, bonus {said.bonus:g}, temperature "
            f"{said.temperature:g}"
        )


def told(figures: dict[str, float]) -> str:
    """Some figures, for a reader."""
    return (
        f"CER {figures['cer']:.2f} %, calibration error of words {figures['words before']:.3f} -> "
        f"{figures['words']:.3f}, of lines {figures['lines before']:.3f} -> {figures['lines']:.3f}"
    )


def fit(reader: Recognizer, rows: Sequence[LineRow], ngram: Ngram, log: Callable[[str], None] = lambda _: None) -> Fit:
    """Finds the weights by CER, the mean over the datasets, then each decoder's temperature by the loss over words.

    Args:
        reader: the model.
        rows: validation lines.
        ngram: what it is to read with.

    Raises:
        HtrjandError: there is no line, or the two share no letter.
    """
    if not rows:
        raise HtrjandError(f"{reader.path}: no validation line to fit on; check -i, --dataset and --exclude")
    images = [row.pixels() for row in rows]
    logits = reader.logits(images, BATCH)
    logs = [np.log(np.maximum(softmax(frames), TINY)) for frames in logits]
    references = [row.text for row in rows]
    info = replace(reader.info, temperature=1.0, language_model=None)

    def cer(language: Language) -> float:
        found = search(logs, language)
        return mean_cer(rows, ["".join(info.charset[c] for c in line.classes) for line in found])

    plain = Language.of(ngram, info)
    tried = {
        (weight, bonus): cer(replace(plain, weight=weight, bonus=bonus)) for weight in WEIGHTS for bonus in BONUSES
    }
    weight, bonus = min(tried, key=tried.__getitem__)
    for near in ((weight + a, bonus + b) for a in (-0.1, 0.0, 0.1) for b in (-0.25, 0.0, 0.25)):
        near = round(near[0], 2), round(near[1], 2)
        if near not in tried:
            tried[near] = cer(replace(plain, weight=near[0], bonus=near[1]))
    weight, bonus = min(tried, key=tried.__getitem__)
    log(f"{reader.path}: weight {weight:g}, bonus {bonus:g}, the best of {len(tried)}")

    def greedy(temperature: float) -> list[Line]:
        told = replace(info, temperature=temperature)
        pairs = zip(logits, (image.shape[1] for image in images), strict=True)
        return [decode_greedy(frames, told, width, width) for frames, width in pairs]

    found = search(logs, replace(plain, weight=weight, bonus=bonus))

    def beam(temperature: float) -> list[Line]:
        language = replace(plain, weight=weight, bonus=bonus, temperature=temperature)
        sure = confidences(found, logs, language)
        return [
            as_line(line, chances, values, info, image.shape[1], image.shape[1])
            for line, chances, values, image in zip(found, sure, logs, images, strict=True)
        ]

    (temperature, by_greedy), (beam_temperature, by_beam) = (calibrated(read, references) for read in (greedy, beam))
    fitted = LanguageFit(ngram.seal, weight, bonus, beam_temperature)
    return Fit(
        replace(reader.info, temperature=temperature, language_model=fitted),
        by_greedy | {"cer": mean_cer(rows, [line.text for line in greedy(1.0)])},
        by_beam | {"cer": tried[weight, bonus]},
    )


def calibrated(read: Callable[[float], list[Line]], references: Sequence[str]) -> tuple[float, dict[str, float]]:
    """The temperature with the least loss over words, and the calibration errors before and after.

    Args:
        read: the lines as read at a temperature.
    """
    losses = {temperature: judge_words(references, read(temperature)).loss() for temperature in TEMPERATURES}
    temperature = min(losses, key=losses.__getitem__)
    figures = {}
    for when, value in ((" before", 1.0), ("", temperature)):
        lines = read(value)
        figures["words" + when] = judge_words(references, lines).error()
        figures["lines" + when] = judge_lines(references, lines).error()
    return temperature, figures


def search(logs: Sequence[npt.NDArray[np.float32]], language: Language) -> list[Found]:
    """What the beam finds in some lines, a batch at a time."""
    return [
        line
        for begin in range(0, len(logs), BATCH)
        for line in beam_search(logs[begin : begin + BATCH], language)
    ]  # fmt: skip


def mean_cer(rows: Sequence[LineRow], texts: Sequence[str]) -> float:
    """In percent: the mean over the datasets, so that a large one is not fitted at the cost of the others."""
    counts: dict[str, list[tuple[int, int]]] = {}
    for row, text in zip(rows, texts, strict=True):
        counts.setdefault(row.dataset, []).append(character_errors(row.text, text))
    return float(np.mean([percent(*np.array(edits).T) for edits in counts.values()]))
