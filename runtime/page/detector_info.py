"""What a detector's file says of itself: all that is needed to feed it and to read its answer.

The keys stand where those of a line reader do (`runtime/info.py`), and are texts in the same way.

| key | value | example |
|---|---|---|
| `format` | `htrjand-detector/1`: the version of this table | `htrjand-detector/1` |
| `name`, `version`, `licence` | plain text | `htrjand-detector` |
| `training_data` | JSON list of strings: datasets | `["copiste"]` |
| `found` | JSON table: dataset -> recall and precision of the float weights on its test split, in percent | `{"copiste": [96.1, 94.0]}` |
| `weights_sha256` | the SHA-256 of the float weights that the file was made from | hexadecimal |
| `precision` | `fp32`, `fp16` or `int8` | `int8` |
| `longer_side` | integer: pixels of the longer side of a page as it is fed | `1024` |
| `multiple` | integer: height and width of the image are multiples of it | `32` |
| `stride` | integer: pixels of the image in a pixel of the maps, along each axis | `4` |
| `preprocessing` | one sentence for whoever writes a reader; not read back | |
| `seal` | tells that the file is whole and unchanged: see `runtime/seal.py` | `htrjand-seal:` and 64 digits |

In: `image` uint8 [N, 1, H, W]. Out: `maps` float32 [N, 4, H / stride, W / stride]: the probability of a line's core,
that of a line's end, and the natural logarithms of the distances in pixels of the image from the middle of the core up
to the top of the line and down to its foot. `runtime/page/detect.py` makes the one and reads the other.
"""  # noqa: E501

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from ..errors import HtrjandError
from ..formats import PRECISIONS
from ..info import check_format, no_strings, no_text, out_of_range, reading, texts_of, values_of
from ..seal import OPEN
from .detect import LONGER_SIDE, MULTIPLE, STRIDE

FORMAT = "htrjand-detector/1"
PREPROCESSING = (
    "8-bit grey; scale the longer side to {longer_side} pixels (bilinear); pad at the right and the bottom with the "
    "edge to multiples of {multiple}; take from each pixel the paper around it (the 80th percentile of blocks of 32 "
    "pixels, interpolated) and divide by the strength of the ink there: evened() in runtime/page/detect.py"
)
TEXTS = ("name", "version", "licence", "weights_sha256", "precision")
LISTS = ("training_data",)
INTEGERS = ("longer_side", "multiple", "stride")
RANGES = {"longer_side": (1, 16_384), "multiple": (1, 16_384), "stride": (1, 64)}


@dataclass(frozen=True)
class DetectorInfo:
    """A detector's description of itself; the fields are explained in the table above.

    Raises:
        HtrjandError: a field has a value that none can have.
    """

    name: str
    version: str
    licence: str = ""
    training_data: tuple[str, ...] = ()
    found: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    weights_sha256: str = ""
    precision: str = "fp32"
    longer_side: int = LONGER_SIDE
    multiple: int = MULTIPLE
    stride: int = STRIDE

    def __post_init__(self) -> None:
        if problem := self._problem():
            raise HtrjandError(f"detector description: {problem}")

    def _problem(self) -> str | None:
        if problem := no_strings(self, LISTS):
            return problem
        if self.precision not in PRECISIONS:
            return f"precision {self.precision!r} is unknown; use one of {', '.join(PRECISIONS)}"
        if not re.fullmatch("([0-9a-f]{64})?", self.weights_sha256):
            return "weights_sha256 is not of 64 hexadecimal digits"
        if problem := no_text(self) or out_of_range(self, RANGES):
            return problem
        if self.multiple % self.stride or self.longer_side % self.multiple:
            return "longer_side is to be a multiple of multiple, and that of stride"
        for name, pair in self.found.items():
            if len(pair) != 2 or not all(0 <= percent <= 100 for percent in pair):
                return f"found: {name} has {list(pair)}, where recall and precision in percent are wanted"
        return None

    def to_metadata(self) -> dict[str, str]:
        """The keys and texts to write into a model file."""
        preprocessing = PREPROCESSING.format(longer_side=self.longer_side, multiple=self.multiple)
        return {"format": FORMAT} | texts_of(self) | {"preprocessing": preprocessing, "seal": OPEN}

    @classmethod
    def from_metadata(cls, metadata: Mapping[str, str], path: str | Path) -> DetectorInfo:
        """Reads what `to_metadata` wrote; other keys are ignored.

        Raises:
            HtrjandError: the file is no detector, a key is missing or cannot be read; names `path`.
        """
        check_format(metadata, path, FORMAT)
        with reading(path):
            values = values_of(metadata, TEXTS, LISTS, INTEGERS)
            found = json.loads(metadata["found"])
            values["found"] = {name: tuple(float(percent) for percent in pair) for name, pair in found.items()}
            return cls(**values)
