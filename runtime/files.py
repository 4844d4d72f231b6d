"""Files are written whole or not at all."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def atomic_path(path: str | Path) -> Iterator[Path]:
    """Yields a temporary path beside `path`, which takes its place when the block ends without an error.

    The temporary name keeps the suffix, since several libraries choose a format by it.
    """
    final = Path(path)
    final.parent.mkdir(parents=True, exist_ok=True)
    part = final.with_name(f".{final.stem}.{os.getpid()}.part{final.suffix}")
    try:
        yield part
        part.chmod(0o666 & ~current_umask())  # some libraries write for their owner alone
        os.replace(part, final)
    finally:
        part.unlink(missing_ok=True)


def current_umask() -> int:
    """The permissions that new files are not to have; the system tells them only while they are changed."""
    mask = os.umask(0)
    os.umask(mask)
    return mask
