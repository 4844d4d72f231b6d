"""What is in two places: texts by their 20-character-grams, line images by their shapes.

Both are held as numbers: eight bytes for each character of text, half a kilobyte for each image. Neither texts nor
pixels are kept.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import numpy.typing as npt
from PIL import Image

from ....runtime.text import normalize

GRAM = 20  # characters: longer than any one word, shorter than most lines
SHORT = 10  # a text of fewer characters ("id.", "le 3 mai") recurs by nature and is not compared
COLUMNS, ROWS = 32, 8  # cells of a line's shape
# Correlation of two shapes from which on they are one image. On real lines: 0.98 and more when saved as a bad JPEG;
# 0.80 to 0.98 when cut anew from the same scan, so that a page cut twice shows in some of its lines; 0.88 to 0.92 for
# the likest that are not the same (titles drawn by the same hand). A form's printed headings count as the same.
ALIKE = 0.9
WIDER = 1.03  # images are compared up to this difference of width
FLAT = 1.0  # root of the mean square difference between cells (greys), up to which an image shows nothing
BLOCK = 512  # images compared with their neighbours at a time

Hashes = npt.NDArray[np.uint64]
WEIGHTS = np.random.default_rng(20).integers(1, 2**63, GRAM, dtype=np.uint64) * np.uint64(2) + np.uint64(1)


class SharedText:
    """How much of each line of the other splits stands in the training text.

    The training text runs on from line to line of a page: a copy whose lines break elsewhere is found all the same.
    """

    def __init__(self) -> None:
        self.train: list[Hashes] = []
        self.others: list[Hashes] = []
        self.lines: list[int] = []  # the number of each line in `others`
        self.page: object = None
        self.tail = ""  # the end of the training line before, of the same page

    def add(self, line: int, text: str, page: object, is_train: bool) -> None:
        """Takes the text of line number `line`; lines come in the order in which they are read."""
        text = normalize(text).casefold()
        if not is_train:
            self.lines.append(line)
            self.others.append(grams(text))
            return
        running = f"{self.tail} {text}" if self.tail and page == self.page else text
        self.page, self.tail = page, running[-(GRAM - 1) :]
        self.train.append(grams(running))
        if len(text) < GRAM:
            self.train.append(grams(text))

    def count(self, lines: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """Of each of the `lines` lines seen: its grams, and those that stand in train (0 for the lines of train)."""
        known = np.unique(np.concatenate([np.empty(0, np.uint64), *self.train]))
        asked = np.concatenate([np.empty(0, np.uint64), *self.others])
        owner = np.repeat(np.array(self.lines, np.int64), [len(part) for part in self.others])
        found = np.isin(asked, known)
        return np.bincount(owner, minlength=lines), np.bincount(owner[found], minlength=lines)


def grams(text: str) -> Hashes:
    """Hashes of all stretches of 20 characters; of a text of 10 to 19 one for the whole; of a shorter one none.

    A multilinear hash modulo 2^64: two stretches that differ share one by chance, at the worst in one of 2^40 cases.
    """
    if len(text) < SHORT:
        return np.empty(0, np.uint64)
    points = np.frombuffer(text.ljust(GRAM, "\0").encode("utf-32-le"), np.uint32).astype(np.uint64)
    return np.lib.stride_tricks.sliding_window_view(points, GRAM) @ WEIGHTS  # L - 19


def shape(line: npt.NDArray[np.uint8]) -> npt.NDArray[np.float16]:
    """A line's fingerprint: a difference hash whose differences are kept whole, so that grain in blank paper is small.

    Args:
        line: uint8 [64, W].

    Returns:
        float16 [256], of length 1; all 0 where the image shows nothing.
    """
    small = Image.fromarray(line).resize((COLUMNS + 1, ROWS), Image.Resampling.BOX)
    steps = np.diff(np.asarray(small, dtype=np.float32), axis=1).ravel()  # ROWS·COLUMNS
    length = float(np.linalg.norm(steps))
    flat = length <= FLAT * np.sqrt(steps.size)
    return np.zeros(steps.size, np.float16) if flat else (steps / length).astype(np.float16)


def alike(shapes: Sequence[npt.NDArray[np.float16]], widths: Sequence[int]) -> list[list[int]]:
    """Groups of images that are nearly the same, each group sorted, of two numbers or more.

    Only images of nearly the same width are compared: the time grows with the square of their number, not of all.
    """
    order = np.argsort(np.array(widths), kind="stable")
    wide = np.array(widths, np.float64)[order]
    pairs: list[tuple[int, int]] = []
    for start in range(0, len(order), BLOCK):
        rows = order[start : start + BLOCK]
        end = int(np.searchsorted(wide, wide[min(start + BLOCK, len(order)) - 1] * WIDER, side="right"))
        near = order[start:end]
        likeness = stack(shapes, rows) @ stack(shapes, near).T  # rows, near
        for i, j in np.argwhere(likeness >= ALIKE).tolist():
            if i < j and wide[start + j] <= wide[start + i] * WIDER:
                pairs.append((int(rows[i]), int(near[j])))
    return joined(pairs)


def stack(shapes: Sequence[npt.NDArray[np.float16]], chosen: npt.NDArray[np.intp]) -> npt.NDArray[np.float32]:
    """The chosen shapes as rows of one array, float32 [N, 256]."""
    return np.stack([shapes[i] for i in chosen]).astype(np.float32)


def joined(pairs: Iterable[tuple[int, int]]) -> list[list[int]]:
    """Groups of all that pairs connect."""
    parent: dict[int, int] = {}

    def root(i: int) -> int:
        while (above := parent.setdefault(i, i)) != i:
            parent[i] = parent[above]
            i = above
        return i

    for one, other in pairs:
        parent[root(one)] = root(other)
    groups: dict[int, list[int]] = {}
    for i in sorted(parent):
        groups.setdefault(root(i), []).append(i)
    return sorted(groups.values())
