"""One spelling of quotes, dashes and spaces, for training and for measuring alike."""

from __future__ import annotations

import unicodedata

# Sources differ in these and a reader cannot tell them apart on paper: one form of each.
FOLDED = str.maketrans(
    dict.fromkeys("’‘ʼ´`", "'") | dict.fromkeys("“”„", '"') | dict.fromkeys("–—‐‑¬", "-") | {"\u00ad": "", "…": "..."}
)


def normalize(text: str) -> str:
    """Text in NFC, with quotes and dashes folded to their plain forms and one space between words."""
    return " ".join(unicodedata.normalize("NFC", text).translate(FOLDED).split())
