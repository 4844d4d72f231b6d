"""The recipe of a neural language model: `htrjand lm train recipe.yaml`."""

from __future__ import annotations

from dataclasses import dataclass, field

from ..recipe_loader import at_least_one


@dataclass(frozen=True)
class NeuralLmRecipe:
    """What a neural language model learns from, and how long."""

    lines: tuple[str, ...] = ("lines",)  # files of lines, or folders of them: the texts of train
    exclude: tuple[str, ...] = ()  # datasets of lines to leave out
    lines_share: float = 0.25  # of the texts in a batch that are lines
    prose: dict[str, float] = field(default_factory=dict)  # files of prose, and how often each comes against the others
    languages: tuple[str, ...] = ()  # ISO 639-1 codes, for the file to say of itself
    licence: str = ""  # for the file to say of itself
    begin: str | None = None  # a .nlm file of these sizes to begin from, relative to the recipe
    embedding: int = 64  # values that stand for a character
    hidden: int = 448  # units of the LSTM
    total_characters: int = 300_000_000  # that the run trains on
    batch_texts: int = 128  # texts in a batch
    length: int = 80  # characters of a text at most
    optimizer: str = "muon"  # or adamw
    rate: float = 8e-3  # the highest learning rate, of Muon
    adamw_rate: float = 4e-3  # the highest of what AdamW updates: embeddings, the last layer, vectors
    warm_up: int = 100  # steps
    decay_start: float = 0.4  # progress at which the rate begins to fall: a cosine to zero
    weight_decay: float = 0.001  # decoupled, of tables; ten times as much of matrices by Muon
    clip: float = 1.0  # largest norm of the gradient
    ema: float = 0.998  # decay of the moving average of the weights, which is kept
    bf16: bool = True  # mixed precision, where the processor computes in it
    seed: int = 1  # of first weights, and of the texts that are drawn
    val_lines: int = 200  # validation lines of each file at most
    val_every: int = 1000  # steps, after which the run is saved, too

    def __post_init__(self) -> None:
        at_least_one(self, "embedding", "hidden", "total_characters", "batch_texts", "length", "val_lines", "val_every")
        if not 0 <= self.lines_share <= 1 or (self.lines_share < 1 and not self.prose):
            raise ValueError("lines_share: from 0 to 1, and 1 where there is no prose")
        if any(weight <= 0 for weight in self.prose.values()):
            raise ValueError("prose: of each file a number above 0")
        if not 0 <= self.decay_start < 1:
            raise ValueError(f"decay_start: from 0 to less than 1, got {self.decay_start}")
        if self.seed < 0:
            raise ValueError(f"seed: 0 or more, got {self.seed}")
        if self.optimizer not in ("muon", "adamw"):
            raise ValueError(f"optimizer: muon or adamw, got {self.optimizer!r}")
