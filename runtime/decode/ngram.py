"""A character n-gram: how likely a character is after those before it. One file, mapped into numpy without parsing.

The file is one line of JSON (UTF-8), then arrays, each at a multiple of 8 bytes:

| key of the JSON | value |
|---|---|
| `format` | `htrjand-lm/1`: the version of this table |
| `name`, `version`, `licence`, `smoothing` | plain text |
| `languages`, `sources` | lists: ISO 639-1 codes; files of text, and datasets with their number of lines |
| `order` | characters of the longest n-grams |
| `ngrams` | how many there are of each length |
| `characters` | list of strings: the character of each code; code 0 is the beginning of a line, "" |
| `folding` | texts are normalised before they are counted: see `runtime/text.py` |
| `splits` | splits of line files that it was counted on: `train` alone, unless others were asked for |
| `arrays` | name -> [numpy type, offset from the end of the line, number of values] |
| `seal` | tells that the file is whole and unchanged: see `seal.py` |

The n-grams are the nodes of a trie, in order of length and then of their characters' codes; the root is the empty one.
So the children of a node, the n-grams that are one character longer, stand side by side, and those of the next node
behind them. `characters` [n] has the code of each node's last character, `probabilities` [n] the number of its ln p in
`probability_table`; `children` [m] how many children each node shorter than the order has, root first; `backoffs` the
number in `backoff_table` of each node that has children, root left out.

The p of a character after a context is that of the n-gram of both, if there is one; else the context's backoff times
the p after the context without its first character (Katz 1987).
"""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from ..seal import MARK
from .arrays import UNKNOWN, LanguageModel

FORMAT = "htrjand-lm/1"
UNKNOWN_LOG = -12.0  # ln p of such a character
LONGEST = 16  # characters of an n-gram: of twice as many as are built; each costs time in every lookup
ARRAYS = {
    "characters": "uint8", "probabilities": "uint8", "children": "uint8", "backoffs": "uint8",
    "probability_table": "float32", "backoff_table": "float32",
}  # fmt: skip

States = npt.NDArray[np.uint32]  # nodes that have children: the longest context that the n-gram knows
Codes = npt.NDArray[np.uint8]


class Ngram(LanguageModel):
    """A character n-gram, opened: a file that `htrjand lm build` wrote."""

    form, types = FORMAT, ARRAYS

    def _take(self, arrays: dict[str, npt.NDArray[Any]]) -> None:
        """Makes of the file's arrays what a lookup needs, with the root as node 0."""
        size = len(arrays["characters"]) + 1
        children = np.zeros(size, np.uint8)
        children[: len(arrays["children"])] = arrays["children"]
        if children.sum(dtype=np.int64) != size - 1 or len(arrays["probabilities"]) != size - 1:
            raise ValueError("its arrays do not fit together")
        self.first = np.ones(size + 1, np.uint32)
        np.cumsum(children, out=self.first[1:])
        self.first[1:] += 1
        self.characters = arrays["characters"]
        self.logs = np.zeros(size, np.float32)
        self.logs[1:] = arrays["probability_table"][arrays["probabilities"]]
        inner = children > 0
        if not all(np.isfinite(arrays[name]).all() for name in ("probability_table", "backoff_table")):
            raise ValueError("its tables are not finite")
        if not inner[0]:
            raise ValueError("it has no n-gram")
        self.backoff_logs = np.zeros(size, np.float32)
        self.backoff_logs[1:][inner[1:]] = arrays["backoff_table"][arrays["backoffs"]]
        self.suffixes = np.zeros(size, np.uint32)  # the node without its first character
        self.next = np.zeros(size, np.uint32)  # the state that a node leads to: itself, or a suffix, that has children
        before, begin, end = 0, 1, int(self.first[1])  # of the nodes of one length less, and of one length
        self.order, known = 0, np.zeros(0, np.uint32)
        while begin < end:
            self.order += 1
            if self.order > LONGEST:
                raise ValueError(f"n-grams of more than {LONGEST} characters")
            nodes, characters = slice(begin, end), self.characters[begin - 1 : end - 1]
            parent = np.repeat(np.arange(before, begin, dtype=np.uint32), children[before:begin])
            keys = (parent << np.uint32(8)) | characters
            if (keys[1:] <= keys[:-1]).any():
                raise ValueError("its n-grams are not in order")
            if self.order > 1:
                wanted = (self.suffixes[parent] << np.uint32(8)) | characters
                places = known.searchsorted(wanted)
                if (known.take(places, mode="clip") != wanted).any():
                    raise ValueError("an n-gram lacks the one without its first character")
                self.suffixes[nodes] = places + before
            self.next[nodes] = np.where(inner[nodes], np.arange(begin, end), self.next[self.suffixes[nodes]])
            known, before, begin, end = keys, begin, end, int(self.first[end])
        if begin != size:
            raise ValueError("an n-gram has no beginning")

    @cached_property
    def keys(self) -> npt.NDArray[np.uint32]:
        """One number a node from 1 on, in rising order: by it numpy finds a child. The compiled search needs none."""
        parents = np.repeat(np.arange(len(self.first) - 1, dtype=np.uint32), np.diff(self.first))
        keys: npt.NDArray[np.uint32] = (parents << np.uint32(8)) | self.characters
        return keys

    @property
    def seal(self) -> str:
        """64 hexadecimal digits, by which a model knows the n-gram that it was fitted to."""
        return str(self.about["seal"]).removeprefix(MARK.decode())

    def start(self) -> int:
        """The state at the beginning of a line."""
        return int(self.next[1]) if self.characters[0] == 0 else 0  # node 1 is the root's first child

    def encode(self, text: str) -> Codes:
        """Codes of the characters; `UNKNOWN` for those that the n-gram does not have."""
        return np.array([self.codes.get(char, UNKNOWN) for char in text], np.uint8)

    def advance(self, states: States, codes: Codes) -> tuple[npt.NDArray[np.float32], States]:
        """ln p of each code after its state, both [K], and the states after it."""
        logs, after = np.zeros(len(states), np.float32), np.zeros(len(states), np.uint32)
        left, at = np.arange(len(states)), states
        for _ in range(self.order):  # contexts, each without the first character of the one before
            keys = (at << np.uint32(8)) | codes
            places = self.keys.searchsorted(keys)
            found = self.keys.take(places, mode="clip") == keys
            nodes, there = places[found] + 1, left[found]
            logs[there] += self.logs.take(nodes)
            after[there] = self.next.take(nodes)
            if len(there) == len(left):
                return logs, after
            left, at, codes = left[~found], at[~found], codes[~found]
            logs[left] += self.backoff_logs.take(at)
            at = self.suffixes.take(at)
        logs[left] = UNKNOWN_LOG
        return logs, after

    def bits(self, lines: list[str]) -> tuple[float, int]:
        """Bits that lines of normalised text cost by this model, and their number of characters."""
        codes = [self.encode(line) for line in lines if line]
        codes.sort(key=len, reverse=True)
        lengths = np.array([len(line) for line in codes])
        states, total = np.full(len(codes), self.start(), np.uint32), 0.0
        for place in range(int(lengths.max(initial=0))):
            longer = int((lengths > place).sum())
            logs, states = self.advance(states[:longer], np.array([line[place] for line in codes[:longer]], np.uint8))
            total -= float(logs.sum(dtype=np.float64))
        return total / float(np.log(2)), int(lengths.sum())
