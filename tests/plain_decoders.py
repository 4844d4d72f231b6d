"""The decoders of docs/embedding.md in plain Python: the n-gram file as a dictionary, hypotheses by their text."""

from __future__ import annotations

import json
import math
import struct
from pathlib import Path
from typing import NamedTuple

NEVER = -math.inf
TYPES = {"uint8": "B", "float32": "f"}


Spans = list[tuple[int, int]]  # of each character its first frame and the one after its last


def greedy(chances: list[list[float]]) -> tuple[list[int], list[float], float, Spans]:
    """Classes, their confidences, the line's, and their frames, of p [T, V]; class 0 is the blank."""
    best = [max(range(len(seen)), key=seen.__getitem__) for seen in chances]
    runs: list[list[int]] = []  # class, first frame, the one after the last
    for frame, c in enumerate(best):
        if runs and c == runs[-1][0]:
            runs[-1][2] = frame + 1
        else:
            runs.append([c, frame, frame + 1])
    classes, sure, spans, whole = [], [], [], 1.0
    for place, (c, first, after) in enumerate(runs):
        frames = chances[first:after]
        if c:
            chance = max(seen[c] for seen in frames)
            classes.append(c)
            sure.append(chance)
            spans.append((first, after))
        else:
            a = runs[place - 1][0] if place else 0
            b = runs[place + 1][0] if place + 1 < len(runs) else 0
            if a and a == b:
                chance = max(seen[0] for seen in frames)
            else:
                chance = min(1.0, min(seen[0] + (seen[a] if a else 0) + (seen[b] if b else 0) for seen in frames))
        whole *= chance
    return classes, sure, whole, spans


def places(spans: Spans, scaled: int, columns: int, stride: int = 4) -> tuple[list[float], list[float]]:
    """x0 and x1 of each character, in columns of the image."""
    ends = [(stride * first, stride * after) for first, after in spans]
    count, x0, x1 = len(spans), [], []
    least = min(1.0, scaled / max(count, 1))
    for k, (first, last) in enumerate(ends):
        left = max(first - 20, (ends[k - 1][1] + first) / 2 if k else 0)
        right = min(last + 20, (last + ends[k + 1][0]) / 2 if k + 1 < count else math.inf)
        x0.append(min(left, max(0.0, scaled - least * (count - k))) * columns / scaled)
        x1.append(min(right, scaled - least * (count - k - 1)) * columns / scaled)
    return x0, x1


class Ngram:
    """ln p and ln backoff of n-grams, by the codes of their characters."""

    def __init__(self, path: Path) -> None:
        content = path.read_bytes()
        end = content.index(b"\n") + 1
        about = json.loads(content[:end])

        def array(name: str) -> tuple[float, ...]:
            kind, offset, count = about["arrays"][name]
            return struct.unpack_from(f"<{count}{TYPES[kind]}", content, end + offset)

        self.order: int = about["order"]
        self.codes = {char: code for code, char in enumerate(about["characters"])}
        self.logs: dict[bytes, float] = {}
        self.backoffs: dict[bytes, float] = {}
        characters, logs, table = array("characters"), array("probabilities"), array("probability_table")
        backoffs, backoff_table = iter(array("backoffs")), array("backoff_table")
        nodes = [b""]
        for node, count in enumerate(array("children")):
            if node and count:
                self.backoffs[nodes[node]] = backoff_table[int(next(backoffs))]
            for _ in range(int(count)):
                place = len(nodes) - 1
                nodes.append(nodes[node] + bytes([int(characters[place])]))
                self.logs[nodes[-1]] = table[int(logs[place])]

    def log(self, context: bytes, code: int | None) -> tuple[float, bytes]:
        """ln p of a character, and the context of the next one. None: a character that the n-gram lacks."""
        if code is None:
            return -12.0, b""
        after = (context + bytes([code]))[-self.order + 1 :]
        total = 0.0
        while context + bytes([code]) not in self.logs:
            if not context:
                return -12.0, b""
            total += self.backoffs.get(context, 0.0)
            context = context[1:]
        return total + self.logs[context + bytes([code])], after


