"""Training of a neural language model: texts in, a small LSTM over characters out. A run that was cut off goes on."""

from __future__ import annotations

import copy
import math
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ... import __version__
from ...runtime.decode.arrays import read_arrays
from ...runtime.decode.neural import ARRAYS, EDGE, FORMAT, MATRICES, NeuralLm
from ...runtime.errors import HtrjandError, UsageError
from ...runtime.files import atomic_path
from ..checkpoint import load_state, read_rest, save_state
from ..data.charset import WESTERN
from ..data.lines import parquet_files
from ..optimizers import make_optimizer, set_rate
from ..precision import flushed_denormals, mixed
from ..recipe import find_data
from ..recipe_loader import to_json
from .neural_recipe import NeuralLmRecipe
from .texts import prose, transcriptions
from .write import write_arrays

STATE = "state.safetensors"
BY_ADAMW = ("embedding.", "head.")
VAL_BATCH = 64
Log = Callable[[str], None]
Codes = npt.NDArray[np.uint8]


class CharLstm(nn.Module):
    """An LSTM (Hochreiter 1997) that tells of each place in a text how likely each character is to come next.

    Args:
        classes: characters; the first is the edge of a line, the last any character that is not among the others.
        embedding: values that stand for a character.
        hidden: units.
    """

    def __init__(self, classes: int, embedding: int, hidden: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(classes, embedding)
        self.lstm = nn.LSTM(embedding, hidden, batch_first=True)
        self.head = nn.Linear(hidden, classes)
        with torch.no_grad():  # gates that forget nothing at first (Jozefowicz 2015)
            self.lstm.get_parameter("bias_hh_l0")[hidden : 2 * hidden] = 1.0

    def forward(self, codes: Tensor) -> Tensor:
        """Codes [N, T] to logits [N, T, classes] of the characters that come after each."""
        logits: Tensor = self.head(self.lstm(self.embedding(codes))[0])
        return logits

    def matrices(self) -> tuple[Tensor, ...]:
        """Those that a file has in eight bits, as `MATRICES` names them."""
        lstm = self.lstm.get_parameter
        return self.embedding.weight, lstm("weight_ih_l0"), lstm("weight_hh_l0"), self.head.weight


class Texts:
    """Texts as codes, and the batches that are drawn from them.

    Args:
        recipe: which, and how often.
        path: of the recipe.
        begun: what the file that the run begins from says of itself: its characters are kept, and what it learnt from,
            its languages and its licence go on being told.

    Raises:
        HtrjandError: a text cannot be read, or there is none.
    """

    def __init__(self, recipe: NeuralLmRecipe, path: Path, begun: Mapping[str, Any] = MappingProxyType({})) -> None:
        self.recipe, self.characters = recipe, tuple(begun.get("characters", WESTERN))
        self.codes = {char: code for code, char in enumerate(self.characters)}
        self.languages = list(dict.fromkeys([*begun.get("languages", ()), *recipe.languages]))
        self.licence = recipe.licence or begun.get("licence", "")
        self.paths = [
            file
            for folder in (find_data(recipe.lines, path) if recipe.lines_share else [])
            for file in parquet_files(folder)
        ]
        counted: Counter[str] = Counter()
        self.lines = [
            self.encode(text)
            for file in self.paths
            for text in transcriptions(file, exclude=recipe.exclude, counted=counted)
        ]
        books = tuple(recipe.prose) if recipe.lines_share < 1 else ()
        self.prose = [self.joined(file) for file in find_data(books, path)]
        if recipe.lines_share and not self.lines:
            named = ", ".join(map(str, self.paths)) or f"{path}: lines"
            raise HtrjandError(f"{named}: no line of the split train; name other files")
        self.sources = [f"{name}: {count} lines" for name, count in sorted(counted.items())]
        self.sources += [Path(name).name for name in books]
        self.sources = list(dict.fromkeys([*begun.get("sources", ()), *self.sources]))
        weights = np.array([recipe.prose[name] for name in books])
        self.shares = [recipe.lines_share, *((1 - recipe.lines_share) * weights / weights.sum())]

    @property
    def classes(self) -> int:
        """Characters, the edge of a line, and one for all others."""
        return len(self.characters) + 1

    def validation(self) -> dict[str, list[Codes]]:
        """The validation lines of each file, at most as many as the recipe says, spread over it."""
        found = {}
        for file in self.paths:
            if lines := list(transcriptions(file, ("val",), exclude=self.recipe.exclude)):
                count = min(len(lines), self.recipe.val_lines)
                found[file.stem] = [self.encode(lines[i * len(lines) // count]) for i in range(count)]
        return found

    def encode(self, text: str) -> Codes:
        """The codes of a text."""
        return np.array([self.codes.get(char, len(self.codes)) for char in text], np.uint8)

    def joined(self, file: Path) -> Codes:
        """The codes of a file of prose, a space between its paragraphs."""
        parts = [self.encode(text + " ") for text in prose(file, 0) if text]
        if not parts:
            raise HtrjandError(f"{file}: no text; name another file")
        return np.concatenate(parts)

    def batch(self, step: int) -> tuple[Tensor, Tensor]:
        """What is given and what comes next, both [N, T]; −1 where nothing is to be learnt.

        A line is whole, with its end, where it is not too long; prose begins and ends anywhere, as lines do.
        """
        recipe = self.recipe
        random = np.random.default_rng((recipe.seed, step))
        codes = np.zeros((recipe.batch_texts, recipe.length + 1), np.int64)
        wanted = np.full((recipe.batch_texts, recipe.length), -1)
        for row, source in enumerate(random.choice(len(self.shares), recipe.batch_texts, p=self.shares)):
            if source == 0:
                line = self.lines[random.integers(len(self.lines))]
                text = np.append(line, EDGE)[: recipe.length]
            else:
                book = self.prose[source - 1]
                begin = random.integers(max(1, len(book) - recipe.length))
                text = book[begin : begin + recipe.length]
            codes[row, 1 : 1 + len(text)] = text
            wanted[row, : len(text)] = text
        return torch.from_numpy(codes[:, :-1]), torch.from_numpy(wanted)


def open_network(path: Path) -> tuple[CharLstm, dict[str, Any]]:
    """The network of a .nlm file, to go on from, and what the file says of itself.

    Raises:
        HtrjandError: it is no such file.
    """
    about = NeuralLm(path).about  # checked as a reader would
    _, arrays = read_arrays(path, FORMAT, ARRAYS)
    embedding, hidden = about["embedding"], about["hidden"]
    network = CharLstm(len(about["characters"]) + 1, embedding, hidden)
    lstm = network.lstm
    with torch.no_grad():
        for name, matrix in zip(MATRICES, network.matrices(), strict=True):
            scales = arrays[f"{name}_scales"][:, None]
            matrix.copy_(torch.from_numpy(arrays[name].reshape(matrix.shape) * scales))
        lstm.get_parameter("bias_ih_l0").copy_(torch.from_numpy(arrays["bias"].copy()))
        lstm.get_parameter("bias_hh_l0").zero_()
        network.head.bias.copy_(torch.from_numpy(arrays["head_bias"].copy()))
    return network, about


def train(
    recipe: NeuralLmRecipe, path: Path, out: Path, max_time: float | None = None, log: Log = print
) -> tuple[CharLstm, Texts, dict[str, float]]:
    """Trains a neural language model, its state in `out`; returns it, its texts, and its bits a character.

    Args:
        path: of the recipe.
        max_time: seconds after which the run ends; the learning rate falls with the time.

    Raises:
        UsageError: `out` holds a run of another recipe, or the file that it begins from has other sizes.
        HtrjandError: texts cannot be read.
    """
    out.mkdir(parents=True, exist_ok=True)
    signed = to_json(recipe)
    if (out / STATE).exists() and read_rest(out / STATE)["recipe"] != signed:
        raise UsageError(f"{out}: holds a run of another recipe; choose another folder with -o, or remove it")
    torch.manual_seed(recipe.seed)
    if recipe.begin:
        network, about = open_network(path.resolve().parent / recipe.begin)
        for key in ("embedding", "hidden"):
            if about[key] != getattr(recipe, key):
                raise UsageError(f"{path}: {key}: {recipe.begin} has {about[key]}; write that, or begin from another")
        texts = Texts(recipe, path, about)
    else:
        texts = Texts(recipe, path)
        network = CharLstm(texts.classes, recipe.embedding, recipe.hidden)
    log(
        f"{sum(p.numel() for p in network.parameters()) / 1e6:.2f} M parameters; {len(texts.lines):,} lines, "
        f"{sum(map(len, texts.prose)):,} characters of prose"
    )
    run = Run(recipe, network, out, max_time, signed)
    run.resume()
    with flushed_denormals():
        found = run.go(texts, log)
    return run.average, texts, found


class Run:
    """A neural language model in training: the network, its moving average, and how far it has come."""

    def __init__(
        self, recipe: NeuralLmRecipe, network: CharLstm, out: Path, max_time: float | None, signed: str
    ) -> None:
        self.recipe, self.network, self.out, self.max_time, self.signed = recipe, network, out, max_time, signed
        self.average = copy.deepcopy(network).eval().requires_grad_(False)
        self.half = mixed(recipe.bf16, "cpu")
        self.optimizer = make_optimizer(
            network, recipe.optimizer, recipe.rate, recipe.weight_decay, self.half, BY_ADAMW
        )
        self.step = self.characters = 0
        self.seconds = 0.0

    @property
    def progress(self) -> float:
        """The share of the run that is done: of its characters, or of its time where that is more."""
        by_time = self.seconds / self.max_time if self.max_time else 0.0
        return min(1.0, max(self.characters / self.recipe.total_characters, by_time))

    def go(self, texts: Texts, log: Log) -> dict[str, float]:
        """Trains to the end; validates and saves on the way. Returns the last validation's bits a character."""
        val = texts.validation()
        clock, sums = time.perf_counter(), np.zeros(2)
        while self.progress < 1:
            sums += self.train_on(*texts.batch(self.step))
            self.step += 1
            now = time.perf_counter()
            self.seconds, clock = self.seconds + now - clock, now
            if self.step % self.recipe.val_every == 0:
                self.save()
                speed = self.characters / self.seconds
                log(
                    f"step {self.step}: {self.characters:,} characters, {speed:,.0f} a second, {sums[0] / sums[1]:.3f} "
                    f"bits each; validation lines: {told(bits(self.average, val))}"
                )
                sums[:] = 0
                clock = time.perf_counter()
        self.save()
        found = bits(self.average, val)
        log(f"bits a character of the validation lines: {told(found)}")
        return found

    def train_on(self, codes: Tensor, wanted: Tensor) -> tuple[float, int]:
        """One step; returns the bits of its characters, and their number."""
        recipe = self.recipe
        with torch.autocast("cpu", torch.bfloat16, enabled=self.half):
            logits = self.network(codes)
        loss = F.cross_entropy(logits.flatten(0, 1).float(), wanted.flatten(), ignore_index=-1)
        warm_up = min(1.0, (self.step + 1) / recipe.warm_up) if recipe.warm_up else 1.0
        decayed = max(0.0, self.progress - recipe.decay_start) / (1 - recipe.decay_start)
        muon = recipe.optimizer == "muon"
        highest = recipe.rate if muon else recipe.adamw_rate
        rate = highest * warm_up * (0.5 + 0.5 * math.cos(math.pi * decayed))
        set_rate(self.optimizer.param_groups, rate, recipe.adamw_rate if muon else None)
        self.optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(self.network.parameters(), recipe.clip)
        self.optimizer.step()
        decay = min(recipe.ema, (1 + self.step) / (10 + self.step))
        with torch.no_grad():
            torch._foreach_lerp_(list(self.average.parameters()), list(self.network.parameters()), 1 - decay)
        count = int((wanted >= 0).sum())
        self.characters += count
        return float(loss.detach()) / math.log(2) * count, count

    def save(self) -> None:
        """Writes all that the run needs to go on."""
        rest = {"recipe": self.signed, "step": self.step, "seconds": self.seconds, "characters": self.characters}
        save_state(self.out / STATE, self.network, self.optimizer, dict(self.average.named_parameters()), rest)

    def resume(self) -> None:
        """Goes on from what was saved, if anything was."""
        if (self.out / STATE).exists():
            rest = read_rest(self.out / STATE)
            self.step, self.seconds, self.characters = rest["step"], rest["seconds"], rest["characters"]
            with torch.no_grad():
                load_state(self.out / STATE, self.network, self.optimizer, dict(self.average.named_parameters()))


def write(network: CharLstm, texts: Texts, found: Mapping[str, float], path: Path) -> None:
    """Writes and seals a neural language model: matrices in eight bits, a scale a row.

    Args:
        texts: that it learnt from.
        found: its bits a character of the validation lines, by file.
        path: a .nlm file.
    """
    lstm = network.lstm.state_dict()
    arrays: dict[str, npt.NDArray[Any]] = {}
    for name, matrix in zip(MATRICES, network.matrices(), strict=True):
        scales = (matrix.detach().abs().amax(1) / 127).clamp(min=1e-12)
        arrays[name] = (matrix.detach() / scales[:, None]).round().to(torch.int8).numpy()
        arrays[f"{name}_scales"] = scales.numpy()
    arrays["bias"] = (lstm["bias_ih_l0"] + lstm["bias_hh_l0"]).numpy()
    arrays["head_bias"] = network.head.bias.detach().numpy()
    about = {
        "format": FORMAT, "name": path.stem, "version": __version__, "licence": texts.licence,
        "languages": texts.languages, "sources": texts.sources, "splits": ["train"],
        "folding": "htrjand.runtime.text.normalize", "bits": {name: round(value, 3) for name, value in found.items()},
        "embedding": network.embedding.embedding_dim, "hidden": network.lstm.hidden_size,
        "characters": texts.characters,
    }  # fmt: skip
    with atomic_path(path) as part:
        write_arrays(about, arrays, part)


@torch.inference_mode()
def bits(network: CharLstm, val: Mapping[str, Sequence[Codes]]) -> dict[str, float]:
    """Bits that a character of some lines costs, their ends left out, by name; `mean` is that of the names."""
    found = {}
    for name, lines in val.items():
        cost = 0.0
        ordered = sorted(lines, key=len)
        for begin in range(0, len(ordered), VAL_BATCH):
            some = ordered[begin : begin + VAL_BATCH]
            codes = torch.full((len(some), 1 + len(some[-1])), -1)
            for row, line in enumerate(some):
                codes[row, 1 : 1 + len(line)] = torch.from_numpy(line.astype(np.int64))
            given = codes[:, :-1].clamp(min=0)
            given[:, 0] = EDGE
            cost += float(
                F.cross_entropy(network(given).flatten(0, 1), codes[:, 1:].flatten(), ignore_index=-1, reduction="sum")
            )
        found[name] = cost / math.log(2) / sum(map(len, lines))
    return found | ({"mean": sum(found.values()) / len(found)} if found else {})


def told(found: Mapping[str, float]) -> str:
    """Bits, for a reader."""
    return ", ".join(f"{name} {value:.3f}" for name, value in found.items()) or "there are none"
