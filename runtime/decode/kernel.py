"""`beam.c` by ctypes: compiled where a compiler was at hand as the package was installed, and never required."""

from __future__ import annotations

import ctypes
from functools import cache
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from .ngram import UNKNOWN_LOG, Ngram

Integers = npt.NDArray[np.int32]


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
        ("keys", ctypes.c_void_p), ("logs", ctypes.c_void_p), ("backoff_logs", ctypes.c_void_p),
        ("suffixes", ctypes.c_void_p), ("next", ctypes.c_void_p), ("nodes", ctypes.c_uint32),
        ("unknown_log", ctypes.c_float),
    ]  # fmt: skip


@cache
def function() -> Any | None:
    """The compiled search; None where it was not compiled, or not for this machine."""
    for suffix in EXTENSION_SUFFIXES:
        path = Path(__file__).with_name(f"_beam{suffix}")
        if path.is_file():
            try:
                found = ctypes.CDLL(str(path)).htrjand_beam
            except (OSError, AttributeError):
                continue
            found.argtypes = [ctypes.c_void_p] * 7
            found.restype = ctypes.c_int32
            return found
    return None


def search(
    logs: npt.NDArray[np.float32], gaps: npt.NDArray[np.bool_], settings: Settings, ngram: Ngram | None,
    codes: npt.NDArray[np.uint8] | None,
) -> tuple[Integers, Integers]:  # fmt: skip
    """The classes of the best text of one line, and of each the place in `logs` at which it was most probable.

    Args:
        logs: ln p [S, V] of the frames to search, contiguous.
        gaps: [S], whether frames of a sure blank came before.
        ngram: None: what CTC alone finds most probable.
        codes: [V], of each class in the n-gram.
    """
    compiled = function()
    assert compiled is not None
    what = Search(*logs.shape, *settings, ngram.start() if ngram else 0)
    found, peaks = np.zeros(len(logs), np.int32), np.zeros(len(logs), np.int32)
    trie = None
    if ngram is not None:
        arrays = ngram.keys, ngram.logs, ngram.backoff_logs, ngram.suffixes, ngram.next
        trie = ctypes.byref(Trie(*(array.ctypes.data for array in arrays), len(ngram.next), UNKNOWN_LOG))
    length = compiled(
        ctypes.byref(what), logs.ctypes.data, gaps.ctypes.data, trie, None if codes is None else codes.ctypes.data,
        found.ctypes.data, peaks.ctypes.data,
    )  # fmt: skip
    if length < 0:
        raise MemoryError(f"a beam of {settings.width} over {len(logs)} frames")
    return found[:length], peaks[:length]
