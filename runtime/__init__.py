"""Reads handwritten lines with one model file: numpy, Pillow and one engine, imported when a model is opened.

>>> from htrjand.runtime import Recognizer
>>> Recognizer().read_line("line.png").text
"""

from .bundled import bundled_models
from .decode import Character, Line, Word
from .errors import HtrjandError, UsageError
from .info import ModelInfo
from .recognizer import Recognizer

__all__ = ["Character", "HtrjandError", "Line", "ModelInfo", "Recognizer", "UsageError", "Word", "bundled_models"]
