"""Whether mixed precision pays on this processor."""

from __future__ import annotations

import torch


def bf16_is_quick() -> bool:
    """Whether the processor computes in bf16.

    Without AVX-512, x86 processors emulate it: convolutions then take several times as long as in fp32.
    """
    return torch.backends.cpu.get_cpu_capability().startswith(("AVX512", "SVE"))


def mixed(asked: bool, device: str) -> bool:
    """Whether a training that asks for mixed precision gets it on a device: "cpu", or what torch calls a GPU."""
    return asked and (device != "cpu" or bf16_is_quick())
