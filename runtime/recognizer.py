"""The reader: a model file, and from line images to text."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from importlib.resources import files
from pathlib import Path

import numpy as np
import numpy.typing as npt

from .ctc import Line, decode_greedy
from .engines import LIBRARIES, OPENERS, is_installed, open_engine
from .errors import HtrjandError, UsageError
from .image import Grey, LineSource, load_line_and_width, pad_line
from .info import ModelInfo

BUNDLED = "htrjand-student-int8"  # in every format; the first whose library is installed is opened
WINDOW = 32  # batches whose lines are in memory at once: enough for lines of like width to meet


class Recognizer:
    """Reads text lines with one model file.

    Args:
        model: a model file; None opens the bundled student.
        threads: threads to compute with; None leaves it to the engine.

    Raises:
        HtrjandError: the file cannot be used; the message names it and the remedy.
    """

    def __init__(self, model: str | Path | None = None, threads: int | None = None) -> None:
        self.path = bundled_model() if model is None else Path(model)
        self._engine = open_engine(self.path, threads)

    @property
    def info(self) -> ModelInfo:
        """What the model file says of itself."""
        return self._engine.info

    def read_line(self, source: LineSource) -> Line:
        """Reads one line: a path, encoded bytes, an array (uint8 or uint16) or a PIL image."""
        return self.read_lines([source])[0]

    def read_lines(self, sources: Sequence[LineSource], batch_size: int = 8) -> list[Line]:
        """Reads lines in batches of equal padded width: each is read as it would be alone. The order is kept.

        Raises:
            HtrjandError: one of the sources is no readable line; the message names it.
        """
        if batch_size < 1:
            raise UsageError(f"a batch of {batch_size} lines reads nothing; give 1 or more")
        read: list[Line] = []
        for begin in range(0, len(sources), batch_size * WINDOW):
            read += self._read_window(sources[begin : begin + batch_size * WINDOW], batch_size)
        return read

    def _read_window(self, sources: Sequence[LineSource], batch_size: int) -> list[Line]:
        loaded = [load_line_and_width(source) for source in sources]
        read: dict[int, Line] = {}
        for indices, logits in self._run([line for line, _ in loaded], batch_size):
            for index, frames in zip(indices, logits, strict=True):
                line, width = loaded[index]
                read[index] = decode_greedy(frames, self.info, line.shape[1], width)
        return [read[index] for index in range(len(loaded))]

    def logits(self, lines: Sequence[Grey], batch_size: int = 8) -> list[npt.NDArray[np.float32]]:
        """Logits [T, V] of each line, uint8 [64, W] as `load_line` makes them; T = padded W / `info.frame_stride`."""
        found: dict[int, npt.NDArray[np.float32]] = {}
        for indices, logits in self._run(lines, batch_size):
            found |= zip(indices, logits, strict=True)
        return [found[index] for index in range(len(lines))]

    def _run(self, lines: Sequence[Grey], batch_size: int) -> Iterator[tuple[list[int], npt.NDArray[np.float32]]]:
        """Yields (indices of lines, logits [N, T, V]) of batches of equal padded width."""
        multiple = self.info.width_multiple
        groups: dict[int, list[int]] = {}
        for index, line in enumerate(lines):
            groups.setdefault(-(-line.shape[1] // multiple) * multiple, []).append(index)
        for width, members in groups.items():
            if width > self.info.max_width:
                raise HtrjandError(
                    f"{self.path}: a line {width} columns wide at 64 rows is too wide for this model "
                    f"(at most {self.info.max_width}); cut it into shorter lines"
                )
            for begin in range(0, len(members), batch_size):
                indices = members[begin : begin + batch_size]
                images = np.stack([pad_line(lines[index], width) for index in indices])[:, None]  # N, 1, 64, W
                yield indices, self._engine.run(images)


def bundled_models() -> list[Path]:
    """The model files that came with the package, sorted by name."""
    folder = Path(str(files(__package__) / "models"))
    return sorted(path for path in folder.glob("*") if path.suffix in OPENERS)


def bundled_model() -> Path:
    """The model file that `Recognizer()` opens: in the first format, in the order of `LIBRARIES`, that can be read."""
    there = [path for path in bundled_models() if path.stem == BUNDLED]
    if not there:
        raise HtrjandError("the bundled model is missing; install htrjand again, or name a model file")
    there.sort(key=lambda path: list(LIBRARIES).index(path.suffix))
    return next((path for path in there if is_installed(path.suffix)), there[0])
