"""A file is released only when it is proven: names, shapes, values against torch, then errors on real lines."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..runtime import Recognizer
from ..runtime.errors import HtrjandError
from ..runtime.files import atomic_path
from ..runtime.image import HEIGHT, pad_line
from ..runtime.info import sha256
from ..train.lines import LineRow
from ..train.reader import TorchRecognizer, score

WIDTHS = (64, 333, 1024, 2048)  # pixels before padding
BATCHES = (1, 3)
TOLERANCE = 1e-3  # of a logit: float files compute the same sums in another order


def prove_values(part: Path, weights: Path, name: Path) -> dict[str, Any]:
    """Compares a float file with torch on noise of four widths, in batches of one and three.

    Names and shapes are checked by the engine as it opens and runs the file.

    Args:
        part: the file.
        weights: the `.safetensors` it was made from.
        name: what to call the file in messages.

    Raises:
        HtrjandError: a logit differs by more than 10⁻³.
    """
    reader, torch_reader = Recognizer(part, 1), TorchRecognizer(weights)
    rng = np.random.default_rng(0)
    values = {}
    for width in WIDTHS:
        for batch in BATCHES:
            lines = [pad_line(rng.integers(0, 256, (HEIGHT, width), dtype=np.uint8)) for _ in range(batch)]
            pairs = zip(reader.logits(lines, batch), torch_reader.logits(lines, batch), strict=True)
            values[f"width {width} batch {batch}"] = max(float(np.abs(a - b).max()) for a, b in pairs)
    worst = max(values, key=lambda key: values[key])
    if not all(value <= TOLERANCE for value in values.values()):  # nor may one be NaN
        raise HtrjandError(
            f"{name}: at {worst} its logits differ from torch's by {values[worst]:.2g} (at most {TOLERANCE:g}); "
            "the exporter misread an operator, nothing was written"
        )
    return {
        "file": name.name,
        "sha256": sha256(part),
        "bytes": part.stat().st_size,
        "weights_sha256": reader.info.weights_sha256,
        "tolerance": TOLERANCE,
        "largest difference of a logit": values,
    }


def prove_cer(part: Path, reference: Path, rows: Sequence[LineRow], budget: float, name: Path) -> dict[str, Any]:
    """Compares the errors of two files on the same lines.

    Args:
        part: the compressed file.
        reference: the float file it was made from.
        rows: lines that neither calibrated nor trained it.
        budget: points of CER that it may be worse at most.
        name: what to call the file in messages.

    Raises:
        HtrjandError: it is worse than the budget allows, or there is no line to compare on.
    """
    if not rows:
        raise HtrjandError(f"{name}: no line to compare its errors on; check the lines and the split")
    before, texts_before = score(Recognizer(reference), rows)
    after, texts_after = score(Recognizer(part), rows)
    if after - before > budget:
        raise HtrjandError(
            f"{name}: {after:.2f} % CER where {reference.name} has {before:.2f} %: {after - before:.2f} points worse; "
            f"the budget is {budget:g}: calibrate with more lines, or allow more with --max-cer-increase; nothing was "
            "written"
        )
    return {
        "file": name.name,
        "sha256": sha256(part),
        "bytes": part.stat().st_size,
        "reference": {"file": reference.name, "sha256": sha256(reference), "bytes": reference.stat().st_size},
        "lines": len(rows),
        "datasets": sorted({row.dataset for row in rows}),
        "cer": {"reference": round(before, 3), "file": round(after, 3), "budget": budget},
        "texts equal": sum(a == b for a, b in zip(texts_before, texts_after, strict=True)),
    }


def write_proof(out: Path, proof: dict[str, Any]) -> Path:
    """Writes `<name>.proof.json` beside a file."""
    path = out.with_suffix(".proof.json")
    with atomic_path(path) as part:
        part.write_text(json.dumps(proof, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
    return path
