"""Finds duplicates: of texts by 20-character-grams, of line images by their shapes.

Both are kept as numbers: eight bytes for each character of text, half a kilobyte for each image. Texts and pixels are
not kept.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import numpy.typing as npt
from PIL import Image

from ....runtime.text import normalize

GRAM = 20  # characters: longer than any one word, shorter than most lines
SHORT = 10  # characters: shorter texts ("id.", "le 3 mai") recur naturally and are not compared
COLUMNS, ROWS = 32, 8  # cells of a line's shape
# Least correlation of two shapes that count as the same image. On real lines: 0.98 and more for a line saved again as
# a bad JPEG; 0.80 to 0.98 for one cut again from the same scan, so a page cut twice is found by some of its lines;
# 0.88 to 0.92 for the most similar different lines (titles by the same hand). Printed headings of forms count as the
# same.
ALIKE = 0.9
WIDER = 1.03  # images are compared up to this ratio of their widths
FLAT = 1.0  # grey levels, root mean square of the differences between cells: an image of no more shows nothing
BLOCK = 512  # images compared with their neighbours at a time

Hashes = npt.NDArray[np.uint64]
WEIGHTS = np.random.default_rng(20).integers(1, 2**63, GRAM, dtype=np.uint64) * np.uint64(2) + np.uint64(1)


class SharedText:
    """How much of each line of the other splits occurs in the text of train.

    The lines of a page in train are joined, so that a copy with other line breaks is found too.
    """

    def __init__(self) -> None:
        self.train: list[Hashes] = []
        self.others: list[Hashes] = []
        self.numbers: list[int] = []  # of the lines in `others`
        self.page: object = None
        self.tail = ""  # the last characters of the training text before, for grams across a line break

    def add(self, number: int, text: str, page: object, is_train: bool) -> None:
        """Adds the text of one line, by its number; lines come in reading order."""
        text = normalize(text).casefold()
        if not is_train:
            self.numbers.append(number)
            self.others.append(grams(text))
            return
        running = f"{self.tail} {text}" if self.tail and page == self.page else text
        self.page, self.tail = page, running[-(GRAM - 1) :]
        self.train.append(grams(running))
        if len(text) < GRAM:
            self.train.append(grams(text))

    def count(self, total: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """Number of grams, and of those found in train, of each of `total` lines [N], [N]; 0 for lines of train."""
        known = np.unique(np.concatenate([np.empty(0, np.uint64), *self.train]))
        asked = np.concatenate([np.empty(0, np.uint64), *self.others])
        owner = np.repeat(np.array(self.numbers, np.int64), [len(part) for part in self.others])
        found = np.isin(asked, known)
        return np.bincount(owner, minlength=total), np.bincount(owner[found], minlength=total)


def grams(text: str) -> Hashes:
    """Hashes of all substrings of 20 characters; a text of 10 to 19 characters has one hash, a shorter one none.

    A multilinear hash modulo 2^64: different substrings collide in at most one of 2^40 cases.
    """
    if len(text) < SHORT:
        return np.empty(0, np.uint64)
    points = np.frombuffer(text.ljust(GRAM, "\0").encode("utf-32-le"), np.uint32).astype(np.uint64)
    return np.lib.stride_tricks.sliding_window_view(points, GRAM) @ WEIGHTS  # L - 19


def shape(line: npt.NDArray[np.uint8]) -> npt.NDArray[np.float16]:
    """A line's fingerprint: a difference hash that keeps the size of differences, so that paper grain weighs little.

    Args:
        line: uint8 [64, W].

    Returns:
        float16 [256], a unit vector; all 0 where the image shows nothing.
    """
    small = Image.fromarray(line).resize((COLUMNS + 1, ROWS), Image.Resampling.BOX)
    steps = np.diff(np.asarray(small, dtype=np.float32), axis=1).ravel()  # ROWS·COLUMNS
    length = float(np.linalg.norm(steps))
    flat = length <= FLAT * np.sqrt(steps.size)
    return np.zeros(steps.size, np.float16) if flat else (steps / length).astype(np.float16)


def alike(shapes: Sequence[npt.NDArray[np.float16]], widths: Sequence[int]) -> list[list[int]]:
    """Groups of two or more near-identical images, as sorted lists of their indices.

    Only images of similar width are compared, so the time grows with the square of their number, not of all images.
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
    """Connected components of the graph with these edges."""
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
