"""A file is released only when it is proven: names, shapes and values against torch, then what it reads of lines."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ..runtime import Recognizer
from ..runtime.errors import HtrjandError
from ..runtime.files import atomic_path
from ..runtime.image import HEIGHT, pad_line
from ..runtime.info import sha256, size_of
from ..train.data.lines import LineRow
from ..train.reader import Reading, open_weights, read_rows

WIDTHS = (64, 333, 800, 1024, 2048, 4096)  # pixels before padding
BATCHES = (1, 3)
TOLERANCE = 1e-3  # of a logit: float files compute the same sums in another order
BUDGET = 0.3  # points of CER


class BudgetError(HtrjandError):
    """A file reads worse than its budget of CER allows."""


def open_reader(path: Path) -> Recognizer:
    """A reader of a model file, or of weights."""
    return open_weights(path) if path.suffix == ".safetensors" else Recognizer(path)


@dataclass(frozen=True)
class Reference:
    """The network that files are held against: weights, or a float file of them; and the lines to read.

    What it computes is kept, for the next file.
    """

    path: Path
    rows: Sequence[LineRow] = ()

    @cached_property
    def reader(self) -> Recognizer:
        return open_reader(self.path)

    @cached_property
    def reading(self) -> Reading:
        return read_rows(self.reader, self.rows)

    def logits(self, lines: Sequence[npt.NDArray[np.uint8]], batch: int) -> list[npt.NDArray[np.float32]]:
        """Of lines that are padded already."""
        return self.reader.logits(lines, batch)


def prove(part: Path, name: Path, reference: Reference, budget: float = BUDGET) -> dict[str, Any]:
    """Compares a file with the network that it was made from.

    A file in fp32 must compute the same: logits of noise of six widths, alone and in batches of three, within 10⁻³, and
    the same text for every line. Any file may have `budget` points of CER more, on each of the lines' datasets. (That
    input and output have the names and shapes they should, its engine checks as it opens and runs it.)

    Args:
        part: the file.
        name: what to call it in messages and in the proof.
        reference: weights or float file, and lines that neither calibrated nor trained the file. Without any line the
            proof is of the values alone.
        budget: points of CER.

    Returns:
        The proof, for JSON.

    Raises:
        HtrjandError: the file differs by more than it may.
    """
    reader = Recognizer(part)
    values = compare_values(reader, reference)
    exact = reader.info.precision == "fp32"
    worst = max(values, key=lambda key: values[key])
    if not np.isfinite(values[worst]) or (exact and values[worst] > TOLERANCE):
        raise HtrjandError(
            f"{name}: at {worst} its logits differ from those of {reference.path.name} by {values[worst]:.2g} (at most "
            f"{TOLERANCE:g}); an operator was not written as the network computes it; nothing was written"
        )
    proof = {
        "file": name.name,
        "sha256": sha256(part),
        "bytes": size_of(part),
        "precision": reader.info.precision,
        "reference": {"file": reference.path.name, "sha256": sha256(reference.path)},
        "weights_sha256": reader.info.weights_sha256,
        "tolerance": TOLERANCE if exact else None,
        "largest difference of a logit": values,
    }
    return proof | (compare_reading(reader, name, reference, budget, exact) if reference.rows else {})


def compare_values(reader: Recognizer, reference: Reference) -> dict[str, float]:
    """The largest difference of a logit at each width and batch; a file of one width is compared at that."""
    multiple, rng = reader.info.width_multiple, np.random.default_rng(0)
    padded = sorted({-(-width // multiple) * multiple for width in WIDTHS if width <= reader.info.max_width})
    values = {}
    for width in padded:
        for batch in BATCHES:
            lines = [pad_line(rng.integers(0, 256, (HEIGHT, width - 5), dtype=np.uint8), width) for _ in range(batch)]
            pairs = zip(reader.logits(lines, batch), reference.logits(lines, batch), strict=True)
            values[f"width {width} batch {batch}"] = max(float(np.abs(a - b).max()) for a, b in pairs)
    return values


def compare_reading(reader: Recognizer, name: Path, reference: Reference, budget: float, exact: bool) -> dict[str, Any]:
    """The part of the proof about real lines. A file of one width is compared on lines padded to that."""
    fixed = reader.info.max_width if reader.info.width_multiple == reader.info.max_width else None
    rows = [row for row in reference.rows if fixed is None or row.pixels().shape[1] <= fixed]
    if not rows:
        raise HtrjandError(f"{name}: no line of the proof fits into {fixed} columns; give shorter ones")
    before = read_rows(reference.reader, rows, fixed) if fixed else reference.reading
    after = read_rows(reader, rows, fixed)
    equal = sum(a == b for a, b in zip(before.texts, after.texts, strict=True))
    if exact and equal < len(rows):
        raise HtrjandError(
            f"{name}: reads {len(rows) - equal} of {len(rows)} lines otherwise than {reference.path.name}, where a "
            "float file reads them all alike; nothing was written"
        )
    for dataset in (None, *before.errors):
        more = after.cer(dataset) - before.cer(dataset)
        if more > budget:
            raise BudgetError(
                f"{name}: {after.cer(dataset):.2f} % CER on {dataset or 'all lines'} where {reference.path.name} has "
                f"{before.cer(dataset):.2f} %: {more:.2f} points worse; the budget is {budget:g}: calibrate with more "
                "lines, keep a module in float (--keep), fine-tune with `htrjand qat`, or allow more with "
                "--max-cer-increase; nothing was written"
            )
    cer = {
        dataset or "all": {
            "reference": round(before.cer(dataset), 3),
            "file": round(after.cer(dataset), 3),
            "lines": sum(dataset in (None, row.dataset) for row in rows),
        }
        for dataset in (*before.errors, None)
    }
    proof = {"split": rows[0].split, "texts equal": equal, "cer": cer, "budget": budget}
    return proof | ({"lines padded to": fixed} if fixed else {})


def proof_path(out: Path) -> Path:
    """`<name>.<format>.proof.json`, beside the file: one name may have several formats."""
    return out.with_name(f"{out.name}.proof.json")


def write_proof(out: Path, proof: dict[str, Any]) -> Path:
    """Writes a proof beside its file."""
    path = proof_path(out)
    with atomic_path(path) as part:
        part.write_text(json.dumps(proof, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
    return path
