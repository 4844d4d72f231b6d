"""Silences native libraries that write to stderr directly, past Python."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager

LOCK = threading.RLock()  # two at a time could put each other's silence back for good


@contextmanager
def quiet_stderr() -> Iterator[None]:
    """Sends what is written to the process's stderr to nowhere; what goes wrong inside is to come as an exception."""
    with LOCK:
        try:
            kept = os.dup(2)
        except OSError:  # closed: there is nothing to silence
            yield
            return
        try:
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, 2)
            os.close(nowhere)
            yield
        finally:
            os.dup2(kept, 2)
            os.close(kept)
