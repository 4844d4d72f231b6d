"""What can be measured: a model file, whose suffix names its engine, or a peer by its name."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from ..runtime.decode import kernel
from ..runtime.errors import HtrjandError, UsageError
from ..runtime.formats import FORMATS, format_of
from ..runtime.info import sha256, size_of

BUNDLED = "bundled"
PEERS = ("tesseract", "rapidocr")
WEIGHTS = ".safetensors"  # run by torch: what model files are compared with


class Setup(NamedTuple):
    """What one row measures.

    Args:
        engine: a model file, or a name.
        lm: the language model, as `Recognizer` takes it; None: greedy, or a peer as it ships.
    """

    engine: str
    lm: str | None = None


class Reader(Protocol):
    """All that the harness knows of an engine: a line in, something with a `text` out."""

    def read_line(self, source: Any) -> Any: ...


def check_engine(engine: str) -> str:
    """Returns the engine as given; a name that none has, or a missing file, is an error that lists the good ones."""
    if engine in (BUNDLED, *PEERS):
        return engine
    if Path(engine).suffix not in (*FORMATS, WEIGHTS):
        good, suffixes = ", ".join((BUNDLED, *PEERS)), ", ".join((*FORMATS, WEIGHTS))
        raise UsageError(f"{engine}: no such engine; give a model file ({suffixes}) or one of {good}")
    if not Path(engine).is_file():
        raise HtrjandError(f"{engine}: no such file; check the path")
    return engine


def takes_lm(engine: str) -> bool:
    """Whether an engine may read with a language model of ours: model files may, torch weights and peers may not."""
    return engine not in PEERS and Path(engine).suffix != WEIGHTS


def row_names(engines: Sequence[str]) -> dict[str, str]:
    """Engine → the name of its row: the file's name, with its folder where two files share one."""
    names = [Path(engine).name for engine in engines]
    return {
        engine: name if names.count(name) == 1 else str(Path(engine).parent.name + "/" + name)
        for engine, name in zip(engines, names, strict=True)
    }


def open_reader(setup: Setup, threads: int) -> Reader:
    """Opens an engine; only its own libraries are imported."""
    engine, lm = setup
    if engine == "tesseract":
        from .peers import Tesseract

        return Tesseract()
    if engine == "rapidocr":
        from .peers import RapidOcr

        return RapidOcr(threads)
    if Path(engine).suffix == WEIGHTS:
        from ..train.reader import open_weights

        return open_weights(engine, threads)
    from ..runtime import Recognizer

    return Recognizer(None if engine == BUNDLED else engine, threads, lm)


def about(engine: str, reader: Any) -> dict[str, object]:
    """Engine, decoder, precision, version, SHA-256 and size of what was opened: bytes, with the language model."""
    if engine in PEERS:
        described: dict[str, object] = reader.about()
        return described
    path = Path(reader.path)
    lm = about_lm(reader) if reader.language else {}
    return {
        "decoder": "beam" if lm else "greedy",
        "engine": "torch" if path.suffix == WEIGHTS else format_of(path).engine,
        "precision": reader.info.precision,
        "version": reader.info.version,
        "bytes": size_of(path) + lm.get("bytes", 0),
        "sha256": sha256(path),
        "weights_sha256": reader.info.weights_sha256,
    } | ({"lm": lm} if lm else {})


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
