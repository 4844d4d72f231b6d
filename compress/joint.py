"""A teacher and the student that learns from it, trained together on one GPU, by the clock.

Each batch is distorted once and read by both; all lines stay on the GPU, decoded, and no step waits for the processor.
The teacher's rate falls to nothing at `teacher_end` of the time. From then on its moving average reads, and the
student alone learns. Usage: `python -m htrjand.compress.joint RECIPE OUT SECONDS [DEVICE]`.
"""

from __future__ import annotations

import copy
import math
import multiprocessing
import sys
import time
from collections.abc import Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from ..train.adapt import begin_from
from ..train.augment import augment
from ..train.batches import Batch, Chosen, LineBatches
from ..train.checkpoint import Card, load_network, save_network, sha256, weights_of
from ..train.data.error_rates import character_errors, percent
from ..train.dataset import Data, load_data, repeats_of
from ..train.fit import provenance
from ..train.losses import greedy_text
from ..train.module import hashed_seed
from ..train.network import FRAME_STRIDE, STUDENT, Network, NetworkRecipe
from ..train.optimizers import make_optimizer, set_rate
from ..train.recipe import TrainRecipe
from ..train.recipe_loader import load_recipe
from ..train.resident import ResidentBatch, ResidentLines
from .distill import frame_kl, inherit

VAL_COLUMNS = 57_344  # in a batch of validation lines


@dataclass(frozen=True)
class JointRecipe:
    """What a joint run adds to the recipe of its teacher; shares are of the run's time."""

    # Of both; of its stages the first one's mix alone is used, and no key that ends a run, saves or validates it.
    train: TrainRecipe = field(default_factory=TrainRecipe)
    student: NetworkRecipe = field(default_factory=lambda: STUDENT)  # the student's shape
    student_begin: str | None = None  # weights that the student begins from; none: the teacher's, where they fit
    max_lines: int = 320  # in a batch
    teacher_decay: float = 0.45  # when the teacher's rate begins to fall
    teacher_end: float = 0.72  # when it is nothing
    student_decay: float = 0.72  # when the student's rate begins to fall; it is nothing at the end
    settle: float = 0.6  # strength of the distortions at the end, to which it falls from `teacher_decay` on
    gamma: float = 1.0  # weight of the KL divergence from the teacher
    temperature: float = 2.0  # τ
    blank: float = 0.1  # weight of a frame of which the teacher is sure that it is blank; others weigh up to 1
    validate_every: float = 30.0  # seconds
    log_every: float = 10.0  # seconds


class Learner:
    """A network in training with its optimiser and the moving average of its weights."""

    def __init__(self, network: Network, recipe: TrainRecipe, device: torch.device) -> None:
        self.network = network.to(device).train()
        self.average = copy.deepcopy(self.network).eval().requires_grad_(False)
        self.optimizer = make_optimizer(
            self.network, recipe.optimizer, recipe.peak_rate, recipe.weight_decay, device.type == "cuda"
        )
        self.recipe, self.step, self.lines = recipe, 0, 0
        self.parameters = [p for p in self.network.parameters() if p.requires_grad]
        pairs = list(zip(self.average.state_dict().values(), self.network.state_dict().values(), strict=True))
        self.means, self.news = zip(*((mean, new) for mean, new in pairs if mean.is_floating_point()), strict=True)
        self.backup: Any = None

    @torch.no_grad()
    def update(self, rate: float, lines: int) -> None:
        """A step by the gradients, clipped, of so many lines; the moving average follows."""
        gradients = [p.grad for p in self.parameters if p.grad is not None]
        norm = torch.linalg.vector_norm(torch.stack(torch._foreach_norm(gradients)))
        torch._foreach_mul_(gradients, (self.recipe.clip / (norm + 1e-6)).clamp(max=1))
        set_rate(self.optimizer.param_groups, rate, self.recipe.adamw_rate)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        self.step, self.lines = self.step + 1, self.lines + lines
        torch._foreach_lerp_(self.means, self.news, 1 - min(self.recipe.ema, (1 + self.step) / (10 + self.step)))

    def keep_or_return(self) -> bool:
        """Keeps a copy of the state; where it is not finite, goes back to the last copy and returns False."""
        finite = torch.stack(torch._foreach_norm([*self.parameters, *self.means])).isfinite().all().item()
        if finite:
            self.backup = copy.deepcopy(
                (self.network.state_dict(), self.average.state_dict(), self.optimizer.state_dict())
            )
        else:
            network, average, optimizer = self.backup
            self.network.load_state_dict(network)
            self.average.load_state_dict(average)
            self.optimizer.load_state_dict(copy.deepcopy(optimizer))
        return bool(finite)


