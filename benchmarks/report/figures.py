"""Figures of any number of results as flat records: for spreadsheets, and for the page that draws them."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ...runtime.errors import HtrjandError
from ..document import load_result
from .pairs import item_times, time_ratios
from .tables import other_precisions

BINS = 8  # of widths, each with as many items


@dataclass(frozen=True)
class Named:
    """A result, under a name that no other of the report has."""

    name: str
    result: dict[str, Any]


def load_all(paths: Sequence[Path]) -> tuple[list[Named], list[str], list[str]]:
    """The results of some files and folders, in order; what is wrong with the others; and what else is to be known.

    A result is named by its file. Where two files have one name, the folder is added, and it is told. A file with the
    same run as another is told, and left out, for nothing is lost by it.
    """
    found: list[tuple[Path, dict[str, Any]]] = []
    problems, notes = [], []
    for path in files_of(paths):
        try:
            result = load_result(path)
        except HtrjandError as error:
            problems.append(str(error))
            continue
        twin = next((other for other, known in found if known == result), None)
        if twin:
            notes.append(f"{path}: is the same run as {twin}; left out")
        else:
            found.append((path, result))
    stems = [path.stem for path, _ in found]
    notes += [
        f"{stem}: {stems.count(stem)} results have this name; their folders are added to it"
        for stem in dict.fromkeys(stems)
        if stems.count(stem) > 1
    ]
    names = [path.stem if stems.count(path.stem) == 1 else str(path.with_suffix("")) for path, _ in found]
    return [Named(name, result) for name, (_, result) in zip(names, found, strict=True)], problems, notes


def files_of(paths: Sequence[Path]) -> list[Path]:
    """The files among the paths, and the results in the folders among them."""
    inside = [sorted(path.glob("*.json")) if path.is_dir() else [path] for path in paths]
    return [
        file for path, files in zip(paths, inside, strict=True) for file in files if not path.is_dir() or is_meant(file)
    ]


def is_meant(file: Path) -> bool:
    """Whether a file in a folder is a result, or too broken to tell; other JSON may lie beside results."""
    text = file.read_text(encoding="utf-8", errors="replace")
    if '"schema"' in text[:200]:
        return '"schema": "htrjand-bench' in text[:200]
    try:
        json.loads(text)
    except ValueError:
        return True
    return False


def records(results: Sequence[Named]) -> list[dict[str, Any]]:
    """A record for each row and number of threads; None where something was not measured.

    Values are numbers, texts and truths, but `data`, the data sets with their hashes, and `widths`, pairs of a width
    and the median milliseconds of items about as wide.
    """
    return [
        record
        for named in results
        for row in named.result["engines"]
        for record in records_of(named, row, row.get("latency") or [None])
    ]


def records_of(named: Named, row: dict[str, Any], entries: Sequence[dict[str, Any] | None]) -> list[dict[str, Any]]:
    """The records of one row."""
    result, device = named.result, named.result["machine"]
    parts = [part for part in result["data"] if part["unit"] == row["unit"]]
    errors = row.get("accuracy", {}).get("all", {})
    shared = {
        "result": named.name,
        "device": device["device"] or device["cpu"],
        "architecture": device["architecture"],
        "cores": device["usable_cores"],
        "measured_at": result["measured_at"],
        "revision": result["git_revision"],
        "valid": not result["invalid"],
        "ratios": result["ratios"],
        "unit": row["unit"],
        "name": row["name"],
        "version": row.get("version"),
        "engine": row.get("engine"),
        "precision": row.get("precision"),
        "decoder": row["decoder"],
        "language_model": row.get("lm", {}).get("name"),
        "neural_language_model": row.get("neural_lm", {}).get("name"),
        "data": [[part["dataset"], part["items"], part["sha256"]] for part in parts],
        **{key: errors.get(key) for key in ("cer", "cer_low", "cer_high", "wer")},
        "failed": len(row.get("accuracy", {}).get("failed", [])),
        "cold_start_ms": row.get("cold_start_ms"),
        "memory_mb": mega(row.get("peak_rss_bytes")),
        "size_mb": mega(row.get("bytes")),
        "libraries_mb": mega(row.get("install_bytes")),
        "error": row.get("error"),
    }
    return [shared | timing(row, entry or {}, parts) for entry in entries]


def timing(row: dict[str, Any], entry: dict[str, Any], parts: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """What a record tells of speed."""
    batches = {one["size"]: one for one in row.get("batches", []) if one["threads"] == entry.get("threads")}
    keys = ("threads", "p50_ms", "p90_ms", "p99_ms", "mean_ms", "queries", "seconds", "joules")
    return {
        **{key: entry.get(key) for key in keys},
        **{f"lines_per_second_{size}": batches.get(size, {}).get("lines_per_second") for size in (1, 8, 32)},
        "widths": by_width(entry, [width for part in parts for width in part.get("widths", [])]),
    }


def by_width(entry: dict[str, Any], widths: Sequence[int]) -> list[tuple[float, float]]:
    """Pairs of a width and the milliseconds of items about as wide: medians of up to eight groups of as many items."""
    times = item_times(entry)
    items = sorted((item for item in times if item < len(widths)), key=lambda item: widths[item])
    groups = [group for group in np.array_split(np.array(items, int), min(BINS, max(1, len(items)))) if len(group)]
    return [
        (float(np.median([widths[i] for i in group])), round(float(np.median([times[i] for i in group])), 3))
        for group in groups
    ]


def speedups(results: Sequence[Named]) -> list[dict[str, Any]]:
    """How many times as fast as in fp32 a file is in another precision: of files of one format and the same weights,
    read with the same decoder, that took turns; by result, with its 95 % interval where single readings were kept."""
    found = []
    for named in results:
        rows = [row for row in named.result["engines"] if row.get("latency") and row.get("weights_sha256")]
        floats = {other_precisions(row): row for row in rows if row["precision"] == "fp32"}
        for row in rows:
            base = floats.get(other_precisions(row))
            if base is None or base is row:
                continue
            for one, other in zip(row["latency"], base["latency"], strict=False):
                interval = next(iter(time_ratios([(one, other)])), None)
                value = other["p50_ms"] / one["p50_ms"]
                found.append(
                    {key: row[key] for key in ("name", "unit", "decoder", "precision", "engine")}
                    | {"result": named.name, "threads": one["threads"]}
                    | {"times": interval.value if interval else value}
                    | {"low": interval.low if interval else None, "high": interval.high if interval else None}
                )
    return found


def mega(size: int | None) -> float | None:
    """Bytes in megabytes."""
    return None if size is None else round(size / 1e6, 3)


def as_csv(results: Sequence[Named]) -> str:
    """The records as CSV, one a line; lists are left out but for the names of the data sets."""
    rows = [
        record | {"data": "; ".join(f"{name} ({count})" for name, count, _ in record["data"])}
        for record in records(results)
    ]
    stream = io.StringIO()
    names = [name for name in rows[0] if name != "widths"] if rows else []
    writer = csv.DictWriter(stream, names, extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return stream.getvalue()
