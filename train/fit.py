"""Training: a recipe and lines in, weights out. Lightning runs the loop; a killed run goes on where it was saved."""

from __future__ import annotations

import copy
import hashlib
import json
import logging
import math
import sys
import time
import warnings
from contextlib import redirect_stdout
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import lightning
import numpy as np
import torch
from lightning.pytorch.callbacks import TQDMProgressBar
from lightning.pytorch.loggers import CSVLogger, TensorBoardLogger
from rapidfuzz.distance import Levenshtein
from torch import Tensor
from torch.nn import functional as F
from torch.utils.data import DataLoader

from ..runtime.errors import HtrjandError, UsageError
from ..runtime.files import atomic_path
from .augment import augment
from .batches import Batch, Example, LineBatches, examples
from .charset import build_charset
from .checkpoint import Card, load_network, load_state, read_rest, save_network, save_state, sha256
from .lines import read_lines
from .network import FRAME_STRIDE, Network
from .recipe import DataRecipe, TrainRecipe, find_data, to_json

STATE = "state.safetensors"
PROGRESS = ("step", "seen", "spent", "best")


@dataclass(frozen=True)
class Data:
    """What a run trains on and chooses by."""

    charset: tuple[str, ...]
    train: list[Example]
    val: list[Example]
    notes: str


@dataclass(frozen=True)
class Outcome:
    """What a run came to: the weights kept, their CER on the validation lines in percent, lines seen, and a second."""

    weights: Path
    val_cer: float
    lines_seen: int
    lines_per_second: float


