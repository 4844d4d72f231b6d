"""Results as tables: of each result one for lines and one for pages, a row for each engine and decoder."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from itertools import zip_longest
from pathlib import Path
from typing import Any

from ...runtime.text import printable
from ..engines import PEERS, UNITS
from .layout import Table, filled, markdown_rows, terminal_rows

Column = tuple[str, Callable[[dict[str, Any]], str]]  # header, and function from an engine's result to its cell


def markdown(results: Sequence[dict[str, Any]], names: Sequence[str] = ()) -> str:
    """All results in order, as Markdown, each under its name where names are given."""
    parts = []
    for result, name in zip_longest(results, names):
        parts += [f"**{name}**"] * bool(name)
        parts.append(caption(result))
        parts += ["\n".join(markdown_rows(table)) for table in tables(result)]
        notes = [f"**{head}**{text}" for head, text in remarks(result)]
        parts += dict.fromkeys(notes)  # a file that no decoder can read fails twice
    return "\n\n".join(parts) + "\n"


def terminal(results: Sequence[dict[str, Any]], names: Sequence[str] = ()) -> str:
    """All results in order, for a terminal, each under its name where names are given."""
    parts = []
    for result, name in zip_longest(results, names):
        parts += [printable(f"{name}:")] * bool(name)
        parts.append(filled(caption(result)))
        parts += ["\n".join(terminal_rows(table)) for table in tables(result)]
        notes = [head + text for head, text in remarks(result)]
        parts += [filled(note, "  ") for note in dict.fromkeys(notes)]
    return "\n\n".join(parts) + "\n"


def caption(result: dict[str, Any]) -> str:
    """Device, software, data and time in one paragraph."""
    device = result["machine"]
    flags = " ".join(device["flags"]) or "no flags known"
    governor = f", governor {device['governor']}" if device["governor"] else ""
    emulated = ", emulated" if device.get("emulated") else ""
    data = "; ".join(f"{unit}s: {', '.join(of_unit)}" for unit in UNITS if (of_unit := data_of(result, unit)))
    return (
        f"{device['device'] or device['cpu']}, {device['usable_cores']} cores ({flags}){governor}{emulated}; "
        f"{data}; htrjand {result['versions']['htrjand']}, revision {result['git_revision'] or 'unknown'}; "
        f"{result['measured_at']}."
    )


def data_of(result: dict[str, Any], unit: str) -> list[str]:
    """The data sets of one unit, each with how many there are."""
    parts = [part for part in result["data"] if part["unit"] == unit]
    return [f"{part['dataset']} {part['split']}".strip() + f" ({part['items']})" for part in parts]


def remarks(result: dict[str, Any]) -> list[tuple[str, str]]:
    """What a reader of the tables has to know besides: the run's disturbances, and which engines failed, and where."""
    found = []
    if result["invalid"]:
        usable = "; its engines took turns, so ratios between them stay" if result["ratios"] == "usable" else ""
        reasons = "; ".join(reason["text"] for reason in result["invalid"])
        found.append(("Not a valid latency run", f": {reasons}{usable}."))
    if step := result["conditions"].get("clock_step_s"):
        found.append(("The clock stepped", f" by {step:+.0f} s during the run: the dates are not to be relied on."))
    for row in result["engines"]:
        if "error" in row:
            found.append((row["name"], f" failed: {row['error']}"))
        for failure in row.get("accuracy", {}).get("failed", [])[:1]:
            count = len(row["accuracy"]["failed"])
            text = f" could not read {count} {row['unit']}{'s' * (count > 1)}, which count as read without text: "
            found.append((row["name"], text + failure["error"]))
    return found


def tables(result: dict[str, Any]) -> list[Table]:
    """The tables of a result, of lines first."""
    measured = [row for row in result["engines"] if "error" not in row]
    of_unit = [(unit, [row for row in measured if row["unit"] == unit]) for unit in UNITS]
    return [table(result, unit, rows) for unit, rows in of_unit if rows]


def table(result: dict[str, Any], unit: str, rows: list[dict[str, Any]]) -> Table:
    """The table of one unit."""
    columns: list[Column] = [("engine", name_cell), ("precision", lambda row: str(row["precision"]))]
    spoken = any("lm" in row for row in rows)
    if spoken:
        columns.append(("decoder", decoder_cell))
    words = len(columns)
    if result["settings"]["accuracy"]:
        columns += accuracy_columns([part["dataset"] for part in result["data"] if part["unit"] == unit])
    if result["settings"]["latency"]:
        columns += latency_columns(unit, result["settings"]["threads"], rows)
        columns += precision_columns(rows)
        columns += decoder_columns(rows)
    neural = any("neural_lm" in row for row in rows)
    kinds = ["model", *["detector"] * (unit == "page"), *["n-gram"] * spoken, *["neural"] * neural]
    columns.append(("size, MB" + f" ({' + '.join(kinds)})" * (len(kinds) > 1), size_cell))
    if any(row.get("install_bytes") for row in rows):
        columns.append(("libraries, MB", lambda row: megabytes(row.get("install_bytes"), 0)))
    return Table([title for title, _ in columns], [[cell(row) for _, cell in columns] for row in rows], words)


def accuracy_columns(datasets: Sequence[str]) -> list[Column]:
    """CER of each dataset with its interval, and of all where there are several; WER of all."""

    def cer_cell(row: dict[str, Any], dataset: str) -> str:
        figures = row["accuracy"]["datasets"][dataset]
        return cer_text(figures, figures["lines"])

    names = list(dict.fromkeys(datasets))
    columns: list[Column] = [(f"CER {name}, % (95 %)", partial(cer_cell, dataset=name)) for name in names]
    if len(names) > 1:
        columns.append(("CER all, %", lambda row: f"{row['accuracy']['all']['cer']:.2f}"))
    return [*columns, ("WER all, %", lambda row: f"{row['accuracy']['all']['wer']:.1f}")]


