"""Lines put together anew from the words of real ones: the same hands, other texts, nothing drawn.

Words are cut out where a model's frames say that a space stands, on the most probable path of CTC through the line's
own text (forced alignment, Graves 2006), at the paper between them.
"""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from PIL import Image

from ...runtime import Recognizer
from ...runtime.decode.beam import TINY
from ...runtime.decode.greedy import softmax
from ...runtime.errors import HtrjandError
from ...runtime.image import HEIGHT, Grey, paper_grey
from .charset import encode
from .lines import LineRow
from .marks import without_marks

RUN = 3  # words that are taken from a line at a time, at most
FEWEST = 4  # lines of a document, of which fewer give too little to mix
MOST_COLUMNS = 1500  # of a line that is made
NARROWEST = 6  # columns of a word
DOUBTFUL = -2.5  # mean ln p of a character at which a line and its text do not belong together
QUALITY = 80  # of the images, WebP
BATCH = 16  # lines read at a time
NEVER = -1e9

Logs = npt.NDArray[np.float32]
Classes = npt.NDArray[np.int64]


class Word(NamedTuple):
    """A word, and the columns from the middle of the gap before it to that of the gap behind it."""

    text: str
    begin: int
    end: int


class Cut(NamedTuple):
    """A line whose words are known, and the grey of its paper."""

    row: LineRow
    image: Grey
    words: list[Word]
    paper: int


def recombine(
    rows: Sequence[LineRow], reader: Recognizer, count: int, seed: int = 0
) -> tuple[list[LineRow], Counter[str]]:
    """New lines of the hands of some rows.

    Args:
        rows: training lines; those of one document are one hand.
        reader: reads them, to find their words; any model of their script.
        count: of lines to make. Documents come as often as they have lines, and as many words as their lines have.
        seed: the same one gives the same lines.

    Returns:
        The lines, of datasets named as theirs with `-mixed`, and how many rows were left out for each reason.

    Raises:
        HtrjandError: no document has enough lines whose words can be told apart.
    """
    left_out: Counter[str] = Counter()
    documents: dict[tuple[str, str], list[Cut]] = {}
    for cut in cut_lines(rows, reader, left_out):
        documents.setdefault((cut.row.dataset, cut.row.doc), []).append(cut)
    for lines in documents.values():
        if len(lines) < FEWEST:
            left_out["one of a few lines of a document"] += len(lines)
    patterns = [(lines, cut) for lines in documents.values() if len(lines) >= FEWEST for cut in lines]
    if not patterns:
        raise HtrjandError(
            f"no document has {FEWEST} lines whose words can be told apart ({said(left_out)}); take lines of several "
            "words, and a model that reads their script"
        )
    rng = np.random.default_rng(seed)
    made = (mixed(*patterns[rng.integers(len(patterns))], number, rng) for number in range(count))
    return list(made), left_out


def said(left_out: Counter[str]) -> str:
    """What was left out, for a reader."""
    return "; ".join(f"{times:,} lines: {reason}" for reason, times in left_out.most_common()) or "no line was given"


def mixed(lines: Sequence[Cut], pattern: Cut, number: int, rng: np.random.Generator) -> LineRow:
    """A line of as many words as `pattern`, and on its paper, in runs of some from lines of its document."""
    images: list[npt.NDArray[np.float32]] = []
    words: list[str] = []
    while len(words) < len(pattern.words):
        source = lines[int(rng.integers(len(lines)))]
        size = min(int(rng.integers(1, RUN + 1)), len(source.words), len(pattern.words) - len(words))
        first = int(rng.integers(len(source.words) - size + 1))
        run = source.words[first : first + size]
        columns = slice(run[0].begin, run[-1].end)
        if images and sum(image.shape[1] for image in images) + columns.stop - columns.start > MOST_COLUMNS:
            break
        images.append(source.image[:, columns] * np.float32(pattern.paper / max(1, source.paper)))
        words += [word.text for word in run]
    image = np.concatenate(images, 1).clip(0, 255).round().astype(np.uint8)
    encoded = io.BytesIO()
    Image.fromarray(image).save(encoded, "WEBP", quality=QUALITY)
    row = pattern.row
    return LineRow(
        f"{row.dataset}-mixed-{number:06}", f"{row.dataset}-mixed", row.doc, "", "train", row.lang, " ".join(words),
        encoded.getvalue(), image.shape[1], HEIGHT,
    )  # fmt: skip


