"""A neural language model: an LSTM over characters, computed in numpy.

It knows a line from its beginning, where an n-gram knows the last few characters; so it is asked which of the best
texts of a line reads most like language (`rescore.py`).

The file is as `arrays.py` says: `format` is `htrjand-neural-lm/1`; `embedding` and `hidden` are the values that stand
for a character, E, and the units of the LSTM, H; `bits` is what a character of the validation lines costs, by file.
There is one class more than characters: the last stands for any other. Arrays, of C classes:

| array | values | of |
|---|---|---|
| `embedding` | int8 [C, E] | each character |
| `input`, `recurrent` | int8 [4H, E], [4H, H] | gates: input, forget, candidate, output |
| `bias` | float32 [4H] | these |
| `head`, `head_bias` | int8 [C, H], float32 [C] | logits of the character that comes next |
| `…_scales` | float32 | the number that each row of an int8 array is multiplied by |
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from .arrays import LanguageModel

FORMAT = "htrjand-neural-lm/1"
MATRICES = ("embedding", "input", "recurrent", "head")
ARRAYS = dict.fromkeys(MATRICES, "int8") | dict.fromkeys(
    (*(f"{name}_scales" for name in MATRICES), "bias", "head_bias"), "float32"
)
TOGETHER = 256  # texts whose bits are counted at a time
EDGE = 0  # the code of the beginning and of the end of a line

Floats = npt.NDArray[np.float32]
Codes = npt.NDArray[np.uint8]


class NeuralLm(LanguageModel):
    """A neural language model, opened: a file that `htrjand lm train` wrote. Threads may share one."""

    form, types = FORMAT, ARRAYS

    def _take(self, arrays: dict[str, npt.NDArray[Any]]) -> None:
        embedding, hidden = self.about["embedding"], self.about["hidden"]
        if embedding < 1 or hidden < 1:
            raise ValueError("a size below 1")
        classes = len(self.codes) + 1
        matrix = {
            name: arrays[name].reshape(rows, columns) * arrays[f"{name}_scales"].reshape(rows, 1)
            for name, rows, columns in (
                ("embedding", classes, embedding), ("input", 4 * hidden, embedding),
                ("recurrent", 4 * hidden, hidden), ("head", classes, hidden),
            )
        }  # fmt: skip
        self.given: Floats = matrix["embedding"] @ matrix["input"].T + arrays["bias"].reshape(4 * hidden)  # C, 4H
        self.recurrent: Floats = np.ascontiguousarray(matrix["recurrent"].T)  # H, 4H
        self.head: Floats = np.ascontiguousarray(matrix["head"].T)  # H, C
        self.head_bias: Floats = arrays["head_bias"].reshape(classes)
        if not all(np.isfinite(array).all() for array in (self.given, self.recurrent, self.head, self.head_bias)):
            raise ValueError("its weights are not finite")

    def encode(self, text: str) -> Codes:
        """Codes of the characters; one for all that the model does not have."""
        return np.array([self.codes.get(char, len(self.codes)) for char in text], np.uint8)

    def said(self, texts: Sequence[Codes]) -> tuple[list[Floats], Floats]:
        """ln p of each character of some texts, and of the end of each [K].

        Texts that begin alike are gone through together as far as they do: as a trie, a level at a time.
        """
        lengths = np.array([len(text) for text in texts], np.intp)
        padded = np.zeros((len(texts), int(lengths.max(initial=0)) + 1), np.uint8)  # behind a text its end: EDGE
        for row, text in zip(padded, texts, strict=True):
            row[: len(text)] = text
        logs = np.zeros(padded.shape, np.float32)
        node = np.zeros(len(texts), np.intp)  # of each text, at this level
        alive = np.arange(len(texts))
        hidden, cell = np.zeros((2, 1, len(self.recurrent)), np.float32)
        last = np.array([EDGE], np.uint8)  # the character that leads to each node
        for place in range(padded.shape[1]):
            hidden, cell = self.advance(hidden, cell, last)
            scores = log_softmax(hidden @ self.head + self.head_bias)  # nodes, C
            logs[alive, place] = scores[node[alive], padded[alive, place]]
            alive = alive[lengths[alive] > place]
            edges, found = np.unique((node[alive] << 8) | padded[alive, place], return_inverse=True)
            node[alive] = found
            hidden, cell, last = hidden[edges >> 8], cell[edges >> 8], (edges & 255).astype(np.uint8)
        ends = logs[np.arange(len(texts)), lengths]
        return [row[:length] for row, length in zip(logs, lengths.tolist(), strict=True)], ends

    def bits(self, lines: Sequence[str]) -> tuple[float, int]:
        """Bits that lines of normalised text cost by this model, and their number of characters; ends are left out.

        Any character that it does not have is one event, cheaper than an n-gram's.
        """
        texts = sorted((self.encode(line) for line in lines if line), key=len)
        total = 0.0
        for begin in range(0, len(texts), TOGETHER):
            total -= sum(float(logs.sum(dtype=np.float64)) for logs in self.said(texts[begin : begin + TOGETHER])[0])
        return total / float(np.log(2)), sum(map(len, texts))

    def advance(self, hidden: Floats, cell: Floats, codes: Codes) -> tuple[Floats, Floats]:
        """Hidden states and cells [K, H] after another character [K]."""
        forget_from, candidate_from, output_from = (part * hidden.shape[1] for part in (1, 2, 3))
        gates = hidden @ self.recurrent  # K, 4H
        gates += self.given[codes]
        candidate = np.tanh(gates[:, candidate_from:output_from])
        opened = np.tanh(0.5 * gates)  # the sigmoid is (1 + tanh(x / 2)) / 2
        opened += 1
        opened *= 0.5
        cell = opened[:, forget_from:candidate_from] * cell + opened[:, :forget_from] * candidate
        return opened[:, output_from:] * np.tanh(cell), cell


def log_softmax(logits: Floats) -> Floats:
    """ln p [K, C] of logits."""
    shifted = logits - logits.max(1, keepdims=True)
    result: Floats = shifted - np.log(np.exp(shifted).sum(1, keepdims=True))
    return result
