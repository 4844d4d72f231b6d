"""The beam against every text there is, on inputs so small that all can be tried."""

from __future__ import annotations

import shutil
import sysconfig
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import groupby, product
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image
from tiny_model import CHARSET

from htrjand.cli import main
from htrjand.runtime import HtrjandError, Recognizer
from htrjand.runtime.decode import kernel
from htrjand.runtime.decode.beam import TINY, beam_search
from htrjand.runtime.decode.confidence import confidences
from htrjand.runtime.decode.greedy import softmax
from htrjand.runtime.decode.language import CAPITAL, DIGIT, Language, codes_of, scales_of
from htrjand.runtime.decode.ngram import Ngram
from htrjand.runtime.image import load_line
from htrjand.train.lm.build import LmRecipe, build

ROOT = Path(__file__).parents[3]
FRAMES, CLASSES, WIDE = 5, 4, 600


@pytest.fixture(scope="module")
def ngram(tmp_path_factory: pytest.TempPathFactory) -> Ngram:
    folder = tmp_path_factory.mktemp("lm")
    (folder / "text.txt").write_text("abc\nab\nabcab\ncab\nbé a\n" * 5, encoding="utf-8")
    build([folder / "text.txt"], folder / "tiny.lm", LmRecipe(order=3, size=None, characters=CHARSET))
    return Ngram(folder / "tiny.lm")


def known(ngram: Ngram) -> tuple[np.ndarray, np.ndarray]:
    """The codes of the classes, and scales: not all of it counts for each."""
    return codes_of(ngram, CHARSET[:CLASSES]), np.array([1.0, 1.0, 0.5, 1.0], np.float32)


def logs_of(seed: int, frames: int = FRAMES, sharpness: float = 2.0) -> np.ndarray:
    logits = np.random.default_rng(seed).normal(0, sharpness, (frames, CLASSES))
    return (logits - np.log(np.exp(logits).sum(1, keepdims=True))).astype(np.float32)


def texts(logs: np.ndarray) -> dict[tuple[int, ...], float]:
    """p of every text: the sum over all paths that collapse to it."""
    found: dict[tuple[int, ...], float] = {}
    for path in product(range(CLASSES), repeat=len(logs)):
        text = tuple(c for c, _ in groupby(path) if c)
        found[text] = found.get(text, 0.0) + float(np.exp(logs[np.arange(len(logs)), list(path)].sum()))
    return found


def spoken(language: Language, classes: Sequence[int]) -> float:
    """ln p of a text by the language alone, as far as it counts."""
    state, total = np.array([language.ngram.start()], np.uint32), 0.0
    for c in classes:
        logs, state = language.ngram.advance(state, language.codes[[c]])
        total += float(logs[0] * language.scales[c])
    return total


@pytest.mark.parametrize("seed", range(25))
def test_alone_and_with_weight_0_it_finds_the_most_probable_text(ngram: Ngram, seed: int) -> None:
    logs = logs_of(seed)
    every = texts(logs)
    best = max(every, key=every.__getitem__)
    mute = Language(ngram, *known(ngram), weight=0.0, bonus=0.0)
    for language, compiled in product((None, mute), (True, False)):
        ((classes, frames, _),) = beam_search([logs], language, width=WIDE, compiled=compiled)
        assert tuple(classes) == best
        assert frames == sorted(set(frames)) and all(0 <= frame < FRAMES for frame in frames)


@pytest.mark.parametrize("seed", range(25))
def test_with_a_language_it_finds_the_text_of_the_best_score(ngram: Ngram, seed: int) -> None:
    logs, language = logs_of(seed, sharpness=1.0), Language(ngram, *known(ngram), 0.8, 0.6)
    scores = {text: np.log(p) + 0.8 * spoken(language, text) + 0.6 * len(text) for text, p in texts(logs).items()}
    for compiled in (True, False):
        ((classes, _, _),) = beam_search([logs], language, width=WIDE, compiled=compiled)
        assert tuple(classes) == max(scores, key=scores.__getitem__)


@pytest.mark.parametrize("compiled", [True, False])
def test_a_batch_reads_as_one_by_one(ngram: Ngram, compiled: bool) -> None:
    language = Language(ngram, *known(ngram))
    lines = [logs_of(seed, frames, 3.0) for seed, frames in enumerate((30, 1, 77, 30, 12, 50))]
    alone = [beam_search([line], language, compiled=compiled)[0] for line in lines]
    assert beam_search(lines, language, compiled=compiled) == alone


def test_it_is_compiled_where_there_is_a_compiler() -> None:
    if sysconfig.get_config_var("CC") is None or shutil.which(sysconfig.get_config_var("CC").split()[0]) is None:
        pytest.skip("no C compiler here")
    assert kernel.library() is not None, "install the package again: pip install -e ."


