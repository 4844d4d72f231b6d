"""A network in training, as Lightning drives it: losses, rate, moving average, validation, and what is saved."""

from __future__ import annotations

import copy
import dataclasses
import hashlib
import json
import math
import time
from collections.abc import Iterable, Iterator
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
from .checkpoint import Card, load_state, read_rest, save_network, save_state
from .data.error_rates import percent
from .losses import count_errors, ctc_loss
from .network import Network, pooled
from .optimizers import make_optimizer, set_rate
from .recipe import StageRecipe, TrainRecipe
from .recipe_loader import to_json

STATE = "state.safetensors"
PROGRESS = ("step", "seen", "spent", "best", "stage", "began", "stale", "skipped")
DROPOUT, AUGMENT = 1, 2  # streams of random numbers, the third part of a seed beside a recipe's and a batch's
MOST_SKIPPED = 25  # steps in a row without a finite gradient after which a run is given up


class Trainee(lightning.LightningModule):
    """A network in training, with the moving average of its weights that validation and the outcome are taken from."""

    def __init__(self, recipe: TrainRecipe, network: Network, card: Card, out: Path, max_time: float | None) -> None:
        super().__init__()
        self.recipe, self.network, self.card, self.out, self.max_time = recipe, network, card, out, max_time
        self.signature = signature(recipe)  # a saved run goes on only under the same
        self.average = copy.deepcopy(network).eval().requires_grad_(False)
        network.convs[: recipe.freeze].requires_grad_(False)
        self.digest = ""  # of the lines
        self.stages = recipe.stages or (StageRecipe("all"),)
        self.stage = 0  # the one that is on, and the step it began at
        self.began = 0
        self.step = self.seen = self.stale = 0
        self.skipped = self.streak = 0  # steps without a finite gradient: in all, and in a row
        self.spent = 0.0  # seconds, validation and earlier parts of the run included
        self.clock = time.perf_counter()
        self.best = math.inf
        self.val_names: tuple[str, ...] = ("",)  # data sets of the validation lines, and errors and characters of each
        self.counts = np.zeros((1, 2))

    def progress(self) -> float:
        """The share of the run that is done: of its lines, or of its time where that is more; 1 when it has settled."""
        last = self.stage + 1 == len(self.stages)
        if last and self.recipe.patience is not None and self.stale >= self.recipe.patience:
            return 1.0
        return min(1.0, max(self.seen / self.recipe.total_lines, self.spent / self.max_time if self.max_time else 0.0))

    def stage_end(self) -> float:
        """The progress at which the stage that is on ends."""
        shares = [stage.share for stage in self.stages]
        return 1.0 if self.stage + 1 == len(shares) else sum(shares[: self.stage + 1]) / sum(shares)

    def rate(self) -> float:
        """Linear warm-up, the peak for a share of the run, and a cosine to nothing when the lines or the time end."""
        ramp = min(1.0, (self.step + 1) / self.recipe.warm_up) if self.recipe.warm_up else 1.0
        fallen = max(0.0, self.progress() - self.recipe.hold) / (1 - self.recipe.hold)
        return self.recipe.peak_rate * ramp * (0.5 + 0.5 * math.cos(math.pi * fallen))

    def distortions(self) -> AugmentRecipe:
        """Those of the recipe, by the strength of the stage that is on."""
        recipe, strength = self.recipe.augment, self.stages[self.stage].strength
        if strength == 1:
            return recipe
        return AugmentRecipe(**{name: value * strength for name, value in dataclasses.asdict(recipe).items()})

    def losses(self, image: Tensor, batch: Batch) -> dict[str, Tensor]:
        """The terms whose sum is minimised; `image` float [N, 1, 64, W] is augmented."""
        return self.ctc_terms(image, batch)[0]

    def ctc_terms(self, image: Tensor, batch: Batch) -> tuple[dict[str, Tensor], Tensor]:
        """The losses (CTC of the head and of the shortcut, the dataset's name), and the head's logits [N, T, V]."""
        columns = self.network.features(image, batch.targets)  # N, T, D
        logits = self.network.scores(columns, batch.targets)  # N, T, V
        shortcut = self.network.shortcut(columns).float()  # N, T, V
        terms = {"ctc": ctc_loss(logits, batch), "shortcut": self.recipe.shortcut * ctc_loss(shortcut, batch)}
        if self.network.origin is not None:
            names = self.network.origin(pooled(columns, batch.targets)).float()  # N, datasets
            terms["origin"] = self.recipe.origin * F.cross_entropy(names, batch.origins)
        return terms, logits

    def training_step(self, batch: Batch, _: int) -> Tensor:
        torch.manual_seed(hashed_seed(self.recipe.seed, DROPOUT, batch.step))  # so that a resumed run draws the same
        seed = hashed_seed(self.recipe.seed, AUGMENT, batch.number)
        image = augment(batch.image, batch.sources, batch.fills, batch.width, self.distortions(), seed, batch.targets)
        terms = self.losses(image, batch)
        self.log_dict({name: term.detach() for name, term in terms.items()}, prog_bar=True)
        return torch.stack(list(terms.values())).sum()

    def train(self, mode: bool = True) -> Trainee:
        super().train(mode)
        self.average.eval()
        self.network.convs[: self.recipe.freeze].eval()  # their batch norms stay too
        return self

    def on_train_batch_start(self, batch: Batch, batch_idx: int) -> None:
        most = self.recipe.adamw_rate if self.recipe.optimizer == "muon" else None
        set_rate(self.trainer.optimizers[0].param_groups, self.rate(), most)
        self.buffers_before = [buffer.clone() for buffer in self.network.buffers()]

    @torch.no_grad()
    def on_before_optimizer_step(self, optimizer: torch.optim.Optimizer) -> None:
        """Leaves a step out whose gradient is not finite: the weights and the statistics of batch norms stay."""
        gradients = [p.grad for p in self.network.parameters() if p.grad is not None]
        if torch.stack(torch._foreach_norm(gradients)).isfinite().all():
            self.streak = 0
            return
        self.skipped, self.streak = self.skipped + 1, self.streak + 1
        for parameter in self.network.parameters():
            parameter.grad = None
        for buffer, before in zip(self.network.buffers(), self.buffers_before, strict=True):
            buffer.copy_(before)
        if self.streak >= MOST_SKIPPED:
            raise HtrjandError(
                f"{self.out}: {self.streak} steps in a row had no finite gradient, the last at step {self.step}; the "
                "state saved before them is kept: try a lower peak_rate or a smaller clip, from another folder"
            )

    @torch.no_grad()
    def on_train_batch_end(self, outputs: Any, batch: Batch, batch_idx: int) -> None:
        now = time.perf_counter()
        lines, spent = self.over_all(len(batch.lengths), now - self.clock)
        if self.trainer.world_size > 1:
            average_buffers(self.network)
        if not self.streak:
            self.take_average()
        self.step, self.seen = batch.step + 1, self.seen + int(lines)
        self.spent, self.clock = self.spent + spent / self.trainer.world_size, now
        if self.step % 20 == 0:
            speed = {"lines_per_second": self.seen / self.spent, "rate": self.rate(), "stage": float(self.stage)}
            self.log_dict(speed | {"skipped": float(self.skipped)}, prog_bar=True)
        self.trainer.should_stop = self.progress() >= self.stage_end()
        validates = self.trainer.should_stop or self.step % self.recipe.val_every == 0  # then it is saved after that
        if self.step % self.recipe.save_every == 0 and not validates:
            self.save()

    def take_average(self) -> None:
        """Moves the average towards the weights as they are now; it weighs the first steps alike."""
        decay = min(self.recipe.ema, (1 + self.step) / (10 + self.step))
        pairs = list(zip(self.average.state_dict().values(), self.network.state_dict().values(), strict=True))
        floats = [(mean, new) for mean, new in pairs if mean.is_floating_point()]
        torch._foreach_lerp_([mean for mean, _ in floats], [new for _, new in floats], 1 - decay)
        for mean, new in pairs:
            if not mean.is_floating_point():  # counters
                mean.copy_(new)

    def over_all(self, *numbers: float) -> list[float]:
        """Each number summed over the processes of the run."""
        if self.trainer.world_size == 1:
            return list(numbers)
        sums = torch.tensor(numbers, dtype=torch.float64, device=self.device)
        torch.distributed.all_reduce(sums)
        return list(map(float, sums.tolist()))

    def on_train_start(self) -> None:
        if self.step:
            load_state(self.out / STATE, self.network, self.trainer.optimizers[0], self.average.state_dict())
            done = self.trainer.fit_loop.epoch_loop.batch_progress.total
            done.ready = self.step  # so that it validates when an unbroken run does
        self.clock = time.perf_counter()

    def on_validation_epoch_start(self) -> None:
        self.counts = np.zeros((len(self.val_names), 2))

    def validation_step(self, batch: Batch, _: int) -> None:
        counts = count_errors(self.average(batch.image, batch.targets), batch, self.card.charset)  # N, 2
        np.add.at(self.counts, batch.origins.cpu().numpy(), counts)

    def on_validation_epoch_end(self) -> None:
        now = time.perf_counter()
        *counts, spent = self.over_all(*self.counts.ravel(), now - self.clock)
        self.counts = np.reshape(counts, (-1, 2))
        self.spent, self.clock = self.spent + spent / self.trainer.world_size, now
        cer = percent(*self.counts.T)
        by_name = {f"val_cer/{name}": percent(*row) for name, row in zip(self.val_names, self.counts, strict=True)}
        self.log("val_cer", cer, prog_bar=True, rank_zero_only=True)
        self.log_dict({"seen": float(self.seen)} | by_name, rank_zero_only=True)
        better = cer <= self.best
        self.stale = 0 if cer < self.best else self.stale + 1
        if better:
            self.best = cer
            if self.trainer.is_global_zero:
                save_network(self.out / "weights.safetensors", weights_of(self.average), self.earned(cer))
        if self.progress() >= 1:
            self.trainer.should_stop = True
        self.save()

    def measure(self, batches: Iterable[Batch]) -> float:
        """The CER, in percent, of the weights that the run begins from: they are kept until others are better."""
        charset = self.card.charset
        counts = [count_errors(self.average(batch.image, batch.targets), batch, charset) for batch in batches]
        self.best = percent(*np.concatenate(counts).T)
        if self.global_rank == 0:
            save_network(self.out / "weights.safetensors", weights_of(self.average), self.earned(self.best))
        return self.best

    def earned(self, cer: float) -> Card:
        """The card of the weights as they are now."""
        return replace(self.card, lines_seen=self.seen, val_cer=round(cer, 3))

    def save(self) -> None:
        """Writes all that the run needs to go on as if it had never stopped; one process does it for all.

        Not amid steps without a finite gradient: the state of before them is the last good one.
        """
        if self.trainer.is_global_zero and not self.streak:
            rest = {key: getattr(self, key) for key in ("signature", *PROGRESS)} | {"card": self.fingerprint()}
            save_state(self.out / STATE, self.network, self.trainer.optimizers[0], self.average.state_dict(), rest)
        self.trainer.strategy.barrier("saved")

    def resume(self) -> None:
        """Reads how far the run in `out` had come; its tensors follow once the optimiser exists."""
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
        """What a run's lines, charset, network and ancestors come to: a saved run goes on only with the same."""
        return hashlib.sha256(json.dumps([asdict(self.card), self.digest], sort_keys=True).encode()).hexdigest()

    def configure_optimizers(self) -> torch.optim.Optimizer:
        recipe = self.recipe
        return make_optimizer(self.network, recipe.optimizer, recipe.peak_rate, recipe.weight_decay, recipe.bf16)


