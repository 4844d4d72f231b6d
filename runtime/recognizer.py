"""The line reader: a model file, and from line images to text."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cache, cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from .bundled import MODELS, bundled_in, model_file
from .decode import Line, decode_greedy
from .decode.beam import WIDTH, decode_beam
from .decode.language import Language
from .decode.neural import NeuralLm
from .decode.ngram import Ngram
from .decode.rescore import Rescorer
from .engines import Port, Session, open_session
from .errors import HtrjandError, UsageError
from .image import HEIGHT, Grey, LineSource, load_line_and_width, pad_line
from .info import ModelInfo

if TYPE_CHECKING:
    from .decode.corrector import Corrector
    from .page.detector import LineDetector
    from .page.inputs import PageImage, PageSource
    from .page.page import Page

BUNDLED_LM = "bundled"  # what `lm` and `neural_lm` call the bundled ones
BUNDLED = "htrjand-student-int8"  # in every format; the first whose library is installed is opened
LANGUAGE = "htrjand-fr-en-de.lm"  # the bundled n-gram
NEURAL = "htrjand-fr-en-de.nlm"  # the bundled neural language model
TOGETHER = 16  # lines that are decoded at a time
MOST_LOGIT = 1e30  # what is greater is not finite once it is divided by a temperature
WINDOW = 32  # batches whose lines are in memory at once: enough for lines of like width to meet


class Recognizer:
    """Reads text lines with one model file. Threads may share one.

    Args:
        model: a model file; None opens the bundled student.
        threads: threads to compute with; None leaves it to the engine.
        lm: a language model (`htrjand lm build`), which decides between what the image leaves open. "bundled" is the
            one that came with the package, for models that say they read its languages and no others; other models
            read without. None reads each character by its image alone.
        beam: texts of a line that are followed at a time, where there is a language model.
        detector: what finds the lines of a page: a model file, or a `LineDetector`; None opens the bundled one when
            the first page is read.
        sha256: 64 hexadecimal digits; another model file than that of this SHA-256 is refused.
        engine: the engine or the format of the bundled models: "onnx", "tflite" or "openvino". None takes the first
            that is installed: two devices may read with two files then, and many lines differently.
        neural_lm: a neural language model (`htrjand lm train`), which chooses among the best texts of a line that were
            found with the n-gram; "bundled" as for `lm`. None: the first of them is taken.
        corrector: a file of `htrjand correct export`, or a `Corrector`; it changes lines of which the reader is not
            sure, and leaves in `Line.read` what was read. Needs onnxruntime. None: nothing is corrected.

    Attributes:
        path: the model file.
        info: what it says of itself.
        session: the file, opened.
        engine: the library that runs it, and its version: "onnxruntime 1.32.0".
        language: the language model and its weights, or None.
        rescorer: the neural language model and its weights, or None.

    Raises:
        HtrjandError: a file cannot be used; the message names it and the remedy.
    """

    def __init__(
        self, model: str | Path | None = None, threads: int | None = None, lm: str | Path | None = BUNDLED_LM,
        beam: int = WIDTH, detector: str | Path | LineDetector | None = None, sha256: str | None = None,
        engine: str | None = None, corrector: str | Path | Corrector | None = None,
        neural_lm: str | Path | None = None,
    ) -> None:  # fmt: skip
        if beam < 1:
            raise UsageError(f"a beam of {beam} texts reads nothing; give 1 or more")
        session = open_session(model_file(BUNDLED, model, engine), threads, sha256)
        info = ModelInfo.from_metadata(session.metadata, session.path)
        language = language_for(info, lm)
        rescorer = rescorer_for(info, language, neural_lm)
        self._take(session, info, language, beam, detector, threads, open_corrector(corrector, threads), rescorer)

    @classmethod
    def over(cls, session: Session, info: ModelInfo) -> Recognizer:
        """A reader over any session that takes and gives what a line reader does: a torch network, say. Without a
        language model."""
        reader = cls.__new__(cls)
        reader._take(session, info)
        return reader

    def _take(
        self, session: Session, info: ModelInfo, language: Language | None = None, beam: int = WIDTH,
        detector: str | Path | LineDetector | None = None, threads: int | None = None,
        corrector: Corrector | None = None, rescorer: Rescorer | None = None,
    ) -> None:  # fmt: skip
        check_line_reader(session, info)
        if corrector:
            corrector.check(info)
        self.session, self.info, self.path, self.engine = session, info, session.path, session.engine
        self.language, self.beam, self.corrector, self.rescorer = language, beam, corrector, rescorer
        self._detector, self._threads = detector, threads

    @cached_property
    def detector(self) -> LineDetector:
        """What finds the lines of a page; opened when it is first asked for."""
        from .page.detector import BUNDLED, LineDetector

        if self._detector is None:  # in the format of the reader, where it comes in that
            return LineDetector(bundled_in(BUNDLED, self.path.suffix), self._threads)
        if isinstance(self._detector, str | Path):
            return LineDetector(self._detector, self._threads)
        return self._detector

    def read_page(self, source: LineSource | PageSource | PageImage, batch_size: int = 8) -> Page:
        """Finds and reads the lines of a page.

        A page that lies on its side or on its head is turned first, a skewed one is levelled, a negative is read as its
        positive; the places of lines are
        those on the image as it was given. A line whose outline cannot be cut is read by its rectangle, one that is too
        long for the model in parts. An empty page is one without lines.

        Args:
            source: a path, encoded bytes, an array (uint8 or uint16), a PIL image, or a page of `inputs.pages_of`.
            batch_size: lines that run through the model together.

        Returns:
            The page, its lines in reading order.

        Raises:
            HtrjandError: it cannot be read, or holds several pages; the message names it.
        """
        from .page.read import read_page

        return read_page(self, source, batch_size)

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
        waiting: dict[int, npt.NDArray[np.float32]] = {}  # logits by the index of their line
        for indices, logits in self._run([line for line, _ in loaded], batch_size):
            waiting |= zip(indices, logits, strict=True)
            if len(waiting) >= TOGETHER:
                read |= self._decode(waiting, loaded)
                waiting = {}
        read |= self._decode(waiting, loaded)
        return [read[index] for index in range(len(loaded))]

    def _decode(
        self, logits: Mapping[int, npt.NDArray[np.float32]], loaded: Sequence[tuple[Grey, int]]
    ) -> dict[int, Line]:
        """The texts of some lines, by index, of their logits."""
        widths = {index: (loaded[index][0].shape[1], loaded[index][1]) for index in logits}
        if self.language:
            lines = decode_beam(
                list(logits.values()), self.info, self.language, list(widths.values()), self.beam, self.rescorer
            )
        else:
            lines = [decode_greedy(frames, self.info, *widths[index]) for index, frames in logits.items()]
        return dict(zip(logits, self.corrector.correct(lines) if self.corrector else lines, strict=True))

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
                yield indices, self.run(images)

    def run(self, images: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        """Logits float32 [N, T, V] of images uint8 [N, 1, 64, W], W a multiple of `info.width_multiple`.

        Raises:
            HtrjandError: the file does not take them, or its answer is not finite or not of the shape it should have.
        """
        only = self.session.inputs[0].shape[3]
        if only not in (None, images.shape[3]):
            raise HtrjandError(
                f"{self.path}: takes lines {only} columns wide only, got {images.shape[3]}; pad them to that, or "
                "export it without a fixed width"
            )
        (logits,) = self.session.run(images)
        expected = (images.shape[0], images.shape[3] // self.info.frame_stride, len(self.info.charset))
        if logits.shape != expected:
            raise HtrjandError(
                f"{self.path}: images {list(images.shape)} gave logits {list(logits.shape)} instead of "
                f"{list(expected)}: charset or frame stride do not match the weights; export the model again"
            )
        if not (logits.max() <= MOST_LOGIT and logits.min() >= -MOST_LOGIT):  # NaN is not either
            raise HtrjandError(
                f"{self.path}: the model's answer is not finite; take another precision of it, or export it again"
            )
        return np.asarray(logits, dtype=np.float32)  # N, T, V


def open_corrector(corrector: str | Path | Corrector | None, threads: int | None) -> Corrector | None:
    """A corrector's file, opened; its code is loaded where there is one."""
    if not isinstance(corrector, str | Path):
        return corrector
    from .decode.corrector import Corrector

    return Corrector(corrector, threads)


