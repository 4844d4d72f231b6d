from __future__ import annotations

import numpy as np
import pytest

from htrjand.runtime import ModelInfo
from htrjand.runtime.decode.greedy import decode_greedy, softmax, spans

INFO = ModelInfo(name="t", version="1", charset=("", " ", "a", "b", "c"))


def logits_of(path: str, sure: float = 8.0) -> np.ndarray:
    """One frame a letter, `-` the blank."""
    rows = np.zeros((len(path), len(INFO.charset)), np.float32)
    for frame, char in enumerate(path):
        rows[frame, 0 if char == "-" else INFO.charset.index(char)] = sure
    return rows


def read(path: str, **changes: int):
    width = 4 * len(path)
    return decode_greedy(logits_of(path), INFO, changes.get("line_width", width), changes.get("image_width", width))


@pytest.mark.parametrize(
    ("path", "text"),
    [("-", ""), ("----", ""), ("a", "a"), ("aab", "ab"), ("a-a", "aa"), ("-aa-a--b bb-", "aab b"), ("c", "c")],
)
def test_runs_merge_and_blanks_part(path, text):
    line = read(path)
    assert line.text == text == "".join(item.char for item in line.characters)
    assert 0 < line.confidence <= 1 and all(0 < item.confidence <= 1 for item in line.characters)


def test_temperature_softens():
    hot = ModelInfo(name="t", version="1", charset=INFO.charset, temperature=4.0)
    logits = logits_of("a-b")
    assert decode_greedy(logits, hot, 12, 12).confidence < decode_greedy(logits, INFO, 12, 12).confidence
    cold = softmax(logits / 4)
    assert decode_greedy(logits, hot, 12, 12).characters[0].confidence == pytest.approx(float(cold[0, 2]))


def test_places_are_in_pixels_of_the_image():
    line = read("--------a-------b-------", image_width=192)  # 96 columns, two pixels each
    a, b = line.characters
    assert (a.x0, a.x1, b.x0, b.x1) == (24.0, 100.0, 100.0, 176.0)
    near = read("aa-b", image_width=16).characters
    assert [(item.x0, item.x1) for item in near] == [(0.0, 10.0), (10.0, 16.0)]


@pytest.mark.parametrize("seed", range(50))
def test_places_are_in_order_and_inside(seed):
    random = np.random.default_rng(seed)
    frames = int(random.integers(4, 60))
    width = int(random.integers(max(1, 4 * frames - 15), 4 * frames + 1)) if seed % 5 else 1 + seed % 3
    logits = random.normal(0, 3, (frames, len(INFO.charset))).astype(np.float32)
    line = decode_greedy(logits, INFO, width, 777)
    edge = 0.0
    for item in line.characters:
        assert edge <= item.x0 < item.x1
        edge = item.x1
    assert edge <= 777 + 1e-9


def test_spans_of_characters_fired_in_the_padding():
    x0, x1 = spans(np.array([0, 9, 10, 11]), np.array([1, 10, 11, 12]), 4, 36)
    assert (x0 < x1).all() and (x1[:-1] <= x0[1:]).all() and x0[0] == 0 and x1[-1] == 36


def ctc_probability(probabilities: np.ndarray, classes: list[int]) -> float:
    """The probability of a text over all its alignments: the textbook's forward recursion, for comparison."""
    states = [0]
    for index in classes:
        states += [index, 0]
    alpha = np.zeros(len(states))
    alpha[:2] = probabilities[0, states[:2]]
    for row in probabilities[1:]:
        moved = alpha.copy()
        moved[1:] += alpha[:-1]
        for place in range(2, len(states)):
            if states[place] != 0 and states[place] != states[place - 2]:
                moved[place] += alpha[place - 2]
        alpha = moved * row[states]
    return float(alpha[-2:].sum()) if classes else float(alpha[0])


@pytest.mark.parametrize("seed", range(10))
def test_the_confidence_of_a_line_is_near_the_probability_of_its_text(seed):
    random = np.random.default_rng(seed)
    path = "".join(random.choice(["--a-", "-bb-", "-c--", "- --"]) for _ in range(12))
    logits = logits_of(path, sure=float(random.uniform(6, 9)))
    logits += random.normal(0, 0.7, logits.shape).astype(np.float32)
    for weak in random.integers(0, len(path), 3):  # three frames where another class comes near
        logits[weak, random.integers(0, 5)] += random.uniform(3, 6)
    line = decode_greedy(logits, INFO, 4 * len(path), 4 * len(path))
    exact = ctc_probability(softmax(logits.astype(np.float64)), [INFO.charset.index(char) for char in line.text])
    assert line.confidence == pytest.approx(exact, abs=0.15)


def test_json_values_are_plain():
    item = read("-a-").to_dict()
    assert item["text"] == "a" and list(item["characters"][0]) == ["char", "confidence", "x0", "x1"]
    assert isinstance(item["confidence"], float) and isinstance(item["characters"][0]["x0"], float)
