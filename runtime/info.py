"""What a model file says of itself: all that a reader in any language needs to feed it and to read its answer.

The same keys stand in ONNX `metadata_props`, OpenVINO `rt_info` and the TFLite metadata buffer. Every value is text:
plain strings as they are, numbers in decimal, lists and tables as JSON (UTF-8, not escaped).

| key | value | example |
|---|---|---|
| `format` | `htrjand/1`: the version of this table | `htrjand/1` |
| `name`, `version`, `licence` | plain text | `htrjand-student` |
| `charset` | JSON list of strings: one for each class of the logits; the first is "", the blank | `["", "a"]` |
| `languages`, `training_data` | JSON lists of strings: ISO 639-1 codes; datasets | `["fr", "en"]` |
| `cer` | JSON table: dataset -> CER of the float weights on its test split, in percent | `{"copiste": 13.9}` |
| `weights_sha256` | the SHA-256 of the float weights that the file was made from | hexadecimal |
| `precision` | `fp32`, `fp16` or `int8` | `int8` |
| `height`, `width_multiple`, `max_width` | integers: rows; columns: a multiple of, at most | `64`, `16`, `4096` |
| `frame_stride` | integer: columns a frame of the logits stands for | `4` |
| `blank` | integer: the class that is no character | `0` |
| `temperature` | divide the logits by it before the softmax to get chances (greedy decoder) | `1.0` |
| `language_model` | JSON table: the n-gram that the beam is fitted to, and how; `{}`: none | see below |
| `preprocessing` | one sentence for whoever writes a reader; not read back | |
| `seal` | tells that the file is whole and unchanged: see `seal.py` | `htrjand-seal:` and 64 digits |

`language_model` has four keys: `seal`, the 64 digits of the n-gram's own; `weight`, of ln p of the language; `bonus`,
for each character; `temperature`, of the confidences that the beam gives. `htrjand lm fit` writes it.

To read: make the line grey (0 = black), scale it to `height` rows, pad it, feed `image` uint8 [N, 1, height, W], take
the greatest of each frame of `logits` float32 [N, W / frame_stride, classes], merge equal neighbours, drop the blanks.
"""

from __future__ import annotations

import hashlib
import json
import re
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, fields, is_dataclass
from pathlib import Path
from typing import Any

from .errors import HtrjandError
from .formats import PRECISIONS, parts_of
from .seal import OPEN

FORMAT = "htrjand/1"
PREPROCESSING = (
    "8-bit grey, 0 = black; scale to {height} rows keeping the aspect (bilinear); pad at the right with the 80th "
    "percentile of the line's pixels to the next multiple of {width_multiple} columns; the graph normalises"
)

# By what stands before the "/" of a format.
KINDS = {"htrjand": "line reader", "htrjand-detector": "line detector", "htrjand-corrector": "corrector"}
REMEDY = "take a model file that htrjand exported, or export this one again"

TEXTS = ("name", "version", "licence", "weights_sha256", "precision")
LISTS = ("charset", "languages", "training_data")
INTEGERS = ("frame_stride", "height", "width_multiple", "max_width", "blank")
# Least and greatest of each number. What is beyond fits no line, or makes something that is not finite of the logits.
RANGES = {
    "frame_stride": (1, 64), "height": (1, 1024), "width_multiple": (1, 16_384), "max_width": (1, 16_384),
    "temperature": (0.01, 100.0),
}  # fmt: skip
FIT_RANGES = {"weight": (0.0, 100.0), "bonus": (0.0, 100.0), "temperature": (0.01, 100.0)}
MOST_PERCENT = 10_000.0  # of a CER: a reader that makes up text has more than 100


@dataclass(frozen=True)
class LanguageFit:
    """How a model reads with the n-gram that it was fitted to; see `language_model` above.

    Raises:
        HtrjandError: a value is none that can be read with.
    """

    seal: str
    weight: float
    bonus: float
    temperature: float

    def __post_init__(self) -> None:
        if not re.fullmatch("[0-9a-f]{64}", self.seal):
            raise HtrjandError("language_model: seal is not of 64 hexadecimal digits")
        if problem := out_of_range(self, FIT_RANGES):
            raise HtrjandError(f"language_model: {problem}")


@dataclass(frozen=True)
class ModelInfo:
    """A model's description of itself; the fields are explained in the table above.

    Raises:
        HtrjandError: the fields contradict each other (a charset without a blank, say).
    """

    name: str
    version: str
    charset: tuple[str, ...]
    languages: tuple[str, ...] = ()
    licence: str = ""
    training_data: tuple[str, ...] = ()
    cer: Mapping[str, float] = field(default_factory=dict)
    weights_sha256: str = ""
    precision: str = "fp32"
    frame_stride: int = 4
    height: int = 64
    width_multiple: int = 16
    max_width: int = 4096
    blank: int = 0
    temperature: float = 1.0
    language_model: LanguageFit | None = None

    def __post_init__(self) -> None:
        if problem := self._problem():
            raise HtrjandError(f"model description: {problem}")

    def _problem(self) -> str | None:
        if problem := no_strings(self, LISTS) or no_text(self) or out_of_range(self, RANGES):
            return problem
        if any(unicodedata.category(char) == "Cc" for item in self.charset for char in item):
            return "the charset holds a control character"
        if len(self.charset) < 2 or self.blank != 0 or self.charset[0] != "":
            return 'the charset must begin with "" (the blank is class 0) and hold at least one character'
        if "" in self.charset[1:] or len(set(self.charset)) != len(self.charset):
            return "the charset holds a character twice, or an empty one"
        if self.precision not in PRECISIONS:
            return f"precision {self.precision!r} is unknown; use one of {', '.join(PRECISIONS)}"
        if self.width_multiple % self.frame_stride:
            return f"width_multiple {self.width_multiple} is no multiple of frame_stride {self.frame_stride}"
        for name, percent in self.cer.items():
            if not 0 <= percent <= MOST_PERCENT:
                return f"cer: {name} has {percent} percent"
        return None

    def to_metadata(self) -> dict[str, str]:
        """The keys and texts to write into a model file."""
        preprocessing = PREPROCESSING.format(height=self.height, width_multiple=self.width_multiple)
        return {"format": FORMAT} | texts_of(self) | {"preprocessing": preprocessing, "seal": OPEN}

    @classmethod
    def from_metadata(cls, metadata: Mapping[str, str], path: str | Path) -> ModelInfo:
        """Reads what `to_metadata` wrote; other keys are ignored.

        Raises:
            HtrjandError: a key is missing or cannot be read, or the format is of another edition; names `path`.
        """
        check_format(metadata, path, FORMAT)
        with reading(path):
            values = values_of(metadata, TEXTS, LISTS, INTEGERS)
            values["cer"] = {name: float(percent) for name, percent in json.loads(metadata["cer"]).items()}
            values["temperature"] = float(metadata["temperature"])
            fitted = json.loads(metadata.get("language_model", "{}"))  # files of 0.1.0 have none
            values["language_model"] = LanguageFit(**fitted) if fitted != {} else None
            return cls(**values)


