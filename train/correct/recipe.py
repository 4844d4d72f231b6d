"""The recipe of a corrector: `htrjand correct train recipe.yaml`."""

from __future__ import annotations

from dataclasses import dataclass, field

from ..augment import AugmentRecipe
from ..recipe import DataRecipe
from ..recipe_loader import at_least_one


@dataclass(frozen=True)
class CorrectorShape:
    """The shape of the T5: an encoder and a decoder over characters."""

    dim: int = 192  # of each character
    head: int = 32  # of each head of attention
    heads: int = 6  # of attention
    feed: int = 512  # hidden units of the gated feed-forward
    encoder: int = 5  # blocks
    decoder: int = 3  # blocks
    buckets: int = 32  # of relative positions
    distance: int = 64  # beyond which positions share a bucket

    def __post_init__(self) -> None:
        at_least_one(self, "dim", "head", "heads", "feed", "encoder", "decoder", "buckets", "distance")


@dataclass(frozen=True)
class CorrectRecipe:
    """What a corrector learns from, and how long."""

    reader: str = "../weights/student.safetensors"  # whose errors it is to know, relative to the recipe
    begin: str | None = None  # weights of a corrector to begin from, relative to the recipe; none: random ones
    lm: str | None = "bundled"  # with which n-gram lines are read besides: bundled, a file, or none
    data: DataRecipe = field(default_factory=DataRecipe)  # lines that are read, distorted
    augment: AugmentRecipe = field(default_factory=AugmentRecipe)
    mix: dict[str, float] = field(default_factory=dict)  # multiplies how often lines of a dataset are read
    strength: float = 0.6  # multiplies every distortion
    readings: int = 60_000  # of distorted lines
    texts: tuple[str, ...] = ()  # prose, in files of the data folder
    prose: float = 0.5  # share of pairs that are prose with errors like the reader's
    clean: float = 0.15  # share of pairs without an error
    context: bool = False  # the lines before and after, as they might be read, go with what was read
    shape: CorrectorShape = field(default_factory=CorrectorShape)
    total_lines: int = 300_000  # that the run trains on
    batch_lines: int = 64  # pairs in a batch
    rate: float = 3e-3  # the highest learning rate, of Muon; a cosine to zero
    adamw_rate: float = 2e-3  # the highest rate of embeddings and vectors, which AdamW updates
    warm_up: int = 300  # steps
    weight_decay: float = 0.01  # decoupled, of tables; ten times as much of matrices
    dropout: float = 0.0  # in training; few pairs come twice
    clip: float = 1.0  # largest norm of the gradient
    ema: float = 0.998  # decay of the moving average of the weights
    bf16: bool = True  # mixed precision, where the processor computes in it
    seed: int = 1  # of first weights, of the pairs that are drawn, and of dropout
    val_every: int = 1000  # steps
    save_every: int = 250  # steps

    def __post_init__(self) -> None:
        at_least_one(self, "readings", "total_lines", "batch_lines", "val_every", "save_every")
        if not (0 <= self.prose <= 1 and 0 <= self.clean <= 1):
            raise ValueError("prose and clean: shares from 0 to 1")
        if self.prose and not self.texts:
            raise ValueError("texts: files of prose, or prose: 0")
