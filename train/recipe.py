"""The recipes of training: what a YAML file may say, its defaults, and what is refused."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from .augment import AugmentRecipe
from .data.charset import CHARSETS
from .data.lines import data_dir
from .data.marks import MARKS
from .network import NetworkRecipe
from .recipe_loader import at_least_one

OPTIMIZERS = ("muon", "adamw")


@dataclass(frozen=True)
class DataRecipe:
    """Which lines: their files are relative to the recipe, or to the data folder where they are not found there."""

    files: tuple[str, ...] = ("lines",)  # Parquet files of lines, or folders of them
    core: bool = False  # only the lines that their files mark as core
    whole: tuple[str, ...] = ()  # datasets exempt from `core`
    exclude: tuple[str, ...] = ()
    limit: int | None = None
    stream: bool = False  # leave the images in their files, for more lines than the memory holds
    hold_out: float = 0.0  # share of the training lines to choose by, where the files hold no validation lines
    temperature: float = 1.0  # a dataset of n lines is drawn by n^(1/temperature): more evens small and large ones out
    charset: str | None = None  # one of train/data/charset.py by its name (western); None: that of the training lines
    marks: str = "keep"  # or strip: editorial marks are taken off, and lines left out that they say are not the ink
    least: int = 1  # a character rarer than this in the training lines is left out, and its lines with it
    too_narrow: str = "error"  # or skip: what to do with a line whose text needs more frames than its image has
    val_files: tuple[str, ...] = ()  # files of the validation lines, where these are not to come from `files`
    val_lines: int = 600  # about how many of the validation lines, spread over them, decide which weights are kept

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
    """A stage of a curriculum: what differs in it from the rest of the run."""

    name: str
    share: float = 1.0  # of the run's lines; the shares of all stages need not sum to one
    mix: dict[str, float] = field(default_factory=dict)  # dataset: how many times as many of its lines; 0 for none
    easiest: float = 1.0  # share of each dataset's lines, those with the shortest texts
    strength: float = 1.0  # times every distortion (that of the width at most once)

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
    stages: tuple[StageRecipe, ...] = ()  # the curriculum; none: one stage of everything
    begin: str | None = None  # weights (.safetensors) to begin from, relative to the recipe; their charset is kept
    grow: bool = False  # give the weights of `begin` the characters of the training lines that they lack
    freeze: int = 0  # convolution blocks, from the pixels on, that stay as they are
    patience: int | None = None  # validations of the last stage without a better one after which the run ends
    total_lines: int = 300_000  # that the run sees, each time one is shown
    batch_columns: int = 7_168  # of pixels: 8 lines of 896
    optimizer: str = "muon"  # or adamw: see optimizers.py
    peak_rate: float = 4e-3
    adamw_rate: float = 2e-3  # the most that what AdamW moves beside Muon is given
    hold: float = 0.0  # share of the run before the rate falls; its `total_lines` may be changed later
    warm_up: int = 500  # steps
    weight_decay: float = 0.01
    clip: float = 1.0  # norm of the gradient
    shortcut: float = 0.1  # weight of the CTC loss on the CNN alone
    origin: float = 0.0  # weight of a head that names each line's dataset, left out of the weights
    ema: float = 0.999
    bf16: bool = True
    seed: int = 1
    val_every: int = 1000  # steps
    save_every: int = 250  # steps

    def __post_init__(self) -> None:
        at_least_one(self, "total_lines", "batch_columns", "val_every", "save_every")
        if self.patience is not None:
            at_least_one(self, "patience")
        if self.optimizer not in OPTIMIZERS:
            raise ValueError(f"optimizer: one of {', '.join(OPTIMIZERS)}, got {self.optimizer!r}")
        if not 0 <= self.hold < 1:
            raise ValueError(f"hold: from 0 to less than 1, got {self.hold}")
        if not 0 <= self.freeze <= len(self.network.channels):
            raise ValueError(f"freeze: from 0 to {len(self.network.channels)} blocks, got {self.freeze}")


def find_data(names: tuple[str, ...], recipe_path: Path) -> list[Path]:
    """Paths of a recipe: beside it where they exist, else in the data folder."""
    beside = recipe_path.resolve().parent
    return [beside / name if (beside / name).exists() else data_dir() / name for name in names]
