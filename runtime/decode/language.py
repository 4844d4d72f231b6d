"""A language model as a reader uses it, and what a search with it finds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from ..errors import HtrjandError
from ..info import ModelInfo
from .arrays import UNKNOWN
from .ngram import Ngram

# Of models that were not fitted to the n-gram (`htrjand lm fit`): near to what fits the bundled student.
WEIGHT, BONUS, TEMPERATURE = 0.7, 1.5, 2.0
DIGIT, CAPITAL = 0.7, 0.8  # how much of the language counts for these: it knows them worse than small letters


class Found(NamedTuple):
    """A text of a line: of each character its class, the frame at which it was most probable, and the state of the
    n-gram after it."""

    classes: list[int]
    frames: list[int]
    states: list[int]


class Scored(NamedTuple):
    """A text of a line, its ln p by CTC, and by the n-gram as far as that counts (`scales_of`)."""

    found: Found
    ctc: float
    spoken: float


@dataclass(frozen=True)
class Language:
    """A language model as a reader uses it.

    Args:
        ngram: the model.
        codes: of each class of the charset, its code in the model.
        scales: of each class, how much of its ln p counts.
        weight: of ln p of the language, against that of CTC.
        bonus: for each character: without it a language model, for which each costs, would leave some out.
        temperature: of confidences: above 1 they are lower.
    """

    ngram: Ngram
    codes: npt.NDArray[np.uint8]
    scales: npt.NDArray[np.float32]
    weight: float = WEIGHT
    bonus: float = BONUS
    temperature: float = TEMPERATURE

    @classmethod
    def of(cls, ngram: Ngram, info: ModelInfo) -> Language:
        """As a model that says this of itself reads with an n-gram: as it was fitted to it, or by the defaults.

        Raises:
            HtrjandError: the n-gram shares no letter with the model's charset.
        """
        codes = codes_of(ngram, info.charset)
        if not any(char.isalpha() and code != UNKNOWN for char, code in zip(info.charset, codes.tolist(), strict=True)):
            raise HtrjandError(
                f"{ngram.path}: shares no letter with the charset of the model; take one of its language"
            )
        fitted, scales = info.language_model, scales_of(info.charset)
        if fitted is None or fitted.seal != ngram.seal:
            return cls(ngram, codes, scales)
        return cls(ngram, codes, scales, fitted.weight, fitted.bonus, fitted.temperature)


def codes_of(ngram: Ngram, charset: Sequence[str]) -> npt.NDArray[np.uint8]:
    """Of each class of a charset, its code in an n-gram; one that the n-gram lacks costs what unknown ones do."""
    return np.array([ngram.codes.get(char, UNKNOWN) if char else UNKNOWN for char in charset], np.uint8)


def scales_of(charset: Sequence[str]) -> npt.NDArray[np.float32]:
    """Of each class of a charset, how much of its ln p by a language model counts."""
    return np.array(
        [DIGIT if char.isdigit() else CAPITAL if char.isupper() else 1.0 for char in charset], np.float32
    )  # fmt: skip