def load_data(recipe: DataRecipe, recipe_path: Path, charset: tuple[str, ...] | None = None) -> Data:
    """Reads the train and val lines of a recipe; the charset is built from the training lines unless given."""
    paths = find_data(recipe.lines, recipe_path)

    def rows(split: str) -> Any:
        limit = recipe.limit if split == "train" else None
        return read_lines(paths, split, core=recipe.core, exclude=recipe.exclude, limit=limit)

    charset = charset or build_charset((row.text for row in rows("train")), recipe.least)
    train, skipped = examples(rows("train"), charset, recipe.too_narrow)
    val, _ = examples(rows("val"), charset, recipe.too_narrow)
    spread = val[:: max(1, -(-len(val) // recipe.val_lines))]
    left_out = "; ".join(f"{count} left out: {reason}" for reason, count in skipped.items() if count)
    notes = f"{len(train)} training lines, {len(spread)} of {len(val)} validation lines, {len(charset)} classes"
    return Data(charset, train, spread, f"{notes}; {left_out}" if left_out else notes)


class Trainee(lightning.LightningModule):
    """A network in training, with the moving average of its weights that validation and the outcome are taken from."""

    def __init__(self, recipe: TrainRecipe, network: Network, card: Card, out: Path, max_time: float | None) -> None:
        super().__init__()
        self.recipe, self.network, self.card, self.out, self.max_time = recipe, network, card, out, max_time
        self.signature = to_json(recipe)  # a saved run goes on only under the same
        self.average = copy.deepcopy(network).eval().requires_grad_(False)
        self.step = self.seen = 0
        self.spent = 0.0  # seconds, validation and earlier parts of the run included
        self.clock = time.perf_counter()
        self.best = math.inf
        self.errors = self.length = 0

    def progress(self) -> float:
        """The share of the run that is done: of its lines, or of its time where that is more."""
        return min(1.0, max(self.seen / self.recipe.lines, self.spent / self.max_time if self.max_time else 0.0))

    def rate(self) -> float:
        """Linear warm-up, then a cosine that ends at nothing when the lines or the time do."""
        ramp = min(1.0, (self.step + 1) / self.recipe.warm_up) if self.recipe.warm_up else 1.0
        return self.recipe.peak_rate * ramp * (0.5 + 0.5 * math.cos(math.pi * self.progress()))

    def losses(self, image: Tensor, batch: Batch) -> dict[str, Tensor]:
        """The terms whose sum is minimised; `image` float [N, 1, 64, W] is augmented."""
        return self.ctc_terms(image, batch)[0]

    def ctc_terms(self, image: Tensor, batch: Batch) -> tuple[dict[str, Tensor], Tensor]:
        """The CTC losses of the head and of the shortcut, and the head's logits [N, T, V]."""
        logits, shortcut = self.network.both(image, batch.targets)
        return {"ctc": ctc_loss(logits, batch), "shortcut": self.recipe.shortcut * ctc_loss(shortcut, batch)}, logits

    def training_step(self, batch: Batch, _: int) -> Tensor:
        torch.manual_seed(self.recipe.seed * 1_000_003 + batch.step)  # dropout: a resumed run draws the same
        image = augment(
            batch.image, batch.sources, batch.targets, batch.width, self.recipe.augment, self.recipe.seed + batch.step
        )
        terms = self.losses(image, batch)
        self.log_dict({name: term.detach() for name, term in terms.items()}, prog_bar=True)
        return torch.stack(list(terms.values())).sum()

    def on_train_batch_start(self, batch: Batch, batch_idx: int) -> None:
        for group in self.trainer.optimizers[0].param_groups:
            group["lr"] = self.rate()

    @torch.no_grad()
    def on_train_batch_end(self, outputs: Any, batch: Batch, batch_idx: int) -> None:
        decay = min(self.recipe.ema, (1 + self.step) / (10 + self.step))
        for mean, now in zip(self.average.state_dict().values(), self.network.state_dict().values(), strict=True):
            if mean.is_floating_point():
                mean.lerp_(now, 1 - decay)
            else:
                mean.copy_(now)
        self.step, self.seen = batch.step + 1, self.seen + len(batch.lengths)
        now = time.perf_counter()
        self.spent, self.clock = self.spent + now - self.clock, now
        if self.step % 20 == 0:
            self.log_dict({"lines_per_second": self.seen / self.spent, "rate": self.rate()}, prog_bar=True)
        self.trainer.should_stop = self.progress() >= 1
        validates = self.trainer.should_stop or self.step % self.recipe.val_every == 0  # then it is saved after that
        if self.step % self.recipe.save_every == 0 and not validates:
            self.save()

    def on_train_start(self) -> None:
        if self.step:
            load_state(self.out / STATE, self.network, self.trainer.optimizers[0], self.average.state_dict())
            done = self.trainer.fit_loop.epoch_loop.batch_progress.total
            done.ready = self.step  # so that it validates when an unbroken run does
        self.clock = time.perf_counter()

    def on_validation_epoch_start(self) -> None:
        self.errors = self.length = 0

    def validation_step(self, batch: Batch, _: int) -> None:
        errors, length = count_errors(self.average(batch.image, batch.targets), batch)
        self.errors, self.length = self.errors + errors, self.length + length

    def on_validation_epoch_end(self) -> None:
        cer = 100 * self.errors / max(1, self.length)
        self.log("val_cer", cer, prog_bar=True)
        if cer <= self.best:
            self.best = cer
            state = self.average.state_dict()
            weights = {name: tensor for name, tensor in state.items() if not name.endswith("num_batches_tracked")}
            card = replace(self.card, lines_seen=self.seen, val_cer=round(cer, 3))
            save_network(self.out / "weights.safetensors", weights, card)
        self.save()

    def save(self) -> None:
        """Writes all that the run needs to go on as if it had never stopped."""
        rest = {key: getattr(self, key) for key in ("signature", *PROGRESS)} | {"card": fingerprint(self.card)}
        save_state(self.out / STATE, self.network, self.trainer.optimizers[0], self.average.state_dict(), rest)

    def resume(self) -> None:
        """Reads how far the run in `out` had come; its tensors follow once the optimiser exists."""
        if not (self.out / STATE).exists():
            return
        rest = read_rest(self.out / STATE)
        if rest["signature"] != self.signature:
            raise UsageError(f"{self.out}: holds a run of another recipe; choose another folder with -o, or remove it")
        if rest["card"] != fingerprint(self.card):
            raise UsageError(
                f"{self.out}: holds a run on other lines, with another teacher or other first weights; choose another "
                "folder with -o, or remove it"
            )
        for key in PROGRESS:
            setattr(self, key, rest[key])

    def configure_optimizers(self) -> torch.optim.Optimizer:
        matrices = [p for p in self.network.parameters() if p.requires_grad and p.ndim > 1]
        vectors = [p for p in self.network.parameters() if p.requires_grad and p.ndim <= 1]
        groups = [
            {"params": matrices, "weight_decay": self.recipe.weight_decay},
            {"params": vectors, "weight_decay": 0.0},
        ]
        return torch.optim.AdamW(groups, lr=self.recipe.peak_rate)


def fit(module: Trainee, data: Data, device: str = "auto", workers: int = 0, progress: bool = True) -> Outcome:
    """Runs a training to its end, or on from where its folder holds the state of the same recipe.

    Raises:
        UsageError: the folder holds the state of another recipe.
        HtrjandError: a file of it is damaged, or there is nothing to train on or to choose by.
    """
    quiet()
    recipe, out = module.recipe, module.out
    module.resume()
    batches = LineBatches(data.train, recipe.batch_columns, recipe.augment.scale, recipe.seed, module.step)
    val = LineBatches(data.val, recipe.batch_columns, 0.0, once=True)
    out.mkdir(parents=True, exist_ok=True)
    with atomic_path(out / "recipe.json") as part:
        part.write_text(module.signature + "\n", encoding="utf-8")
    trainer = lightning.Trainer(
        accelerator=accelerator(device), devices=1, max_epochs=-1, precision="bf16-mixed" if recipe.bf16 else "32-true",
        gradient_clip_val=recipe.clip, callbacks=[TQDMProgressBar(refresh_rate=10)] if progress else [],
        enable_checkpointing=False, enable_model_summary=False, enable_progress_bar=progress,
        check_val_every_n_epoch=None, val_check_interval=recipe.val_every, num_sanity_val_steps=0,
        log_every_n_steps=20, use_distributed_sampler=False,
        logger=[make(out, "log", f"from-step-{module.step}") for make in (CSVLogger, TensorBoardLogger)],
    )  # fmt: skip
    if module.progress() < 1:
        try:
            with redirect_stdout(sys.stderr):  # the bar
                trainer.fit(
                    module, DataLoader(batches, batch_size=None, num_workers=workers), DataLoader(val, batch_size=None)
                )
        except HtrjandError as error:  # from a worker it comes wrapped in its traceback
            raise HtrjandError(str(error).rstrip().rpartition("HtrjandError: ")[2]) from error
    return Outcome(out / "weights.safetensors", module.best, module.seen, module.seen / max(module.spent, 1e-9))


def accelerator(device: str) -> str:
    """Lightning's name for `auto`, `cpu` or `gpu`; UsageError where a GPU is asked for and there is none."""
    there = torch.cuda.is_available()
    if device == "gpu" and not there:
        raise UsageError("--device gpu: torch finds no GPU on this machine; use --device cpu, or install a CUDA build")
    return "gpu" if there and device != "cpu" else "cpu"


def fingerprint(card: Card) -> str:
    """What a run's lines, charset, network and ancestors come to: a saved run goes on only with the same."""
    return hashlib.sha256(json.dumps(asdict(card), sort_keys=True).encode()).hexdigest()


def quiet() -> None:
    """Lightning tells of hardware it did not find and of offers; what a run has to say, it says itself."""
    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)
    noise = "does not have many workers|IterableDataset|treespec|in eval mode at the start|lr_scheduler.step"
    warnings.filterwarnings("ignore", f".*({noise}).*")


def ctc_loss(logits: Tensor, batch: Batch) -> Tensor:
    """CTC a character, so that long lines do not outweigh short ones; logits float [N, T, V]."""
    frames = batch.targets // FRAME_STRIDE
    log_probs = logits.log_softmax(-1).transpose(0, 1)  # T, N, V
    return F.ctc_loss(log_probs, batch.classes, frames, batch.lengths, zero_infinity=True)


def count_errors(logits: Tensor, batch: Batch) -> tuple[int, int]:
    """Edit distance of the greedy reading to the text, and the text's length, both summed over a batch."""
    errors = length = 0
    at = 0
    for scores, width, size in zip(logits, batch.targets.tolist(), batch.lengths.tolist(), strict=True):
        path = scores[: width // FRAME_STRIDE].argmax(-1).cpu().numpy()  # T
        read = path[np.flatnonzero(np.diff(path, prepend=-1))]
        text = batch.classes[at : at + size].tolist()
        errors, length, at = errors + Levenshtein.distance(read[read != 0].tolist(), text), length + size, at + size
    return errors, length


def train(
    recipe: TrainRecipe, recipe_path: Path, out: Path, *, max_time: float | None = None, device: str = "auto",
    workers: int = 0, progress: bool = True, say: Any = print,
) -> Outcome:  # fmt: skip
    """Trains a network as a recipe says; writes weights, state and logs into `out`.

    Args:
        max_time: seconds; the learning rate comes to its end within them.
        device: auto, cpu or gpu.
    """
    accelerator(device)  # before the lines are read
    begin = load_network(recipe_path.resolve().parent / recipe.begin) if recipe.begin else None
    if begin and begin[1].network != recipe.network:
        raise UsageError(f"{recipe_path}: network differs from that of {recipe.begin}, which the run is to begin from")
    data = load_data(recipe.data, recipe_path, begin[1].charset if begin else None)
    say(data.notes)
    torch.manual_seed(recipe.seed)
    network = begin[0].train() if begin else Network(recipe.network, len(data.charset))
    earlier = begin[1] if begin else Card(recipe.network, data.charset)
    history = dict(earlier.history)
    if recipe.begin:
        history["begins from"] = sha256(recipe_path.resolve().parent / recipe.begin)
    card = Card(recipe.network, data.charset, training_data=describe(data.train, earlier), history=history)
    return fit(Trainee(recipe, network, card, out, max_time), data, device, workers, progress)


def describe(lines: list[Example], earlier: Card) -> tuple[str, ...]:
    """Datasets with their numbers of lines, those that the weights had learnt from before among them."""
    counts: dict[str, int] = {}
    for line in lines:
        counts[line.row.dataset] = counts.get(line.row.dataset, 0) + 1
    now = {name: f"{name}: {count} lines" for name, count in counts.items()}
    before = {entry.partition(":")[0]: entry for entry in earlier.training_data}
    return tuple(entry for _, entry in sorted((before | now).items()))
