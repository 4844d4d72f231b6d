"""How a processor computes while training."""

from __future__ import annotations

import platform
import subprocess
import sys

import pytest

FAULTS = """
import resource, numpy as np
from htrjand.train.precision import kept_memory
if {kept}:
    kept_memory()
def work():
    for _ in range(20):
        np.ones(50_000_000, np.uint8)  # more than glibc learns to keep by itself
work()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
work()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="glibc's malloc is meant")
def test_memory_that_is_freed_is_not_asked_for_again() -> None:
    kept, given_back = (
        int(subprocess.run([sys.executable, "-c", FAULTS.format(kept=kept)], capture_output=True, check=True).stdout)
        for kept in (True, False)
    )
    assert kept < 100, "pages that the system had to fill with zeros"
    assert given_back > 50 * max(1, kept)
