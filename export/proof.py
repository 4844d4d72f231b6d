"""A file is released only when it is proven: names, shapes and values against torch, then what it reads of lines.

Of a line detector's file (`export/page_proof.py`) the maps are compared, then the lines that it finds on pages.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, Protocol

import numpy as np
import numpy.typing as npt

from ..runtime import Recognizer
from ..runtime.errors import HtrjandError
from ..runtime.files import atomic_path
from ..runtime.image import HEIGHT, pad_line
from ..runtime.info import sha256, size_of
from ..runtime.text import json_text
from ..train.data.lines import LineRow
from ..train.reader import Reading, open_weights, read_rows

WIDTHS = (64, 333, 800, 1024, 2048, 4096)  # pixels before padding
BATCHES = (1, 3)
TOLERANCE = 1e-3  # of a logit: float files compute the same sums in another order
BUDGET = 0.3  # points of CER
Logits = npt.NDArray[np.float32]


# Whether a file is in int8 -> what helps. On the command line and in a recipe of `htrjand run` these have one name.
REMEDIES = {
    True: "calibrate on more (calibrate), leave a module in float (keep), fine-tune a line reader with `htrjand qat`, "
    "or allow more (max-cer-increase, max-lines-lost)",
    False: "allow more (max-cer-increase, max-lines-lost)",
}
MAKING = (
    "calibration lines", "calibration pages", "calibration draw", "in float", "accuracy control",
    "chosen on these lines",
)  # fmt: skip


class BudgetError(HtrjandError):
    """A file reads, or finds lines, worse than its budget allows."""


class AnyReference(Protocol):
    """What files of one kind are held against: `Reference` for line readers, `PageReference` for line detectors."""

    @property
    def path(self) -> Path: ...
    @property
    def rows(self) -> Sequence[Any]:
        """Lines or pages to compare on; where there are none, the values alone are compared."""

    of: ClassVar[str]  # what rows are: "lines" or "pages"
    answer: ClassVar[str]  # what the files compute: "logits" or "maps"
    budget: ClassVar[float]  # points that a file may be worse, where nothing else is said

    def open(self, part: Path) -> Any:
        """A file, ready to be compared; an HtrjandError where it is of the other kind."""

    def compare_values(self, model: Any) -> dict[str, float]:
        """The largest difference of a value, on several inputs."""

    def compare(self, model: Any, name: Path, exact: bool) -> dict[str, Any]:
        """The part of the proof about the rows."""


def open_reader(path: Path) -> Recognizer:
    """A reader of a model file, or of weights; greedy, for a proof is of the network alone."""
    return open_weights(path) if path.suffix == ".safetensors" else Recognizer(path, lm=None)


@dataclass(frozen=True)
class Reference:
    """The network that files are held against: weights, or a float file of them; and the lines to read.

    What it computes is kept, for the next file.
    """

    path: Path
    rows: Sequence[LineRow] = ()
    of: ClassVar[str] = "lines"
    answer: ClassVar[str] = "logits"
    budget: ClassVar[float] = BUDGET

    @cached_property
    def reader(self) -> Recognizer:
        return open_reader(self.path)

    @cached_property
    def reading(self) -> Reading:
        return read_rows(self.reader, self.rows)

    def logits(self, lines: Sequence[npt.NDArray[np.uint8]], batch: int) -> list[Logits]:
        """Of lines that are padded already."""
        return self.reader.logits(lines, batch)

    def open(self, part: Path) -> Recognizer:
        return Recognizer(part, lm=None)

    def compare_values(self, model: Recognizer) -> dict[str, float]:
        return compare_values(model, self)

    def compare(self, model: Recognizer, name: Path, exact: bool) -> dict[str, Any]:
        return compare_reading(model, name, self, exact)


def prove(part: Path, name: Path, reference: AnyReference, budget: float | None = None) -> dict[str, Any]:
    """Compares a file with the network that it was made from.

    A file in fp32 must compute the same: logits of noise of six widths, or maps of noise of four sizes and of pages,
    alone and in batches of three, within 10⁻³. A line reader's must read every line alike, unless two characters tie
    within that tolerance. Any file may have `budget` points of CER more, on each of the lines' datasets; or of recall
    and of precision less, on all pages. (That input and output have the names and shapes they should, its engine checks
    as it opens and runs it.)

    Args:
        part: the file.
        name: what to call it in messages and in the proof.
        reference: weights or float file, and lines that neither calibrated nor trained the file. Without any line the
            proof is of the values alone.
        budget: points of CER, or of recall and of precision; None for the reference's own, infinite to hold the proof
            to a budget later (`check_budget`).

    Returns:
        The proof, for JSON.

    Raises:
        HtrjandError: the file differs by more than it may; a BudgetError where it is its CER, or what it finds.
    """
    model = reference.open(part)
    values = reference.compare_values(model)
    exact = model.info.precision == "fp32"
    worst = max(values, key=lambda key: values[key])
    if not np.isfinite(values[worst]) or (exact and values[worst] > TOLERANCE):
        raise HtrjandError(
            f"{name}: at {worst} its {reference.answer} differ from those of {reference.path.name} by "
            f"{values[worst]:.2g} (at most {TOLERANCE:g}); an operator was not written as the network computes it; "
            "nothing was written"
        )
    proof = {
        "file": name.name,
        "sha256": sha256(part),
        "bytes": size_of(part),
        "precision": model.info.precision,
        "reference": {"file": reference.path.name, "sha256": sha256(reference.path)},
        "weights_sha256": model.info.weights_sha256,
        "tolerance": TOLERANCE if exact else None,
        difference_of(reference.answer): values,
    }
    if reference.rows:
        proof |= reference.compare(model, name, exact)
        budget = reference.budget if budget is None else budget
        check_budget(proof, str(name), budget)
        proof["budget"] = budget if math.isfinite(budget) else None
    return proof


def check_budget(proof: Mapping[str, Any], name: str, budget: float) -> None:
    """Raises a BudgetError where a proof has more points of CER than the budget, on all lines or on one dataset; or,
    where it is of a detector, as many points of recall or of precision less, on all pages."""
    remedy = REMEDIES[proof["precision"] == "int8"]
    for number, what in enumerate(("recall", "precision")) if "found" in proof else ():
        before, after = (proof["found"]["all"][side][number] for side in ("reference", "file"))
        if round(before - after, 3) > budget:
            raise BudgetError(
                f"{name}: {after:.2f} % {what} where {proof['reference']['file']} has {before:.2f} %: "
                f"{before - after:.2f} points worse; the budget is {budget:g}: {remedy}; the file is not released"
            )
    cer = proof.get("cer", {})
    for dataset in ("all", *cer) if cer else ():
        before, after = cer[dataset]["reference"], cer[dataset]["file"]
        if round(after - before, 3) > budget:
            raise BudgetError(
                f"{name}: {after:.2f} % CER on {'all lines' if dataset == 'all' else dataset} where "
                f"{proof['reference']['file']} has {before:.2f} %: {after - before:.2f} points worse; the budget is "
                f"{budget:g}: {remedy}; the file is not released"
            )


def difference_of(answer: str) -> str:
    """The key of a proof for the largest differences: of a logit, of a map."""
    return f"largest difference of a {answer.removesuffix('s')}"


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


def compare_reading(reader: Recognizer, name: Path, reference: Reference, exact: bool) -> dict[str, Any]:
    """The part of the proof about real lines. A file of one width is compared on lines padded to that.

    Raises:
        HtrjandError: a file that has to read exactly as the reference reads a line otherwise, and not by a tie.
    """
    fixed = reader.info.max_width if reader.info.width_multiple == reader.info.max_width else None
    rows = [row for row in reference.rows if fixed is None or row.pixels().shape[1] <= fixed]
    if not rows:
        raise HtrjandError(f"{name}: no line of the proof fits into {fixed} columns; give shorter ones")
    before = read_rows(reference.reader, rows, fixed) if fixed else reference.reading
    after = read_rows(reader, rows, fixed)
    apart = [row for row, a, b in zip(rows, before.texts, after.texts, strict=True) if a != b]
    if exact:
        wrong = [row for row in apart if not reads_alike_but_for_ties(reader, reference, row, fixed)]
        if wrong:
            raise HtrjandError(
                f"{name}: reads {len(wrong)} of {len(rows)} lines otherwise than {reference.path.name}, where a float "
                f"file reads them all alike (the first: {wrong[0].id} of {wrong[0].dataset}); nothing was written"
            )
    cer = {
        dataset or "all": {
            "reference": round(before.cer(dataset), 3),
            "file": round(after.cer(dataset), 3),
            "lines": sum(dataset in (None, row.dataset) for row in rows),
        }
        for dataset in (*before.errors, None)
    }
    proof: dict[str, Any] = {"split": rows[0].split, "texts equal": len(rows) - len(apart)}
    proof |= {"texts apart by a tie": len(apart)} if exact else {}
    return proof | {"cer": cer} | ({"lines padded to": fixed} if fixed else {})


def reads_alike_but_for_ties(reader: Recognizer, reference: Reference, row: LineRow, width: int | None) -> bool:
    """Whether a line's texts differ only because logits of the reference tie; `width` pads the line, if given."""
    line = row.pixels() if width is None else pad_line(row.pixels(), width)
    return differ_by_ties(reference.logits([line], 1)[0], reader.logits([line], 1)[0])


