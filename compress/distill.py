"""Distillation: a student learns from the texts of lines and from a teacher's logits of every frame."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import torch
from lightning.pytorch.utilities import rank_zero_only
from torch import Tensor
from torch.nn import functional as F

from ..runtime.errors import UsageError
from ..train.adapt import begin_from, fits
from ..train.batches import Batch
from ..train.checkpoint import Card, load_network, sha256
from ..train.dataset import Data, load_data
from ..train.fit import Log, Machine, Outcome, fit, provenance
from ..train.module import TrainingModule
from ..train.network import FRAME_STRIDE, Network
from ..train.recipe import TrainRecipe, signature


@dataclass(frozen=True)
class DistillRecipe:
    """Minimises `alpha · CTC + gamma · τ² · KL(teacher ‖ student)`, the KL over real frames, and the shortcut's CTC."""

    teacher: str = "teacher.safetensors"  # relative to the recipe
    train: TrainRecipe = field(default_factory=TrainRecipe)
    alpha: float = 1.0  # weight of the CTC loss
    gamma: float = 1.0  # weight of the KL divergence from the teacher
    ramp: float = 0.2  # share of the run in which gamma rises from a tenth to its full value
    temperature: float = 2.0  # τ
    blank: float = 0.1  # weight of a frame of which the teacher is sure that it is blank; others weigh up to 1
    inherit: bool = True  # begin from the teacher's weights where the shapes agree; else from random ones
    control: bool = True  # also train the same student as long without the teacher's frames, and report both

    def __post_init__(self) -> None:
        if self.temperature <= 0:
            raise ValueError(f"temperature: more than 0, got {self.temperature}")
        if self.train.grow:
            raise ValueError("train.grow: false, since a student has its teacher's charset")
        if self.train.begin and self.inherit:
            raise ValueError("inherit: false, where the student begins from weights of its own (train.begin)")


class Distillation(TrainingModule):
    """A student in training; its teacher reads the same distorted lines."""

    def __init__(
        self,
        recipe: DistillRecipe,
        student: Network,
        teacher: Network,
        card: Card,
        out: Path,
        max_time: float | None,
    ) -> None:
        super().__init__(recipe.train, student, card, out, max_time)
        self.distil = recipe
        self.signature = signature(recipe)
        self.teacher = teacher.eval().requires_grad_(False)

    def losses(self, image: Tensor, batch: Batch) -> dict[str, Tensor]:
        terms, logits = self.ctc_terms(image, batch)
        with torch.no_grad():
            target = self.teacher(image, batch.padded_widths)  # N, T, V
        gamma = self.distil.gamma * min(1.0, 0.1 + 0.9 * self.progress() / max(self.distil.ramp, 1e-9))
        terms["ctc"] = self.distil.alpha * terms["ctc"]
        terms["kl"] = gamma * frame_kl(logits, target, batch.padded_widths, self.distil.temperature, self.distil.blank)
        return terms

    def train(self, mode: bool = True) -> Distillation:
        super().train(mode)
        self.teacher.eval()
        return self


def frame_kl(student: Tensor, teacher: Tensor, widths: Tensor, temperature: float, blank: float) -> Tensor:
    """`τ² · KL(teacher ‖ student)` a frame (Hinton 2015), averaged over the real frames of a batch.

    A frame weighs `1 − (1 − blank) · p(blank)` with the teacher's p: most frames are blank, and easy to agree on.

    Args:
        student: logits [N, T, V].
        teacher: logits [N, T, V].
        widths: int [N], real columns of each line.
        temperature: τ.
        blank: weight of a frame with p(blank) = 1.
    """
    real = torch.arange(teacher.shape[1], device=teacher.device) < widths[:, None] // FRAME_STRIDE  # N, T
    weight = (1 - (1 - blank) * teacher.softmax(-1)[..., 0]) * real  # N, T
    target = (teacher / temperature).log_softmax(-1)
    log_probs = (student / temperature).log_softmax(-1)
    frames = F.kl_div(log_probs, target, reduction="none", log_target=True).sum(-1)  # N, T
    return temperature**2 * (frames * weight).sum() / weight.sum().clamp(min=1)


