"""Recipes: YAML files read into frozen dataclasses. An unknown key is an error, never ignored."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

import yaml

from ..runtime.errors import UsageError
from .augment import AugmentRecipe
from .charset import CHARSETS
from .lines import data_dir
from .marks import MARKS
from .network import NetworkRecipe

T = TypeVar("T")
OPTIMIZERS = ("muon", "adamw")


@dataclass(frozen=True)
class DataRecipe:
    """Which lines: paths are relative to the recipe, or to the data folder where they are not found there."""

    lines: tuple[str, ...] = ("lines",)
    core: bool = False  # only the lines that their files mark as core
    whole: tuple[str, ...] = ()  # datasets exempt from `core`
    exclude: tuple[str, ...] = ()
    limit: int | None = None
    stream: bool = False  # leave the images in their files, for more lines than the memory holds
    hold_out: float = 0.0  # share of the training lines to choose by, where the files hold no validation lines
    temperature: float = 1.0  # a dataset of n lines is drawn by n^(1/temperature): more evens small and large ones out
    charset: str | None = None  # one of train/charset.py by its name, such as western; None: that of the training lines
    marks: str = "keep"  # or strip: editorial marks are taken off, and lines left out that they say are not the ink
    least: int = 1  # a character rarer than this in the training lines is left out, and its lines with it
    too_narrow: str = "error"  # or skip: what to do with a line whose text needs more frames than its image has
    val: tuple[str, ...] = ()  # files of the validation lines, where these are not to come from `lines`
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
    lines: int = 300_000  # to see, each time one is shown
    batch_columns: int = 7_168  # of pixels: 8 lines of 896
    optimizer: str = "muon"  # or adamw: see optimizers.py
    peak_rate: float = 4e-3
    adamw_rate: float = 2e-3  # the most that what AdamW moves beside Muon is given
    hold: float = 0.0  # share of the run before the rate begins to fall; such a run may be given more `lines` or less
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
        at_least_one(self, "lines", "batch_columns", "val_every", "save_every")
        if self.patience is not None:
            at_least_one(self, "patience")
        if self.optimizer not in OPTIMIZERS:
            raise ValueError(f"optimizer: one of {', '.join(OPTIMIZERS)}, got {self.optimizer!r}")
        if not 0 <= self.hold < 1:
            raise ValueError(f"hold: from 0 to less than 1, got {self.hold}")
        if not 0 <= self.freeze <= len(self.network.channels):
            raise ValueError(f"freeze: from 0 to {len(self.network.channels)} blocks, got {self.freeze}")


def at_least_one(recipe: Any, *names: str) -> None:
    """Raises a ValueError for a number below 1 where that means nothing."""
    for name in names:
        if getattr(recipe, name) < 1:
            raise ValueError(f"{name}: 1 or more, got {getattr(recipe, name)}")


def load_recipe(cls: type[T], path: str | Path) -> T:
    """Reads a YAML recipe into a dataclass of recipes.

    Raises:
        UsageError: no such file, no YAML, an unknown key, or a value of another type; names the key and the good ones.
    """
    try:
        values = yaml.safe_load(Path(path).read_text(encoding="utf-8")) or {}
    except FileNotFoundError as error:
        raise UsageError(f"{path}: no such recipe; check the path") from error
    except (yaml.YAMLError, UnicodeDecodeError, OSError) as error:
        raise UsageError(f"{path}: not a YAML recipe ({error})") from error
    return from_dict(cls, values, str(path))


def from_dict(cls: type[T], values: Any, where: str) -> T:
    """A dataclass from nested mappings, every key and type checked; `where` begins each message."""
    if not isinstance(values, Mapping):
        raise UsageError(f"{where}: keys and values expected, got {values!r}")
    hints = get_type_hints(cls)
    unknown = [str(key) for key in values if key not in hints]
    if unknown:
        raise UsageError(f"{where}: unknown key {', '.join(unknown)}; the keys are {', '.join(hints)}")
    given = {key: convert(hints[key], value, f"{where}: {key}") for key, value in values.items()}
    try:
        return cls(**given)
    except (TypeError, ValueError) as error:
        raise UsageError(f"{where}: {error}") from error


def convert(hint: Any, value: Any, where: str) -> Any:
    """A value checked against a type hint: dataclass, optional, tuple or dict of one type, or a plain type."""
    if dataclasses.is_dataclass(hint):
        return from_dict(hint, value, where)  # type: ignore[arg-type]
    if get_origin(hint) in (Union, UnionType):
        return None if value is None else convert(next(t for t in get_args(hint) if t is not NoneType), value, where)
    if get_origin(hint) is dict:
        if not isinstance(value, Mapping):
            raise UsageError(f"{where}: keys and values expected, got {value!r}")
        return {str(key): convert(get_args(hint)[1], item, f"{where}: {key}") for key, item in value.items()}
    if get_origin(hint) is tuple:
        if not isinstance(value, list | tuple):
            raise UsageError(f"{where}: a list expected, got {value!r}")
        return tuple(convert(get_args(hint)[0], item, where) for item in value)
    if hint is float and isinstance(value, int | str) and not isinstance(value, bool):
        try:
            return float(value)  # YAML takes 2e-3 for a word: it wants 2.0e-3
        except ValueError:
            pass
    if not isinstance(value, hint) or (hint is int and isinstance(value, bool)):
        raise UsageError(f"{where}: {hint.__name__} expected, got {value!r}")
    return value


def to_json(recipe: Any) -> str:
    """A recipe as JSON with sorted keys: what is stored beside weights and compared on resume."""
    return json.dumps(dataclasses.asdict(recipe), sort_keys=True, indent=1)


def find_data(names: tuple[str, ...], recipe_path: Path) -> list[Path]:
    """Paths of a recipe: beside it where they exist, else in the data folder."""
    beside = recipe_path.resolve().parent
    return [beside / name if (beside / name).exists() else data_dir() / name for name in names]