def hashed_seed(*parts: int) -> int:
    """One seed of 64 bits from several numbers: neighbouring runs and batches share none, as sums of them would."""
    return int(np.random.SeedSequence(parts).generate_state(1, np.uint64)[0])


def signature(recipe: Any) -> str:
    """What a run's recipe comes to; where the rate is held, the number of lines is no part of it."""
    run = getattr(recipe, "train", recipe)
    if isinstance(run, TrainRecipe) and run.hold:
        run = replace(run, total_lines=1)
        recipe = run if isinstance(recipe, TrainRecipe) else replace(recipe, train=run)
    return to_json(recipe)


def differences(there: Any, here: Any, name: str = "") -> Iterator[str]:
    """What differs between two recipes as JSON: `optimizer: "adamw" there, "muon" here`."""
    if isinstance(there, dict) and isinstance(here, dict):
        for key in sorted({*there, *here}):
            yield from differences(there.get(key), here.get(key), f"{name}.{key}" if name else key)
    elif there != here:
        yield f"{name}: {json.dumps(there)} there, {json.dumps(here)} here"


def weights_of(network: Network) -> dict[str, Tensor]:
    """What is kept of a network: without counters of training, and without the head that names datasets."""
    return {
        name: tensor
        for name, tensor in network.state_dict().items()
        if not name.endswith("num_batches_tracked") and not name.startswith("origin.")
    }


def average_buffers(network: nn.Module) -> None:
    """The running statistics of batch norms, averaged over the processes: each saw other lines."""
    buffers = [buffer for buffer in network.buffers() if buffer.is_floating_point()]
    flat = torch.cat([buffer.flatten() for buffer in buffers])
    torch.distributed.all_reduce(flat)
    parts = (flat / torch.distributed.get_world_size()).split([buffer.numel() for buffer in buffers])  # type: ignore[no-untyped-call]
    for buffer, part in zip(buffers, parts, strict=True):
        buffer.copy_(part.reshape(buffer.shape))