@pytest.mark.parametrize("width", [1, 2, 12, 40])
def test_the_kernel_finds_what_numpy_finds(ngram: Ngram, width: int) -> None:
    if kernel.library() is None:
        pytest.skip("the kernel is not compiled here")
    lines = [logs_of(seed, frames, sharpness) for seed, (frames, sharpness) in enumerate(
        product((1, 3, 20, 60, 150), (0.5, 1.0, 2.0, 4.0, 8.0))
    )]  # fmt: skip
    lines.append(np.log(np.array([[0.999, 0.001, 1e-30, 1e-30]] * 5, np.float32)))  # nothing but sure blanks
    for language in (None, Language(ngram, *known(ngram))):
        with_it, without = (beam_search(lines, language, width=width, compiled=compiled) for compiled in (True, False))
        assert with_it == without
        assert len({tuple(line.classes) for line in with_it}) > 15


def test_the_kernel_finds_what_numpy_finds_with_the_bundled_files() -> None:
    """Real lines of the sample, logits of the bundled student and of a doubtful one: all that a reader meets."""
    if kernel.library() is None:
        pytest.skip("the kernel is not compiled here")
    reader = Recognizer(threads=1)
    lines = [load_line(path) for path in sorted((ROOT / "benchmarks/sample/lines").glob("*.png"))]
    for temperature in (1.0, 3.0):
        logs = [np.log(np.maximum(softmax(frames / temperature), TINY)) for frames in reader.logits(lines, 16)]
        assert beam_search(logs, reader.language) == beam_search(logs, reader.language, compiled=False)


def test_threads_may_search_at_once(ngram: Ngram) -> None:
    language = Language(ngram, *known(ngram))
    lines = [logs_of(seed, 100, 2.0) for seed in range(64)]
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(lambda line: beam_search([line], language)[0], lines)) == beam_search(lines, language)


def test_sure_blanks_are_skipped_and_still_part_twins() -> None:
    sure, ink = np.full(CLASSES, -20.0, np.float32), np.full(CLASSES, -20.0, np.float32)
    sure[0] = ink[2] = 0.0
    ((classes, frames, _),) = beam_search([np.stack([sure, ink, ink, sure, sure, ink, sure])], None)
    assert (classes, frames) == ([2, 2], [1, 5])
    assert [line[:2] for line in beam_search([np.stack([sure] * 3), np.stack([ink])], None)] == [([], []), ([2], [0])]


def test_a_reader_with_a_language_reads_what_it_knows(ngram: Ngram, tiny_model: Path, draw, tmp_path: Path) -> None:
    plain, reader = Recognizer(tiny_model, 1), Recognizer(tiny_model, 1, ngram.path)
    lines = [draw("abc"), draw("cab"), draw("bé a")]
    assert [line.text for line in reader.read_lines(lines)] == ["abc", "cab", "bé a"]
    doubtful = draw("abc").copy()
    doubtful[:, 32 + 16 : 32 + 24] = 61  # between b (40) and c (80), a little nearer to c
    assert plain.read_line(doubtful).text == "acc"
    line = reader.read_line(doubtful)
    assert line.text == "abc" and 0 < line.confidence <= 1
    for place, item in enumerate(line.characters):
        assert item.x0 <= 32 + 16 * place and item.x1 >= 40 + 16 * place
    Image.fromarray(doubtful).save(tmp_path / "line.png")
    command = ["read", str(tmp_path / "line.png"), "-m", str(tiny_model), "--lm", str(ngram.path)]
    assert CliRunner().invoke(main, command).stdout == "abc\n"


def test_a_model_of_another_script(tiny_model: Path, tmp_path: Path) -> None:
    (tmp_path / "greek.txt").write_text("αβγ αβγ\n", encoding="utf-8")
    build([tmp_path / "greek.txt"], tmp_path / "greek.lm", LmRecipe(size=None, characters=("", " ", "α", "β", "γ")))
    with pytest.raises(HtrjandError, match=r"greek\.lm: shares no letter with the charset"):
        Recognizer(tiny_model, 1, tmp_path / "greek.lm")


@pytest.mark.parametrize("compiled", [True, False])
def test_confidence_is_the_chance_against_other_characters_in_the_place(ngram: Ngram, compiled: bool) -> None:
    """Against whole texts, scored one by one."""
    if compiled and kernel.library() is None:
        pytest.skip("the kernel is not compiled here")
    language = Language(ngram, *known(ngram), 0.8, 0.6, 1.5)
    lines = [logs_of(seed, frames, 1.5) for seed, frames in enumerate((4, 9, 30, 1))]
    found = beam_search(lines, language)
    lengths = [len(line.classes) for line in found]
    assert min(lengths) == 0 and max(lengths) >= 10
    for line, logs, sure in zip(found, lines, confidences(found, lines, language, compiled), strict=True):
        for place, chance in enumerate(sure):
            scores = []
            for other in range(1, CLASSES):
                text = [*line.classes[:place], other, *line.classes[place + 1 :]]
                scores.append((logs[line.frames[place], other] + 0.8 * spoken(language, text)) / 1.5)
            powers = np.exp(np.array(scores) - max(scores))
            assert chance == pytest.approx(powers[line.classes[place] - 1] / powers.sum(), abs=1e-5)
        assert len(sure) == len(line.classes)


def test_digits_and_capitals_count_less() -> None:
    assert scales_of(("", " ", "a", "é", "ß", "7", "A", "É", "-")).tolist() == pytest.approx(
        [1, 1, 1, 1, 1, DIGIT, CAPITAL, CAPITAL, 1]
    )
    assert 0 < DIGIT < 1 and 0 < CAPITAL < 1
