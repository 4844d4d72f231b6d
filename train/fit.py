"""Training: a recipe and lines in, weights out. Lightning runs the loop; a killed run goes on where it was saved."""

from __future__ import annotations

import logging
import sys
import warnings
from collections.abc import Callable
from contextlib import redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import lightning
import torch
from lightning.pytorch.callbacks import TQDMProgressBar
from lightning.pytorch.loggers import CSVLogger, TensorBoardLogger
from lightning.pytorch.strategies import DDPStrategy
from lightning.pytorch.utilities import rank_zero_only
from torch.utils.data import DataLoader

from ..runtime.errors import HtrjandError, UsageError
from ..runtime.files import atomic_path
from .adapt import begin_from, fits
from .batches import Example, LineBatches, Turn
from .checkpoint import Card, load_network, sha256
from .data.error_rates import percent
from .dataset import Data, load_data, stage_batches
from .network import Network
from .recipe import TrainRecipe
from .trainee import Trainee

Say = Callable[[str], None]


@dataclass(frozen=True)
class Machine:
    """What a run may use: `device` auto, cpu or gpu; processes (one a GPU) on each of `nodes`; decoders of images."""

    device: str = "auto"
    devices: int = 1
    nodes: int = 1
    workers: int = 0  # a process
    progress: bool = True  # a bar

    @property
    def accelerator(self) -> str:
        """Lightning's name for the device; UsageError where a GPU is asked for and there is none."""
        there = torch.cuda.is_available()
        if self.device == "gpu" and not there:
            raise UsageError(
                "--device gpu: torch finds no GPU on this machine; use --device cpu, or install a CUDA build"
            )
        gpu = there and self.device != "cpu"
        if gpu and self.devices > torch.cuda.device_count():
            raise UsageError(f"--devices {self.devices}: there are {torch.cuda.device_count()} GPUs on this machine")
        return "gpu" if gpu else "cpu"


@dataclass(frozen=True)
class Outcome:
    """What a run came to: the weights kept, their CER on the validation lines in percent, lines seen, and a second."""

    weights: Path
    val_cer: float
    lines_seen: int
    lines_per_second: float


def train(
    recipe: TrainRecipe, recipe_path: Path, out: Path, *, max_time: float | None = None,
    machine: Machine | None = None, say: Say = print,
) -> Outcome:  # fmt: skip
    """Trains a network as a recipe says; writes weights, state and logs into `out`.

    Args:
        max_time: seconds; the learning rate comes to its end within them.
        machine: what to run on; one process on whatever there is by default.
    """
    machine = machine or Machine()
    machine.accelerator  # noqa: B018  # an error of it before the lines are read
    begin = load_network(recipe_path.resolve().parent / recipe.begin) if recipe.begin else None
    if begin and not fits(recipe.network, begin[1].network):
        raise UsageError(f"{recipe_path}: network differs from that of {recipe.begin}, which the run is to begin from")
    data = load_data(recipe.data, recipe_path, begin[1].charset if begin else None, recipe.grow)
    rank_zero_only(say)(data.notes)
    torch.manual_seed(recipe.seed)
    network = Network(recipe.network, len(data.charset), len(data.origins) if recipe.origin else 0)
    if begin:
        begin_from(network, begin[0])
    earlier = begin[1] if begin else Card(recipe.network, data.charset)
    history = dict(earlier.history)
    if recipe.begin:
        history["begins from"] = sha256(recipe_path.resolve().parent / recipe.begin)
    card = Card(recipe.network, data.charset, training_data=describe(data.train, earlier), history=history)
    return fit(Trainee(recipe, network, card, out, max_time), data, machine, say)


