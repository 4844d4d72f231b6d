"""A corrector trained in seconds: it knows a few words, and the one letter of them that a reader takes for another."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from tiny_model import CHARSET

from htrjand.train.correct.corpus import Corpus
from htrjand.train.correct.fit import Run
from htrjand.train.correct.network import CorrectorCard, make_network
from htrjand.train.correct.pairs import Pair
from htrjand.train.correct.recipe import CorrectorShape, CorrectRecipe

SHAPE = CorrectorShape(dim=32, head=16, heads=2, feed=64, encoder=1, decoder=1, buckets=8, distance=16)
WORDS = ("abba", "cab", "bac", "aaca", "cc ab", "éba c")


def misread(text: str) -> str:
    """The text with its second letter read as "é": the words are still told apart."""
    return text[:1] + "é" + text[2:]


def pairs(texts: Sequence[str] = WORDS) -> list[Pair]:
    """Words read right and wrong."""
    return [Pair(text, read, "words") for text in texts for read in (text, misread(text))]


def recipe(**changes: object) -> CorrectRecipe:
    """Some seconds of training."""
    given = {"shape": SHAPE, "prose": 0.0, "total_lines": 18_000, "batch_lines": 24, "rate": 2e-3, "warm_up": 20,
             "dropout": 0.0, "ema": 0.95, "bf16": False, "val_every": 10_000, "save_every": 100}  # fmt: skip
    return CorrectRecipe(**(given | changes))  # type: ignore[arg-type]


def pairs_with_context() -> list[Pair]:
    """Words whose second letter cannot be read: what stands before or after them tells it."""
    made = []
    for letter in "abc":
        for text in (f"a{letter}a", f"b{letter}b"):
            made += [Pair(text, misread(text), "words", around) for around in ((letter * 3, ""), ("", letter * 3))]
    return made


def train(out: Path, log: object = lambda _: None, known: Sequence[Pair] | None = None, **changes: object) -> Path:
    """Trains it into a folder, on the pairs above unless others are given; the path of its weights."""
    made = recipe(**changes)
    out.mkdir(parents=True, exist_ok=True)
    card = CorrectorCard(
        SHAPE, CHARSET[1:], ("fr",), name="tiny-corrector", version="1", longest=12, context=made.context
    )
    known = known or pairs()
    corpus = Corpus(known, [], made.prose, made.clean, made.batch_lines, made.seed, made.context)
    import torch

    torch.manual_seed(made.seed)
    run = Run(made, make_network(SHAPE, len(card.charset)), card, out, None, "tiny")
    run.resume()
    run.go(corpus, known, log)  # type: ignore[arg-type]
    return out / "corrector.safetensors"
