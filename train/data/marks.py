"""Editorial marks of transcriptions: what is taken off a text, and which lines are left out because of them."""

from __future__ import annotations

import functools
import re
import unicodedata

# >struck<, <> illegible, [[doubtful]], [?], [], [XXX], [illisible], xxx, ¥ a signature, and `#` alone, a struck word
# (#17 and 100# are numbers). The ink shows more, or less, than the text says.
NOT_THE_INK = re.compile(r"[<>⟦⟧¥]|\[\[|\]\]|\[\]|\[\?|\[[xX]|\[illisible|\bxxx\b|X{4}|(?<!\d)#(?!\w)")
SIGNS = frozenset("^~⋎⎀‸")  # superscript, abbreviation, insertion
STROKES = frozenset("\u0303\u0304\u033e")  # combining tilde, macron, vertical tilde: letters were left out here
KEPT = frozenset("ñÑ")  # a tilde that people type
MARKS = ("keep", "strip")  # what a recipe may say


def without_marks(text: str) -> str | None:
    """The text as a person would type it: "Mr" for M^r and Mʳ, "no" for nõ; None where marks say it is not the ink."""
    text = unicodedata.normalize("NFC", text)
    return None if NOT_THE_INK.search(text) else "".join(map(plain, text))


@functools.cache
def plain(char: str) -> str:
    """A character without what marks it: a superscript letter as a letter, none of the signs and strokes."""
    if char in KEPT:
        return char
    if unicodedata.decomposition(char).startswith("<super>"):
        return unicodedata.normalize("NFKC", char)
    parts = unicodedata.normalize("NFD", char)
    return unicodedata.normalize("NFC", "".join(part for part in parts if part not in SIGNS | STROKES))