def inherit(student: Network, teacher: Network) -> int:
    """Copies the teacher's weights into the student where names and shapes agree; returns how many tensors.

    The student's attention blocks get evenly spaced ones of the teacher: the first, and with two or more the last.
    """
    source = teacher.state_dict()
    student_blocks, teacher_blocks = len(student.attention), len(teacher.attention)
    copied = 0
    with torch.no_grad():
        for name, tensor in student.state_dict().items():
            parts = name.split(".")
            if parts[0] == "attention":
                parts[1] = str(round(int(parts[1]) * (teacher_blocks - 1) / max(1, student_blocks - 1)))
            found = source.get(".".join(parts))
            if found is not None and found.shape == tensor.shape:
                tensor.copy_(found)
                copied += 1
    return copied


def distil(
    recipe: DistillRecipe, recipe_path: Path, out: Path, *, max_time: float | None = None,
    machine: Machine | None = None, log: Log = print,
) -> dict[str, Outcome]:  # fmt: skip
    """Trains the student with its teacher and, where the recipe wants it, the control without; each in its folder.

    Returns:
        `{"student": …, "control": …}`.

    Raises:
        UsageError: `inherit` is set and no weight of the teacher fits, or there is no GPU where one is asked for.
        HtrjandError: the teacher or the lines cannot be read.
    """
    machine = machine or Machine()
    machine.accelerator  # noqa: B018  # raises, before the lines are read
    log = rank_zero_only(log)
    path = recipe_path.resolve().parent / recipe.teacher
    teacher, card = load_network(path)
    data = load_data(recipe.train.data, recipe_path, card.charset)
    log(data.notes)
    outcomes = {}
    for name in ["student", "control"] if recipe.control else ["student"]:
        outcomes[name] = run(name, recipe, recipe_path, path, teacher, card, data, out / name, max_time, machine, log)
        log(f"{name}: {outcomes[name].val_cer:.2f} % CER on the validation lines")
    return outcomes


def run(
    name: str, recipe: DistillRecipe, recipe_path: Path, path: Path, teacher: Network, teacher_card: Card, data: Data,
    out: Path, max_time: float | None, machine: Machine, log: Log,
) -> Outcome:  # fmt: skip
    """Trains `student` or `control`; both begin from the same weights and see the same lines in the same order.

    Args:
        name: student or control.
        path: of the teacher.
        data: the lines of the recipe.
        out: folder of this one.
    """
    torch.manual_seed(recipe.train.seed)
    student = Network(recipe.train.network, len(teacher_card.charset), len(data.origins) if recipe.train.origin else 0)
    begin = recipe_path.resolve().parent / recipe.train.begin if recipe.train.begin else None
    earlier = [teacher_card] if recipe.inherit or name == "student" else []  # whose training data reach the student
    history: dict[str, str] = {}
    if begin:
        own, own_card = load_network(begin)
        if not fits(recipe.train.network, own.recipe) or own_card.charset != teacher_card.charset:
            raise UsageError(
                f"{begin}: its network or its charset is not that of the recipe and of {path}; take others"
            )
        begin_from(student, own)
        earlier.append(own_card)
        history = dict(own_card.history)
    if recipe.inherit and not inherit(student, teacher):
        raise UsageError(f"{path}: no weight of this teacher fits the student; set inherit: false")
    history["teacher"] = sha256(path) if name == "student" else "none: control of a distillation"
    if begin or recipe.inherit:
        history["begins from"] = sha256(begin or path)
    card = Card(recipe.train.network, data.charset, history=history, **provenance(data.train, *earlier))
    module = (
        Distillation(recipe, student, teacher, card, out, max_time)
        if name == "student"
        else TrainingModule(recipe.train, student, card, out, max_time)
    )
    return fit(module, data, machine, log)
