"""Files are written whole or not at all."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from .errors import HtrjandError
from .formats import parts_of


@contextmanager
def atomic_path(path: str | Path) -> Iterator[Path]:
    """Yields a temporary path beside `path`, which takes its place when the block ends without an error.

    The temporary name keeps the suffix, since several libraries choose a format by it.
    """
    final = Path(os.path.realpath(path))  # a link is followed, not replaced
    if final.exists() and not final.is_file():
        raise HtrjandError(f"{path}: not a plain file; name another")
    final.parent.mkdir(parents=True, exist_ok=True)
    part = final.with_name(f".{final.stem}.{os.getpid()}.part{final.suffix}")
    try:
        yield part
        part.chmod(0o666 & ~current_umask())  # some libraries write for their owner alone
        with part.open("rb") as written:
            os.fsync(written.fileno())  # a device that loses power keeps the old file or the new one
        os.replace(part, final)
    finally:
        part.unlink(missing_ok=True)


@contextmanager
def atomic_model(path: str | Path) -> Iterator[Path]:
    """As `atomic_path`, for a model file and what lies beside it (`formats.parts_of`)."""
    with ExitStack() as stack:
        parts = [stack.enter_context(atomic_path(part)) for part in parts_of(Path(path))]
        yield parts[0]


def current_umask() -> int:
    """The permissions that new files are not to have; the system tells them only while they are changed."""
    mask = os.umask(0)
    os.umask(mask)
    return mask
