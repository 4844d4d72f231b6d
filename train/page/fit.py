"""Trains the line detector: a recipe and pages in, weights out. A killed run goes on where it was saved."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import cast

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional as F
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from torch.utils.data import DataLoader, IterableDataset

from ...runtime.errors import HtrjandError, UsageError
from ...runtime.files import atomic_path
from ...runtime.image import Grey
from ...runtime.page.detect import find_lines, prepare
from ..optimizers import Groups, Muon, set_rate
from ..precision import bf16_is_quick
from ..recipe_loader import to_json
from .augment import training_crop
from .measure import score_pages, table
from .network import Detector
from .pages import Page, load_pages
from .recipe import DetectorTrainRecipe, PageDataRecipe
from .score import Found
from .weights import load_detector, save_detector

Log = Callable[[str], None]
Batch = tuple[Tensor, Tensor, Tensor]  # uint8 [N, 1, S, S], float [N, 4, S/4, S/4], float [N, 1, S/4, S/4]

ADAMW_LIMIT = 2e-3
WEIGHT_DECAY = 0.01  # of what AdamW updates; ten times as much for Muon
CLIP = 1.0  # norm of the gradient
HEIGHT_LOSS = 1.0  # beside the losses of core and ends
END_LOSS = 0.5
STATE = "state.pt"


def train_detector(
    recipe: DetectorTrainRecipe, recipe_path: Path, out: Path, *, data_folder: Path, begin: Path | None = None,
    workers: int = 0, log: Log = print,
) -> dict[str, Found]:  # fmt: skip
    """Trains a detector; writes `weights.safetensors` (an average of weights) and the state of the run into `out`.

    Args:
        data_folder: where the recipe's files lie.
        begin: weights to begin from, of a network of the recipe's shape.
        workers: processes that make crops beside the training.

    Returns:
        Counts of lines found on the validation pages, by dataset, and of `all`.

    Raises:
        UsageError: no pages, or `out` holds the state of another recipe.
        HtrjandError: a file cannot be read.
    """
    pages = read_pages(recipe.data, data_folder, "train")
    val = read_pages(recipe.data, data_folder, "val")
    if not pages:
        raise UsageError(f"{recipe_path}: no pages to learn from")
    torch.manual_seed(recipe.seed)
    network = Detector(recipe.network)
    if begin is not None:
        begin_from(begin, network)
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    ema = get_ema_multi_avg_fn(recipe.ema)  # type: ignore[no-untyped-call]
    average = AveragedModel(network, multi_avg_fn=ema, use_buffers=True)
    averaged = cast(Detector, average.module)
    optimizer = optimizer_of(network, recipe)
    out.mkdir(parents=True, exist_ok=True)
    step = resume(out / STATE, recipe, network, average, optimizer)
    loader = DataLoader(
        Crops(pages, recipe, step), batch_size=None, num_workers=workers, prefetch_factor=4 if workers else None
    )
    scores: dict[str, Found] = {}
    started, losses = time.monotonic(), np.zeros(3)
    network.train()
    for batch in loader:
        set_rate(optimizer.param_groups, recipe.peak_rate * rate_at(step, recipe), ADAMW_LIMIT)
        losses += train_step(network, optimizer, batch)
        average.update_parameters(network)
        step += 1
        if step % recipe.save_every == 0 or step == recipe.steps:
            core, ends, heights = losses / recipe.save_every
            speed = recipe.save_every / (time.monotonic() - started)
            log(f"step {step}: core {core:.4f}, ends {ends:.4f}, heights {heights:.4f}; {speed:.2f} steps/s")
            save(out / STATE, recipe, network, average, optimizer, step)
            save_detector(averaged, out / "weights.safetensors")
            started, losses = time.monotonic(), np.zeros(3)
        if step % recipe.val_every == 0 or step == recipe.steps:
            scores = score_pages(lambda page: find_lines(*predict(averaged, page)), val)
            log(table(scores))
            started = time.monotonic()
    return scores


def read_pages(data: PageDataRecipe, folder: Path, split: str) -> list[Page]:
    """The pages of a split."""
    files: list[Path] = []
    for name in data.files:
        path = folder / name
        files += sorted(path.glob("*.parquet")) if path.is_dir() else [path]
    return [page for page in load_pages(files, split, data.no_ignore) if page.dataset not in data.exclude]


class Crops(IterableDataset[Batch]):
    """Batches of crops without repetition, from one step to the last; a step's crops depend on its number alone."""

    def __init__(self, pages: Sequence[Page], recipe: DetectorTrainRecipe, first: int) -> None:
        self.pages, self.recipe, self.first = pages, recipe, first
        weights = np.array([recipe.data.mix.get(page.dataset, 1.0) for page in pages])
        self.pick = weights / weights.sum()

    def __iter__(self) -> Iterator[Batch]:
        worker = torch.utils.data.get_worker_info()
        number, workers = (worker.id, worker.num_workers) if worker else (0, 1)
        torch.set_num_threads(1)
        for step in range(self.first + number, self.recipe.steps, workers):
            yield self.batch(step)

    def batch(self, step: int) -> Batch:
        rng = np.random.default_rng((self.recipe.seed, step))
        crops = [
            training_crop(self.pages, self.pick, self.recipe.crop, self.recipe.augment, rng)
            for _ in range(self.recipe.batch)
        ]
        images, maps, weights = (
            np.stack([getattr(crop, name) for crop in crops]) for name in ("image", "maps", "weight")
        )
        return torch.from_numpy(images)[:, None], torch.from_numpy(maps), torch.from_numpy(weights)[:, None]