def differ_by_ties(before: Logits, after: Logits) -> bool:
    """Whether two readings [T, V] that give different texts do so by ties alone.

    Two files within `TOLERANCE` of each other may choose different classes only where those are within twice that. So
    in every frame what `after` chooses must be that near to the best of `before`; and in some frame there must be two
    such classes, or there is no tie to explain the difference.
    """
    tied = before >= before.max(axis=1, keepdims=True) - 2 * TOLERANCE  # T, V
    chosen = np.take_along_axis(tied, after.argmax(axis=1)[:, None], axis=1)  # T, 1
    return bool(chosen.all() and (tied.sum(axis=1) > 1).any())


def summary_line(proof: Mapping[str, Any]) -> str:
    """What a proof found, in a line."""
    answer = next(answer for answer in ("logits", "maps") if difference_of(answer) in proof)
    worst = max(proof[difference_of(answer)].values())
    values = f"{answer} within {worst:.1e} of {proof['reference']['file']}"
    if "found" in proof:
        found = proof["found"]["all"]
        pairs = zip(("recall", "precision"), found["file"], found["reference"], strict=True)
        rates = ", ".join(f"{what} {after:.2f} % (reference: {before:.2f} %)" for what, after, before in pairs)
        return f"{values}, {rates} on {found['lines']} {proof['split']} lines"
    if "cer" not in proof:
        return values
    cer = proof["cer"]["all"]
    return (
        f"{values}, {proof['texts equal']} of {cer['lines']} {proof['split']} lines read alike, CER "
        f"{cer['file']:.2f} % (reference: {cer['reference']:.2f} %)"
    )


def proof_path(out: Path) -> Path:
    """`<name>.<format>.proof.json`, beside the file: one name may have several formats."""
    return out.with_name(f"{out.name}.proof.json")


def made_by(out: Path) -> dict[str, Any]:
    """What an earlier proof of this very file says of how it was made; nothing where there is none."""
    proof = proof_of(out)
    return {key: proof[key] for key in MAKING if key in proof}


def proof_of(out: Path) -> dict[str, Any]:
    """The proof beside a file, if it is of that very file; else nothing."""
    try:
        proof: dict[str, Any] = json.loads(proof_path(out).read_text(encoding="utf-8"))
        return proof if proof["sha256"] == sha256(out) else {}
    except (OSError, ValueError, KeyError, TypeError):
        return {}


def write_proof(out: Path, proof: dict[str, Any]) -> Path:
    """Writes a proof beside its file."""
    path = proof_path(out)
    with atomic_path(path) as part:
        part.write_text(json_text(proof, indent=1) + "\n", encoding="utf-8")
    return path
