"""Files of language models: a line of JSON that describes the file, then its arrays, mapped into numpy without parsing.

Every such file says `format`, `name`, `characters` (list of strings: the character of each code; code 0 is the edge of
a line, ""), `arrays` (name -> [numpy type, offset from the end of the line, number of values], each array at a multiple
of 8 bytes) and `seal` (that the file is whole and unchanged: see `seal.py`).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from ..errors import HtrjandError
from ..seal import PATTERN, check_seal

ALIGNED = 8  # bytes
UNKNOWN = 255  # the code of a character that a model does not have
HEAD = 1 << 20  # bytes that the line of JSON has at most


class LanguageModel:
    """A file of a language model, opened: what both kinds share.

    Args:
        path: the file.

    Raises:
        HtrjandError: it is no such file, is cut short or changed, or of another version.
    """

    form: ClassVar[str]  # its `format`
    types: ClassVar[Mapping[str, str]]  # the numpy type of each array

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path).expanduser()
        self.about, arrays = read_arrays(self.path, self.form, self.types)
        self.codes: dict[str, int] = {char: code for code, char in enumerate(self.about["characters"])}
        try:
            self._take(arrays)
        except (ValueError, KeyError, IndexError, TypeError) as error:
            raise unusable(self.path, error) from error

    def _take(self, arrays: dict[str, npt.NDArray[Any]]) -> None:
        """Makes of the arrays what the model computes with."""
        raise NotImplementedError


def read_arrays(
    path: Path, form: str, types: Mapping[str, str]
) -> tuple[dict[str, Any], dict[str, npt.NDArray[Any]]]:  # fmt: skip
    """What a file says of itself, and its arrays, mapped.

    Args:
        path: the file.
        form: the `format` that it must have.
        types: the numpy type of each array that it must hold.

    Raises:
        HtrjandError: it is no such file, is cut short or changed, or of another version.
    """
    if not path.is_file():
        raise HtrjandError(f"{path}: no such language model; check the path")
    check_seal(path)
    content = np.memmap(path, np.uint8, "r")
    end = int(np.argmax(content[:HEAD] == ord("\n")))
    try:
        about: dict[str, Any] = json.loads(bytes(content[:end]))
        found = about["format"]
        if found != form:
            raise HtrjandError(
                f"{path}: a language model of format {found!r}, not {form!r}: an n-gram is given by --lm, a neural one "
                "by --neural-lm; one of another edition is to be built again"
            )
        arrays = {}
        for name, dtype in types.items():
            kind, offset, count = about["arrays"][name]
            if kind != dtype:
                raise ValueError(f"{name} is {kind}")
            arrays[name] = np.frombuffer(content, dtype, count, end + 1 + offset)
        characters = about["characters"]
        if characters[0] != "" or len(characters) > UNKNOWN or not all(isinstance(char, str) for char in characters):
            raise ValueError("characters that no code fits")
        if len(set(characters)) < len(characters):
            raise ValueError("a character that it has twice")
        if not PATTERN.fullmatch(about["seal"].encode()) or not isinstance(about["name"], str):
            raise ValueError("its seal or its name is no text")
        return about, arrays
    except (ValueError, KeyError, TypeError, AttributeError, IndexError, RecursionError, OverflowError) as error:
        raise unusable(path, error) from error


def is_neural(path: Path) -> bool:
    """Whether a file says that it is a neural language model."""
    try:
        with path.open("rb") as file:
            return str(json.loads(file.readline(HEAD))["format"]).startswith("htrjand-neural-lm/")
    except (OSError, ValueError, KeyError, TypeError):
        return False  # who opens it as an n-gram will say what is wrong


def unusable(path: Path, error: Exception) -> HtrjandError:
    return HtrjandError(
        f"{path}: no language model that can be used ({error}); take one that `htrjand lm` wrote, or build it again"
    )
