"""Quantisation-aware training: fine-tunes a network under the rounding that int8 files will bring.

The result is a `.safetensors` of the same network: float weights, which every format then quantises as usual.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from lightning.pytorch.utilities import rank_zero_only
from torch import Tensor, nn

from ..runtime.errors import UsageError
from ..train.augment import AugmentRecipe
from ..train.batches import Batch, LineBatches
from ..train.checkpoint import NOT_MEASURED, Card, load_network, sha256
from ..train.data.error_rates import percent
from ..train.dataset import Data, load_data
from ..train.fit import Log, Machine, Outcome, describe, fit
from ..train.losses import count_errors, ctc_loss
from ..train.module import TrainingModule
from ..train.network import Network
from ..train.recipe import DataRecipe, TrainRecipe
from ..train.recipe_loader import at_least_one, to_json
from .distill import frame_kl
from .modules import products
from .quantize.recipe import QuantizeRecipe, check_kept

if TYPE_CHECKING:
    from .rounding import Rounded

CALIBRATION = 16  # batches of undistorted training lines from which ranges are estimated before the first step


@dataclass(frozen=True)
class QatRecipe:
    """A short run at a small learning rate, from weights that read worse in int8; in fp32, which rounding needs."""

    begin: str = "weights.safetensors"  # relative to the recipe
    keep: tuple[str, ...] = QuantizeRecipe.keep  # modules that stay in float, as in `QuantizeRecipe`
    teacher: str | None = None  # weights, relative to the recipe; those of `begin` will do, since they are not rounded
    gamma: float = 1.0  # weight of `τ² · KL(teacher ‖ network)`, beside the CTC losses
    temperature: float = 2.0  # τ
    blank: float = 0.1  # weight of a frame of which the teacher is sure that it is blank; others weigh up to 1
    data: DataRecipe = field(default_factory=DataRecipe)
    augment: AugmentRecipe = field(default_factory=AugmentRecipe)
    total_lines: int = 20_000  # that the whole run trains on; a line seen twice counts twice
    batch_columns: int = 14_336  # pixel columns in a batch
    optimizer: str = "muon"  # muon or adamw
    peak_rate: float = 2e-4  # the highest learning rate
    warm_up: int = 50  # steps
    ema: float = 0.99  # decay of the moving average of the weights
    seed: int = 1  # of order, distortions and dropout
    val_every: int = 200  # steps
    save_every: int = 100  # steps

    def __post_init__(self) -> None:
        at_least_one(self, "total_lines", "batch_columns", "val_every", "save_every")
        if self.temperature <= 0:
            raise ValueError(f"temperature: more than 0, got {self.temperature}")

    def run(self, network: Network) -> TrainRecipe:
        """The same as the recipe of a training run of that network."""
        return TrainRecipe(
            data=self.data, network=network.recipe, augment=self.augment, begin=self.begin,
            total_lines=self.total_lines, batch_columns=self.batch_columns, optimizer=self.optimizer,
            peak_rate=self.peak_rate, warm_up=self.warm_up, ema=self.ema, bf16=False, seed=self.seed,
            val_every=self.val_every, save_every=self.save_every,
        )  # fmt: skip


class Qat(TrainingModule):
    """A network in training under int8 arithmetic, and validated under it, so that weights are chosen for int8."""

    network: Rounded

    def __init__(
        self, recipe: QatRecipe, network: Rounded, card: Card, out: Path, max_time: float | None,
        teacher: Network | None = None,
    ) -> None:  # fmt: skip
        super().__init__(recipe.run(network), network, card, out, max_time)
        self.qat, self.signature = recipe, to_json(recipe)
        self.ranges = network.ranges()
        self.teacher = teacher.eval().requires_grad_(False) if teacher else None

    def ctc_terms(self, image: Tensor, batch: Batch) -> tuple[dict[str, Tensor], Tensor]:
        self.network.observe(True)
        logits, shortcut = self.network.heads(image, batch.padded_widths)  # each N, T, V
        self.network.observe(False)
        terms = {"ctc": ctc_loss(logits, batch), "shortcut": self.recipe.shortcut * ctc_loss(shortcut, batch)}
        return terms, logits

    def losses(self, image: Tensor, batch: Batch) -> dict[str, Tensor]:
        terms, logits = self.ctc_terms(image, batch)
        if self.teacher is not None:
            with torch.no_grad():
                target = self.teacher(image, batch.padded_widths)  # N, T, V
            kl = frame_kl(logits, target, batch.padded_widths, self.qat.temperature, self.qat.blank)
            terms["kl"] = self.qat.gamma * kl
        return terms

    def train(self, mode: bool = True) -> Qat:
        super().train(mode)
        if self.teacher is not None:
            self.teacher.eval()
        return self

    def saved_module(self) -> nn.ModuleDict:
        """The network, and the ranges of its activations."""
        return nn.ModuleDict({"network": self.network, "ranges": self.ranges})


def qat(
    recipe: QatRecipe, recipe_path: Path, out: Path, *, max_time: float | None = None,
    machine: Machine | None = None, log: Log = print,
) -> Outcome:  # fmt: skip
    """Fine-tunes weights under the rounding of int8; writes weights, state and logs into `out`, as a training does.

    The weights that read the validation lines best in int8 are kept: those that the run began from, until others are
    better.

    Raises:
        UsageError: a module to keep is not in the network, or the teacher has another charset.
        HtrjandError: weights or lines cannot be read, or torchao is not installed.
    """
    from .rounding import rounded

    log = rank_zero_only(log)
    machine = cpu(machine or Machine(), log)
    folder = recipe_path.resolve().parent
    network, card = load_network(folder / recipe.begin)
    check_kept(QuantizeRecipe(keep=recipe.keep), products(network), folder / recipe.begin)
    teacher = None
    history = dict(card.history) | {"begins from": sha256(folder / recipe.begin), "int8": summary(recipe)}
    if recipe.teacher:
        teacher, teacher_card = load_network(folder / recipe.teacher)
        history["teacher"] = sha256(folder / recipe.teacher)
        if teacher_card.charset != card.charset:
            raise UsageError(
                f"{recipe_path}: teacher has another charset than {recipe.begin}; name one that has the same"
            )
    data = load_data(recipe.data, recipe_path, card.charset)
    log(data.notes)
    log(f"before, in float: {cer(network, data, recipe):.2f} % CER on the validation lines; from here on in int8")
    quantized = rounded(network, QuantizeRecipe(keep=recipe.keep))
    batches = islice(LineBatches(data.train, recipe.batch_columns, 0.0, recipe.seed), CALIBRATION)
    quantized.calibrate((batch.image, batch.padded_widths) for batch in batches)
    card = replace(card, training_data=describe(data.train, card), history=history, **NOT_MEASURED)
    return fit(Qat(recipe, quantized, card, out, max_time, teacher), data, machine, log)


def summary(recipe: QatRecipe) -> str:
    """The note on a run in the history of the weights' card."""
    kept = ", ".join(recipe.keep) or "nothing"
    return f"tuned for int8 with {kept} in float; val_cer is that of int8 arithmetic"


@torch.no_grad()
def cer(network: Network, data: Data, recipe: QatRecipe) -> float:
    """CER of a network on the validation lines, in percent."""
    batches = LineBatches(data.val, recipe.batch_columns, 0.0, single_pass=True)
    counts = [count_errors(network(batch.image, batch.padded_widths), batch, data.charset) for batch in batches]
    return percent(*np.concatenate(counts).T)


def cpu(machine: Machine, log: Log) -> Machine:
    """The same with one process on the CPU, for which the graph is traced."""
    if machine.device == "gpu" or machine.devices * machine.nodes > 1:
        log("tuning for int8 runs in one process on the CPU")
    return replace(machine, device="cpu", devices=1, nodes=1)
