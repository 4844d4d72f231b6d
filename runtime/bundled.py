"""The model files that came with the package."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

from .errors import HtrjandError
from .formats import FORMATS, format_of


def bundled_models() -> list[Path]:
    """The model files that came with the package, line readers and line detectors, sorted by name."""
    folder = Path(str(files(__package__) / "models"))
    return sorted(path for path in folder.glob("*") if path.suffix in FORMATS)


def bundled_in(name: str, suffix: str) -> Path | None:
    """The bundled file of this name in one format; None where it does not come in that."""
    return next((path for path in bundled_models() if path.stem == name and path.suffix == suffix), None)


def bundled_file(name: str) -> Path:
    """The bundled file of this name, in the first format of the table that can be read here."""
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