def latency_columns(unit: str, threads: Sequence[int], rows: list[dict[str, Any]]) -> list[Column]:
    """p50 and p90 for each number of threads, p50 relative to the fastest peer, batches, energy, cold start, memory."""

    def milliseconds(row: dict[str, Any], index: int, key: str) -> str:
        return f"{row['latency'][index][key]:.1f}"

    def p50(row: dict[str, Any]) -> float:
        return float(row["latency"][0]["p50_ms"])

    columns: list[Column] = []
    for index, count in enumerate(threads):
        ending = f"ms a {unit}, {threads_named(count)}"
        columns.append((f"p50, {ending}", partial(milliseconds, index=index, key="p50_ms")))
        columns.append((f"p90, {ending}", partial(milliseconds, index=index, key="p90_ms")))
    peers = [row for row in rows if row["name"] in PEERS]
    if peers:
        fastest = min(peers, key=p50)
        columns.append((f"p50 ÷ {fastest['name']}'s", lambda row: f"{p50(row) / p50(fastest):.2f}"))
    if any(row.get("batches") for row in rows):
        columns.append((f"lines a second, batches of {batch_sizes(rows)}, {threads_named(threads[0])}", batches_cell))
    if any(row["latency"][0].get("joules") for row in rows):
        columns.append((f"J a {unit}, whole machine", joules_cell))
    columns.append(("cold start, ms", lambda row: f"{row['cold_start_ms']:.0f}"))
    return [*columns, ("peak memory, MB", lambda row: f"{row['peak_rss_bytes'] / 1e6:.0f}")]


def cer_text(figures: Mapping[str, Any], items: int) -> str:
    """A CER with its interval; a single item has none."""
    interval = f" ({figures['cer_low']:.1f}–{figures['cer_high']:.1f})" if items > 1 else ""
    return f"{figures['cer']:.2f}{interval}"


def threads_named(count: int) -> str:
    """`1 thread`, `2 threads`."""
    return f"{count} thread{'s' * (count > 1)}"


def batch_sizes(rows: list[dict[str, Any]]) -> str:
    """The sizes of batches that were measured."""
    return " / ".join(map(str, dict.fromkeys(entry["size"] for row in rows for entry in row.get("batches", []))))


def batches_cell(row: dict[str, Any]) -> str:
    """Lines a second in batches, with the first number of threads."""
    batches = row.get("batches", [])
    return " / ".join(f"{one['lines_per_second']:.0f}" for one in batches if one["threads"] == batches[0]["threads"])


def joules_cell(row: dict[str, Any]) -> str:
    """Joules of a reading; nothing where they were not counted."""
    joules = row["latency"][0].get("joules")
    return "" if joules is None else f"{joules:.3f}"


def precision_columns(rows: list[dict[str, Any]]) -> list[Column]:
    """Speed relative to the fp32 file of the same weights and format, with the same decoder, in the same run."""
    fp32 = {
        other_precisions(row): row["latency"][0]["p50_ms"]
        for row in rows
        if row["precision"] == "fp32" and row.get("weights_sha256")
    }
    if not any(row["precision"] != "fp32" and other_precisions(row) in fp32 for row in rows):
        return []

    def cell(row: dict[str, Any]) -> str:
        kind = other_precisions(row)
        return f"{fp32[kind] / row['latency'][0]['p50_ms']:.2f}" if kind in fp32 else ""

    return [("times fp32's speed", cell)]


def other_precisions(row: dict[str, Any]) -> tuple[Any, ...]:
    """What rows have in common that differ in their precision alone."""
    return row.get("weights_sha256"), Path(row["name"]).suffix, "lm" in row, "neural_lm" in row, row["unit"]


def decoder_columns(rows: list[dict[str, Any]]) -> list[Column]:
    """What language models cost: p50 relative to that of the same file read greedily in the same run."""

    def kind(row: dict[str, Any]) -> tuple[Any, ...]:
        return row["name"], row.get("sha256")

    greedy = {kind(row): row["latency"][0]["p50_ms"] for row in rows if "lm" not in row}
    if not any("lm" in row and kind(row) in greedy for row in rows):
        return []

    def cell(row: dict[str, Any]) -> str:
        return f"{row['latency'][0]['p50_ms'] / greedy[kind(row)]:.2f}" if "lm" in row and kind(row) in greedy else ""

    return [("p50 ÷ greedy's", cell)]


def decoder_cell(row: dict[str, Any]) -> str:
    """How the row's text was found; with language models of ours their names."""
    names = dict.fromkeys(row[part]["name"] for part in ("lm", "neural_lm") if part in row)
    return ", ".join([str(row["decoder"]), *names])


def size_cell(row: dict[str, Any]) -> str:
    """Megabytes of the model, of the line detector, and of the language models that it reads with."""
    parts = [row[part]["bytes"] for part in ("detector", "lm", "neural_lm") if part in row]
    return " + ".join(f"{size / 1e6:.2f}" for size in (row["bytes"] - sum(parts), *parts))


def megabytes(size: int | None, digits: int = 2) -> str:
    """Bytes in megabytes; nothing where they are not known."""
    return f"{size / 1e6:.{digits}f}" if size else ""


def name_cell(row: dict[str, Any]) -> str:
    """The name of the row; of a peer also the version."""
    return f"{row['name']} {row['version']}" if row["name"] in PEERS else str(row["name"])