def cut_lines(rows: Iterable[LineRow], reader: Recognizer, left_out: Counter[str]) -> Iterator[Cut]:
    """The rows whose words can be told apart; `left_out` gets the reasons of the others."""
    usable: list[tuple[LineRow, Classes]] = []
    for row in rows:
        text = without_marks(row.text)
        classes = None if text is None else encode(text, reader.info.charset)
        if classes is None:
            left_out["marked, or with characters that the model does not know"] += 1
        else:
            usable.append((row, classes))
    usable.sort(key=lambda item: item[0].width / item[0].height)
    for begin in range(0, len(usable), BATCH):
        part = usable[begin : begin + BATCH]
        images = [row.pixels() for row, _ in part]
        for (row, classes), image, logits in zip(part, images, reader.logits(images, BATCH), strict=True):
            words = find_words(image, np.log(np.maximum(softmax(logits), TINY)), classes, reader)
            if words is None:
                left_out["the text does not fit the image, or a gap between words was not found"] += 1
            else:
                yield Cut(row, image, words, paper_grey(image))


def find_words(image: Grey, logs: Logs, classes: Classes, reader: Recognizer) -> list[Word] | None:
    """The words of a line [64, W], by the model's ln p [T, V] of its characters; None where they are not found."""
    charset, stride = reader.info.charset, reader.info.frame_stride
    path = align(logs, classes)
    if path is None:
        return None
    ink = np.maximum(np.percentile(image, 90) - image.astype(np.float32), 0).sum(0)  # W
    ink = np.convolve(ink, np.ones(3) / 3, "same")
    edges, texts = [0], [""]
    for place, label in enumerate(classes.tolist()):
        if charset[label] != " ":
            texts[-1] += charset[label]
            continue
        low = path[place - 1][1] * stride + stride // 2  # a normalised text neither begins nor ends with a space
        high = max(low + 2, path[place + 1][0] * stride + stride // 2)
        if high > image.shape[1]:
            return None
        edges.append(low + gap(ink[low:high], float(np.median(ink))))
        texts.append("")
    edges.append(image.shape[1])
    words = [Word(text, begin, end) for text, begin, end in zip(texts, edges[:-1], edges[1:], strict=True)]
    return words if all(word.text and word.end - word.begin >= NARROWEST for word in words) else None


def gap(ink: npt.NDArray[np.float32], usual: float) -> int:
    """The middle of the widest stretch of columns with hardly any ink."""
    empty = np.concatenate(([False], ink <= ink.min() + 0.15 * usual, [False]))
    begins, ends = (np.flatnonzero(empty[1:] & ~empty[:-1]), np.flatnonzero(~empty[1:] & empty[:-1]))
    widest = int(np.argmax(ends - begins))
    return int(begins[widest] + ends[widest]) // 2


def align(logs: Logs, classes: Classes) -> list[tuple[int, int]] | None:
    """The first and the last frame of each character on the most probable path of CTC through `classes`.

    Args:
        logs: ln p [T, V]; class 0 is the blank.
        classes: of the text [L].

    Returns:
        [L]; None where there are too few frames, or the text is not what they show.
    """
    places = 2 * len(classes) + 1  # a blank before, between and behind the characters
    labels = np.zeros(places, np.intp)
    labels[1::2] = classes
    skips = np.zeros(places, bool)  # whether the blank before a character may be left out
    skips[3::2] = labels[3::2] != labels[1:-2:2]
    scores = np.full(places, NEVER)
    scores[:2] = logs[0, labels[:2]]
    steps = np.zeros((len(logs), places), np.int8)
    for frame in range(1, len(logs)):
        one = np.concatenate(([NEVER], scores[:-1]))
        two = np.where(skips, np.concatenate(([NEVER, NEVER], scores[:-2])), NEVER)
        choices = np.stack((scores, one, two))
        steps[frame] = choices.argmax(0)
        scores = choices.max(0) + logs[frame, labels]
    place = places - 1 if scores[-1] > scores[-2] else places - 2
    if scores[place] < DOUBTFUL * len(classes):
        return None
    found = np.zeros((len(classes), 2), int)
    for frame in range(len(logs) - 1, -1, -1):
        if place % 2:
            at = place // 2
            found[at] = frame, max(found[at, 1], frame)
        place -= int(steps[frame, place])
    return [(int(first), int(last)) for first, last in found]
