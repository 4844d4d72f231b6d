"""The second pass of reading with language: of a line's best texts the one that a neural language model agrees with."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from .language import Found, Language, Scored, scales_of
from .neural import EDGE, NeuralLm

KEPT = 16  # texts of a line that are asked about at most
MARGIN = 2.0  # in ln p: a text that the first pass holds for so much worse than the best is not asked about
# What counts of ln p of the n-gram and of the neural model, of ln p of the end of the line, and for each character:
# chosen on validation lines (`studies.rescoring weights`), whatever a model was fitted to for the first pass.
NGRAM, NEURAL, END, BONUS = 0.3, 0.5, 0.5, 2.5


class Rescorer:
    """A neural language model over the classes of a reader.

    Args:
        neural: the model.
        charset: of the reader.
    """

    def __init__(self, neural: NeuralLm, charset: Sequence[str]) -> None:
        self.neural = neural
        self.codes = np.array(
            [neural.codes.get(char, len(neural.codes)) if char else EDGE for char in charset], np.uint8
        )
        self.scales = scales_of(charset)

    def best(self, lines: Sequence[Sequence[Scored]], language: Language) -> list[Found]:
        """Of each line's texts the best by CTC, n-gram and neural model together; of equals the first.

        Args:
            lines: of each line its best texts, best first.
            language: that they were found with.
        """
        close = [self.close(line, language) for line in lines]
        asked = [text for line in close if len(line) > 1 for text in line]
        classes = [np.array(text.found.classes, np.intp) for text in asked]
        said, ends = self.neural.said([self.codes[chosen] for chosen in classes])
        scores = iter([
            text.ctc + NGRAM * text.spoken + NEURAL * float(logs @ self.scales[chosen]) + END * float(end)
            + BONUS * len(chosen)
            for text, chosen, logs, end in zip(asked, classes, said, ends, strict=True)
        ])  # fmt: skip
        return [
            line[int(np.argmax([next(scores) for _ in line]))].found if len(line) > 1 else line[0].found
            for line in close
        ]

    def close(self, line: Sequence[Scored], language: Language) -> list[Scored]:
        """Those of a line's texts that the first pass holds for nearly as good as the best."""

        def score(text: Scored) -> float:
            return text.ctc + language.weight * text.spoken + language.bonus * len(text.found.classes)

        return [text for text in line if score(text) >= score(line[0]) - MARGIN]
