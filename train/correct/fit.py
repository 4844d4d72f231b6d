"""Training of a corrector: a recipe in, weights out. A run that was cut off goes on where it was saved."""

from __future__ import annotations

import copy
import json
import math
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from ... import __version__
from ...runtime.errors import UsageError
from ...runtime.files import atomic_path
from ...runtime.text import json_text
from ..checkpoint import load_state, read_rest, save_state, sha256
from ..fit import Machine
from ..optimizers import make_optimizer, set_rate
from ..precision import mixed
from ..recipe import find_data
from ..recipe_loader import to_json
from .confusions import Confusions, error_rate
from .corpus import Corpus, books_of, sourced
from .network import PAD, CorrectorCard, corrected, encode, load_corrector, logits_of, make_network, save_corrector
from .pairs import Pair, Readings, with_neighbours
from .recipe import CorrectRecipe

STATE, PAIRS, WEIGHTS = "state.safetensors", "pairs.json", "corrector.safetensors"
READING = ("reader", "lm", "data", "augment", "mix", "strength", "readings", "seed")  # keys that decide the pairs
VAL_BATCH = 64
TABLES = ("shared.weight", "relative_attention_bias.weight")  # embeddings, of which one is the head: not by Muon
Log = Callable[[str], None]


def train(
    recipe: CorrectRecipe, path: Path, out: Path, max_time: float | None = None, device: str = "auto",
    log: Log = print,
) -> Path:  # fmt: skip
    """Trains a corrector and writes its weights into `out`; returns their path.

    Args:
        path: of the recipe.
        max_time: seconds after which the run ends; the learning rate falls with the time.
        device: auto, cpu or gpu, to train on; lines are read by the processor.

    Raises:
        UsageError: `out` holds a run of another recipe, or there is no GPU where one is asked for.
        HtrjandError: weights, lines or texts cannot be read.
    """
    place = torch.device("cuda" if Machine(device).accelerator == "gpu" else "cpu")
    out.mkdir(parents=True, exist_ok=True)
    signed = to_json(recipe)
    if (out / STATE).exists() and read_rest(out / STATE)["recipe"] != signed:
        raise UsageError(f"{out}: holds a run of another recipe; choose another folder with -o, or remove it")
    readings = Readings(recipe, path)
    charset = tuple(char for number, char in enumerate(readings.info.charset) if number != readings.info.blank)
    log(readings.data.notes)
    pairs, val = pairs_of(readings, out, log)
    if recipe.context:
        pairs, val = with_neighbours(pairs, readings.rows("train")), with_neighbours(val, readings.rows("val"))
    files = find_data(recipe.texts, path)
    corpus = Corpus(
        pairs, books_of(files, charset), recipe.prose, recipe.clean, recipe.batch_lines, recipe.seed, recipe.context
    )
    torch.manual_seed(recipe.seed)
    network = make_network(recipe.shape, len(charset), recipe.dropout)
    card = CorrectorCard(
        recipe.shape, charset, languages=readings.info.languages, version=__version__,
        licence=readings.info.licence, reader=sha256(path.resolve().parent / recipe.reader),
        texts=tuple(file.name for file in files), longest=max(len(pair.text) for pair in pairs),
        context=recipe.context,
    )  # fmt: skip
    if recipe.begin:
        begin_from(network, card, path.resolve().parent / recipe.begin)
    run = Run(recipe, network.to(place), card, out, max_time, signed)
    log(f"{sum(p.numel() for p in network.parameters()) / 1e6:.2f} M parameters; {len(pairs)} pairs of read lines")
    run.resume()
    run.go(corpus, val, log)
    return out / WEIGHTS


