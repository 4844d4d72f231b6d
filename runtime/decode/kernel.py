"""`beam.c` by ctypes: compiled where a compiler was at hand as the package was installed, and never required."""

from __future__ import annotations

import ctypes
from functools import cache
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from .language import Language
from .ngram import UNKNOWN_LOG, Ngram, States

Integers = npt.NDArray[np.int32]
Indices = npt.NDArray[np.intp]


class Settings(NamedTuple):
    """What `beam.py` searches with."""

    blank: int
    width: int
    candidates: int
    unlikely: float
    behind: float
    weight: float
    bonus: float


class Search(ctypes.Structure):
    """`Search` of beam.c."""

    _fields_ = [
        ("frames", ctypes.c_int32), ("classes", ctypes.c_int32), ("blank", ctypes.c_int32), ("width", ctypes.c_int32),
        ("candidates", ctypes.c_int32), ("unlikely", ctypes.c_float), ("behind", ctypes.c_float),
        ("weight", ctypes.c_float), ("bonus", ctypes.c_float), ("start", ctypes.c_uint32),
    ]  # fmt: skip


class Trie(ctypes.Structure):
    """`Ngram` of beam.c."""

    _fields_ = [
        ("first", ctypes.c_void_p), ("characters", ctypes.c_void_p), ("logs", ctypes.c_void_p),
        ("backoff_logs", ctypes.c_void_p), ("suffixes", ctypes.c_void_p), ("next", ctypes.c_void_p),
        ("unknown_log", ctypes.c_float),
    ]  # fmt: skip


@cache
def library() -> ctypes.CDLL | None:
    """What was compiled; None where nothing was, or not for this machine."""
    for suffix in EXTENSION_SUFFIXES:
        path = Path(__file__).with_name(f"_beam{suffix}")
        if path.is_file():
            try:
                found = ctypes.CDLL(str(path))
                integer, address = ctypes.c_int32, ctypes.c_void_p
                found.htrjand_best.argtypes = [*[address] * 6, integer, *[address] * 6]
                found.htrjand_best.restype = integer
                found.htrjand_said.argtypes = [*[address] * 5, integer, integer, *[address] * 4]
                found.htrjand_said.restype = None
            except (OSError, AttributeError):
                continue
            return found
    return None


def trie(ngram: Ngram) -> Any:
    """An n-gram, as C takes it; valid as long as the n-gram is."""
    arrays = ngram.first, ngram.characters, ngram.logs, ngram.backoff_logs, ngram.suffixes, ngram.next
    return ctypes.byref(Trie(*(array.ctypes.data for array in arrays), UNKNOWN_LOG))


def search(
    logs: npt.NDArray[np.float32], gaps: npt.NDArray[np.bool_], settings: Settings, language: Language | None,
    keep: int = 1,
) -> list[tuple[Integers, Integers, States, float, float]]:  # fmt: skip
    """The best texts of one line, best first: the class of each character, the place in `logs` at which it was most
    probable, and the n-gram's state after it; ln p of the text by the frames, and by the n-gram.

    Args:
        logs: ln p [S, V] of the frames to search.
        gaps: [S], whether frames of a sure blank came before.
        language: None: what CTC alone finds most probable.
        keep: texts that are wanted.
    """
    compiled = library()
    assert compiled is not None
    logs, gaps, keep = as_c(logs, np.float32), as_c(gaps, np.bool_), min(keep, settings.width)
    what = Search(*logs.shape, *settings, language.ngram.start() if language else 0)
    spoken: tuple[Any, ...] = (None, None, None)
    if language:
        spoken = trie(language.ngram), language.codes.ctypes.data, language.scales.ctypes.data
    room = keep, len(logs)
    found, peaks, states = np.zeros(room, np.int32), np.zeros(room, np.int32), np.zeros(room, np.uint32)
    lengths, ctc, said = np.zeros(keep, np.int32), np.zeros(keep, np.float32), np.zeros(keep, np.float32)
    count = compiled.htrjand_best(
        ctypes.byref(what), logs.ctypes.data, gaps.ctypes.data, *spoken, keep,
        *(array.ctypes.data for array in (found, peaks, states, lengths, ctc, said)),
    )  # fmt: skip
    if count < 0:
        raise MemoryError(f"a beam of {settings.width} over {len(logs)} frames")
    return [
        (found[row, :length], peaks[row, :length], states[row, :length], float(ctc[row]), float(said[row]))
        for row, length in enumerate(lengths[:count].tolist())
    ]


def as_c(array: npt.NDArray[Any], dtype: npt.DTypeLike) -> npt.NDArray[Any]:
    """The array as C walks it: row after row."""
    return np.ascontiguousarray(array, dtype)


def said(
    language: Language, chosen: Indices, before: States, ends: Indices, place: Indices, other: Indices
) -> npt.NDArray[np.float32]:
    """`said` of confidence.py."""
    compiled = library()
    assert compiled is not None
    codes, scales = language.codes, language.scales
    sums = np.zeros(len(place), np.float32)
    # C takes whole arrays of its own types: an index of numpy has 32 bits on some machines, and may be a view.
    characters = codes[chosen], scales[chosen], as_c(before, np.uint32), as_c(ends, np.int64)
    replaced = as_c(place, np.int64), codes[other], scales[other], sums
    compiled.htrjand_said(
        trie(language.ngram), *(array.ctypes.data for array in characters), language.ngram.order, len(place),
        *(array.ctypes.data for array in replaced),
    )  # fmt: skip
    return sums
