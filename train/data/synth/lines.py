"""Draws synthetic lines into one Parquet file: each line from a seed of its own, in one or several processes."""

from __future__ import annotations

import io
import multiprocessing
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
from PIL import Image

from ....runtime.errors import HtrjandError, UsageError
from ....runtime.files import atomic_path
from ....runtime.image import HEIGHT, MAX_WIDTH
from ..lines import ROW_GROUP, SCHEMA, LineRow, to_table
from .fonts import STYLES, Hand, find_hands
from .hand import draw_line, draws_capitals, lacking
from .look import LEVELS, look_at
from .press import draw_press
from .text import CAPITALS, LANGUAGES, PRINTED_CAPITALS, PROSE, Writer, capitals

TRIES = 8  # hands tried for a line, with two texts each, before it is left out
QUALITY = 75  # of WebP
DATASET, PRINTED = "synthetic", "synthetic-print"  # two, so that a recipe can weigh them separately


@dataclass(frozen=True)
class Plan:
    """What to draw. `difficulty` is 0 to 1; None draws it anew for each line."""

    fonts: Path
    total_lines: int = 20_000
    languages: Mapping[str, float] = field(default_factory=lambda: dict.fromkeys(LANGUAGES, 1.0))  # language -> share
    seed: int = 1
    difficulty: float | None = None
    texts: tuple[tuple[str, Path], ...] = ()  # language, file
    prose: float = PROSE
    styles: Mapping[str, float] = field(default_factory=lambda: {"hand": 1.0})  # style -> share


@dataclass(frozen=True)
class Drawn:
    """The outcome of one line: its row, or None; and the reasons why hands and texts were rejected before."""

    row: LineRow | None
    refused: tuple[str, ...]


class Drawer:
    """Draws the lines of a plan. A line depends only on the plan and on its number."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        hands, self.left_out = find_hands(plan.fonts, list(plan.styles))
        self.hands = {
            style: np.random.default_rng([plan.seed, 1]).permutation(
                np.array([hand for hand in hands if hand.style == style], object)
            )
            for style in plan.styles
        }
        self.writers = {
            language: Writer(language, [path for named, path in plan.texts if named == language], plan.prose)
            for language in plan.languages
        }

    def draw(self, number: int) -> Drawn:
        """Draws the line of a number: hands take turns; style, text and look are random."""
        rng = np.random.default_rng([self.plan.seed, 0, number])
        language = random_name(self.plan.languages, rng)
        style = random_name(self.plan.styles, rng) if len(self.hands) > 1 else next(iter(self.hands))
        level = float(rng.uniform()) if self.plan.difficulty is None else self.plan.difficulty
        refused: list[str] = []
        for attempt in range(TRIES):
            hand = self.hands[style][(number + attempt * 7) % len(self.hands[style])]
            try:
                for _ in range(2):
                    text = self.writers[language].line(rng, CAPITALS if style == "hand" else PRINTED_CAPITALS)
                    text = capitals(text) if draws_capitals(hand.path) else text
                    if not any(lacking(char, hand.path) for char in text if not char.isspace()):
                        return Drawn(self.row(number, language, level, hand, text, rng), tuple(refused))
                    refused.append("the font lacks a letter of the text")
            except HtrjandError:
                refused.append("the font cannot be drawn with")
        return Drawn(None, tuple(refused))

    def row(self, number: int, language: str, level: float, hand: Hand, text: str, rng: np.random.Generator) -> LineRow:
        """Draws a text with a hand at a difficulty, as a row of the line contract."""
        if hand.style == "hand":
            dataset, pixels = DATASET, draw_line(text, hand.path, rng, look_at(level))
        else:
            dataset, pixels = PRINTED, draw_press(text, hand.path, rng, level, hand.style == "typewriter")
        if pixels.shape[1] > MAX_WIDTH:
            raise HtrjandError(f"{hand.path}: draws a line too wide to be read")
        stream = io.BytesIO()
        Image.fromarray(pixels).save(stream, "WEBP", quality=QUALITY, method=2)
        return LineRow(
            f"{dataset}-{self.plan.seed}-{number:06}", dataset, hand.name, f"difficulty-{level:.2f}", hand.split,
            language, text, stream.getvalue(), pixels.shape[1], HEIGHT,
        )  # fmt: skip


def synthesise(
    plan: Plan, output: Path, workers: int = 1, step: Callable[[int], None] = lambda count: None
) -> tuple[int, dict[str, int]]:
    """Draws a plan into a Parquet file.

    Args:
        plan: what to draw; the same plan gives the same lines with any number of workers.
        output: the file.
        workers: number of processes that draw.
        step: called with 1 after each line.

    Returns:
        The number of lines written, and reason -> number of fonts and texts passed over.

    Raises:
        HtrjandError: there are no fonts, a text file cannot be used, or no line could be drawn.
    """
    drawer = Drawer(plan)  # also with several workers, so that a wrong path fails at once
    reasons = Counter(drawer.left_out)
    written = 0
    with atomic_path(output) as part, pq.ParquetWriter(part, SCHEMA) as file:
        group: list[LineRow] = []
        for drawn in outcomes(drawer, workers):
            reasons.update(drawn.refused)
            if drawn.row is None:
                reasons["line left out: no hand could write it"] += 1
            else:
                group.append(drawn.row)
                written += 1
            if len(group) == ROW_GROUP:
                file.write_table(to_table(group))
                group = []
            step(1)
        if group:
            file.write_table(to_table(group))
        if not written:
            raise HtrjandError(f"{plan.fonts}: no line could be drawn with these fonts; `make fonts` fetches others")
    return written, dict(reasons)


def outcomes(drawer: Drawer, workers: int) -> Iterator[Drawn]:
    """Every line of the drawer's plan in order, drawn in this process or, with several workers, in theirs."""
    if workers <= 1:
        yield from map(drawer.draw, range(drawer.plan.total_lines))
        return
    with multiprocessing.get_context("spawn").Pool(workers, start_worker, (drawer.plan,)) as pool:
        yield from pool.imap(draw_in_worker, range(drawer.plan.total_lines), chunksize=16)


