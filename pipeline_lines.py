"""Which lines a run trains on, calibrates on, is held to and is measured on."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cached_property
from itertools import chain
from pathlib import Path

from .benchmarks.inputs import sampled
from .ledger import digest_rows
from .pipeline_recipe import PipelineRecipe
from .runtime.errors import HtrjandError
from .train.data.lines import LineRow, read_lines, spread
from .train.recipe import find_data


class RunLines:
    """The lines of one recipe, whose paths begin at `recipe_path`. Those it leaves out (`data.exclude`) are in none."""

    def __init__(self, recipe: PipelineRecipe, recipe_path: Path) -> None:
        self.recipe, self.recipe_path = recipe, recipe_path
        self.draws: dict[int, list[LineRow]] = {}  # of calibration lines, by number

    def training(self) -> Iterable[LineRow]:
        """The training lines, as training reads them."""
        data = self.recipe.data
        paths = find_data(data.files, self.recipe_path)
        return read_lines(paths, "train", core=data.core, whole=data.whole, exclude=data.exclude, limit=data.limit)

    def of_split(self, split: str, core: bool = False, datasets: Sequence[str] = ()) -> Iterable[LineRow]:
        """Lines to judge by, none of them twice.

        As in training, validation lines come from `data.val_files` alone where these are named. Test lines come from
        all files.
        """
        data = self.recipe.data
        names = {"val": data.val_files or data.files, "test": (*data.files, *data.val_files)}.get(split, data.files)
        paths = find_data(names, self.recipe_path)
        rows = read_lines(paths, split, core=core, whole=data.whole, exclude=data.exclude)
        return dict.fromkeys(row for row in rows if not datasets or row.dataset in datasets)

    def calibration(self, draw: int) -> list[LineRow]:
        """Training lines of the datasets that the files are held to; other ones at each draw."""
        if draw not in self.draws:
            datasets = self.recipe.prove.datasets
            rows = (row for row in self.training() if not datasets or row.dataset in datasets)
            self.draws[draw] = spread(rows, self.recipe.quantize.calibrate, draw)
        return self.draws[draw]

    @cached_property
    def proof(self) -> list[LineRow]:
        """The lines that weights and files are held to their budgets on.

        Raises:
            HtrjandError: there is none.
        """
        stage = self.recipe.prove
        rows = list(self.of_split(stage.split, stage.core, stage.datasets))
        if not rows:
            raise HtrjandError(
                f"{self.recipe_path}: no {stage.split} line to hold the run to; check data and prove (lines that "
                "data.hold_out takes for validation are no proof: import some into val, or prove on test)"
            )
        return rows

    @cached_property
    def bench(self) -> list[LineRow]:
        """The lines that files are measured on: all, or a sample of each dataset; none where nothing is measured.

        Raises:
            HtrjandError: there is none to measure on.
        """
        stage = self.recipe.bench
        if stage is None:
            return []
        by_dataset: dict[str, list[LineRow]] = {}
        for row in self.of_split(stage.split, datasets=stage.datasets):
            by_dataset.setdefault(row.dataset, []).append(row)
        if not by_dataset:
            raise HtrjandError(f"{self.recipe_path}: no {stage.split} line to measure on; check data and bench")
        return [row for rows in by_dataset.values() for row in sampled(rows, stage.limit)]

    @cached_property
    def training_digest(self) -> dict[str, str]:
        """Of all lines that a training reads, for its key."""
        validation = self.of_split("val", self.recipe.data.core)
        return {"training": digest_rows(chain(self.training(), validation))}

    @cached_property
    def proof_digest(self) -> dict[str, str]:
        """Of the lines of a proof, for its key."""
        return {"proof": digest_rows(self.proof)}

    def calibration_digest(self, draw: int) -> dict[str, str]:
        """Of the lines of a calibration and of the proof of what it makes, for its key."""
        return self.proof_digest | {"calibration": digest_rows(self.calibration(draw))}