def check_line_reader(session: Session, info: ModelInfo) -> None:
    """Raises an HtrjandError unless a session is that of a line reader which its description fits.

    A line reader has one input `image`, uint8 [N, 1, 64, W], and one output `logits`, float32 [N, T, V]. N is any or 1;
    W is any, or the only width that the description allows; T and V are any, or as the description says.
    """
    path, classes = session.path, len(info.charset)
    if info.height != HEIGHT:
        raise HtrjandError(
            f"{path}: it reads lines {info.height} pixels high, this edition makes {HEIGHT}; export it again"
        )
    for kind, ports, wanted in (
        ("input", session.inputs, Port("image", "uint8", (None, 1, HEIGHT, None))),
        ("output", session.outputs, Port("logits", "float32", (None, None, None))),
    ):
        if len(ports) != 1 or not fits(ports[0], wanted) or ports[0].shape[0] not in (None, 1):
            raise HtrjandError(
                f"{path}: its {kind} is {' and '.join(map(str, ports))}, where a line reader has {wanted}; take a "
                "model file that htrjand exported"
            )
    width, found = session.inputs[0].shape[3], session.outputs[0].shape[2]
    if width is not None and not info.width_multiple == info.max_width == width:
        raise HtrjandError(
            f"{path}: takes lines {width} columns wide, where its metadata say up to {info.max_width}; export it again"
        )
    if found is not None and found != classes:
        raise HtrjandError(
            f"{path}: a charset of {classes} (with the blank) does not match the weights, which tell {found} classes "
            "apart; export the model again with its own charset"
        )


