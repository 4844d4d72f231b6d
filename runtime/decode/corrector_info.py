"""What a corrector's file says of itself: all that is needed to feed it and to take its answer, or leave it.

The keys stand where those of a line reader do (`runtime/info.py`), and are texts in the same way.

| key | value | example |
|---|---|---|
| `format` | `htrjand-corrector/1`: the version of this table | `htrjand-corrector/1` |
| `name`, `version`, `licence` | plain text | `htrjand-corrector` |
| `charset` | JSON list of strings: class `first` is the first of them | `["a", "b"]` |
| `languages`, `training_data` | JSON lists of strings: ISO 639-1 codes; lines and texts that it learnt from | `["fr"]` |
| `weights_sha256`, `reader_sha256` | the SHA-256 of its own float weights, and of the reader's whose errors it knows | hexadecimal |
| `precision` | `fp32` or `int8` | `int8` |
| `first` | integer: class of the first character; 0 is padding, which a text of the decoder begins with, 1 its end, 2 any other character | `3` |
| `longest` | integer: characters of the longest text that it has seen | `120` |
| `context` | `1`: a text is followed by those of the lines before and after it, class 1 behind each; `0`, or no such key: by nothing | `0` |
| `doubt` | a line is corrected where its confidence is below this | `0.9` |
| `most_change` | a correction that differs from the reading in a greater share of the characters is not taken | `0.3` |
| `keep` | JSON list of what is left as it was read: `digits`, `capitals` (words that begin with one) | `["digits"]` |
| `seal` | tells that the file is whole and unchanged: see `runtime/seal.py` | `htrjand-seal:` and 64 digits |

The ports stand in `export/corrector.py`.
"""  # noqa: E501

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from ..errors import HtrjandError
from ..info import check_format, no_strings, no_text, out_of_range, reading, texts_of, values_of
from ..seal import OPEN

FORMAT = "htrjand-corrector/1"
PRECISIONS = ("fp32", "int8")
KEEP = ("digits", "capitals")
TEXTS = ("name", "version", "licence", "weights_sha256", "reader_sha256", "precision")
LISTS = ("charset", "languages", "training_data", "keep")
INTEGERS = ("first", "longest", "context")
SHARES = ("doubt", "most_change")
RANGES = {"first": (3, 16), "longest": (1, 1024), "context": (0, 1), "doubt": (0.0, 1.0), "most_change": (0.0, 1.0)}


@dataclass(frozen=True)
class CorrectorInfo:
    """A corrector's description of itself; the fields are explained in the table above.

    Raises:
        HtrjandError: a field has a value that none can have.
    """

    name: str
    version: str
    charset: tuple[str, ...]
    languages: tuple[str, ...] = ()
    licence: str = ""
    training_data: tuple[str, ...] = ()
    weights_sha256: str = ""
    reader_sha256: str = ""
    precision: str = "fp32"
    first: int = 3
    longest: int = 120
    context: int = 0
    doubt: float = 1.0
    most_change: float = 0.3
    keep: tuple[str, ...] = KEEP

    def __post_init__(self) -> None:
        if problem := self._problem():
            raise HtrjandError(f"corrector description: {problem}")

    def _problem(self) -> str | None:
        if problem := no_strings(self, LISTS) or no_text(self) or out_of_range(self, RANGES):
            return problem
        if (
            not self.charset
            or any(len(char) != 1 for char in self.charset)
            or len(set(self.charset)) < len(self.charset)
        ):
            return "the charset is to hold characters, each once"
        if self.precision not in PRECISIONS:
            return f"precision {self.precision!r} is unknown; use one of {', '.join(PRECISIONS)}"
        for key in ("weights_sha256", "reader_sha256"):
            if not re.fullmatch("([0-9a-f]{64})?", getattr(self, key)):
                return f"{key} is not of 64 hexadecimal digits"
        if set(self.keep) - set(KEEP):
            return f"keep: {', '.join(KEEP)} are known, not {', '.join(sorted(set(self.keep) - set(KEEP)))}"
        return None

    def to_metadata(self) -> dict[str, str]:
        """The keys and texts to write into a file."""
        return {"format": FORMAT} | texts_of(self) | {"seal": OPEN}

    @classmethod
    def from_metadata(cls, metadata: Mapping[str, str], path: str | Path) -> CorrectorInfo:
        """Reads what `to_metadata` wrote; other keys are ignored.

        Raises:
            HtrjandError: the file is no corrector, a key is missing or cannot be read; names `path`.
        """
        check_format(metadata, path, FORMAT)
        with reading(path):
            values = values_of({"context": "0", **metadata}, TEXTS, LISTS, INTEGERS)
            return cls(**values | {key: float(metadata[key]) for key in SHARES})