_drawer: Drawer | None = None  # in a worker process: what it draws with


def start_worker(plan: Plan) -> None:
    global _drawer
    _drawer = Drawer(plan)


def draw_in_worker(number: int) -> Drawn:
    assert _drawer is not None
    return _drawer.draw(number)


def parse_difficulty(text: str) -> float | None:
    """A number from 0 to 1, easy, medium or hard; None for `mixed`."""
    if text == "mixed":
        return None
    try:
        level = LEVELS[text] if text in LEVELS else float(text)
    except ValueError:
        level = -1
    if not 0 <= level <= 1:
        raise UsageError(f"--difficulty {text}: it is a number from 0 to 1, {', '.join(LEVELS)} or mixed")
    return level


def parse_languages(text: str) -> dict[str, float]:
    """`fr,en,de`, or with shares: `fr:5,en:3,de:2`."""
    return parse_shares(text, "--lang", LANGUAGES)


def parse_styles(text: str) -> dict[str, float]:
    """`hand`, or several with shares: `print:3,typewriter:2`."""
    return parse_shares(text, "--style", STYLES)


def parse_shares(text: str, option: str, names: Sequence[str]) -> dict[str, float]:
    """Name -> share, 1 where none is written."""
    shares: dict[str, float] = {}
    for part in text.split(","):
        name, _, share = part.partition(":")
        try:
            shares[name] = float(share or 1)
        except ValueError:
            shares[name] = 0
        if name not in names or not shares[name] > 0:
            raise UsageError(
                f"{option} {part}: write {', '.join(names)}, with a share if wanted, as in {names[0]}:5,{names[1]}:3"
            )
    return shares


def random_name(shares: Mapping[str, float], rng: np.random.Generator) -> str:
    """A random name, with probabilities by share."""
    weights = np.array(list(shares.values()), float)
    return list(shares)[int(rng.choice(len(weights), p=weights / weights.sum()))]


def parse_text(text: str) -> tuple[str, Path]:
    """A language and a path from `fr=FILE`."""
    language, sign, path = text.partition("=")
    if language not in LANGUAGES or not sign:
        raise UsageError(f"--text {text}: write the language before the file, as in fr=book.txt")
    return language, Path(path)
