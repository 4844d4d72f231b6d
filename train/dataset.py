"""The training and validation lines of a run, encoded, and the part of them that a stage takes."""

from __future__ import annotations

import hashlib
import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..runtime.errors import HtrjandError, UsageError
from .batches import LineBatches, Shard
from .data.charset import CHARSETS, build_charset
from .data.importers.splits import deal
from .data.lines import LineRow, Place, placed_lines
from .data.marks import without_marks
from .examples import Example, examples
from .recipe import DataRecipe, StageRecipe, TrainRecipe, find_data


@dataclass(frozen=True)
class Data:
    """Training lines, and the validation lines that decide which weights are kept; `notes` for the log."""

    charset: tuple[str, ...]
    train: list[Example]
    val: list[Example]
    notes: str

    @property
    def digest(self) -> str:
        """SHA-256 of the names and texts of all lines."""
        names = (f"{line.row.dataset}\t{line.row.id}\t{line.row.text}\n" for line in (*self.train, *self.val))
        return hashlib.sha256("".join(names).encode()).hexdigest()

    @property
    def origins(self) -> tuple[str, ...]:
        """Names of the datasets of the training lines, sorted."""
        return tuple(sorted({line.row.dataset for line in self.train}))


def load_data(
    recipe: DataRecipe, recipe_path: Path, charset: tuple[str, ...] | None = None, grow: bool = False
) -> Data:
    """Reads the train and val lines of a recipe.

    Args:
        charset: of the weights that the run begins from; without it, the one that the recipe names or else that of
            the training lines.
        grow: append to `charset` the characters of that one which it lacks.

    Raises:
        UsageError: `charset` lacks characters of the one that the recipe names, and may not grow.
        HtrjandError: no line is left to train on, or none to validate with.
    """
    paths = {
        "train": find_data(recipe.files, recipe_path),
        "val": find_data(recipe.val_files or recipe.files, recipe_path),
    }

    def rows(split: str, images: bool) -> Iterator[tuple[LineRow, Place]]:
        training = split == "train"
        return placed_lines(
            paths[split], split, core=recipe.core, whole=recipe.whole, exclude=recipe.exclude,
            limit=recipe.limit if training else None, images=images,
        )  # fmt: skip

    if charset is None or grow:
        found = CHARSETS[recipe.charset] if recipe.charset else charset_of(rows("train", False), recipe)
        charset = (*charset, *(char for char in found if char not in charset)) if charset else found
    elif recipe.charset and (lacking := set(CHARSETS[recipe.charset]) - set(charset)):
        raise UsageError(
            f"{recipe_path}: the weights that the run begins from lack {len(lacking)} characters of data.charset "
            f"{recipe.charset}; leave that out to keep theirs"
        )
    train, train_skipped = examples(rows("train", not recipe.stream), charset, recipe.too_narrow, recipe.marks)
    val, val_skipped = examples(rows("val", not recipe.stream), charset, recipe.too_narrow, recipe.marks)
    held = ""
    if not val and not any(val_skipped.values()) and recipe.hold_out:
        train, val, unit = hold_out(train, recipe.hold_out)
        held = f"; no line of the files is for validation: some of the training lines are held out for it ({unit})"
    spread = val[:: max(1, -(-len(val) // recipe.val_lines))]
    notes = [f"{len(train)} training lines, {len(spread)} of {len(val)} validation lines, {len(charset)} classes{held}"]
    for kind, reasons in (("training", train_skipped), ("validation", val_skipped)):
        notes += [f"{count} {kind} lines left out: {reason}" for reason, count in reasons.items() if count]
    for kind, lines in (("train on", train), ("choose by", val)):
        if not lines:
            why = "; ".join(notes[1:]) or "check data.files, its splits and filters"
            if kind == "choose by":
                why += "; data.hold_out takes validation lines from the training lines"
            raise HtrjandError(f"{recipe_path}: no line left to {kind}; {why}")
    return Data(charset, train, spread, "; ".join(notes))


def charset_of(rows: Iterable[tuple[LineRow, Place]], recipe: DataRecipe) -> tuple[str, ...]:
    """The charset of some rows, their editorial marks and rare characters treated as the recipe says."""
    texts = (row.text for row, _ in rows)
    plain = (without_marks(text) or "" for text in texts) if recipe.marks == "strip" else texts
    return build_charset(plain, recipe.least)


def hold_out(lines: list[Example], share: float) -> tuple[list[Example], list[Example], str]:
    """The lines to train on, about `share` of all to validate with, and the unit that these are held out by.

    Lines of a document are alike, and those of a page more so: an error rate on lines whose neighbours were learnt is
    too low. So whole documents are held out; whole pages where documents would take more than twice the share, or
    there is only one; single lines, evenly spread, where pages would too. Names and counts alone decide.
    """
    documents = [f"{line.row.dataset}\n{line.row.doc}" for line in lines]
    pages = [f"{document}\n{line.row.page}" for document, line in zip(documents, lines, strict=True)]
    for unit, names in (("whole documents", documents), ("whole pages", pages)):
        splits = deal(Counter(names), share, 0.0)
        held = [splits[name] == "val" for name in names]
        if 0 < sum(held) <= 2 * share * len(lines):
            return *divide(lines, held), unit
    held = [math.floor((number + 1) * share) > math.floor(number * share) for number in range(len(lines))]
    if len(lines) > 1 and not any(held):
        held[-1] = True
    return *divide(lines, held), "single lines, of pages that are trained on too"


def divide(lines: list[Example], held: list[bool]) -> tuple[list[Example], list[Example]]:
    """The lines that are not held out, and those that are."""
    pairs = list(zip(lines, held, strict=True))
    return [line for line, out in pairs if not out], [line for line, out in pairs if out]


def stage_batches(
    data: Data, recipe: TrainRecipe, stage: StageRecipe, number: int, first_step: int, start: int, shard: Shard,
    workers: int = 0,
) -> LineBatches:  # fmt: skip
    """The training batches of one stage of a run.

    Args:
        number: of the stage.
        first_step: the step that the stage begins with.
        start: the step to start at, in a run that goes on.
        shard: which of several processes this is.
        workers: threads that make batches ahead.

    Raises:
        UsageError: the stage's mix names a dataset that is not there, or leaves no line.
    """
    unknown = set(stage.mix) - set(data.origins)
    if unknown:
        raise UsageError(f"stage {stage.name}: no training line of {', '.join(sorted(unknown))}; there are "
                         f"{', '.join(data.origins)}")  # fmt: skip
    lines = easiest([line for line in data.train if stage.mix.get(line.row.dataset, 1.0)], stage.easiest)
    strength = min(1.0, stage.strength)  # widths are never scaled or padded further than the recipe says
    return LineBatches(
        lines, recipe.batch_columns, recipe.augment.scale * strength, (recipe.seed, number),
        first_step=first_step, start=start, repeats=repeats_of(lines, recipe.data.temperature, stage.mix),
        shard=shard, origins=data.origins, padding=recipe.augment.padding * strength, workers=workers,
    )  # fmt: skip


def repeats_of(lines: Sequence[Example], temperature: float, mix: Mapping[str, float]) -> dict[str, float]:
    """How often a line of each dataset comes in an epoch, which stays as long as there are lines.

    A dataset of n lines gets a share in proportion to `mix · n^(1/temperature)` (Arivazhagan 2019): 1 leaves the sizes
    as they are, more evens them out.
    """
    counts = Counter(line.row.dataset for line in lines)
    weights = {name: mix.get(name, 1.0) * count ** (1 / temperature) for name, count in counts.items()}
    total = sum(weights.values())
    if not total:
        raise UsageError("a stage's mix leaves no line; give one of its datasets more than 0")
    return {name: len(lines) * weights[name] / total / count for name, count in counts.items()}


def easiest(lines: list[Example], share: float) -> list[Example]:
    """The given share of each dataset's lines: those with the shortest texts, in the order they came."""
    if share >= 1:
        return lines
    lengths: dict[str, list[int]] = {}
    for line in lines:
        lengths.setdefault(line.row.dataset, []).append(len(line.classes))
    longest = {name: np.quantile(counts, share, method="higher") for name, counts in lengths.items()}
    return [line for line in lines if len(line.classes) <= longest[line.row.dataset]]
