"""A network in training as a LightningModule: losses, learning rate, moving average, validation, saved state."""

from __future__ import annotations

import copy
import hashlib
import json
import math
import time
from collections.abc import Iterable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import lightning
import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..runtime.errors import HtrjandError, UsageError
from .augment import AugmentRecipe, augment
from .batches import Batch
from .checkpoint import Card, load_state, read_rest, save_network, save_state, weights_of
from .data.error_rates import percent
from .losses import count_errors, ctc_loss
from .network import Network, pooled
from .optimizers import make_optimizer, set_rate
from .precision import mixed
from .recipe import StageRecipe, TrainRecipe, differences, signature

STATE = "state.safetensors"
# What a saved state holds beside tensors: attributes of the module that a resumed run takes over.
PROGRESS = (
    "step", "lines_seen", "seconds", "best_cer", "stage", "stage_start", "validations_since_best", "skipped_steps",
)  # fmt: skip
DROPOUT, AUGMENT = 1, 2  # tell streams of random numbers apart, see `hashed_seed`
MAX_SKIPPED_STEPS = 25  # in a row without a finite gradient, after which a run is given up


class TrainingModule(lightning.LightningModule):
    """A network in training, and the moving average of its weights, which is validated and kept.

    Args:
        recipe: of the run.
        network: to train; blocks that the recipe freezes are frozen.
        card: of the weights that the run will write.
        out: folder of the run.
        max_time: seconds after which the run ends, with the learning rate at zero; None for no limit.
    """

    def __init__(self, recipe: TrainRecipe, network: Network, card: Card, out: Path, max_time: float | None) -> None:
        super().__init__()
        self.recipe, self.network, self.card, self.out, self.max_time = recipe, network, card, out, max_time
        self.signature = signature(recipe)  # a saved run is resumed only under the same one
        self.average = copy.deepcopy(network).eval().requires_grad_(False)
        self.first = copy.deepcopy(self.average) if recipe.pull else None  # what `pull` draws towards
        self.kept = copy.deepcopy(self.average) if recipe.pull else self.average  # what is validated and written
        network.convs[: recipe.freeze].requires_grad_(False)
        self.data_digest = ""  # of the lines, see `Data.digest`
        self.stages = recipe.stages or (StageRecipe("all"),)
        self.stage = 0  # the current one, by its number
        self.stage_start = 0  # the step at which it began
        self.step = self.lines_seen = self.validations_since_best = 0
        self.skipped_steps = self.skipped_in_a_row = 0  # steps without a finite gradient
        self.seconds = 0.0  # of training and validation, those before a resumption included
        self.clock = time.perf_counter()  # when `seconds` was last added to
        self.best_cer = math.inf  # percent
        self.val_names: tuple[str, ...] = ("",)  # datasets of the validation lines
        self.val_errors = np.zeros((1, 2))  # edits and reference characters of each, at the last validation

    def progress(self) -> float:
        """The share of the run that is done: of its lines, or of its time where that is more.

        1 as soon as the last stage has had `patience` validations without a better one.
        """
        last = self.stage + 1 == len(self.stages)
        if last and self.recipe.patience is not None and self.validations_since_best >= self.recipe.patience:
            return 1.0
        by_time = self.seconds / self.max_time if self.max_time else 0.0
        return min(1.0, max(self.lines_seen / self.recipe.total_lines, by_time))

    def stage_end(self) -> float:
        """The progress at which the current stage ends."""
        shares = [stage.share for stage in self.stages]
        return 1.0 if self.stage + 1 == len(shares) else sum(shares[: self.stage + 1]) / sum(shares)

    def rate(self) -> float:
        """The learning rate: linear warm-up, the peak until `decay_start`, then a cosine to zero at the run's end."""
        warm_up = min(1.0, (self.step + 1) / self.recipe.warm_up) if self.recipe.warm_up else 1.0
        decayed = max(0.0, self.progress() - self.recipe.decay_start) / (1 - self.recipe.decay_start)
        return self.recipe.peak_rate * warm_up * (0.5 + 0.5 * math.cos(math.pi * decayed))

    def distortions(self) -> AugmentRecipe:
        """Those of the recipe, multiplied by the strength of the current stage."""
        return self.recipe.augment.times(self.stages[self.stage].strength)

    def losses(self, image: Tensor, batch: Batch) -> dict[str, Tensor]:
        """The terms whose sum is minimised, by their names in the log; `image` float [N, 1, 64, W] is augmented."""
        return self.ctc_terms(image, batch)[0]

    def ctc_terms(self, image: Tensor, batch: Batch) -> tuple[dict[str, Tensor], Tensor]:
        """The losses (CTC of head and shortcut, cross-entropy of the dataset), and the head's logits [N, T, V]."""
        columns = self.network.features(image, batch.padded_widths)  # N, T, D
        logits = self.network.scores(columns, batch.padded_widths)  # N, T, V
        shortcut = self.network.shortcut(columns).float()  # N, T, V
        terms = {"ctc": ctc_loss(logits, batch), "shortcut": self.recipe.shortcut * ctc_loss(shortcut, batch)}
        if self.network.origin is not None:
            names = self.network.origin(pooled(columns, batch.padded_widths)).float()  # N, datasets
            terms["origin"] = self.recipe.origin * F.cross_entropy(names, batch.origins)
        return terms, logits

    def training_step(self, batch: Batch, _: int) -> Tensor:
        torch.manual_seed(hashed_seed(self.recipe.seed, DROPOUT, batch.step))  # so that a resumed run draws the same
        image = augment(
            batch.image, batch.source_widths, batch.scaled_widths, batch.width, self.distortions(),
            hashed_seed(self.recipe.seed, AUGMENT, batch.number), batch.padded_widths,
        )  # fmt: skip
        terms = self.losses(image, batch)
        self.log_dict({name: term.detach() for name, term in terms.items()}, prog_bar=True)
        return torch.stack(list(terms.values())).sum()

    def train(self, mode: bool = True) -> TrainingModule:
        super().train(mode)
        self.average.eval()
        self.kept.eval()
        self.network.convs[: self.recipe.freeze].eval()  # their batch norms keep their statistics too
        return self

    def on_train_batch_start(self, batch: Batch, batch_idx: int) -> None:
        adamw_limit = self.recipe.adamw_rate if self.recipe.optimizer == "muon" else None
        set_rate(self.trainer.optimizers[0].param_groups, self.rate(), adamw_limit)
        self.buffers_before = [buffer.clone() for buffer in self.network.buffers()]

    @torch.no_grad()
    def on_before_optimizer_step(self, optimizer: torch.optim.Optimizer) -> None:
        """Skips a step whose gradient is not finite: weights and statistics of batch norms stay as they were."""
        gradients = [p.grad for p in self.network.parameters() if p.grad is not None]
        if torch.stack(torch._foreach_norm(gradients)).isfinite().all():
            self.skipped_in_a_row = 0
            return
        self.skipped_steps, self.skipped_in_a_row = self.skipped_steps + 1, self.skipped_in_a_row + 1
        for parameter in self.network.parameters():
            parameter.grad = None
        for buffer, before in zip(self.network.buffers(), self.buffers_before, strict=True):
            buffer.copy_(before)
        if self.skipped_in_a_row >= MAX_SKIPPED_STEPS:
            raise HtrjandError(
                f"{self.out}: {self.skipped_in_a_row} steps in a row had no finite gradient, the last at step "
                f"{self.step}; the state saved before them is kept: try a lower peak_rate or a smaller clip, from "
                "another folder"
            )

    @torch.no_grad()
    def on_train_batch_end(self, outputs: Any, batch: Batch, batch_idx: int) -> None:
        now = time.perf_counter()
        lines, seconds = self.summed(len(batch.lengths), now - self.clock)
        if self.trainer.world_size > 1:
            average_buffers(self.network)
        if not self.skipped_in_a_row:
            self.update_average()
        self.step, self.lines_seen = batch.step + 1, self.lines_seen + int(lines)
        self.seconds, self.clock = self.seconds + seconds / self.trainer.world_size, now
        if self.step % 20 == 0:
            speed = {"lines_per_second": self.lines_seen / self.seconds, "rate": self.rate()}
            counts = {"stage": float(self.stage), "skipped_steps": float(self.skipped_steps)}
            self.log_dict(speed | counts, prog_bar=True)
        self.trainer.should_stop = self.progress() >= self.stage_end()
        validates = self.trainer.should_stop or self.step % self.recipe.val_every == 0  # and saves when that is done
        terminated = self.trainer.received_sigterm and self.trainer.world_size == 1 and not self.trainer.should_stop
        if terminated or (self.step % self.recipe.save_every == 0 and not validates):
            self.save()

    def update_average(self) -> None:
        """Moves the average towards the current weights; with `ema_warm_up` by more early in a run, so that it soon
        forgets those that the run began from."""
        decay = self.recipe.ema
        if self.recipe.ema_warm_up:
            decay = min(decay, (1 + self.step) / (10 + self.step))
        pairs = list(zip(self.average.state_dict().values(), self.network.state_dict().values(), strict=True))
        floats = [(mean, new) for mean, new in pairs if mean.is_floating_point()]
        torch._foreach_lerp_([mean for mean, _ in floats], [new for _, new in floats], 1 - decay)
        for mean, new in pairs:
            if not mean.is_floating_point():  # counters of batches
                mean.copy_(new)

    def summed(self, *numbers: float) -> list[float]:
        """Each number summed over the processes of the run."""
        if self.trainer.world_size == 1:
            return list(numbers)
        sums = torch.tensor(numbers, dtype=torch.float64, device=self.device)
        torch.distributed.all_reduce(sums)
        return list(map(float, sums.tolist()))

    def on_train_start(self) -> None:
        if self.step:
            load_state(self.out / STATE, self.saved_module(), self.trainer.optimizers[0], self.average.state_dict())
            batches = self.trainer.fit_loop.epoch_loop.batch_progress.total
            batches.ready = self.step  # so that it validates at the same steps as an unbroken run
        self.clock = time.perf_counter()

    def on_validation_epoch_start(self) -> None:
        self.draw_back()
        self.val_errors = np.zeros((len(self.val_names), 2))

    def validation_step(self, batch: Batch, _: int) -> None:
        counts = count_errors(self.kept(batch.image, batch.padded_widths), batch, self.card.charset)  # N, 2
        np.add.at(self.val_errors, batch.origins.cpu().numpy(), counts)

    def on_validation_epoch_end(self) -> None:
        now = time.perf_counter()
        *counts, seconds = self.summed(*self.val_errors.ravel(), now - self.clock)
        self.val_errors = np.reshape(counts, (-1, 2))
        self.seconds, self.clock = self.seconds + seconds / self.trainer.world_size, now
        cer = percent(*self.val_errors.T)
        by_name = {f"val_cer/{name}": percent(*row) for name, row in zip(self.val_names, self.val_errors, strict=True)}
        self.log("val_cer", cer, prog_bar=True, rank_zero_only=True)
        self.log_dict({"lines_seen": float(self.lines_seen)} | by_name, rank_zero_only=True)
        self.validations_since_best = 0 if cer < self.best_cer else self.validations_since_best + 1
        if cer <= self.best_cer:  # of equals the later one is kept
            self.best_cer = cer
            if self.trainer.is_global_zero:
                save_network(self.out / "weights.safetensors", weights_of(self.kept), self.card_with(cer))
        if self.progress() >= 1:
            self.trainer.should_stop = True
        self.save()

    @torch.no_grad()
    def draw_back(self) -> None:
        """Makes the weights that are kept: the average, drawn back to the first ones by as much as the recipe says."""
        if self.first is not None:
            states = (self.kept.state_dict(), self.first.state_dict(), self.average.state_dict())
            for kept, first, mean in zip(*(state.values() for state in states), strict=True):
                kept.copy_(torch.lerp(mean, first, self.recipe.pull) if kept.is_floating_point() else mean)

    def measure(self, batches: Iterable[Batch]) -> float:
        """The CER, in percent, of the weights that the run begins from; they are kept until others are better."""
        charset = self.card.charset
        counts = [count_errors(self.average(batch.image, batch.padded_widths), batch, charset) for batch in batches]
        self.best_cer = percent(*np.concatenate(counts).T)
        if self.global_rank == 0:
            save_network(self.out / "weights.safetensors", weights_of(self.average), self.card_with(self.best_cer))
        return self.best_cer

    def card_with(self, cer: float) -> Card:
        """The card of the current weights, with their CER on the validation lines in percent."""
        return replace(self.card, lines_seen=self.lines_seen, val_cer=round(cer, 3))

    def save(self) -> None:
        """Writes all that the run needs to go on as if it had never stopped; the first process does it for all.

        Not while steps are being skipped: then the state saved before them is the last good one.
        """
        if self.trainer.is_global_zero and not self.skipped_in_a_row:
            rest = {key: getattr(self, key) for key in ("signature", *PROGRESS)} | {"card": self.fingerprint()}
            optimizer, average = self.trainer.optimizers[0], self.average.state_dict()
            save_state(self.out / STATE, self.saved_module(), optimizer, average, rest)
        self.trainer.strategy.barrier("saved")

    def saved_module(self) -> nn.Module:
        """What a saved state holds beside the optimiser and the moving average."""
        return self.network

    def resume(self) -> None:
        """Reads how far the run in `out` had come; its tensors are loaded once the optimiser exists.

        Raises:
            UsageError: that run has another recipe, other lines, or other weights to begin from.
        """
        if not (self.out / STATE).exists():
            return
        rest = read_rest(self.out / STATE)
        if rest["signature"] != self.signature:
            differing = ", ".join(differences(json.loads(rest["signature"]), json.loads(self.signature)))
            raise UsageError(
                f"{self.out}: holds a run of another recipe ({differing}); choose another folder with -o, or remove it"
            )
        if rest["card"] != self.fingerprint():
            raise UsageError(
                f"{self.out}: holds a run on other lines, with another teacher or other first weights; choose another "
                "folder with -o, or remove it"
            )
        for key in PROGRESS:
            setattr(self, key, rest[key])

    def fingerprint(self) -> str:
        """SHA-256 of the run's lines, charset, network and history; a saved run is resumed only with the same.

        What is fitted to finished weights is no part of it, nor are residual blocks where there are none: states saved
        before cards had these are resumed.
        """
        card = asdict(self.card)
        del card["temperature"], card["language_model"]
        if not any(card["network"]["deeper"]):
            del card["network"]["deeper"]
        return hashlib.sha256(json.dumps([card, self.data_digest], sort_keys=True).encode()).hexdigest()

    def configure_optimizers(self) -> torch.optim.Optimizer:
        recipe = self.recipe
        half = mixed(recipe.bf16, self.device.type)
        return make_optimizer(self.network, recipe.optimizer, recipe.peak_rate, recipe.weight_decay, half)


def hashed_seed(*parts: int) -> int:
    """A seed of 64 bits from several numbers; their sum would give neighbouring runs the same seeds, a step apart."""
    return int(np.random.SeedSequence(parts).generate_state(1, np.uint64)[0])


def average_buffers(network: nn.Module) -> None:
    """Averages the running statistics of batch norms over the processes, each of which saw other lines."""
    buffers = [buffer for buffer in network.buffers() if buffer.is_floating_point()]
    flat = torch.cat([buffer.flatten() for buffer in buffers])
    torch.distributed.all_reduce(flat)
    parts = (flat / torch.distributed.get_world_size()).split([buffer.numel() for buffer in buffers])  # type: ignore[no-untyped-call]
    for buffer, part in zip(buffers, parts, strict=True):
        buffer.copy_(part.reshape(buffer.shape))
