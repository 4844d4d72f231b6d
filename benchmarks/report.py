"""Benchmark results as Markdown: one table for each result, one row for each engine and decoder."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from ..runtime.errors import HtrjandError
from .engines import PEERS
from .run import SCHEMA

Column = tuple[str, Callable[[dict[str, Any]], str]]  # header, and function from an engine's result to its cell


def load_result(path: Path) -> dict[str, Any]:
    """Reads one result; raises an HtrjandError that names the file where it is none."""
    try:
        result: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise HtrjandError(f"{path}: no such file; check the path") from error
    except (OSError, ValueError) as error:
        raise HtrjandError(f"{path}: not a readable JSON file ({error}); measure again") from error
    if not isinstance(result, dict) or result.get("schema") != SCHEMA:
        raise HtrjandError(f"{path}: not a result of `htrjand bench` ({SCHEMA}); measure again")
    return result


def markdown(results: list[dict[str, Any]]) -> str:
    """All results in order."""
    return "\n\n".join(one_result(result) for result in results) + "\n"


def one_result(result: dict[str, Any]) -> str:
    """Caption, table, reasons why the latencies are not valid, and engines that failed."""
    measured = [row for row in result["engines"] if "error" not in row]
    parts = [caption(result), "\n".join(table(result, measured))]
    if result["invalid"]:
        parts.append("**Not a valid latency run**: " + "; ".join(result["invalid"]) + ".")
    parts += [f"**{row['name']}** failed: {row['error']}" for row in result["engines"] if "error" in row]
    return "\n\n".join(dict.fromkeys(parts))  # a file that no decoder can read fails twice


def caption(result: dict[str, Any]) -> str:
    """Device, software, data and time in one paragraph."""
    device = result["machine"]
    data = ", ".join(f"{part['dataset']} {part['split']} ({part['lines']})" for part in result["data"])
    flags = " ".join(device["flags"]) or "no flags known"
    governor = f", governor {device['governor']}" if device["governor"] else ""
    return (
        f"{device['device'] or device['cpu']}, {device['usable_cores']} cores ({flags}){governor}; "
        f"lines: {data}; htrjand {result['versions']['htrjand']}, revision {result['git_revision'] or 'unknown'}; "
        f"{result['measured_at']}."
    )


def table(result: dict[str, Any], rows: list[dict[str, Any]]) -> list[str]:
    """The rows of the Markdown table."""
    columns: list[Column] = [("engine", name_cell), ("precision", lambda row: str(row["precision"]))]
    spoken = any("lm" in row for row in rows)
    if spoken:
        columns.append(("decoder", decoder_cell))
    text_columns = len(columns)
    if result["settings"]["accuracy"]:
        columns += accuracy_columns([part["dataset"] for part in result["data"]])
    if result["settings"]["latency"]:
        columns += latency_columns(result["settings"]["threads"], rows)
        columns += precision_columns(rows)
        columns += decoder_columns(rows)
    columns.append((f"size, MB{' (model + n-gram)' * spoken}", size_cell))
    cells = [[header for header, _ in columns], ["---"] * text_columns + ["---:"] * (len(columns) - text_columns)]
    cells += [[cell(row) for _, cell in columns] for row in rows]
    return ["| " + " | ".join(row) + " |" for row in cells]


def accuracy_columns(datasets: Sequence[str]) -> list[Column]:
    """CER of each dataset with its interval, and of all where there are several; WER of all."""

    def cer_cell(row: dict[str, Any], dataset: str) -> str:
        figures = row["accuracy"]["datasets"][dataset]
        return f"{figures['cer']:.2f} ({figures['cer_low']:.1f}–{figures['cer_high']:.1f})"

    names = list(dict.fromkeys(datasets))
    columns: list[Column] = [(f"CER {name}, % (95 %)", partial(cer_cell, dataset=name)) for name in names]
    if len(names) > 1:
        columns.append(("CER all, %", lambda row: f"{row['accuracy']['all']['cer']:.2f}"))
    return [*columns, ("WER all, %", lambda row: f"{row['accuracy']['all']['wer']:.1f}")]


def latency_columns(threads: Sequence[int], rows: list[dict[str, Any]]) -> list[Column]:
    """p50 and p90 for each number of threads, p50 relative to the fastest peer, cold start, memory."""

    def milliseconds(row: dict[str, Any], index: int, key: str) -> str:
        return f"{row['latency'][index][key]:.1f}"

    def p50(row: dict[str, Any]) -> float:
        return float(row["latency"][0]["p50_ms"])

    columns: list[Column] = []
    for index, count in enumerate(threads):
        unit = f"ms a line, {count} thread{'s' * (count > 1)}"
        columns.append((f"p50, {unit}", partial(milliseconds, index=index, key="p50_ms")))
        columns.append((f"p90, {unit}", partial(milliseconds, index=index, key="p90_ms")))
    peers = [row for row in rows if row["name"] in PEERS]
    if peers:
        fastest = min(peers, key=p50)
        columns.append((f"p50 ÷ {fastest['name']}'s", lambda row: f"{p50(row) / p50(fastest):.2f}"))
    columns.append(("cold start, ms", lambda row: f"{row['cold_start_ms']:.0f}"))
    return [*columns, ("peak memory, MB", lambda row: f"{row['peak_rss_bytes'] / 1e6:.0f}")]


def precision_columns(rows: list[dict[str, Any]]) -> list[Column]:
    """Speed relative to the fp32 file of the same weights and format, with the same decoder, in the same run."""

    def kind(row: dict[str, Any]) -> tuple[Any, ...]:
        return row.get("weights_sha256"), Path(row["name"]).suffix, "lm" in row

    fp32 = {
        kind(row): row["latency"][0]["p50_ms"]
        for row in rows
        if row["precision"] == "fp32" and row.get("weights_sha256")
    }
    if not any(row["precision"] != "fp32" and kind(row) in fp32 for row in rows):
        return []

    def cell(row: dict[str, Any]) -> str:
        return f"{fp32[kind(row)] / row['latency'][0]['p50_ms']:.2f}" if kind(row) in fp32 else ""

    return [("times fp32's speed", cell)]


def decoder_columns(rows: list[dict[str, Any]]) -> list[Column]:
    """What a language model costs: p50 relative to that of the same file read greedily in the same run."""

    def kind(row: dict[str, Any]) -> tuple[Any, ...]:
        return row["name"], row.get("sha256")

    greedy = {kind(row): row["latency"][0]["p50_ms"] for row in rows if "lm" not in row}
    if not any("lm" in row and kind(row) in greedy for row in rows):
        return []

    def cell(row: dict[str, Any]) -> str:
        return f"{row['latency'][0]['p50_ms'] / greedy[kind(row)]:.2f}" if "lm" in row and kind(row) in greedy else ""

    return [("p50 ÷ greedy's", cell)]


def decoder_cell(row: dict[str, Any]) -> str:
    """How the row's text was found; with a language model of ours its name."""
    return f"{row['decoder']}, {row['lm']['name']}" if "lm" in row else str(row["decoder"])


def size_cell(row: dict[str, Any]) -> str:
    """Megabytes of the model, and of the language model that it reads with."""
    lm = row.get("lm", {}).get("bytes", 0)
    return f"{(row['bytes'] - lm) / 1e6:.2f}" + (f" + {lm / 1e6:.2f}" if lm else "")


def name_cell(row: dict[str, Any]) -> str:
    """The name of the row; of a peer also the version."""
    return f"{row['name']} {row['version']}" if row["name"] in PEERS else str(row["name"])
