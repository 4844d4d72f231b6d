"""The second pass: among the best texts of a line a neural language model chooses."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from itertools import product
from pathlib import Path

import numpy as np
import pytest
from generated import printed_row
from tiny_model import CHARSET

from htrjand.runtime import Recognizer, UsageError
from htrjand.runtime.decode import kernel
from htrjand.runtime.decode.beam import best_texts, decode_beam
from htrjand.runtime.decode.language import CAPITAL, DIGIT, Found, Language, Scored, codes_of, scales_of
from htrjand.runtime.decode.neural import NeuralLm
from htrjand.runtime.decode.ngram import Ngram
from htrjand.runtime.decode.rescore import BONUS, END, KEPT, MARGIN, NEURAL, NGRAM, Rescorer
from htrjand.runtime.info import ModelInfo
from htrjand.train.data.lines import write_lines
from htrjand.train.lm.build import LmRecipe, build
from htrjand.train.lm.neural import train, write
from htrjand.train.lm.neural_recipe import NeuralLmRecipe

LINES = ["abc ab", "cab abc", "bé a cab", "ab ab abc"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, one_thread: None) -> Path:
    """Two language models: an n-gram that knows little, and a neural one that knows these lines."""
    folder = tmp_path_factory.mktemp("rescore")
    rows = [printed_row(text, f"{split}-{text}", split) for split, text in product(("train", "val"), LINES)]
    write_lines(folder / "lines.parquet", rows)
    recipe = NeuralLmRecipe(
        lines=("lines.parquet",), lines_share=1, embedding=8, hidden=24, batch_texts=64, length=12, warm_up=5,
        total_characters=40_000, languages=("fr",),
    )  # fmt: skip
    write(*train(recipe, folder / "recipe.yaml", folder / "run", log=lambda _: None), folder / "tiny.nlm")
    (folder / "text.txt").write_text("abc\nba é\nccab\n" * 5, encoding="utf-8")
    build([folder / "text.txt"], folder / "tiny.lm", LmRecipe(order=2, size=None, characters=CHARSET))
    return folder


@pytest.fixture(scope="module")
def language(folder: Path) -> Language:
    ngram = Ngram(folder / "tiny.lm")
    return Language(ngram, codes_of(ngram, CHARSET), scales_of(CHARSET), 0.7, 1.5)


@pytest.fixture(scope="module")
def rescorer(folder: Path) -> Rescorer:
    return Rescorer(NeuralLm(folder / "tiny.nlm"), CHARSET)


def doubtful(text: str, seed: int, doubt: float = 1.2) -> np.ndarray:
    """ln p [T, V] of frames that show a text, and other characters nearly as well."""
    classes = [part for char in text for part in (0, CHARSET.index(char))] + [0]
    logits = np.random.default_rng(seed).normal(0, doubt, (len(classes), len(CHARSET)))
    logits[np.arange(len(classes)), classes] += 2.5
    logits[::2, 0] += 6  # between characters there is hardly a doubt
    return (logits - np.log(np.exp(logits).sum(1, keepdims=True))).astype(np.float32)


def as_text(classes: list[int]) -> str:
    return "".join(CHARSET[c] for c in classes)


def test_the_best_texts_come_in_order_and_are_scored(language: Language) -> None:
    logs = [doubtful(text, seed) for text, seed in product(LINES, range(4))]
    ways = [best_texts(logs, language, keep=KEPT, compiled=compiled) for compiled in (True, False)]
    assert kernel.library() is None or len(ways[0][0]) == KEPT
    for line, same, frames in zip(*ways, logs, strict=True):
        assert [text.found for text in line] == [text.found for text in same]
        for text, other in zip(line, same, strict=True):
            assert text[1:] == pytest.approx(other[1:], rel=1e-4)
        totals = [text.ctc + 0.7 * text.spoken + 1.5 * len(text.found.classes) for text in line]
        assert totals == sorted(totals, reverse=True)
        for text in line:
            state, spoken = np.array([language.ngram.start()], np.uint32), 0.0
            for c in text.found.classes:
                said, state = language.ngram.advance(state, language.codes[[c]])
                spoken += float(said[0])
            assert text.spoken == pytest.approx(spoken, abs=1e-3)
            assert text.ctc == pytest.approx(ctc(frames, text.found.classes), abs=0.35), "but for paths that were left"
    (only,) = best_texts([np.log(np.array([[0.999, 0.001, 1e-9]] * 3, np.float32))], None, keep=KEPT)
    assert [text.found.classes for text in only] == [[]]


def ctc(logs: np.ndarray, classes: list[int]) -> float:
    """ln p of all paths to a text, by the forward algorithm (Graves 2006)."""
    wanted = [0, *(part for c in classes for part in (c, 0))]
    alpha = np.full(len(wanted), -np.inf)
    alpha[:2] = logs[0, wanted[:2]]
    for frame in logs[1:]:
        before = alpha.copy()
        for place in range(1, len(wanted)):
            alpha[place] = np.logaddexp(alpha[place], before[place - 1])
            if wanted[place] and place > 1 and wanted[place] != wanted[place - 2]:
                alpha[place] = np.logaddexp(alpha[place], before[place - 2])
        alpha += frame[wanted]
    return float(np.logaddexp.reduce(alpha[-2:]))


def test_it_chooses_what_the_formula_says(language: Language, rescorer: Rescorer) -> None:
    logs = [doubtful(text, seed) for text, seed in product(LINES, range(12))]
    lines = best_texts(logs, language, keep=KEPT)
    found = rescorer.best(lines, language)
    neural, changed = rescorer.neural, 0
    for line, chosen in zip(lines, found, strict=True):
        first = [text.ctc + 0.7 * text.spoken + 1.5 * len(text.found.classes) for text in line]
        scores = {}
        for text, score in zip(line, first, strict=True):
            if score >= first[0] - MARGIN:
                (said,), (end,) = neural.said([neural.encode(as_text(text.found.classes))])
                scores[as_text(text.found.classes)] = (
                    text.ctc + NGRAM * text.spoken + NEURAL * said.sum() + END * end + BONUS * len(said)
                )
        assert as_text(chosen.classes) == max(scores, key=scores.__getitem__)
        changed += chosen != line[0].found
    assert 5 < changed < len(lines), "some become others"
    truth = [text for text, _ in product(LINES, range(12))]
    wrong = [as_text(chosen.classes) != text for chosen, text in zip(found, truth, strict=True)]
    before = [as_text(line[0].found.classes) != text for line, text in zip(lines, truth, strict=True)]
    assert sum(wrong) < sum(before), "and more of them right"


def test_digits_and_capitals_count_less(rescorer: Rescorer, language: Language) -> None:
    """And a class that the model does not have, or of several characters, is any other character to it."""
    charset = ("", "a", "A", "1", "ch", "☃")
    other = Rescorer(rescorer.neural, charset)
    unknown = len(rescorer.neural.codes)
    assert other.codes.tolist() == [0, *rescorer.neural.encode("aA1"), unknown, unknown]
    mute = replace(language, weight=0.0, bonus=0.0)  # in the first pass
    for less, scale in ((2, CAPITAL), (3, DIGIT)):
        (small, great), ends = rescorer.neural.said([other.codes[[1, 1]], other.codes[[1, less]]])
        even = NEURAL * (small.sum() - great[0] - scale * great[1]) + END * (ends[0] - ends[1])
        for more in (-0.05, 0.05):
            texts = [
                Scored(Found([1, 1], [0, 1], [0, 0]), 0.0, 0.0),
                Scored(Found([1, less], [0, 1], [0, 0]), 0.0, 0.0),
            ]
            if even > MARGIN - 0.1:  # the first pass would not ask about it: let the n-gram make up for it
                texts[1] = texts[1]._replace(spoken=float(even + more) / NGRAM)
            else:
                texts[1] = texts[1]._replace(ctc=float(even + more))
            ordered = sorted(texts, key=lambda text: -text.ctc)
            (chosen,) = other.best([ordered], mute)
            assert chosen.classes == ([1, less] if more > 0 else [1, 1])


def test_a_batch_reads_as_one_by_one(language: Language, rescorer: Rescorer) -> None:
    info = ModelInfo("tiny", "1", CHARSET)
    logits = [doubtful(text, seed) for text, seed in product([*LINES, "a", ""], range(4))]
    widths = [(4 * len(line), 4 * len(line)) for line in logits]
    together = decode_beam(logits, info, language, widths, rescorer=rescorer)
    for line, width, read in zip(logits, widths, together, strict=True):
        (alone,) = decode_beam([line], info, language, [width], rescorer=rescorer)
        assert alone.text == read.text and math.isclose(alone.confidence, read.confidence, rel_tol=1e-4)


def test_a_reader_opens_it(folder: Path, make_model: Callable[..., Path]) -> None:
    model, neural = make_model("m.onnx", languages=("fr",)), folder / "tiny.nlm"
    reader = Recognizer(model, lm=folder / "tiny.lm", neural_lm=neural)
    assert reader.rescorer and reader.rescorer.neural.path == neural
    line = np.repeat(np.array([[255, 0, 255, 40, 255]], np.uint8).repeat(64, 0), 8, 1)
    assert reader.read_line(line).text == "ab"
    with pytest.raises(UsageError, match=r"tiny\.nlm: .* texts that an n-gram has found"):
        Recognizer(model, lm=None, neural_lm=neural)