def train_step(network: Detector, optimizer: Muon, batch: Batch) -> npt.NDArray[np.float64]:
    """One step; returns the losses of core, ends and heights."""
    image, maps, weight = batch
    with torch.autocast("cpu", torch.bfloat16, enabled=bf16_is_quick()):
        marks, heights = network.logits(image.contiguous(memory_format=torch.channels_last))
    parts = detector_loss(marks, heights, maps, weight)
    loss = parts[0] + END_LOSS * parts[1] + HEIGHT_LOSS * parts[2]
    optimizer.zero_grad()
    loss.backward()  # type: ignore[no-untyped-call]
    torch.nn.utils.clip_grad_norm_(network.parameters(), CLIP)
    if torch.isfinite(loss):
        optimizer.step()
    return np.array([float(part.detach()) for part in parts])


def detector_loss(marks: Tensor, heights: Tensor, maps: Tensor, weight: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Losses of core, ends and heights.

    Cores: cross-entropy and Dice, since few pixels are in one; ends: cross-entropy; heights: L1 of the logarithms, over
    cores alone.

    Args:
        marks, heights: as `Detector.logits` gives them, float [N, 2, h, w].
        maps: [N, 4, h, w], see `draw_maps`.
        weight: [N, 1, h, w], 0 where marks do not count.
    """
    core = maps[:, :1]
    entropy = F.binary_cross_entropy_with_logits(marks, maps[:, :2], reduction="none") * weight  # N, 2, h, w
    count = weight.sum().clamp(min=1)
    found = marks[:, :1].sigmoid() * weight
    dice = 1 - 2 * (found * core).sum() / ((found + core * weight).sum() + 1)
    on_line = core * (maps[:, 2:3] > 0)
    height = ((heights - maps[:, 2:]).abs() * on_line).sum() / (2 * on_line.sum().clamp(min=1))
    return 5 * entropy[:, 0].sum() / count + dice, 5 * entropy[:, 1].sum() / count, height


def rate_at(step: int, recipe: DetectorTrainRecipe) -> float:
    """The learning rate of a step, as a share of the peak."""
    start = recipe.decay_start * recipe.steps
    falling = (recipe.steps - step) / (recipe.steps - start)
    return min(1.0, (step + 1) / max(recipe.warm_up, 1), falling)


def optimizer_of(network: Detector, recipe: DetectorTrainRecipe) -> Muon:
    """Muon for kernels between the first convolution and the heads, AdamW for all others."""
    outer = ("stem.", "marks.", "heights.")
    kernels = [p for name, p in network.named_parameters() if p.ndim > 1 and not name.startswith(outer)]
    first = [p for name, p in network.named_parameters() if p.ndim > 1 and name.startswith(outer)]
    groups: Groups = [
        {"params": first, "weight_decay": WEIGHT_DECAY},
        {"params": [p for p in network.parameters() if p.ndim <= 1], "weight_decay": 0.0},
    ]
    return Muon([{"params": kernels, "weight_decay": 10 * WEIGHT_DECAY}], groups, recipe.peak_rate)


def predict(network: Detector, page: Grey) -> tuple[npt.NDArray[np.float32], float]:
    """The maps of a page [4, H/4, W/4], and pixels of the page in a pixel of the detector's image."""
    image, scale = prepare(page)
    network.eval()
    with torch.inference_mode():
        maps = network(torch.from_numpy(image))[0].numpy()
    return maps, scale


def save(
    path: Path, recipe: DetectorTrainRecipe, network: Detector, average: AveragedModel, optimizer: Muon, step: int
) -> None:
    """Writes the state of a run, whole or not at all."""
    state = {
        "recipe": to_json(recipe_key(recipe)), "step": step, "network": network.state_dict(),
        "average": average.state_dict(), "optimizer": optimizer.state_dict(),
    }  # fmt: skip
    with atomic_path(path) as part:
        torch.save(state, part)


def begin_from(path: Path, network: Detector) -> None:
    """Loads weights into a network."""
    weights = load_detector(path)
    if weights.recipe != network.recipe:
        raise UsageError(f"{path}: a network of another shape than the recipe's")
    network.load_state_dict(weights.state_dict())


def resume(path: Path, recipe: DetectorTrainRecipe, network: Detector, average: AveragedModel, optimizer: Muon) -> int:
    """Loads the state of a run where there is one; returns the steps done."""
    if not path.exists():
        return 0
    try:
        state = torch.load(path, weights_only=True)
    except Exception as error:  # torch raises many
        raise HtrjandError(f"{path}: the state of a run cannot be read ({error}); remove it to begin anew") from error
    if state["recipe"] != to_json(recipe_key(recipe)):
        raise UsageError(f"{path}: the state of another recipe; choose another folder")
    network.load_state_dict(state["network"])
    average.load_state_dict(state["average"])
    optimizer.load_state_dict(state["optimizer"])
    return int(state["step"])


def recipe_key(recipe: DetectorTrainRecipe) -> object:
    """What must not change between a run and its resumption: the network."""
    return recipe.network
