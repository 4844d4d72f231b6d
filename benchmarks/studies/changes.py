"""Which characters a second reading of the same lines mends, and which it harms."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from rapidfuzz.distance import Levenshtein

from ...runtime.text import normalize
from ...train.data.error_rates import character_errors
from ...train.data.lines import LineRow

KINDS = ("digits", "capitals", "small letters", "spaces", "others")  # of characters


@dataclass(frozen=True)
class Harmed:
    """A line in which the second reading makes `more` errors; texts as `normalize` spells them."""

    id: str
    dataset: str
    more: int
    reference: str
    first: str
    second: str


def harmed_lines(rows: Sequence[LineRow], first: Sequence[str], second: Sequence[str]) -> list[Harmed]:
    """Lines in which the second reading makes more errors than the first, the worst first."""
    found = []
    for row, before, after in zip(rows, first, second, strict=True):
        more = character_errors(row.text, after)[0] - character_errors(row.text, before)[0]
        if more > 0:
            found.append(Harmed(row.id, row.dataset, more, normalize(row.text), normalize(before), normalize(after)))
    return sorted(found, key=lambda line: -line.more)


def changes(rows: Sequence[LineRow], first: Sequence[str], second: Sequence[str]) -> dict[str, Counter[str]]:
    """What became of each kind of character, in characters.

    `wrong` are those of the lines that the first reading lacks or has others for; `mended` of these the second has, and
    `harmed` are those that the first had and the second lacks. `added` and `added later` stand in the first and in the
    second reading alone. Where several shortest edits make one text of another, one of them decides.
    """
    counts: dict[str, Counter[str]] = {kind: Counter() for kind in KINDS}
    for row, before, after in zip(rows, first, second, strict=True):
        reference = normalize(row.text)
        (had, added), (has, added_later) = aligned(reference, normalize(before)), aligned(reference, normalize(after))
        for char, was, is_now in zip(reference, had, has, strict=True):
            kind = counts[kind_of(char)]
            kind["characters"] += 1
            kind["wrong"] += not was
            kind["mended"] += is_now and not was
            kind["harmed"] += was and not is_now
        for name, chars in (("added", added), ("added later", added_later)):
            for char in chars:
                counts[kind_of(char)][name] += 1
    return counts


def aligned(reference: str, text: str) -> tuple[list[bool], list[str]]:
    """Whether each character of the reference stands in the text, and the characters that the text adds."""
    stands, added = [True] * len(reference), []
    for edit in Levenshtein.editops(reference, text):
        if edit.tag == "insert":
            added.append(text[edit.dest_pos])
        else:
            stands[edit.src_pos] = False
    return stands, added


def kind_of(char: str) -> str:
    """One of `KINDS`."""
    if char.isalpha():
        return "capitals" if char.isupper() else "small letters"
    return "digits" if char.isdigit() else "spaces" if char == " " else "others"
