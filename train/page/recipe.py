"""The recipe of the line detector."""

from __future__ import annotations

from dataclasses import dataclass, field

from ...runtime.page.detect import MULTIPLE
from ..recipe_loader import at_least_one
from .augment import PageAugmentRecipe
from .network import DetectorRecipe


@dataclass(frozen=True)
class PageDataRecipe:
    """Which pages are learned from."""

    files: tuple[str, ...] = ("pagepacks",)  # Parquet files or folders of them
    mix: dict[str, float] = field(default_factory=dict)  # how often pages of a dataset are seen; 1 where not given
    exclude: tuple[str, ...] = ()  # datasets that are left out, in validation too
    no_ignore: tuple[str, ...] = ()  # datasets whose boxes mark what is no text, and so are learned from


@dataclass(frozen=True)
class DetectorTrainRecipe:
    """Trains a line detector."""

    data: PageDataRecipe = field(default_factory=PageDataRecipe)
    network: DetectorRecipe = field(default_factory=DetectorRecipe)
    augment: PageAugmentRecipe = field(default_factory=PageAugmentRecipe)
    crop: int = 512  # pixels, height and width of what a step sees of a page
    batch: int = 8  # crops a step
    steps: int = 6000  # batches of crops
    peak_rate: float = 4.0e-3  # of Muon; AdamW's is at most `ADAMW_LIMIT`
    warm_up: int = 100  # steps
    decay_start: float = 0.4  # share of the run after which the learning rate falls, in a straight line, to nothing
    ema: float = 0.998  # decay of the average of weights that is kept
    seed: int = 1  # of the weights and the crops
    val_every: int = 1000  # steps
    save_every: int = 200  # steps

    def __post_init__(self) -> None:
        at_least_one(self, "crop", "batch", "steps", "val_every", "save_every")
        if self.crop % MULTIPLE:
            raise ValueError(f"crop: a multiple of {MULTIPLE}, got {self.crop}")
        if not (0 <= self.decay_start < 1 and 0 <= self.ema < 1):
            raise ValueError("decay_start, ema: from 0 to less than 1")
