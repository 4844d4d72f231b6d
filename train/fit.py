"""Training: a recipe and lines in, weights out. Lightning runs the loop; a killed run is resumed where it was saved."""

from __future__ import annotations

import logging
import signal
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import lightning
import torch
from lightning.pytorch.callbacks import TQDMProgressBar
from lightning.pytorch.loggers import CSVLogger, TensorBoardLogger
from lightning.pytorch.strategies import DDPStrategy
from lightning.pytorch.utilities import rank_zero_only
from lightning.pytorch.utilities.exceptions import SIGTERMException

from ..runtime.errors import HtrjandError, UsageError
from ..runtime.files import atomic_path
from .adapt import begin_from, fits
from .batches import LineBatches, Shard
from .checkpoint import Card, inherited, load_network, read_rest, sha256
from .data.error_rates import percent
from .dataset import Data, load_data, stage_batches
from .examples import Example
from .module import STATE, TrainingModule
from .network import Network
from .precision import flushed_denormals, mixed
from .recipe import TrainRecipe

Log = Callable[[str], None]  # takes what a run has to report, a line at a time


@dataclass(frozen=True)
class Machine:
    """What a run may use of a machine, or of several."""

    device: str = "auto"  # or cpu or gpu
    devices: int = 1  # GPUs on each machine, or CPU processes
    nodes: int = 1  # machines
    workers: int = 0  # threads of each process that decode images ahead of the training
    progress: bool = True  # show a bar

    @property
    def accelerator(self) -> str:
        """Lightning's name for the device; UsageError where a GPU is asked for and there is none."""
        available = torch.cuda.is_available()
        if self.device == "gpu" and not available:
            raise UsageError(
                "--device gpu: torch finds no GPU on this machine; use --device cpu, or install a CUDA build"
            )
        gpu = available and self.device != "cpu"
        if gpu and self.devices > torch.cuda.device_count():
            raise UsageError(f"--devices {self.devices}: there are {torch.cuda.device_count()} GPUs on this machine")
        return "gpu" if gpu else "cpu"


@dataclass(frozen=True)
class Outcome:
    """The result of a run: the weights kept, their CER on the validation lines in percent, and the lines seen."""

    weights: Path
    val_cer: float
    lines_seen: int
    lines_per_second: float


def train(
    recipe: TrainRecipe, recipe_path: Path, out: Path, *, max_time: float | None = None,
    machine: Machine | None = None, log: Log = print,
) -> Outcome:  # fmt: skip
    """Trains a network as a recipe says; writes weights, state and logs into `out`.

    Args:
        max_time: seconds after which the run ends; the learning rate falls with the time.
        machine: what to run on; by default one process, on a GPU where there is one.
        log: takes what there is to report.

    Raises:
        UsageError: the weights to begin from are of another network, or there is no GPU where one is asked for.
        HtrjandError: weights or lines cannot be read.
    """
    machine = machine or Machine()
    machine.accelerator  # noqa: B018  # raises, before the lines are read
    begin = load_network(recipe_path.resolve().parent / recipe.begin) if recipe.begin else None
    if recipe.pull and not begin:
        raise UsageError(f"{recipe_path}: pull draws towards the weights of `begin`, and none are named; leave it out")
    if begin and not fits(recipe.network, begin[1].network):
        raise UsageError(f"{recipe_path}: network differs from that of {recipe.begin}, which the run is to begin from")
    data = load_data(recipe.data, recipe_path, begin[1].charset if begin else None, recipe.grow)
    rank_zero_only(log)(data.notes)
    torch.manual_seed(recipe.seed)
    network = Network(recipe.network, len(data.charset), len(data.origins) if recipe.origin else 0)
    if begin:
        begin_from(network, begin[0])
    earlier = begin[1] if begin else Card(recipe.network, data.charset)
    history = dict(earlier.history)
    if recipe.begin:
        history["begins from"] = sha256(recipe_path.resolve().parent / recipe.begin)
    card = Card(recipe.network, data.charset, history=history, **provenance(data.train, earlier))
    return fit(TrainingModule(recipe, network, card, out, max_time), data, machine, log)


def fit(module: TrainingModule, data: Data, machine: Machine, log: Log = print) -> Outcome:
    """Runs a training to its end, from the start or from the state that its folder holds.

    Lightning runs each stage by itself: a change of stages is a save and a resumption.

    Raises:
        UsageError: the folder holds the state of another recipe, or a stage names a dataset that is not there.
        HtrjandError: a file of it is damaged, an image cannot be decoded, too many gradients are not finite, or a
            signal has ended the run.
    """
    quiet()
    log = rank_zero_only(log)
    recipe, out = module.recipe, module.out
    for number, stage in enumerate(module.stages):  # so that a mistake in the last is found before the first begins
        stage_batches(data, recipe, stage, number, 0, 0, Shard())
    module.data_digest = data.digest
    module.val_names = tuple(sorted({line.row.dataset for line in data.val}))
    module.resume()
    module.train()  # Lightning keeps the mode of each part as it finds it
    out.mkdir(parents=True, exist_ok=True)
    with atomic_path(out / "recipe.json") as part:
        part.write_text(module.signature + "\n", encoding="utf-8")
    resumed = bool(module.step)
    if recipe.begin and not resumed:
        before = module.measure(LineBatches(data.val, recipe.batch_columns, 0.0, single_pass=True))
        log(f"before: {before:.2f} % CER on the validation lines")
    while module.progress() < 1:
        if module.progress() >= module.stage_end():
            module.stage, module.stage_start, module.validations_since_best = module.stage + 1, module.step, 0
        trainer = make_trainer(module, machine)
        shard = Shard(trainer.global_rank, trainer.world_size)
        stage = module.stages[module.stage]
        batches = stage_batches(
            data, recipe, stage, module.stage, module.stage_start, module.step, shard, machine.workers
        )
        if recipe.stages or resumed:
            log(
                f"stage {module.stage + 1} of {len(module.stages)}, {stage.name}: {len(batches.lines)} lines, "
                f"distortions times {stage.strength:g}; from {module.lines_seen} lines seen"
            )
        val = LineBatches(data.val, recipe.batch_columns, 0.0, single_pass=True, shard=shard, origins=module.val_names)
        alone = shard.world_size == 1
        try:
            with flushed_denormals(), interrupts_as_sigterm(alone), redirect_stdout(sys.stderr):  # as the bar does
                trainer.fit(module, batches, val)
        except SIGTERMException as error:
            raise HtrjandError(f"{out}: stopped by a signal; {how_far(out)}") from error
    if module.val_errors.any():
        last = (f"{name} {percent(*row):.2f}" for name, row in zip(module.val_names, module.val_errors, strict=True))
        skipped = f"; {module.skipped_steps} steps left out, their gradients not finite" if module.skipped_steps else ""
        log(f"last validation, % CER: {', '.join(last)}{skipped}")
    speed = module.lines_seen / max(module.seconds, 1e-9)
    return Outcome(out / "weights.safetensors", module.best_cer, module.lines_seen, speed)


