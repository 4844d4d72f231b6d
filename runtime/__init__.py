"""Reads handwritten pages and lines with one model file: numpy, Pillow and one engine, imported when a model is opened.

>>> from htrjand.runtime import Recognizer
>>> Recognizer().read_line("line.png").text
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .bundled import bundled_models
    from .decode import Character, Line, Word
    from .errors import HtrjandError, UsageError
    from .info import ModelInfo
    from .recognizer import Recognizer

__all__ = ["Character", "HtrjandError", "Line", "ModelInfo", "Recognizer", "UsageError", "Word", "bundled_models"]

_MODULES = ("bundled", "decode", "errors", "info", "recognizer")  # in which these names stand

if not TYPE_CHECKING:  # a type checker looks at the imports above

    def __getattr__(name: str) -> Any:
        """Loads what is asked for when it is: `htrjand.runtime.cli`, which --help needs, loads no numpy."""
        if name in __all__:
            for module in map(import_module, (f"{__name__}.{module}" for module in _MODULES)):
                if hasattr(module, name):
                    return getattr(module, name)
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
