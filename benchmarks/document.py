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
    if schema == FIRST:
        result = upgraded(result)
    elif schema != SCHEMA:
        kind = f"a document of schema {schema!r}" if isinstance(schema, str) else "no result of `htrjand bench`"
        raise HtrjandError(f"{path}: is {kind}, where this edition reads {SCHEMA}; measure again")
    lacking = sorted(KEYS - result.keys())
    if lacking or not all(isinstance(result[key], kind) for key, kind in KINDS.items()):
        raise HtrjandError(f"{path}: lacks {', '.join(lacking) or 'values'}, so it is no whole result; measure again")
    return result


KINDS: dict[str, type] = {
    "machine": dict, "versions": dict, "data": list, "settings": dict, "conditions": dict, "invalid": list,
    "engines": list,
}  # fmt: skip
KEYS = {"schema", "measured_at", "git_revision", "ratios", *KINDS}


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