class Fit(NamedTuple):
    """What the search needs of a line reader: the n-gram's code and the scale of each class, and the four numbers."""

    ngram: Ngram
    codes: list[int | None]
    scales: list[float]
    weight: float
    bonus: float
    temperature: float


def fit(ngram: Ngram, charset: list[str], weight: float, bonus: float, temperature: float) -> Fit:
    scales = [0.7 if char.isdigit() else 0.8 if char.isupper() else 1.0 for char in charset]
    return Fit(ngram, [ngram.codes.get(char) if char else None for char in charset], scales, weight, bonus, temperature)


class Hypothesis(NamedTuple):
    blank: float  # ln p of the paths that end in a blank
    inked: float  # of those that end in the last character
    language: float
    context: bytes
    peaks: tuple[tuple[float, int], ...]  # of each character its greatest ln p and the frame of it


def add(a: float, b: float) -> float:
    return max(a, b) + math.log1p(math.exp(-abs(a - b))) if min(a, b) > NEVER else max(a, b)


def search(logs: list[list[float]], fit: Fit, width: int = 64) -> tuple[tuple[int, ...], list[int]]:
    """Classes of the best text and the frame of each, of ln p [T, V]; class 0 is the blank."""

    def score(text: tuple[int, ...]) -> float:
        found = beam[text]
        return add(found.blank, found.inked) + fit.weight * found.language + fit.bonus * len(text)

    beam = {(): Hypothesis(0.0, NEVER, 0.0, bytes([0]), ())}
    last = -1
    for frame, seen in enumerate(logs):
        if seen[0] >= math.log(0.99):
            continue
        gap, last = frame > last + 1, frame
        if gap:
            beam = {text: h._replace(blank=add(h.blank, h.inked), inked=NEVER) for text, h in beam.items()}
        wholes = {text: add(h.blank, h.inked) for text, h in beam.items()}
        least = max(wholes.values()) + max(seen) - 20
        tried = sorted((c for c in range(1, len(seen)) if seen[c] > -6), key=lambda c: -seen[c])[:10]
        grown = {}
        for text, h in beam.items():
            peaks = h.peaks
            if text and seen[text[-1]] > peaks[-1][0]:
                peaks = (*peaks[:-1], (seen[text[-1]], frame))
            inked = h.inked + seen[text[-1]] if text else NEVER
            grown[text] = Hypothesis(wholes[text] + seen[0], inked, h.language, h.context, peaks)
        for text, h in beam.items():
            for c in tried:
                ctc = (h.blank if text and text[-1] == c else wholes[text]) + seen[c]
                longer = (*text, c)
                if longer in beam:
                    grown[longer] = grown[longer]._replace(inked=add(grown[longer].inked, ctc))
                elif ctc > least:
                    log, after = fit.ngram.log(h.context, fit.codes[c])
                    spoken = h.language + fit.scales[c] * log
                    grown[longer] = Hypothesis(NEVER, ctc, spoken, after, (*h.peaks, (seen[c], frame)))
        beam = grown
        beam = {text: beam[text] for text in sorted(beam, key=score, reverse=True)[:width]}
    best = max(beam, key=score)
    return best, [frame for _, frame in beam[best].peaks]


def confidences(text: tuple[int, ...], frames: list[int], logs: list[list[float]], fit: Fit) -> list[float]:
    """The chance of each character against others in its place."""
    chances, context = [], bytes([0])
    for place, chosen in enumerate(text):
        seen = logs[frames[place]]
        scores = {}
        for other in range(1, len(seen)):
            if other != chosen and seen[other] <= -8:
                continue
            spoken, after = 0.0, context
            for c in (other, *text[place + 1 : place + fit.ngram.order]):
                log, after = fit.ngram.log(after, fit.codes[c])
                spoken += fit.scales[c] * log
            scores[other] = (seen[other] + fit.weight * spoken) / fit.temperature
        most = max(scores.values())
        chances.append(math.exp(scores[chosen] - most) / sum(math.exp(score - most) for score in scores.values()))
        _, context = fit.ngram.log(context, fit.codes[chosen])
    return chances
