"""Correction of what was read by a small T5: slower than reading, off unless it is asked for, and told of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from difflib import SequenceMatcher
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ..errors import HtrjandError
from .corrector_info import CorrectorInfo
from .line import Character, Line

if TYPE_CHECKING:
    from ..engines.onnx import OnnxSession
    from ..info import ModelInfo

PAD, END, UNKNOWN = 0, 1, 2
TOGETHER = 16  # lines at a time
ALONE = ("", "")  # the texts before and after a line that has no neighbours
MORE = 8  # characters beyond those of the longest text, after which a correction is given up
INPUTS = ("text", "source", "cross_keys_in", "cross_values_in", "last", "keys_in", "values_in")
OUTPUTS = ("cross_keys", "cross_values", "logits", "keys", "values")


class Corrector:
    """A corrector's file, opened; threads may share one.

    Args:
        path: an `.onnx` file that `htrjand correct export` wrote.
        threads: threads to compute with; None leaves it to the engine.

    Attributes:
        info: what the file says of itself.

    Raises:
        HtrjandError: the file cannot be used; the message names it and the remedy.
    """

    def __init__(self, path: str | Path, threads: int | None = None) -> None:
        from ..engines import open_session

        self.path = Path(path)
        if self.path.suffix != ".onnx":
            raise HtrjandError(f"{path}: no corrector; these are .onnx files, written by `htrjand correct export`")
        self.session: OnnxSession = open_session(path, threads)  # type: ignore[assignment]
        self.info = CorrectorInfo.from_metadata(self.session.metadata, path)
        ports = {port.name: port for port in self.session.inputs}
        made = {port.name: port for port in self.session.outputs}
        if set(ports) != set(INPUTS) or set(made) != set(OUTPUTS):
            raise HtrjandError(f"{path}: has not the inputs and outputs of a corrector; export it again")
        classes = self.info.first + len(self.info.charset)
        if made["logits"].shape[-1] not in (None, classes):
            raise HtrjandError(
                f"{path}: a charset of {len(self.info.charset)} does not match the weights, which tell "
                f"{made['logits'].shape[-1]} classes apart; export the corrector again"
            )
        # Every run is given all inputs; those of the part that does not run are as small as they can be.
        self.least = {name: np.zeros([size or 1 for size in port.shape], port.dtype) for name, port in ports.items()}
        self.numbers = {char: self.info.first + place for place, char in enumerate(self.info.charset)} | {"\n": END}

    def check(self, reader: ModelInfo) -> None:
        """Raises an HtrjandError unless it knows the characters, and a language, of a reader."""
        unknown = sorted(set(reader.charset[1:]) - set(self.info.charset))
        if unknown:
            raise HtrjandError(
                f"{self.path}: knows not {' '.join(unknown[:10])}, which the reader {reader.name} writes; take a "
                "corrector that was trained on its readings"
            )
        if reader.languages and self.info.languages and not set(reader.languages) & set(self.info.languages):
            raise HtrjandError(
                f"{self.path}: corrects {', '.join(self.info.languages)}, and the reader {reader.name} reads "
                f"{', '.join(reader.languages)}; take a corrector of one of these"
            )

    def correct(self, lines: Sequence[Line], around: Sequence[tuple[str, str]] | None = None) -> list[Line]:
        """The lines, those corrected that may be; `read` of these is the text as it was read.

        Args:
            around: what was read before and after each line on its page, for a file that was trained with that
                (`info.context`); "" where there is none.
        """
        chosen = [
            place for place, line in enumerate(lines)
            if line.confidence < self.info.doubt and 0 < len(line.text) <= self.info.longest
        ]  # fmt: skip
        found = list(lines)
        for begin in range(0, len(chosen), TOGETHER):
            part = chosen[begin : begin + TOGETHER]
            beside = [around[place] if around else ALONE for place in part]
            for place, text in zip(part, self.texts([lines[place].text for place in part], beside), strict=True):
                found[place] = with_text(lines[place], self.allowed(lines[place].text, text))
        return found

    def texts(self, read: Sequence[str], around: Sequence[tuple[str, str]] | None = None) -> list[str]:
        """What the network makes of texts, each at most as long as `info.longest`; a text without an end stays."""
        whole = list(read)
        if self.info.context:
            most, beside = self.info.longest, around or [ALONE] * len(read)
            whole = [
                with_context(text, (before[-most:], after[:most]))
                for text, (before, after) in zip(read, beside, strict=True)
            ]
        rows = [[self.numbers.get(char, UNKNOWN) for char in text] + [END] for text in whole]
        longest = max(map(len, rows))
        source = np.array([row + [PAD] * (longest - len(row)) for row in rows], np.int64)  # N, S
        cross = self.session.run_part(OUTPUTS[:2], self.least | {"text": source})
        blocks, _, heads, _, width = self.least["keys_in"].shape
        cache: list[npt.NDArray[Any]] = [np.zeros((blocks, len(rows), heads, 0, width), np.float32)] * 2
        last, found = np.full((len(rows), 1), PAD, np.int64), []
        ended = np.zeros(len(rows), bool)
        for _ in range(max(map(len, read)) + 1 + MORE):
            given = dict(zip(INPUTS[1:], (source, *cross, last, *cache), strict=True))
            logits, *cache = self.session.run_part(OUTPUTS[2:], self.least | given)
            last = logits.argmax(-1)[:, None]
            found.append(last[:, 0])
            ended |= last[:, 0] == END
            if ended.all():
                break
        classes = np.stack(found, 1)
        return [self.text_of(row, text) for row, text in zip(classes.tolist(), read, strict=True)]

    def text_of(self, classes: list[int], read: str) -> str:
        """The text up to the end; what was read, where there is no end, or a character that has no sign."""
        if END not in classes:
            return read
        classes = classes[: classes.index(END)]
        if any(number < self.info.first for number in classes):
            return read
        return "".join(self.info.charset[number - self.info.first] for number in classes)

    def allowed(self, read: str, text: str) -> str:
        """The correction without what may not be changed; what was read, where it changes too much."""
        parts, changed = [], 0
        for tag, a, b, c, d in SequenceMatcher(None, read, text, autojunk=False).get_opcodes():
            if tag == "equal" or not self.may(read, a, b, text[c:d]):
                parts.append(read[a:b])
            else:
                parts.append(text[c:d])
                changed += max(b - a, d - c)
        return "".join(parts) if changed <= self.info.most_change * len(read) else read

    def may(self, read: str, begin: int, end: int, new: str) -> bool:
        """Whether a part of the text may become another."""
        old = read[begin:end]
        if "digits" in self.info.keep and any(char.isdigit() for char in old + new):
            return False
        if "capitals" not in self.info.keep:
            return True
        first = read.rfind(" ", 0, begin) + 1
        return not (read[first : first + 1].isupper() and " " not in read[first:end])


def with_context(read: str, around: tuple[str, str]) -> str:
    """A line as a network with context is given it: its reading, those before and after it, a newline between them.

    The line comes first, so that its characters stand at the same places with neighbours and without.
    """
    return "\n".join((read, *around))


def with_text(line: Line, text: str) -> Line:
    """The line with another text: what is new stands where that was which it replaces, and is as sure."""
    if text == line.text:
        return line
    characters: list[Character] = []
    for tag, a, b, c, d in SequenceMatcher(None, line.text, text, autojunk=False).get_opcodes():
        old = line.characters[a:b]
        if tag == "equal":
            characters += old
            continue
        if not old and d > c:
            at = line.characters[a - 1].x1 if a else line.characters[0].x0
            characters += [Character(char, line.confidence, at, at) for char in text[c:d]]
            continue
        if d > c:
            left, right = old[0].x0, old[-1].x1
            step, sure = (right - left) / (d - c), min(item.confidence for item in old)
            characters += [
                Character(char, sure, left + step * place, left + step * (place + 1))
                for place, char in enumerate(text[c:d])
            ]
    return replace(line, text=text, characters=tuple(characters), read=line.text)
