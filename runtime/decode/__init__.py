"""From the logits of a line to its text."""

from .greedy import decode_greedy
from .line import Character, Line, Word

__all__ = ["Character", "Line", "Word", "decode_greedy"]