class Run:
    """A corrector in training: the network, its moving average, and how far it has come."""

    def __init__(
        self, recipe: CorrectRecipe, network: Any, card: CorrectorCard, out: Path, max_time: float | None, signed: str
    ) -> None:
        self.recipe, self.network, self.card, self.out = recipe, network.train(), card, out
        self.max_time, self.signed, self.device = max_time, signed, network.device
        self.average = copy.deepcopy(network).eval().requires_grad_(False)
        half = mixed(recipe.bf16, self.device.type)
        self.optimizer = make_optimizer(network, "muon", recipe.rate, recipe.weight_decay, half, TABLES)
        self.step, self.seconds = 0, 0.0

    @property
    def progress(self) -> float:
        """The share of the run that is done: of its lines, or of its time where that is more."""
        by_time = self.seconds / self.max_time if self.max_time else 0.0
        return min(1.0, max(self.step * self.recipe.batch_lines / self.recipe.total_lines, by_time))

    def go(self, corpus: Corpus, val: Sequence[Pair], log: Log) -> None:
        """Trains to the end; validates and saves on the way."""
        losses: list[float] = []
        clock = time.perf_counter()
        for batch in corpus.batches(self.step):
            if self.progress >= 1:
                break
            losses.append(self.train_on(batch))
            self.step += 1
            now = time.perf_counter()
            self.seconds, clock = self.seconds + now - clock, now
            if self.step % 100 == 0:
                rate = self.step * self.recipe.batch_lines / self.seconds
                log(f"step {self.step}: {self.step * self.recipe.batch_lines} lines, {rate:.0f} a second, "
                    f"loss {sum(losses) / len(losses):.3f}")  # fmt: skip
                losses = []
            if self.step % self.recipe.val_every == 0:
                self.validate(val, log)
            if self.step % self.recipe.save_every == 0:
                self.save()
        self.validate(val, log)
        self.save()

    def train_on(self, batch: Sequence[tuple[str, str]]) -> float:
        """One step on pairs of what was read and the text; returns the loss a character."""
        recipe = self.recipe
        torch.manual_seed(recipe.seed * 1_000_003 + self.step)  # dropout, the same in a run that goes on
        sources, targets = (encode(texts, self.card.charset).to(self.device) for texts in zip(*batch, strict=True))
        kind = self.device.type
        with torch.autocast(kind, torch.bfloat16, enabled=mixed(recipe.bf16, kind)):
            logits = logits_of(self.network, sources, targets)
        loss = F.cross_entropy(logits.flatten(0, 1).float(), targets.flatten(), ignore_index=PAD)
        warm_up = min(1.0, (self.step + 1) / recipe.warm_up) if recipe.warm_up else 1.0
        rate = recipe.rate * warm_up * (0.5 + 0.5 * math.cos(math.pi * self.progress))
        set_rate(self.optimizer.param_groups, rate, recipe.adamw_rate)
        self.optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(self.network.parameters(), recipe.clip)
        self.optimizer.step()
        decay = min(recipe.ema, (1 + self.step) / (10 + self.step))
        with torch.no_grad():
            torch._foreach_lerp_(list(self.average.parameters()), list(self.network.parameters()), 1 - decay)
        return float(loss.detach())

    def validate(self, val: Sequence[Pair], log: Log) -> None:
        """Corrects the validation lines by the moving average, writes it, and tells errors before and after."""
        after = []
        confusions, random = Confusions((pair.text, pair.read) for pair in val), np.random.default_rng(0)
        given = [sourced(pair.read, pair.around, self.recipe.context, confusions, random) for pair in val]
        for begin in range(0, len(val), VAL_BATCH):
            after += corrected(self.average, given[begin : begin + VAL_BATCH], self.card.charset)
        told = [
            f"{name} {error_rate([(p.text, p.read) for p, _ in some]):.2f} → "
            f"{error_rate([(p.text, read) for p, read in some]):.2f}"
            for name, some in groups(val, after)
        ]  # fmt: skip
        log(f"validation, % CER of what was read, and corrected: {', '.join(told)}")
        card = replace(self.card, lines_seen=self.step * self.recipe.batch_lines)
        save_corrector(self.out / WEIGHTS, self.average.state_dict(), card)

    def save(self) -> None:
        """Writes all that the run needs to go on."""
        rest = {"recipe": self.signed, "step": self.step, "seconds": self.seconds}
        save_state(self.out / STATE, self.network, self.optimizer, dict(self.average.named_parameters()), rest)

    def resume(self) -> None:
        """Goes on from what was saved, if anything was."""
        if (self.out / STATE).exists():
            rest = read_rest(self.out / STATE)
            self.step, self.seconds = rest["step"], rest["seconds"]
            averages: dict[str, Tensor] = dict(self.average.named_parameters())
            with torch.no_grad():
                load_state(self.out / STATE, self.network, self.optimizer, averages)


def begin_from(network: Any, card: CorrectorCard, path: Path) -> None:
    """Gives a network the weights of another corrector; UsageError where that one has another shape or charset."""
    other, known = load_corrector(path)
    if (known.shape, known.charset) != (card.shape, card.charset):
        raise UsageError(f"{path}: a corrector of another shape or charset; leave out begin, or take these of it")
    network.load_state_dict(other.state_dict())


def groups(val: Sequence[Pair], after: Sequence[str]) -> Iterator[tuple[str, list[tuple[Pair, str]]]]:
    """All pairs with their corrections, then those of each dataset."""
    yield "all", list(zip(val, after, strict=True))
    found: dict[str, list[tuple[Pair, str]]] = defaultdict(list)
    for pair, text in zip(val, after, strict=True):
        found[pair.dataset].append((pair, text))
    yield from sorted(found.items())


def pairs_of(readings: Readings, out: Path, log: Log) -> tuple[list[Pair], list[Pair]]:
    """The pairs of training and of validation lines; read once, and kept in `out` with the keys that decide them."""
    kept = out / PAIRS
    values = json.loads(to_json(readings.recipe))
    signed = {key: values[key] for key in READING}
    loaded = json.loads(kept.read_text(encoding="utf-8")) if kept.exists() else {}
    if loaded.get("recipe") != signed:
        log(f"reading {readings.recipe.readings} distorted lines")
        loaded = {
            "recipe": signed,
            "train": list(map(asdict, readings.distorted(readings.recipe.readings))),
            "val": list(map(asdict, readings.validation())),
        }
        with atomic_path(kept) as part:
            part.write_text(json_text(loaded), encoding="utf-8")
    return [Pair(**pair) for pair in loaded["train"] if pair["text"]], [Pair(**pair) for pair in loaded["val"]]
