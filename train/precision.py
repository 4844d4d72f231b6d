"""How a processor computes while training: in mixed precision where that pays, without the smallest numbers, and with
memory that it keeps."""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import torch


def bf16_is_quick() -> bool:
    """Whether the processor computes in bf16.

    Without AVX-512, x86 processors emulate it: convolutions then take several times as long as in fp32.
    """
    return torch.backends.cpu.get_cpu_capability().startswith(("AVX512", "SVE"))


def mixed(asked: bool, device: str) -> bool:
    """Whether a training that asks for mixed precision gets it on a device: "cpu", or what torch calls a GPU."""
    return asked and (device != "cpu" or bf16_is_quick())


@contextmanager
def flushed_denormals() -> Iterator[None]:
    """Results below 1e-38 are zero meanwhile. Intel's processors make them slowly; a step has many, most by softmax."""
    torch.set_flush_denormal(True)
    try:
        yield
    finally:
        torch.set_flush_denormal(False)


# Of glibc's malloc.h, in bytes: from which size on memory is asked of the system by itself, and given back; how much
# may lie free at the end of the rest; how much more than is needed is asked for there.
M_MMAP_THRESHOLD, M_TRIM_THRESHOLD, M_TOP_PAD = -3, -1, -2


def kept_memory() -> None:
    """Has the process keep what it frees, to its end, where glibc manages its memory.

    Else glibc gives large arrays back at each step, and the system has to fill them with zeros again: an LSTM, which
    makes many of them a step, then spends a fifth of its time on that.
    """
    if sys.platform == "linux":
        change = getattr(ctypes.CDLL(None), "mallopt", None)  # musl has none
        if change:
            if not change(M_MMAP_THRESHOLD, 2**30):
                change(M_MMAP_THRESHOLD, 2**25)  # the most that some editions take
            change(M_TRIM_THRESHOLD, 2**31 - 1)
            change(M_TOP_PAD, 2**26)
