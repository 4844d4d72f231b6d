"""How a processor computes while training: in mixed precision where that pays, and without the smallest numbers."""

from __future__ import annotations

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