class Validation:
    """The validation lines on a device; another process counts the errors, while the training goes on.

    Args:
        data: of the run.
        counter: the process, forked before a GPU is in use.
    """

    def __init__(self, data: Data, device: torch.device, counter: ProcessPoolExecutor) -> None:
        self.charset, self.counter = data.charset, counter
        batches = LineBatches(data.val, VAL_COLUMNS, 0.0, single_pass=True)
        order = [data.val[line] for chosen, _, _ in batches.planned() for line, _ in chosen]
        self.batches = [on(batch, device) for batch in batches]
        self.texts = ["".join(data.charset[number] for number in line.classes) for line in order]
        self.names = [line.row.dataset for line in order]
        self.pending: list[tuple[str, Future[dict[str, float]]]] = []

    @torch.no_grad()
    def read(self, network: Network, label: str) -> None:
        """Reads them; `report` prints the CER once it is counted."""
        best = [network(batch.image, batch.padded_widths).argmax(-1).to(torch.int16) for batch in self.batches]
        paths = [
            path[: width // FRAME_STRIDE]
            for batch, numbers in zip(self.batches, best, strict=True)
            for path, width in zip(numbers.cpu().numpy(), batch.padded_widths.tolist(), strict=True)
        ]
        self.pending.append((label, self.counter.submit(count, paths, self.texts, self.names, self.charset)))

    def report(self, wait: bool = False) -> None:
        """Prints what is counted; with `wait` all of it."""
        while self.pending and (wait or self.pending[0][1].done()):
            label, future = self.pending.pop(0)
            print(
                f"{label}: % CER", ", ".join(f"{name} {cer:.2f}" for name, cer in future.result().items()), flush=True
            )


def joint(path: Path, out: Path, seconds: float, device_name: str = "cuda") -> None:
    """Trains both and writes `teacher.safetensors` and `student.safetensors` into `out` at each validation.

    Args:
        path: of the recipe.
        seconds: that it may take, the reading of the lines included.
        device_name: cuda or, for a trial, cpu.
    """
    begun = time.perf_counter()
    recipe = load_recipe(JointRecipe, path)
    run = recipe.train
    begin = load_network(path.resolve().parent / run.begin) if run.begin else None
    data = load_data(run.data, path, begin[1].charset if begin else None)
    print(data.notes, flush=True)
    fork = multiprocessing.get_context("fork")
    queue = fork.Queue(64)
    planner = fork.Process(target=plan, args=(stream_of(data, recipe), queue), daemon=True)
    planner.start()
    counter = ProcessPoolExecutor(1, mp_context=fork)
    counter.submit(len, ()).result()  # a process is forked when it is first asked for something
    device = torch.device(device_name)
    resident = ResidentLines(data.train, device)
    validation = Validation(data, device, counter)
    networks = first_networks(recipe, path, begin and begin[0], len(data.charset))
    learners = {name: Learner(network, run, device) for name, network in networks.items()}
    teacher, student = learners["teacher"], learners["student"]
    earlier = begin[1] if begin else Card(run.network, data.charset)
    history = {"begins from": sha256(path.resolve().parent / run.begin)} if run.begin else {}
    card = Card(run.network, data.charset, history=history, **provenance(data.train, earlier))
    cards = {"teacher": replace(card, lines_seen=earlier.lines_seen), "student": replace(card, network=recipe.student)}
    out.mkdir(parents=True, exist_ok=True)
    amp = torch.autocast(device.type, torch.bfloat16)

    def validate(*names: str) -> None:
        for name in names:
            learner = learners[name]
            if not learner.keep_or_return():
                print(f"{name}: weights not finite; back to those of the last validation", flush=True)
            with amp:
                seconds_gone = time.perf_counter() - begun
                validation.read(learner.average, f"{name} after {learner.lines} lines, {seconds_gone:.0f} s")
            lines = cards[name].lines_seen + learner.lines
            save_network(
                out / f"{name}.safetensors", weights_of(learner.average), replace(cards[name], lines_seen=lines)
            )
        validation.report()

    validate("teacher", "student")
    start = validated = logged = time.perf_counter()
    print(f"ready after {start - begun:.0f} s", flush=True)
    losses: list[Tensor] = []
    lines, teaching = 0, True
    for step, (chosen, width, number) in enumerate(plans(queue)):
        progress = (time.perf_counter() - start) / (seconds - (start - begun))
        if progress >= 1:
            break
        if teaching and progress >= recipe.teacher_end:
            teaching, losses = False, []
            validate("teacher")
        batch = resident.batch(chosen, width, number)
        settled = min(1.0, max(0.0, (progress - recipe.teacher_decay) / (1 - recipe.teacher_decay)))
        image = augment(
            batch.image, batch.source_widths, batch.scaled_widths, batch.width,
            run.augment.times(1 - (1 - recipe.settle) * settled), hashed_seed(run.seed, number), batch.padded_widths,
        )  # fmt: skip
        with amp:
            scores = both(teacher.network, image, batch) if teaching else []
            with torch.no_grad():
                target = scores[0].detach() if teaching else teacher.average(image, batch.padded_widths)
            scores += both(student.network, image, batch)
        kl = frame_kl(scores[-2], target, batch.padded_widths, recipe.temperature, recipe.blank)
        ctc = ctc_losses(scores, batch)
        loss = ctc[::2].sum() + run.shortcut * ctc[1::2].sum() + recipe.gamma * kl
        loss.backward()  # type: ignore[no-untyped-call]
        rate = run.peak_rate * (min(1.0, (step + 1) / run.warm_up) if run.warm_up else 1.0)
        if teaching:
            teacher.update(rate * falling(progress, recipe.teacher_decay, recipe.teacher_end), len(chosen))
        student.update(rate * falling(progress, recipe.student_decay, 1.0), len(chosen))
        losses.append(torch.cat([ctc.detach(), kl.detach()[None]]))
        lines += len(chosen)
        now = time.perf_counter()
        if now - logged > recipe.log_every:
            means = " ".join(f"{value:.3f}" for value in torch.stack(losses).mean(0).tolist())
            print(f"step {step + 1}, {now - begun:.0f} s: {lines / (now - logged):.0f} lines a second, losses {means}",
                  flush=True)  # fmt: skip
            losses, lines, logged = [], 0, time.perf_counter()
        if now - validated > recipe.validate_every:
            validate(*(learners if teaching else ["student"]))
            validated = time.perf_counter()
    validate("student")
    validation.report(wait=True)
    planner.kill()
    counter.shutdown()


def stream_of(data: Data, recipe: JointRecipe) -> LineBatches:
    """The batches of the run, as its recipe weighs the datasets."""
    run = recipe.train
    mix = run.stages[0].mix if run.stages else {}
    return LineBatches(
        data.train, run.batch_columns, run.augment.scale, (run.seed,),
        repeats=repeats_of(data.train, run.data.temperature, mix), origins=data.origins,
        padding=run.augment.padding, max_lines=recipe.max_lines,
    )  # fmt: skip


def first_networks(recipe: JointRecipe, path: Path, begin: Network | None, classes: int) -> dict[str, Network]:
    """Teacher and student as the run begins."""
    torch.manual_seed(recipe.train.seed)
    teacher, student = Network(recipe.train.network, classes), Network(recipe.student, classes)
    if begin:
        begin_from(teacher, begin)
    if recipe.student_begin:
        begin_from(student, load_network(path.resolve().parent / recipe.student_begin)[0])
    else:
        inherit(student, teacher)
    return {"teacher": teacher, "student": student}


def falling(progress: float, start: float, end: float) -> float:
    """1 until `start`, then along a cosine to 0 at `end`."""
    return 0.5 + 0.5 * math.cos(math.pi * min(1.0, max(0.0, (progress - start) / (end - start))))


def plan(batches: LineBatches, queue: Any) -> None:
    """Puts the plans of batches into a queue, for ever: a process of its own."""
    group: list[tuple[Chosen, int, int]] = []
    for planned in batches.planned():
        group.append(planned)
        if len(group) == 16:
            queue.put(group)
            group = []


def count(paths: list[Any], texts: list[str], names: list[str], charset: tuple[str, ...]) -> dict[str, float]:
    """The CER in percent of all lines and of each dataset, from the best class of each frame."""
    counts: dict[str, list[tuple[int, int]]] = {"all": []}
    for path, text, name in zip(paths, texts, names, strict=True):
        errors = character_errors(text, greedy_text(path, charset))
        counts.setdefault(name, []).append(errors)
        counts["all"].append(errors)
    return {name: percent(*np.array(pairs).T) for name, pairs in counts.items()}


def plans(queue: Any) -> Iterator[tuple[Chosen, int, int]]:
    """The plans that `plan` makes."""
    while True:
        yield from queue.get()


def both(network: Network, image: Tensor, batch: Batch) -> list[Tensor]:
    """Logits of the head and of the shortcut, float [N, T, V]."""
    columns = network.features(image, batch.padded_widths)
    return [network.scores(columns, batch.padded_widths), network.shortcut(columns).float()]


def ctc_losses(scores: list[Tensor], batch: ResidentBatch) -> Tensor:
    """`ctc_loss` of several logits [N, T, V] of one batch, in one call: it takes as long for four as for one."""
    count, n = len(scores), len(batch.lengths)
    log_probs = torch.cat(scores).log_softmax(-1).transpose(0, 1)  # T, count·N, V
    frames = batch.frames.repeat(count)
    lengths = batch.lengths.repeat(count)
    losses = F.ctc_loss(log_probs, batch.classes.repeat(count, 1), frames, lengths, reduction="none",
                        zero_infinity=True)  # fmt: skip
    weights = (1 / batch.lengths.clamp(min=1)).to(losses.device, non_blocking=True)
    return (losses.reshape(count, n) * weights).mean(1)


def on(batch: Batch, device: torch.device) -> Batch:
    """What `Validation` needs of a batch, on a device."""
    return replace(batch, image=batch.image.to(device), padded_widths=batch.padded_widths.to(device))


if __name__ == "__main__":
    joint(Path(sys.argv[1]), Path(sys.argv[2]), float(sys.argv[3]), *sys.argv[4:5])