def texts_of(description: Any) -> dict[str, str]:
    """The fields of a description as texts."""
    texts = {}
    for item in fields(description):
        value = getattr(description, item.name)
        if isinstance(value, str):
            texts[item.name] = value
        elif isinstance(value, int | float):
            texts[item.name] = repr(value)
        else:
            texts[item.name] = json.dumps(plain(value), ensure_ascii=False, allow_nan=False)
    return texts


def plain(value: Any) -> dict[str, Any] | list[Any]:
    """A table, another description (or None), or a sequence, for JSON."""
    if value is None or isinstance(value, Mapping):
        return dict(value or {})
    return asdict(value) if is_dataclass(value) and not isinstance(value, type) else list(value)


def out_of_range(description: object, ranges: Mapping[str, tuple[float, float]]) -> str | None:
    """What is wrong with the numbers of a description; they are whole where their limits are."""
    for key, (low, high) in ranges.items():
        value = getattr(description, key)
        kind = int if isinstance(low, int) else (int, float)
        if isinstance(value, bool) or not isinstance(value, kind) or not low <= value <= high:
            return f"{key} is {str(value)[:40]}, where a number from {low} to {high} is wanted"
    return None


def values_of(
    metadata: Mapping[str, str], texts: Sequence[str], lists: Sequence[str], integers: Sequence[str]
) -> dict[str, Any]:
    """Fields of a description, of the texts that `texts_of` makes of them; inside `reading`."""
    values: dict[str, Any] = {key: metadata[key] for key in texts}
    values |= {key: strings(metadata[key]) for key in lists}
    return values | {key: int(metadata[key]) for key in integers}


def no_strings(description: Any, keys: Sequence[str]) -> str | None:
    """Which field of a description, of those that are to be tuples of strings, is none."""
    for key in keys:
        values = getattr(description, key)
        if not isinstance(values, tuple) or not all(isinstance(value, str) for value in values):
            return f"{key} is no tuple of strings"
    return None


def no_text(description: Any) -> str | None:
    """Which field of a description holds a lone surrogate, half of a pair, which no file of text can hold."""
    for item in fields(description):
        value = getattr(description, item.name)
        if isinstance(value, tuple | Mapping):
            value = "".join(map(str, value))
        if isinstance(value, str) and re.search("[\ud800-\udfff]", value):
            return f"{item.name} holds half of a surrogate pair"
    return None


def is_detector(metadata: Mapping[str, str]) -> bool:
    """Whether a file says that it is a line detector."""
    return kind_of(metadata.get("format", "")) == KINDS["htrjand-detector"]


def kind_of(form: str) -> str | None:
    """What a file of this format is; None where that is not known."""
    return KINDS.get(form.partition("/")[0])


def check_format(metadata: Mapping[str, str], path: str | Path, wanted: str) -> None:
    """Raises an HtrjandError unless a file says that it is of this format."""
    found = metadata.get("format")
    if found is None:
        raise HtrjandError(f"{path}: the file does not describe itself (its metadata have no `format`); {REMEDY}")
    if found == wanted:
        return
    kind, other = kind_of(wanted), kind_of(found)
    if other not in (None, kind):
        raise HtrjandError(f"{path}: is a {other}, where a {kind} is wanted; `htrjand models` tells what a file is")
    raise HtrjandError(f"{path}: its metadata are of format {found!r}, this edition reads {wanted!r}; {REMEDY}")


@contextmanager
def reading(path: str | Path) -> Iterator[None]:
    """Makes one HtrjandError of whatever can be wrong with metadata that are read in the block."""
    try:
        yield
    except KeyError as error:
        raise HtrjandError(f"{path}: its metadata lack {error}; {REMEDY}") from error
    except (ValueError, TypeError, AttributeError, OverflowError, RecursionError, HtrjandError) as error:
        raise HtrjandError(f"{path}: its metadata cannot be used ({error}); {REMEDY}") from error


def strings(text: str) -> tuple[str, ...]:
    """A JSON list of strings."""
    values = json.loads(text)
    if not isinstance(values, list):
        raise ValueError(f"{text[:40]} is no JSON list")
    return tuple(values)


def size_of(path: Path) -> int:
    """Bytes of a model, the weights beside it among them."""
    return sum(part.stat().st_size for part in parts_of(path))


def sha256(path: str | Path) -> str:
    """The SHA-256 of a file, hexadecimal, as `weights_sha256` holds it."""
    with Path(path).open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
