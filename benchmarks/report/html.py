"""Any number of results as one page: charts, and a table that can be sorted. It works without a network."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from html import escape
from importlib.resources import files
from string import Template
from typing import Any

from ... import __version__
from .figures import Named, records, speedups
from .tables import cer_text, remarks

Record = dict[str, Any]
# Heading, the value to sort by, and the text where that is another one.
Column = tuple[str, Callable[[Record], Any], Callable[[Record], str] | None]


def page(results: Sequence[Named], problems: Sequence[str] = ()) -> str:
    """The page, with style, script and figures inside.

    Args:
        problems: what is wrong with results that could not be taken, and the like, to be told on the page.
    """
    found = records(results)
    devices = list(dict.fromkeys(record["device"] for record in found))
    data = json.dumps({"records": found, "speedups": speedups(results)}, ensure_ascii=False, allow_nan=False)
    return Template(part("page.html")).substitute(
        title=f"Handwriting measured on {escape(devices[0] if len(devices) == 1 else f'{len(devices)} devices')}",
        version=__version__,
        css=part("page.css"),
        script=part("page.js"),
        runs="".join(f"{run_card(named)}\n" for named in results),
        problems=listed(problems),
        heads="".join(head(*column) for column in COLUMNS),
        rows="".join(f"{table_row(record)}\n" for record in found),
        data=data.replace("<", "\\u003c"),  # no text of a result may end the script
    )


def part(name: str) -> str:
    """A file of the page."""
    return (files(__package__) / name).read_text(encoding="utf-8")


def run_card(named: Named) -> str:
    """One run: its machine, and whether it was quiet."""
    result, device = named.result, named.result["machine"]
    latency = result["settings"]["latency"]
    badge, text = ("bad", "disturbed") if result["invalid"] else ("good", "quiet" if latency else "errors alone")
    where = f"{device['device'] or device['cpu']}, {device['architecture']}, {device['usable_cores']} cores"
    told = "".join(f"<br>{escape(head + text)}" for head, text in dict.fromkeys(remarks(result)))
    return (
        f'<li><span class="badge {badge}">{text}</span><b>{escape(named.name)}</b><br>{escape(where)}<br>'
        f'<span class="quiet">{escape(result["measured_at"])}, revision {escape(result["git_revision"] or "unknown")}'
        f"{told}</span></li>"
    )


def listed(problems: Sequence[str]) -> str:
    """A list of what went wrong; nothing where nothing did."""
    items = "".join(f"<li>{escape(problem)}</li>" for problem in problems)
    return f'<ul class="problems">{items}</ul>\n' if problems else ""


def figure(key: str, digits: int) -> tuple[Callable[[Record], Any], Callable[[Record], str]]:
    """A number of a record, and how it is shown."""
    return (lambda record: record[key]), lambda record: "" if record[key] is None else f"{record[key]:.{digits}f}"


def cer_cell(record: Record) -> str:
    return "" if record["cer"] is None else cer_text(record, sum(count for _, count, _ in record["data"]))


def decoders(record: Record) -> str:
    """How it found its text, and the language models of ours that it did it with, as `tables.decoder_cell`."""
    names = dict.fromkeys(record[key] for key in ("language_model", "neural_language_model") if record[key])
    return ", ".join([str(record["decoder"]), *names])


def data_cell(record: Record) -> str:
    return f"{record['unit']}s of " + ", ".join(f"{name} ({count})" for name, count, _ in record["data"])


COLUMNS: list[Column] = [
    ("run", lambda record: record["result"], None),
    ("engine", lambda record: record["name"], None),
    ("precision", lambda record: record["precision"] or "", None),
    ("decoder", decoders, None),
    ("read", data_cell, None),
    ("threads", lambda record: record["threads"], None),
    ("CER", lambda record: record["cer"], cer_cell),
    ("WER", *figure("wer", 1)),
    ("p50, ms", *figure("p50_ms", 1)),
    ("p90, ms", *figure("p90_ms", 1)),
    ("lines/s, 1", *figure("lines_per_second_1", 0)),
    ("lines/s, 8", *figure("lines_per_second_8", 0)),
    ("lines/s, 32", *figure("lines_per_second_32", 0)),
    ("joules", *figure("joules", 3)),
    ("cold start, ms", *figure("cold_start_ms", 0)),
    ("memory, MB", *figure("memory_mb", 0)),
    ("size, MB", *figure("size_mb", 2)),
    ("libraries, MB", *figure("libraries_mb", 0)),
]
WORDS = 5  # columns of words


def head(title: str, value: Callable[[Record], Any], _: object) -> str:
    """A heading that can be clicked."""
    words = [column[0] for column in COLUMNS[:WORDS]]
    return f'<th{" class=word" * (title in words)}><button type="button">{escape(title)}</button></th>'


def table_row(record: Record) -> str:
    """A row of the table; of what could not be measured the reason."""
    cells = []
    for number, (_, value, text) in enumerate(COLUMNS):
        found = value(record)
        found = "" if found is None else found
        shown = text(record) if text else str(found)
        kind = " class=word" * (number < WORDS)
        cells.append(f'<td{kind} data-value="{escape(str(found))}">{escape(shown)}</td>')
    if record["error"]:
        rest = "".join('<td data-value=""></td>' for _ in COLUMNS[WORDS + 1 :])
        cells[WORDS:] = [f'<td class="bad" data-value="">{escape(record["error"])}</td>{rest}']
    return f"<tr>{''.join(cells)}</tr>"
