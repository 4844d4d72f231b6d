"""What a run trains on and chooses by: lines of a recipe, encoded, and the part of them that a stage takes."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..runtime.errors import HtrjandError, UsageError
from .batches import Example, LineBatches, Turn, draws, examples
from .data.charset import CHARSETS, build_charset
from .data.lines import LineRow, Place, placed_lines
from .data.marks import without_marks
from .recipe import DataRecipe, StageRecipe, TrainRecipe, find_data


@dataclass(frozen=True)
class Data:
    """What a run trains on and chooses by; `origins` are the names of the datasets of the training lines, in order."""

    charset: tuple[str, ...]
    train: list[Example]
    val: list[Example]
    notes: str

    @property
    def digest(self) -> str:
        """SHA-256 of what the lines are called and say."""
        names = (f"{line.row.dataset}\t{line.row.id}\t{line.row.text}\n" for line in (*self.train, *self.val))
        return hashlib.sha256("".join(names).encode()).hexdigest()

    @property
    def origins(self) -> tuple[str, ...]:
        return tuple(sorted({line.row.dataset for line in self.train}))


def load_data(
    recipe: DataRecipe, recipe_path: Path, charset: tuple[str, ...] | None = None, grow: bool = False
) -> Data:
    """Reads the train and val lines of a recipe.

    Args:
        charset: of the weights that the run begins from; the recipe's unless given.
        grow: give `charset` what the recipe's has and it lacks, at its end.

    Raises:
        UsageError: `charset` lacks characters of the one that the recipe names, and may not grow.
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
    train, skipped = examples(rows("train", not recipe.stream), charset, recipe.too_narrow, recipe.marks)
    val, lost = examples(rows("val", not recipe.stream), charset, recipe.too_narrow, recipe.marks)
    held = ""
    if not val and not any(lost.values()) and recipe.hold_out:
        train, val = hold_out(train, recipe.hold_out)
        held = "; no line of the files is for validation: some of the training lines are held out for it"
    spread = val[:: max(1, -(-len(val) // recipe.val_lines))]
    notes = [f"{len(train)} training lines, {len(spread)} of {len(val)} validation lines, {len(charset)} classes{held}"]
    for kind, reasons in (("training", skipped), ("validation", lost)):
        notes += [f"{count} {kind} lines left out: {reason}" for reason, count in reasons.items() if count]
    for kind, lines in (("train on", train), ("choose by", val)):
        if not lines:
            why = "; ".join(notes[1:]) or "check data.files, its splits and filters"
            raise HtrjandError(f"{recipe_path}: no line left to {kind}; {why}")
    return Data(charset, train, spread, "; ".join(notes))


def charset_of(rows: Iterable[tuple[LineRow, Place]], recipe: DataRecipe) -> tuple[str, ...]:
    """The characters of some lines, read as the recipe says."""
    texts = (row.text for row, _ in rows)
    plain = (without_marks(text) or "" for text in texts) if recipe.marks == "strip" else texts
    return build_charset(plain, recipe.least)


def hold_out(lines: list[Example], share: float) -> tuple[list[Example], list[Example]]:
    """Training lines and a share of them, evenly spread, to choose by."""
    numbers = np.arange(len(lines))
    held = np.floor((numbers + 1) * share) > np.floor(numbers * share)
    if len(lines) > 1 and not held.any():
        held[-1] = True
    return [line for line, out in zip(lines, held, strict=True) if not out], [
        line for line, out in zip(lines, held, strict=True) if out
    ]


def stage_batches(
    data: Data, recipe: TrainRecipe, stage: StageRecipe, number: int, began: int, step: int, turn: Turn
) -> LineBatches:
    """The training batches of one stage, from `step` on; the stage began at the step `began`.

    Raises:
        UsageError: its mix names a dataset that is not there.
    """
    unknown = set(stage.mix) - set(data.origins)
    if unknown:
        raise UsageError(f"stage {stage.name}: no training line of {', '.join(sorted(unknown))}; there are "
                         f"{', '.join(data.origins)}")  # fmt: skip
    lines = easiest([line for line in data.train if stage.mix.get(line.row.dataset, 1.0)], stage.easiest)
    return LineBatches(
        lines, recipe.batch_columns, recipe.augment.scale * min(1.0, stage.strength), (recipe.seed, number), step,
        began=began, often=draws(lines, recipe.data.temperature, stage.mix), turn=turn, origins=data.origins,
        padding=recipe.augment.padding * min(1.0, stage.strength),
    )  # fmt: skip


def easiest(lines: list[Example], share: float) -> list[Example]:
    """The given share of each dataset's lines: those with the shortest texts, in the order they came."""
    if share >= 1:
        return lines
    lengths: dict[str, list[int]] = {}
    for line in lines:
        lengths.setdefault(line.row.dataset, []).append(len(line.classes))
    longest = {name: np.quantile(counts, share, method="higher") for name, counts in lengths.items()}
    return [line for line in lines if len(line.classes) <= longest[line.row.dataset]]
