"""Texts for an n-gram: of files in UTF-8, plain or compressed, and of line files."""

from __future__ import annotations

import gzip
import lzma
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import IO

from ...runtime.errors import HtrjandError, UsageError
from ...runtime.text import normalize
from ..data.lines import parquet_files, placed_lines
from ..data.marks import without_marks

PIECE = 50  # characters of prose that count as a line: handwritten ones begin and end amid sentences and words


def is_lines(path: Path) -> bool:
    """Whether a path is a line file, or a folder of such."""
    return path.suffix == ".parquet" or path.is_dir()


def prose(path: Path, piece: int = PIECE) -> Iterator[str]:
    """The normalised text of a file, in pieces; `piece` 0 leaves its lines whole.

    Raises:
        HtrjandError: there is no such file, or it is not UTF-8.
    """
    try:
        with opened(path) as stream:
            for line in stream:
                text = normalize(line)
                for begin in range(0, len(text), piece or max(1, len(text))):
                    yield text[begin : begin + piece] if piece else text
    except FileNotFoundError as error:
        raise HtrjandError(f"{path}: no such file; check the path") from error
    except UnicodeDecodeError as error:
        raise HtrjandError(f"{path}: not UTF-8 ({error.reason} at byte {error.start}); save it as UTF-8") from error
    except (lzma.LZMAError, gzip.BadGzipFile, EOFError) as error:
        raise HtrjandError(f"{path}: cannot be unpacked ({error}); copy it again") from error


def opened(path: Path) -> IO[str]:
    """A text file, unpacked where its suffix says that it is packed."""
    if path.suffix.lower() == ".gz":
        return gzip.open(path, "rt", encoding="utf-8")
    return lzma.open(path, "rt", encoding="utf-8") if path.suffix.lower() == ".xz" else path.open(encoding="utf-8")


def transcriptions(
    path: Path, splits: Sequence[str] = ("train",), languages: Iterable[str] = (), exclude: Iterable[str] = (),
    counted: Counter[str] | None = None,
) -> Iterator[str]:  # fmt: skip
    """The normalised texts of line files, without editorial marks; those that say they are not the ink are left out.

    Args:
        splits: train alone, or an evaluation on the others would be worthless.
        languages: of the lines; none given: all.
        exclude: datasets to leave out.
        counted: gets how many lines of each dataset there were.
    """
    if not splits:
        raise UsageError(f"{path}: no split to take texts of; name train")
    wanted = set(languages)
    for file in parquet_files(path):
        for split in splits:
            for row, _ in placed_lines(file, split, exclude=exclude, images=False):
                text = without_marks(row.text)
                if text and (not wanted or row.lang in wanted):
                    if counted is not None:
                        counted[row.dataset] += 1
                    yield normalize(text)