def fit(module: Trainee, data: Data, machine: Machine, say: Say = print) -> Outcome:
    """Runs a training to its end, or on from where its folder holds the state of the same recipe.

    Each stage is a run of its own: a change of stages is a save and a resumption.

    Raises:
        UsageError: the folder holds the state of another recipe.
        HtrjandError: a file of it is damaged, or there is nothing to train on or to choose by.
    """
    quiet()
    recipe, out = module.recipe, module.out
    for number, stage in enumerate(module.stages):  # an error of the last one before the first begins
        stage_batches(data, recipe, stage, number, 0, 0, Turn())
    module.digest = data.digest
    module.val_names = tuple(sorted({line.row.dataset for line in data.val}))
    module.resume()
    module.train()  # Lightning keeps the mode of each part as it finds it
    out.mkdir(parents=True, exist_ok=True)
    with atomic_path(out / "recipe.json") as part:
        part.write_text(module.signature + "\n", encoding="utf-8")
    resumed = bool(module.step)
    if recipe.begin and not resumed:
        before = module.measure(LineBatches(data.val, recipe.batch_columns, 0.0, once=True))
        rank_zero_only(say)(f"before: {before:.2f} % CER on the validation lines")
    while module.progress() < 1:
        if module.progress() >= module.stage_end():
            module.stage, module.began, module.stale = module.stage + 1, module.step, 0
        trainer = make_trainer(module, machine)
        turn = Turn(trainer.global_rank, trainer.world_size)
        stage = module.stages[module.stage]
        batches = stage_batches(data, recipe, stage, module.stage, module.began, module.step, turn)
        if recipe.stages or resumed:
            rank_zero_only(say)(
                f"stage {module.stage + 1} of {len(module.stages)}, {stage.name}: {len(batches.lines)} lines, "
                f"distortions times {stage.strength:g}; from {module.seen} lines seen"
            )
        val = LineBatches(data.val, recipe.batch_columns, 0.0, once=True, turn=turn, origins=module.val_names)
        try:
            with redirect_stdout(sys.stderr):  # the bar
                trainer.fit(
                    module,
                    DataLoader(batches, batch_size=None, num_workers=machine.workers),
                    DataLoader(val, batch_size=None),
                )
        except HtrjandError as error:  # from a worker it comes wrapped in its traceback
            raise HtrjandError(str(error).rstrip().rpartition("HtrjandError: ")[2]) from error
    if module.counts.any():
        last = (f"{name} {percent(*row):.2f}" for name, row in zip(module.val_names, module.counts, strict=True))
        skipped = f"; {module.skipped} steps left out, their gradients not finite" if module.skipped else ""
        rank_zero_only(say)(f"last validation, % CER: {', '.join(last)}{skipped}")
    return Outcome(out / "weights.safetensors", module.best, module.seen, module.seen / max(module.spent, 1e-9))


def make_trainer(module: Trainee, machine: Machine) -> lightning.Trainer:
    """Lightning's trainer for one stage."""
    recipe = module.recipe
    several = machine.devices * machine.nodes > 1
    return lightning.Trainer(
        accelerator=machine.accelerator, devices=machine.devices, num_nodes=machine.nodes,
        strategy=ddp(recipe) if several else "auto",
        max_epochs=-1, precision="bf16-mixed" if recipe.bf16 else "32-true", gradient_clip_val=recipe.clip,
        callbacks=[TQDMProgressBar(refresh_rate=10)] if machine.progress else [],
        enable_checkpointing=False, enable_model_summary=False, enable_progress_bar=machine.progress,
        check_val_every_n_epoch=None, val_check_interval=recipe.val_every, num_sanity_val_steps=0,
        log_every_n_steps=20, use_distributed_sampler=False,
        logger=[make(module.out, "log", f"from-step-{module.step}") for make in (CSVLogger, TensorBoardLogger)],
    )  # fmt: skip


def ddp(recipe: TrainRecipe) -> DDPStrategy:
    """Several processes: gradients are averaged by torch, batch norms' statistics by the trainee.

    Torch's own way with those, a broadcast before each forward pass, would wait for ever in a validation whose batches
    do not divide evenly.
    """
    return DDPStrategy(broadcast_buffers=False, find_unused_parameters=recipe.network.layer_drop > 0)


def quiet() -> None:
    """Lightning tells of hardware it did not find and of offers; what a run has to say, it says itself."""
    sys.modules.setdefault("tensorboard.compat.notf", ModuleType("notf"))  # or it loads TensorFlow, where there is one
    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)
    logging.getLogger("lightning.fabric").setLevel(logging.WARNING)
    noise = (
        "does not have many workers|IterableDataset|treespec|in eval mode at the start|lr_scheduler.step|"
        "broadcast_buffers|sync_dist"
    )
    warnings.filterwarnings("ignore", f".*({noise}).*")


def describe(lines: list[Example], earlier: Card) -> tuple[str, ...]:
    """Datasets with their numbers of lines, those that the weights had learnt from before among them."""
    counts: dict[str, int] = {}
    for line in lines:
        counts[line.row.dataset] = counts.get(line.row.dataset, 0) + 1
    now = {name: f"{name}: {count} lines" for name, count in counts.items()}
    before = {entry.partition(":")[0]: entry for entry in earlier.training_data}
    return tuple(entry for _, entry in sorted((before | now).items()))
