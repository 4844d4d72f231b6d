"""Editorial marks of transcriptions: those removed from a text, and those for which a line is left out."""

from __future__ import annotations

import functools
import re
import unicodedata

# >struck<, <> illegible, [[doubtful]], [?], [], [XXX], [illisible], xxx, ¥ a signature, and `#` alone, a struck word
# (#17 and 100# are numbers). With any of these the text is not what the image shows.
NOT_THE_INK = re.compile(r"[<>⟦⟧¥]|\[\[|\]\]|\[\]|\[\?|\[[xX]|\[illisible|\bxxx\b|X{4}|(?<!\d)#(?!\w)")
SIGNS = frozenset("^~⋎⎀‸")  # superscript, abbreviation, insertion
STROKES = frozenset("\u0303\u0304\u033e")  # combining tilde, macron, vertical tilde: signs of abbreviation
KEPT = frozenset("ñÑ")  # a tilde that people type
MARKS = ("keep", "strip")  # values of `data.marks` in a recipe


def without_marks(text: str) -> str | None:
    """The text as a person would type it: "Mr" for M^r and Mʳ, "no" for nõ; None where the image says otherwise."""
    text = unicodedata.normalize("NFC", text)
    return None if NOT_THE_INK.search(text) else "".join(map(plain, text))


@functools.cache
def plain(char: str) -> str:
    """A superscript letter as a plain letter, any other character without the signs and strokes above."""
    if char in KEPT:
        return char
    if unicodedata.decomposition(char).startswith("<super>"):
        return unicodedata.normalize("NFKC", char)
    parts = unicodedata.normalize("NFD", char)
    return unicodedata.normalize("NFC", "".join(part for part in parts if part not in SIGNS | STROKES))
