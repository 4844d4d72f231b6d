"""The recipes of training: the keys of a YAML file, their defaults, and the values that are refused."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from .augment import AugmentRecipe
from .data.charset import CHARSETS
from .data.lines import data_dir
from .data.marks import MARKS
from .network import NetworkRecipe
from .recipe_loader import at_least_one, to_json

OPTIMIZERS = ("muon", "adamw")


@dataclass(frozen=True)
class DataRecipe:
    """The lines of a run. Files are relative to the recipe or, where it has none of that name, to the data folder."""

    files: tuple[str, ...] = ("lines",)  # Parquet files of lines, or folders of them
    core: bool = False  # only the lines that their files mark as core
    whole: tuple[str, ...] = ()  # datasets exempt from `core`
    exclude: tuple[str, ...] = ()  # datasets to leave out
    limit: int | None = None  # training lines at most
    stream: bool = False  # leave the images in their files, for more lines than fit in memory
    hold_out: float = 0.0  # share of the training lines to validate with, where the files hold no validation lines
    temperature: float = 1.0  # a dataset of n lines weighs n^(1/temperature): above 1 small ones come more often
    charset: str | None = None  # one of train/data/charset.py by its name (western); None: that of the training lines
    marks: str = "keep"  # keep, or strip: take editorial marks off, and leave out lines not transcribed as written
    least: int = 1  # a character that the training lines hold less often is left out, and its lines with it
    too_narrow: str = "error"  # error or skip: what to do with a line whose text needs more frames than it has
    val_files: tuple[str, ...] = ()  # files of the validation lines; none: they come from `files`
    val_lines: int = 600  # about how many of the validation lines, evenly spread, decide which weights are kept

    def __post_init__(self) -> None:
        at_least_one(self, "least", "val_lines", *(["limit"] if self.limit is not None else []))
        if not 0 <= self.hold_out < 1:
            raise ValueError(f"hold_out: from 0 to less than 1, got {self.hold_out}")
        if self.temperature <= 0:
            raise ValueError(f"temperature: more than 0, got {self.temperature}")
        if self.charset is not None and self.charset not in CHARSETS:
            raise ValueError(f"charset: {', '.join(CHARSETS)} or none, not {self.charset!r}")
        if self.marks not in MARKS:
            raise ValueError(f"marks: {' or '.join(MARKS)}, not {self.marks!r}")


@dataclass(frozen=True)
class StageRecipe:
    """A stage of a curriculum: where it differs from the rest of the run."""

    name: str  # what the log calls it
    share: float = 1.0  # of the run's lines, in proportion to the shares of all stages
    mix: dict[str, float] = field(default_factory=dict)  # multiplies how often lines of a dataset come; 0: never
    easiest: float = 1.0  # share of each dataset's lines that is used: those with the shortest texts
    strength: float = 1.0  # multiplies every distortion; scaling and padding of widths only up to 1

    def __post_init__(self) -> None:
        if self.share <= 0 or not 0 < self.easiest <= 1:
            raise ValueError(f"stage {self.name}: share and easiest: more than 0, and easiest at most 1")
        if self.strength < 0 or min(self.mix.values(), default=0) < 0:
            raise ValueError(f"stage {self.name}: strength and mix: 0 or more")


@dataclass(frozen=True)
class TrainRecipe:
    """One training run."""

    data: DataRecipe = field(default_factory=DataRecipe)
    network: NetworkRecipe = field(default_factory=NetworkRecipe)
    augment: AugmentRecipe = field(default_factory=AugmentRecipe)
    stages: tuple[StageRecipe, ...] = ()  # the curriculum; none: one stage with all lines
    begin: str | None = None  # weights (.safetensors) to begin from, relative to the recipe; their charset is kept
    grow: bool = False  # add the characters of the training lines that the weights of `begin` lack
    freeze: int = 0  # convolution blocks that are not trained, counted from the input
    pull: float = 0.0  # share that the weights of `begin` have in those that are validated and kept (Wortsman 2022)
    patience: int | None = None  # validations of the last stage in a row without a better CER that end the run
    total_lines: int = 300_000  # that the whole run trains on; a line seen twice counts twice
    batch_columns: int = 7_168  # pixel columns in a batch: 8 lines of 896
    optimizer: str = "muon"  # muon or adamw: see optimizers.py
    peak_rate: float = 4e-3  # the highest learning rate
    adamw_rate: float = 2e-3  # with muon, upper limit of the rate of parameters that AdamW updates
    decay_start: float = 0.0  # progress at which the rate begins to fall; above 0, `total_lines` may change later
    warm_up: int = 500  # steps
    weight_decay: float = 0.01  # decoupled: at each step weights shrink by the rate times this
    clip: float = 1.0  # largest norm of the gradient
    shortcut: float = 0.1  # weight of the CTC loss on the CNN alone
    origin: float = 0.0  # weight of the loss of a head that names each line's dataset; that head is not kept
    ema: float = 0.999  # decay of the moving average of the weights
    ema_warm_up: bool = True  # let it soon forget the weights it began with; false for a run that begins from good ones
    bf16: bool = True  # mixed precision, where the processor or GPU computes in it
    seed: int = 1  # of first weights, order, distortions and dropout
    val_every: int = 1000  # steps
    save_every: int = 250  # steps

    def __post_init__(self) -> None:
        at_least_one(self, "total_lines", "batch_columns", "val_every", "save_every")
        if self.patience is not None:
            at_least_one(self, "patience")
        if self.optimizer not in OPTIMIZERS:
            raise ValueError(f"optimizer: one of {', '.join(OPTIMIZERS)}, got {self.optimizer!r}")
        if not 0 <= self.pull < 1:
            raise ValueError(f"pull: from 0 to less than 1, got {self.pull}")
        if not 0 <= self.decay_start < 1:
            raise ValueError(f"decay_start: from 0 to less than 1, got {self.decay_start}")
        if not 0 <= self.freeze <= len(self.network.channels):
            raise ValueError(f"freeze: from 0 to {len(self.network.channels)} blocks, got {self.freeze}")


def find_data(names: tuple[str, ...], recipe_path: Path) -> list[Path]:
    """Paths that a recipe names: beside it where they exist, else in the data folder."""
    folder = recipe_path.resolve().parent
    return [folder / name if (folder / name).exists() else data_dir() / name for name in names]


def signature(recipe: Any) -> str:
    """The recipe of a run as JSON, which must not change when the run is resumed.

    Where the learning rate decays late (`decay_start`), `total_lines` may change, and is left out.
    """
    run = getattr(recipe, "train", recipe)
    if isinstance(run, TrainRecipe) and run.decay_start:
        run = replace(run, total_lines=1)
        recipe = run if isinstance(recipe, TrainRecipe) else replace(recipe, train=run)
    return to_json(recipe)


def differences(saved: Any, given: Any, name: str = "") -> Iterator[str]:
    """What differs between two recipes as JSON values: `optimizer: "adamw" saved, "muon" given`."""
    if isinstance(saved, dict) and isinstance(given, dict):
        for key in sorted({*saved, *given}):
            yield from differences(saved.get(key), given.get(key), f"{name}.{key}" if name else key)
    elif saved != given:
        yield f"{name}: {json.dumps(saved)} saved, {json.dumps(given)} given"
