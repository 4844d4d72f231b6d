"""A result as one JSON document: `docs/bench-schema.json` says what it holds. Written here, and read again."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from ..runtime.errors import HtrjandError
from ..runtime.text import json_text

SCHEMA = "htrjand-bench-2"
FIRST = "htrjand-bench-1"  # without single readings, and with lines alone: still read
NUMBERS = re.compile(r"\[\n\s+(-?[\d.e+-]+(?:,\n\s+-?[\d.e+-]+)*)\n\s+\]")


def as_json(document: dict[str, Any]) -> str:
    """The document as indented JSON, a list of numbers a line."""
    text = json_text(document, indent=1)
    return NUMBERS.sub(lambda found: "[" + re.sub(r",\n\s+", ", ", found[1]) + "]", text) + "\n"


def file_name(document: dict[str, Any]) -> str:
    """What a result's file is called in a folder of many: its machine, cores, version, and when it was taken."""
    machine, version = document["machine"], document["versions"]["htrjand"]
    parts = (machine["device"] or machine["cpu"], f"{machine['usable_cores']} cores", f"htrjand {version}")
    words = re.sub(r"[^a-z0-9.]+", "-", " ".join(parts).lower()).strip("-")
    return f"{words}-{re.sub('[^0-9]', '', document['measured_at'])[:14]}.json"


def load_result(path: Path) -> dict[str, Any]:
    """Reads one result; raises an HtrjandError that names the file where it is none."""
    try:
        result: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise HtrjandError(f"{path}: no such file; check the path") from error
    except (OSError, ValueError) as error:
        raise HtrjandError(f"{path}: not a readable JSON file ({error}); copy it again, or measure again") from error
    schema = result.get("schema") if isinstance(result, dict) else None
    if schema not in (FIRST, SCHEMA):
        kind = f"a document of schema {schema!r}" if isinstance(schema, str) else "no result of `htrjand bench`"
        raise HtrjandError(f"{path}: is {kind}, where this edition reads {SCHEMA}; measure again")
    if lacking := lacks(result, schema == FIRST):
        raise HtrjandError(f"{path}: lacks {', '.join(lacking)}, so it is no whole result; measure again")
    return upgraded(result) if schema == FIRST else result


# What every result has, and what stands in its objects and in those of its lists. Of the first schema less is asked.
NEEDED = {
    "machine": ("device", "cpu", "architecture", "usable_cores", "flags", "governor"),
    "versions": ("htrjand",),
    "data": ("dataset", "unit", "split", "items", "sha256"),
    "settings": ("threads", "latency", "accuracy"),
    "conditions": (),
    "invalid": ("text",),
    "engines": ("name", "unit", "decoder"),
}
LISTS = ("data", "invalid", "engines")
FIRST_NEEDED = NEEDED | {"data": ("dataset", "split", "lines", "sha256"), "invalid": (), "engines": ("name",)}


def lacks(result: dict[str, Any], first: bool) -> list[str]:
    """The names of what a report would miss in a result that somebody cut or changed."""
    found = [key for key in ("measured_at", "git_revision") if key not in result]
    found += ["ratios"] if not first and "ratios" not in result else []
    for key, names in (FIRST_NEEDED if first else NEEDED).items():
        value = result.get(key)
        if not isinstance(value, list if key in LISTS else dict):
            found.append(key)
            continue
        for part in value if isinstance(value, list) else [value]:
            found += [f"{key}.{name}" for name in names if not isinstance(part, dict) or name not in part]
    return list(dict.fromkeys(found))


def upgraded(first: dict[str, Any]) -> dict[str, Any]:
    """A document of the first schema as one of this: what it did not hold is left out, or null."""
    data = [
        {"unit": "line", "items": part["lines"]} | {key: part[key] for key in ("dataset", "split", "sha256")}
        for part in first["data"]
    ]
    invalid = [{"what": "told", "measured": None, "allowed": None, "text": text} for text in first["invalid"]]
    engines = [{"unit": "line", "decoder": "greedy"} | row for row in first["engines"]]
    timed = sum("latency" in row for row in engines)
    return first | {
        "schema": SCHEMA,
        "data": data,
        "invalid": invalid,
        "engines": engines,
        "ratios": "usable" if timed > 1 else "none",
    }
