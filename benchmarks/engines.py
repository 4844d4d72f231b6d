"""What can be measured: a model file, whose suffix names its engine, or a peer by its name."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from ..runtime.bundled import bundled_in
from ..runtime.decode import kernel
from ..runtime.errors import HtrjandError, UsageError
from ..runtime.formats import FORMATS, format_of
from ..runtime.image import Grey
from ..runtime.info import sha256, size_of

BUNDLED = "bundled"
PEERS = ("tesseract", "rapidocr")
WEIGHTS = ".safetensors"  # run by torch: what model files are compared with
GPU = "@gpu"  # behind a file of weights: torch runs it on the GPU
DETECTOR = "htrjand-detector-int8"  # the bundled one, which finds the lines of pages
UNITS = ("line", "page")  # what is read at a time
NONE = "-"  # what a worker takes for no language model


class Setup(NamedTuple):
    """What one row measures.

    Args:
        engine: a model file, or a name.
        lm: the language model, as `Recognizer` takes it; None: greedy, or a peer as it ships.
        unit: whether it reads a `line` at a time, or a `page`.
        neural: the neural language model of the second pass, as `Recognizer` takes it; None: there is none.
    """

    engine: str
    lm: str | None = None
    unit: str = "line"
    neural: str | None = None

    @property
    def decoder(self) -> str:
        """How the text is found, where an engine reads with what it is given."""
        return "rescored" if self.neural else "beam" if self.lm else "greedy"


class Reader:
    """An engine, opened: all that the harness knows of it.

    Args:
        engine: a `Recognizer`, or a peer.
        setup: what was opened.
    """

    def __init__(self, engine: Any, setup: Setup) -> None:
        self.engine, self.setup = engine, setup
        self.has_batches = setup.unit == "line" and setup.engine not in PEERS

    def read(self, pixels: Grey) -> str:
        """The text of a line [64, W], or of a page [H, W] with its lines one below the other."""
        if self.setup.unit == "line":
            return str(self.engine.read_line(pixels).text)
        page = self.engine.read_page(pixels)
        return "\n".join(line.text for line in (page if self.setup.engine in PEERS else page.lines))

    def read_batch(self, lines: Sequence[Grey], size: int) -> None:
        """Reads lines of one width, so many at a time; only where it `has_batches`."""
        self.engine.read_lines(lines, size)

    def about(self) -> dict[str, object]:
        """Engine, decoder, precision, version, SHA-256 and size of what was opened."""
        return about(self.setup, self.engine)


def check_engine(engine: str) -> str:
    """Returns the engine as given; a name that none has, or a missing file, is an error that lists the good ones."""
    if engine in (BUNDLED, *PEERS):
        return engine
    path = engine.removesuffix(GPU)
    if engine != path and Path(path).suffix != WEIGHTS:
        raise UsageError(f"{engine}: on a GPU torch alone is measured; give weights ({WEIGHTS}{GPU})")
    if Path(path).suffix not in (*FORMATS, WEIGHTS):
        good, suffixes = ", ".join((BUNDLED, *PEERS)), ", ".join((*FORMATS, WEIGHTS))
        raise UsageError(f"{engine}: no such engine; give a model file ({suffixes}) or one of {good}")
    if not Path(path).is_file():
        raise HtrjandError(f"{path}: no such file; check the path")
    return engine


def takes_lm(engine: str) -> bool:
    """Whether an engine may read with a language model of ours: model files may, torch weights and peers may not."""
    return engine not in PEERS and Path(engine.removesuffix(GPU)).suffix != WEIGHTS


def row_names(engines: Sequence[str]) -> dict[str, str]:
    """Engine → the name of its row: the file's name, with its folder where two files share one."""
    names = [Path(engine).name for engine in engines]
    return {
        engine: name if names.count(name) == 1 else str(Path(engine).parent.name + "/" + name)
        for engine, name in zip(engines, names, strict=True)
    }


def open_reader(setup: Setup, threads: int) -> Reader:
    """Opens an engine; only its own libraries are imported."""
    return Reader(open_engine(setup, threads), setup)


def open_engine(setup: Setup, threads: int) -> Any:
    """A `Recognizer`, or a peer of that unit."""
    engine, pages = setup.engine, setup.unit == "page"
    if engine == "tesseract":
        from .page_peers import TesseractPages
        from .peers import Tesseract

        return TesseractPages() if pages else Tesseract()
    if engine == "rapidocr":
        from .page_peers import RapidOcrPages
        from .peers import RapidOcr

        return RapidOcrPages(threads) if pages else RapidOcr(threads)
    weights = engine.removesuffix(GPU)
    if Path(weights).suffix == WEIGHTS:
        from ..train.reader import open_weights

        return open_weights(weights, threads, gpu=weights != engine)
    from ..runtime import Recognizer

    detector = None if engine == BUNDLED else bundled_in(DETECTOR, Path(engine).suffix)  # one engine reads it all
    model = None if engine == BUNDLED else engine
    return Recognizer(model, threads, setup.lm, detector=detector, neural_lm=setup.neural)


def about(setup: Setup, reader: Any) -> dict[str, object]:
    """Engine, decoder, precision, version, SHA-256 and size of what was opened: bytes, all files together."""
    if setup.engine in PEERS:
        peer: dict[str, object] = reader.about()
        return peer
    path = Path(reader.path)
    parts = {"lm": about_lm(reader)} if reader.language else {}
    if reader.rescorer:
        neural = reader.rescorer.neural.path
        parts["neural_lm"] = {"name": neural.stem, "bytes": size_of(neural), "sha256": sha256(neural)}
    if setup.unit == "page":
        finder = Path(reader.detector.path)
        parts["detector"] = {"name": finder.name, "bytes": size_of(finder), "sha256": sha256(finder)}
    described = {
        "decoder": "rescored" if reader.rescorer else "beam" if reader.language else "greedy",
        "engine": "torch" if path.suffix == WEIGHTS else format_of(path).engine,
        "precision": reader.info.precision,
        "version": reader.info.version,
        "bytes": size_of(path) + sum(part["bytes"] for part in parts.values()),
        "sha256": sha256(path),
        "weights_sha256": reader.info.weights_sha256,
    } | parts
    if setup.engine.endswith(GPU):
        described["gpu"] = reader.session.gpu
    return described


def about_lm(reader: Any) -> dict[str, Any]:
    """The language model of a `Recognizer`, its weights, and whether the search with it is compiled."""
    language, path = reader.language, reader.language.ngram.path
    return {
        "name": language.ngram.about["name"],
        "bytes": path.stat().st_size,
        "sha256": sha256(path),
        "weight": language.weight,
        "bonus": language.bonus,
        "beam": reader.beam,
        "compiled": kernel.library() is not None,
    }
