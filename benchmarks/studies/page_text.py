"""Errors in the text of a whole page, whatever the order and division of its lines: one rule for all programs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from rapidfuzz.distance import Levenshtein

from ...runtime.page.cut import Points
from ...runtime.text import normalize
from ...train.data.error_rates import character_errors, percent
from ...train.page.score import IGNORED, share_in_boxes, shared_areas

SHARED = 0.25  # of the area of the smaller of two lines that they share at least, if they are to belong together
Box = tuple[float, float, float, float]  # x0, y0, x1, y1


@dataclass(frozen=True)
class Group:
    """True and predicted lines that belong together, by their indices; one of the two may be empty."""

    true: tuple[int, ...]
    predicted: tuple[int, ...]

    @property
    def kind(self) -> str:
        """`missed`, `false`, `single` (one line, found as one) or `divided` (lines found in pieces or together)."""
        if not self.predicted:
            return "missed"
        if not self.true:
            return "false"
        return "single" if len(self.true) == len(self.predicted) == 1 else "divided"


def group_lines(true: Sequence[Points], predicted: Sequence[Points], ignore: Sequence[Box] = ()) -> list[Group]:
    """Which lines belong together.

    A predicted line belongs to the true line that it shares the largest area with, if that is a quarter of the smaller
    one or more. A true line to which none belongs joins, on the same condition, the group of the predicted line that it
    shares the largest area with. So a line found in pieces, or two found as one, is compared as a whole. What is left
    is missed, or false; predicted lines without a true one that lie by half in boxes `ignore` are left out.

    Args:
        true, predicted: polygons [N, 2] in the same pixels.
    """
    shared, areas, others = shared_areas(true, predicted)
    shared[shared < SHARED * np.minimum(areas[:, None], others[None])] = 0
    groups: dict[int, tuple[list[int], list[int]]] = {}
    owner: dict[int, int] = {}
    for j in range(len(predicted)):
        if shared[:, j].any():
            owner[j] = int(shared[:, j].argmax())
            groups.setdefault(owner[j], ([owner[j]], []))[1].append(j)
    missed = []
    for i in range(len(true)):
        if i in groups:
            continue
        if shared[i].any():
            groups[owner[int(shared[i].argmax())]][0].append(i)
        else:
            missed.append(i)
    false = [
        j for j in range(len(predicted))
        if j not in owner and not (ignore and share_in_boxes(predicted[j], ignore) >= IGNORED)
    ]  # fmt: skip
    return [
        *(Group(tuple(lines), tuple(pieces)) for lines, pieces in groups.values()),
        *(Group((i,), ()) for i in missed),
        *(Group((), (j,)) for j in false),
    ]


@dataclass(frozen=True)
class TextLine:
    """A line of a page: its outline [N, 2] in pixels, and its text."""

    polygon: Points
    text: str


@dataclass(frozen=True)
class PageErrors:
    """Edits of one page or of several, by the kind of the group of lines that they were made in.

    Attributes:
        characters: of the true lines.
        edits: see `page_errors`.
        given: edits in the same true lines, where the reader was given the true outlines; None where it was not.
    """

    characters: int
    edits: Counter[str]
    given: Counter[str] | None = None

    def __add__(self, other: PageErrors) -> PageErrors:
        given = None if self.given is None or other.given is None else self.given + other.given
        return PageErrors(self.characters + other.characters, self.edits + other.edits, given)

    @property
    def cer(self) -> float:
        """Character error rate of the whole page in percent; false lines may bring it above 100."""
        return percent(self.edits.total(), self.characters)

    @property
    def cer_given(self) -> float | None:
        """The same with the true lines."""
        return None if self.given is None else percent(self.given.total(), self.characters)

    def lost(self, kind: str) -> float:
        """Points of the difference between the two that groups of one kind make."""
        return percent(self.edits[kind] - (self.given or Counter())[kind], self.characters)


def page_errors(
    true: Sequence[TextLine], predicted: Sequence[TextLine], ignore: Sequence[Box] = (),
    given: Sequence[str] | None = None,
) -> PageErrors:  # fmt: skip
    """Edits (Levenshtein) between the text of a page as it is and as it was read, both spelt by `normalize`.

    Each group of lines (`group_lines`) is compared as a whole, its lines put together from left to right or from top to
    bottom, whichever gives fewer edits. A missed line costs all its characters, a false one all that were read. True
    lines without a transcription cost nothing, and nor does what was read there.

    Args:
        given: what the reader read in each of the true lines.
    """
    edits: Counter[str] = Counter()
    of_given: Counter[str] | None = None if given is None else Counter()
    for group in group_lines([line.polygon for line in true], [line.polygon for line in predicted], ignore):
        wanted, found = [true[i] for i in group.true], [predicted[j] for j in group.predicted]
        if wanted and not any(normalize(line.text) for line in wanted):
            continue
        edits[group.kind] += min(map(Levenshtein.distance, in_both_orders(wanted), in_both_orders(found)))
        if given is not None and of_given is not None:
            of_given[group.kind] += sum(character_errors(true[i].text, given[i])[0] for i in group.true)
    return PageErrors(sum(len(normalize(line.text)) for line in true), edits, of_given)


def in_both_orders(lines: Sequence[TextLine]) -> list[str]:
    """The text of some lines from left to right, and from top to bottom."""
    return [
        normalize(" ".join(line.text for line in sorted(lines, key=lambda line: float(line.polygon[:, axis].mean()))))
        for axis in (0, 1)
    ]