def language_for(info: ModelInfo, lm: str | Path | None) -> Language | None:
    """The language that `Recognizer` reads with, for a model that says this of itself."""
    if lm is None:
        return None
    if lm != BUNDLED_LM:
        return Language.of(Ngram(lm), info)
    if not info.languages:
        return None
    ngram = bundled_ngram()
    return Language.of(ngram, info) if set(info.languages) <= set(ngram.about["languages"]) else None


def rescorer_for(info: ModelInfo, language: Language | None, neural_lm: str | Path | None) -> Rescorer | None:
    """What chooses among the best texts of a line that `language` found, if a neural language model was named."""
    if neural_lm is None or (neural_lm == BUNDLED_LM and not language):
        return None
    if language is None:
        raise UsageError(
            f"{neural_lm}: a neural language model chooses among texts that an n-gram has found; name one too (--lm)"
        )
    if neural_lm != BUNDLED_LM:
        return Rescorer(NeuralLm(neural_lm), info.charset)
    neural = bundled_neural()
    return Rescorer(neural, info.charset) if set(info.languages) <= set(neural.about["languages"]) else None


def fits(port: Port, wanted: Port) -> bool:
    """Whether a port has the name, type, number of axes and fixed sizes of another."""
    return (
        (port.name, port.dtype, len(port.shape)) == (wanted.name, wanted.dtype, len(wanted.shape))
        and all(size in (None, other) for size, other in zip(wanted.shape, port.shape, strict=True))
    )  # fmt: skip


@cache
def bundled_ngram() -> Ngram:
    """The n-gram that came with the package; all readers share it."""
    return Ngram(bundled_language(LANGUAGE))


@cache
def bundled_neural() -> NeuralLm:
    """The neural language model that came with the package; all readers share it."""
    return NeuralLm(bundled_language(NEURAL))


def bundled_language(name: str) -> Path:
    """The path of a language model that came with the package."""
    path = MODELS / name
    if not path.is_file():
        raise HtrjandError(f"{path}: the bundled language model is missing; install htrjand again, or read without one")
    return path