@contextmanager
def interrupts_as_sigterm(alone: bool) -> Iterator[None]:
    """Ctrl-C ends the block as SIGTERM does, which Lightning heeds between two steps; a second one ends it at once.

    Not where there are several processes: each gets the Ctrl-C, and Lightning's answer to SIGTERM waits for the others.
    """
    before = signal.getsignal(signal.SIGINT)
    here = threading.current_thread() is threading.main_thread()
    if not (alone and here and before is signal.default_int_handler):
        yield  # a run in the background, say, that is not to be interrupted
        return

    def first(*_: object) -> None:
        signal.signal(signal.SIGINT, before)
        signal.raise_signal(signal.SIGTERM)

    signal.signal(signal.SIGINT, first)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def how_far(out: Path) -> str:
    """What a run that was stopped has saved in its folder, and what to do."""
    if not (out / STATE).exists():
        return "nothing was saved yet: the same command begins anew"
    return f"saved at {read_rest(out / STATE)['lines_seen']:,} lines seen: the same command goes on from there"


def make_trainer(module: TrainingModule, machine: Machine) -> lightning.Trainer:
    """Lightning's trainer for one stage."""
    recipe = module.recipe
    several = machine.devices * machine.nodes > 1
    return lightning.Trainer(
        accelerator=machine.accelerator, devices=machine.devices, num_nodes=machine.nodes,
        strategy=ddp(recipe) if several else "auto",
        max_epochs=-1, precision="bf16-mixed" if mixed(recipe.bf16, machine.accelerator) else "32-true",
        gradient_clip_val=recipe.clip,
        callbacks=[TQDMProgressBar(refresh_rate=10)] if machine.progress else [],
        enable_checkpointing=False, enable_model_summary=False, enable_progress_bar=machine.progress,
        check_val_every_n_epoch=None, val_check_interval=recipe.val_every, num_sanity_val_steps=0,
        log_every_n_steps=20, use_distributed_sampler=False,
        logger=[make(module.out, "log", f"from-step-{module.step}") for make in (CSVLogger, TensorBoardLogger)],
    )  # fmt: skip


def ddp(recipe: TrainRecipe) -> DDPStrategy:
    """Several processes: torch averages the gradients, `TrainingModule` the statistics of batch norms.

    Torch would broadcast these before each forward pass, and so wait for ever in a validation whose batches do not
    divide evenly among the processes.
    """
    return DDPStrategy(broadcast_buffers=False, find_unused_parameters=recipe.network.layer_drop > 0)


def quiet() -> None:
    """Silences Lightning's notes on hardware and on defaults that are meant as they are."""
    sys.modules.setdefault("tensorboard.compat.notf", ModuleType("notf"))  # or TensorBoard loads TensorFlow
    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)
    logging.getLogger("lightning.fabric").setLevel(logging.WARNING)
    noise = (
        "does not have many workers|IterableDataset|treespec|in eval mode at the start|lr_scheduler.step|"
        "broadcast_buffers|sync_dist"
    )
    warnings.filterwarnings("ignore", f".*({noise}).*")


def provenance(lines: list[Example], *earlier: Card) -> dict[str, Any]:
    """What a card says of where its weights come from: training data, languages and licence.

    Languages are those of earlier weights and of the lines, where earlier weights name any: readers take the bundled
    n-gram for a model that reads no languages but its own.
    """
    told = inherited(earlier) | {"training_data": describe(lines, *earlier)}
    if known := told["languages"]:
        told["languages"] = (*known, *sorted({line.row.lang.partition("-")[0] for line in lines} - {"", *known}))
    return told


def describe(lines: list[Example], *earlier: Card) -> tuple[str, ...]:
    """Datasets with their numbers of lines: those of `lines`, and what the weights of earlier cards were trained on."""
    counts: dict[str, int] = {}
    for line in lines:
        counts[line.row.dataset] = counts.get(line.row.dataset, 0) + 1
    now = {name: f"{name}: {count} lines" for name, count in counts.items()}
    before = {entry.partition(":")[0]: entry for card in earlier for entry in card.training_data}
    return tuple(entry for _, entry in sorted((before | now).items()))
