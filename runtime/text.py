"""One spelling of quotes, dashes and spaces, for training and for measuring alike."""

from __future__ import annotations

import json
import re
import unicodedata
from typing import Any

# Sources differ in these and a reader cannot tell them apart on paper: one form of each.
FOLDED = str.maketrans(
    dict.fromkeys("’‘ʼ´`", "'") | dict.fromkeys("“”„", '"') | dict.fromkeys("–—‐‑¬", "-") | {"\u00ad": "", "…": "..."}
)


def normalize(text: str) -> str:
    """Text in NFC, with quotes and dashes folded to their plain forms and one space between words."""
    return " ".join(unicodedata.normalize("NFC", text).translate(FOLDED).split())


def printable(text: object) -> str:
    """Text for a terminal or a table: whatever is no visible character is written as an escape like `\\x1b`."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in str(text))


def json_text(values: object, **layout: Any) -> str:
    """Values as JSON: text as it is, but for what no terminal or file should get (control characters, halves of a pair
    as in file names that are no text), which stands as escapes and comes back as it was; numbers are finite.

    Raises:
        ValueError: a number is not finite.
    """
    text = json.dumps(values, ensure_ascii=False, allow_nan=False, **layout)
    return re.sub("[\x7f-\x9f\u2028\u2029\ud800-\udfff]", lambda found: f"\\u{ord(found[0]):04x}", text)
