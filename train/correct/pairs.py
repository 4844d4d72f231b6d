"""What the reader makes of lines, distorted as in training: the pairs that a corrector learns from."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from ...runtime.decode import decode_greedy
from ...runtime.decode.beam import decode_beam
from ...runtime.decode.corrector import ALONE
from ...runtime.decode.language import Language
from ...runtime.info import ModelInfo
from ...runtime.recognizer import BUNDLED_LM, language_for
from ...runtime.text import normalize
from ..augment import augment
from ..batches import Batch, LineBatches
from ..checkpoint import load_network
from ..data.lines import neighbours, placed_lines
from ..data.marks import without_marks
from ..data.row import LineRow
from ..dataset import Data, load_data, repeats_of
from ..module import hashed_seed
from ..network import FRAME_STRIDE, Network
from ..precision import mixed
from ..reader import model_info
from ..recipe import find_data
from .recipe import CorrectRecipe

COLUMNS = 28_672  # of a batch


@dataclass(frozen=True)
class Pair:
    """A line's text and how it was read: greedily, with the n-gram, or by one draw from the posterior.

    `around` are the texts of the lines before and after it on its page; "" where there is none.
    """

    text: str
    read: str
    dataset: str
    around: tuple[str, str] = ALONE


def with_neighbours(pairs: Iterable[Pair], rows: Iterable[LineRow]) -> list[Pair]:
    """The pairs, each with the texts around its line among rows in reading order.

    A line is known by its dataset and text; where several have the same, those around the first count.
    """
    rows = list(rows)
    texts = [normalize(without_marks(row.text) or "") for row in rows]
    found: dict[tuple[str, str], tuple[str, str]] = {}  # by dataset and text
    for row, text, around in zip(rows, texts, neighbours(rows, texts), strict=True):
        found.setdefault((row.dataset, text), around)
    return [replace(pair, around=found.get((pair.dataset, pair.text), ALONE)) for pair in pairs]


class Readings:
    """Reads lines with the network whose errors a corrector is to know.

    Args:
        recipe: of the corrector.
        path: of the recipe.
    """

    def __init__(self, recipe: CorrectRecipe, path: Path) -> None:
        self.recipe, self.path = recipe, path
        weights = path.resolve().parent / recipe.reader
        network, card = load_network(weights)
        self.network: Network = network.eval()
        self.info: ModelInfo = model_info(card, weights)
        named = BUNDLED_LM if recipe.lm == "bundled" else recipe.lm and path.resolve().parent / recipe.lm
        self.language: Language | None = language_for(self.info, named) if named else None
        self.data: Data = load_data(recipe.data, path, card.charset)

    def distorted(self, count: int) -> Iterator[Pair]:
        """Pairs of `count` distorted training lines: of each the greedy reading, one drawn, and one with language."""
        recipe = self.recipe
        batches = LineBatches(
            self.data.train, COLUMNS, recipe.augment.scale, (recipe.seed,),
            repeats=repeats_of(self.data.train, recipe.data.temperature, recipe.mix), origins=self.data.origins,
            padding=recipe.augment.padding,
        )  # fmt: skip
        random = np.random.default_rng(recipe.seed)
        for batch in batches:
            image = augment(
                batch.image, batch.source_widths, batch.scaled_widths, batch.width,
                recipe.augment.times(recipe.strength), hashed_seed(recipe.seed, batch.number), batch.padded_widths,
            )  # fmt: skip
            yield from self.read(image, batch, random)
            count -= len(batch.lengths)
            if count <= 0:
                return

    def validation(self) -> Iterator[Pair]:
        """Pairs of the validation lines as they are: of each the greedy reading, and the one with language."""
        for batch in LineBatches(self.data.val, COLUMNS, 0.0, single_pass=True, origins=self.names):
            yield from self.read(batch.image, batch, None)

    def rows(self, split: str) -> Iterator[LineRow]:
        """All lines of a split, in reading order, without their images."""
        data = self.recipe.data
        files = find_data(data.files if split == "train" else data.val_files or data.files, self.path)
        return (row for row, _ in placed_lines(files, split, exclude=data.exclude, images=False))

    @property
    def names(self) -> tuple[str, ...]:
        """Of the datasets of the validation lines."""
        return tuple(sorted({line.row.dataset for line in self.data.val}))

    @torch.no_grad()
    def read(self, image: torch.Tensor, batch: Batch, random: np.random.Generator | None) -> Iterator[Pair]:
        """The pairs of one batch; with `random` one draw of each line besides."""
        with torch.autocast("cpu", torch.bfloat16, enabled=mixed(True, "cpu")):
            logits = self.network(image, batch.padded_widths).float().numpy()  # N, T, V
        widths = batch.padded_widths.tolist()
        lines = [one[: width // FRAME_STRIDE] for one, width in zip(logits, widths, strict=True)]
        texts = ["".join(self.info.charset[number] for number in part) for part in np.split(
            batch.classes.numpy(), np.cumsum(batch.lengths.numpy())[:-1])]  # fmt: skip
        names = self.data.origins if random is not None else self.names
        spoken = (
            decode_beam(lines, self.info, self.language, [(width, width) for width in widths]) if self.language else []
        )
        for number, (line, text) in enumerate(zip(lines, texts, strict=True)):
            dataset, text = names[int(batch.origins[number])], normalize(text)
            yield Pair(text, normalize(decode_greedy(line, self.info, widths[number], widths[number]).text), dataset)
            if random is not None:
                yield Pair(text, normalize(self.drawn(line, random)), dataset)
            if spoken:
                yield Pair(text, normalize(spoken[number].text), dataset)

    def drawn(self, logits: np.ndarray, random: np.random.Generator) -> str:
        """A text drawn from the posterior: of each frame a class by its probability, then as CTC reads them."""
        noise = random.gumbel(size=logits.shape)
        best = (logits + noise).argmax(-1)
        starts = np.concatenate(([True], best[1:] != best[:-1]))
        return "".join(self.info.charset[number] for number in best[starts] if number != self.info.blank)
