"""The recipe loader: YAML read into frozen dataclasses. An unknown key is an error, never ignored. Needs no torch."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

import yaml

from ..runtime.errors import HtrjandError, UsageError

T = TypeVar("T")


def at_least_one(recipe: Any, *names: str) -> None:
    """Raises a ValueError for a number below 1 where that means nothing."""
    for name in names:
        if getattr(recipe, name) < 1:
            raise ValueError(f"{name}: 1 or more, got {getattr(recipe, name)}")


def load_recipe(cls: type[T], path: str | Path) -> T:
    """Reads a YAML recipe into a dataclass of recipes.

    Raises:
        UsageError: no such file, no YAML, an unknown key, or a value of another type; names the key and the good ones.
    """
    try:
        values = yaml.safe_load(Path(path).read_text(encoding="utf-8")) or {}
    except FileNotFoundError as error:
        raise UsageError(f"{path}: no such recipe; check the path") from error
    except (yaml.YAMLError, UnicodeDecodeError, OSError) as error:
        raise UsageError(f"{path}: not a YAML recipe ({error})") from error
    return from_dict(cls, values, str(path))


def from_dict(cls: type[T], values: Any, where: str) -> T:
    """A dataclass from nested mappings, every key and type checked; `where` begins each message."""
    if not isinstance(values, Mapping):
        raise UsageError(f"{where}: keys and values expected, got {values!r}")
    hints = get_type_hints(cls)
    unknown = [str(key) for key in values if key not in hints]
    if unknown:
        raise UsageError(f"{where}: unknown key {', '.join(unknown)}; the keys are {', '.join(hints)}")
    given = {key: convert(hints[key], value, f"{where}: {key}") for key, value in values.items()}
    try:
        return cls(**given)
    except (TypeError, ValueError, HtrjandError) as error:
        raise UsageError(f"{where}: {error}") from error


def convert(hint: Any, value: Any, where: str) -> Any:
    """A value checked against a type hint: dataclass, optional, tuple or dict of one type, or a plain type."""
    if dataclasses.is_dataclass(hint):
        return from_dict(hint, value, where)  # type: ignore[arg-type]
    if get_origin(hint) in (Union, UnionType):
        return None if value is None else convert(next(t for t in get_args(hint) if t is not NoneType), value, where)
    if get_origin(hint) is dict:
        if not isinstance(value, Mapping):
            raise UsageError(f"{where}: keys and values expected, got {value!r}")
        return {str(key): convert(get_args(hint)[1], item, f"{where}: {key}") for key, item in value.items()}
    if get_origin(hint) is tuple:
        if not isinstance(value, list | tuple):
            raise UsageError(f"{where}: a list expected, got {value!r}")
        return tuple(convert(get_args(hint)[0], item, where) for item in value)
    if hint is float and isinstance(value, int | str) and not isinstance(value, bool):
        try:
            return float(value)  # YAML takes 2e-3 for a word: it wants 2.0e-3
        except ValueError:
            pass
    if not isinstance(value, hint) or (hint is int and isinstance(value, bool)):
        raise UsageError(f"{where}: {hint.__name__} expected, got {value!r}")
    return value


def to_json(recipe: Any) -> str:
    """A recipe as JSON with sorted keys: what is stored beside weights and compared on resume."""
    return json.dumps(dataclasses.asdict(recipe), sort_keys=True, indent=1)
