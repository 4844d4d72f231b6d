"""The model files that came with the package."""

from __future__ import annotations

from pathlib import Path

from .errors import HtrjandError, UsageError
from .formats import FORMATS, format_of, formats_of

MODELS = Path(__file__).with_name("models")  # not by importlib.resources, which takes 10 ms to import


def bundled_models() -> list[Path]:
    """The model files that came with the package, line readers and line detectors, sorted by name."""
    return sorted(path for path in MODELS.glob("*") if path.suffix in FORMATS)


def model_file(name: str, model: str | Path | None, engine: str | None) -> Path:
    """A model file asked for by its path, or the bundled one of this name; of an engine, where one is named.

    Raises:
        HtrjandError: as `bundled_file`.
        UsageError: the engine is none, or does not read the model.
    """
    if model is None:
        return bundled_file(name, engine)
    if engine is not None and format_of(model) not in formats_of(engine):
        raise UsageError(f"{model}: is no model for the engine {engine}; leave one of the two out")
    return Path(model)


def bundled_in(name: str, suffix: str) -> Path | None:
    """The bundled file of this name in one format; None where it does not come in that."""
    return next((path for path in bundled_models() if path.stem == name and path.suffix == suffix), None)


def bundled_file(name: str, engine: str | None = None) -> Path:
    """The bundled file of this name: in the format of an engine, or in the first of the table that can be read here.

    Raises:
        HtrjandError: it does not come in that format, or no library is installed that reads any.
        UsageError: there is no engine of this name.
    """
    if engine is not None:
        files = [bundled_in(name, form.suffix) for form in formats_of(engine)]
        if file := next(filter(None, files), None):
            return file
        raise HtrjandError(f"{name}: does not come in a format of {engine}; leave the engine out, or name a model file")
    found = [path for path in bundled_models() if path.stem == name]
    if not found:
        raise HtrjandError(f"the bundled model {name} is missing; install htrjand again, or name a model file")
    for suffix in FORMATS:
        for path in found:
            if path.suffix == suffix and format_of(path).is_installed():
                return path
    raise HtrjandError(
        f"{found[0].with_suffix('')}: no library is installed that reads the bundled model in any of its formats: pip "
        "install onnxruntime (on 32-bit ARM tflite-runtime, which needs Python 3.11 and numpy < 2)"
    )
