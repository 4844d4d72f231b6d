"""The seal of a model file: it is whole, and as it was when it was exported.

A key `seal` of the metadata holds `htrjand-seal:` and 64 hexadecimal digits: the SHA-256 of the file with these digits
taken as zeros. It is found by its first letters among the bytes of the file, so that no parser meets a damaged file.
A file of several parts is sealed as one: the hash goes over the file itself, then over what lies beside it (OpenVINO's
`.xml`, then its `.bin`).
"""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

from .errors import HtrjandError
from .formats import parts_of

MARK = b"htrjand-seal:"
OPEN = (MARK + b"0" * 64).decode()  # what stands in the metadata until the file is sealed
PATTERN = re.compile(MARK + rb"([0-9a-f]{64})")


def seal(path: Path) -> None:
    """Writes the seal into a finished file, in place.

    Raises:
        HtrjandError: the file has no place for it, or more than one.
    """
    content = path.read_bytes()
    places = [match.span(1) for match in PATTERN.finditer(content)]
    if len(places) != 1:
        raise HtrjandError(f"{path}: {len(places)} places for a seal in its metadata, where one is wanted")
    begin, end = places[0]
    path.write_bytes(content[:begin] + digest(content, begin, end, path).encode() + content[end:])


def check_seal(path: Path) -> None:
    """Raises an HtrjandError when the file, or the weights beside it, changed since it was sealed, or has no seal."""
    content = path.read_bytes()
    match = PATTERN.search(content)
    if match is None:
        raise HtrjandError(
            f"{path}: the file does not describe itself: it is cut short, is no model file, or its metadata were taken "
            "out; take a model file that htrjand exported, or export this one again"
        )
    if digest(content, *match.span(1), path) != match[1].decode():
        raise HtrjandError(
            f"{path}: cut short or changed since it was exported (its seal does not fit); copy the file again, or "
            "export it again"
        )


def digest(content: bytes, begin: int, end: int, path: Path) -> str:
    """SHA-256 of the content with the digits from `begin` to `end` as zeros, and of what lies beside it."""
    hashed = hashlib.sha256(content[:begin] + b"0" * (end - begin) + content[end:])
    for beside in parts_of(path)[1:]:
        try:
            hashed.update(beside.read_bytes())
        except FileNotFoundError as error:
            raise HtrjandError(f"{beside}: no such file; keep it beside {path.name}") from error
    return hashed.hexdigest()
