"""Whether one result is worse than another: more errors, or slower, beyond the noise."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from ...runtime.errors import HtrjandError
from ..engines import UNITS
from .layout import Table
from .pairs import Interval, cer_change, relative_ratios, time_ratios
from .tables import data_of, threads_named

Row = dict[str, Any]
Pairs = dict[tuple[str, str, str], tuple[Row, Row]]  # (name, decoder, unit) → the row of either result
PLACE = ("device", "cpu", "architecture", "usable_cores")
SLOWER = 0.05  # share by which two undisturbed runs of the same code may differ
FEWEST = 10  # items: the spread of fewer says nothing of the noise


@dataclass(frozen=True)
class Finding:
    """One figure of one row in either result.

    Args:
        change: points of CER that the second has more, or how many times as long it takes.
        worse: whether it is so beyond the noise.
    """

    row: str
    figure: str
    before: float
    after: float
    change: Interval
    worse: bool


def compare(
    before: Row, after: Row, slower: float = SLOWER, names: tuple[str, str] = ("", "")
) -> tuple[list[Finding], list[str]]:
    """What changed from one result to another, and in words what could not be compared, or only in part.

    Rows of one name, decoder and unit are compared, where they read ten items or more. Errors: a paired bootstrap over
    the items; a row is worse where its whole interval lies above zero. Speed: the same with the times of each item; a
    row is worse where its whole interval lies above 1 + `slower`. Where a run was disturbed, or the machines differ,
    only ratios between rows that took turns are worth anything: there a row is held against the others of its unit.

    Args:
        names: of the rows to compare, in the first result and in the second; empty: those of one name in both.
            Two rows of one run took turns, so their times are compared even where it was disturbed.

    Raises:
        HtrjandError: they have no row in common, or were measured on other items.
    """
    called = " → ".join(names) if any(names) else ""
    first, second = (rows_of(result, name, called) for result, name in zip((before, after), names, strict=True))
    pairs = {key: (first[key], second[key]) for key in first if key in second}
    if not pairs:
        there = [", ".join(dict.fromkeys(key[0] for key in rows_of(result))) or "none" for result in (before, after)]
        raise HtrjandError(
            f"the two results have no row in common: {there[0]} in the first, {there[1]} in the second; measure the "
            "same model files or peers, or name two rows by --rows"
        )
    for unit in {key[2] for key in pairs}:
        if digests(before, unit) != digests(after, unit):
            told = [", ".join(data_of(result, unit)) for result in (before, after)]
            raise HtrjandError(
                f"the two results were measured on other {unit}s, or in another order: {told[0]}; and {told[1]}; "
                "measure again on the same ones"
            )
    notes = [f"{', '.join(key)}: only in the first result" for key in first if key not in pairs]
    notes += [f"{', '.join(key)}: only in the second result" for key in second if key not in pairs]
    failed = [key for key, pair in pairs.items() if "error" in pair[0] or "error" in pair[1]]
    notes += [f"{', '.join(key)}: failed: {row['error']}" for key in failed for row in pairs[key] if "error" in row]
    lost = Interval(-1, -1, -1)
    findings = [Finding(", ".join(key), "measured", 1, 0, lost, True) for key in failed if "error" not in first[key]]
    good = {key: pair for key, pair in pairs.items() if key not in failed}
    findings += error_findings(before, good)
    doubts = "" if before == after and before["ratios"] == "usable" else doubts_of(before, after)
    for unit in UNITS:
        of_unit = {key: pair for key, pair in good.items() if key[2] == unit}
        for threads in before["settings"]["threads"]:
            times = list(time_findings(of_unit, threads, slower, relative=bool(doubts)))
            findings += times
            if doubts and times:
                notes.append(f"{unit}s, {threads_named(threads)}: rows are held against each other, for {doubts}")
            elif doubts and timed(of_unit, threads):
                notes.append(f"{unit}s, {threads_named(threads)}: speed is not compared, for {doubts}")
    return findings, list(dict.fromkeys(notes))  # what failed in both alike is told once


def rows_of(result: Row, name: str = "", called: str = "") -> dict[tuple[str, str, str], Row]:
    """The rows of a result by name, decoder and unit; or those of one name, under another."""
    return {
        (called or row["name"], row.get("decoder", "greedy"), row["unit"]): row
        for row in result["engines"]
        if name in ("", row["name"])
    }


def digests(result: Row, unit: str) -> list[str]:
    """What identifies the items of a unit."""
    return [part["sha256"] for part in result["data"] if part["unit"] == unit]


def doubts_of(before: Row, after: Row) -> str:
    """Why milliseconds of the two cannot be compared; nothing where they can."""
    doubts = [
        f"the {which} run was disturbed ({'; '.join(one['text'] for one in result['invalid'])})"
        for which, result in (("first", before), ("second", after))
        if result["invalid"]
    ]
    if any(before["machine"].get(key) != after["machine"].get(key) for key in PLACE):
        doubts.append("they are of two machines")
    return ", and ".join(doubts)


def error_findings(before: Row, pairs: Pairs) -> Iterator[Finding]:
    """The changes of CER on each data set; of too few items they are told, and judged never."""
    for key, rows in pairs.items():
        for name, characters in characters_of(before, key[2]).items():
            figures = [row.get("accuracy", {}).get("datasets", {}).get(name, {}) for row in rows]
            if all("edits" in one for one in figures):
                change = cer_change(figures[0], figures[1], characters)
                old, new = (one["cer"] for one in figures)
                worse = change.low > 0 and len(characters) >= FEWEST
                yield Finding(", ".join(key), f"CER {name}, %", old, new, change, worse)


def characters_of(result: Row, unit: str) -> dict[str, list[int]]:
    """Of each data set of a unit the characters of its items, of all splits."""
    found: dict[str, list[int]] = {}
    for part in result["data"]:
        if part["unit"] == unit:
            found.setdefault(part["dataset"], []).extend(part.get("characters", []))
    return found


def time_findings(pairs: Pairs, threads: int, slower: float, relative: bool) -> Iterator[Finding]:
    """The changes of time of rows of one unit with so many threads."""
    entries = timed(pairs, threads)
    changes = (relative_ratios if relative else time_ratios)(list(entries.values()))
    for (key, pair), change in zip(entries.items(), changes, strict=False):
        figure = f"p50, ms a {key[2]}, {threads_named(threads)}"
        old, new = (entry["p50_ms"] for entry in pair)
        worse = change.low > 1 + slower and min(len(set(entry["items"])) for entry in pair) >= FEWEST
        yield Finding(", ".join(key), figure, old, new, change, worse)


def timed(pairs: Pairs, threads: int) -> dict[tuple[str, str, str], tuple[Row, Row]]:
    """The entries of `latency` with so many threads, where both results have one."""
    found = {}
    for key, rows in pairs.items():
        entries = [entry for row in rows for entry in row.get("latency", []) if entry["threads"] == threads]
        if len(entries) == len(rows):
            found[key] = (entries[0], entries[1])
    return found


def findings_table(findings: Sequence[Finding]) -> Table:
    """One row a figure."""
    rows = []
    for one in findings:
        times = one.figure.startswith("p50")
        signs = "" if times else "+"
        value, low, high = (f"{number:{signs}.2f}" for number in one.change)
        change = f"{'× ' if times else ''}{value} ({low} to {high})"
        rows.append([one.row, one.figure, f"{one.before:.2f}", f"{one.after:.2f}", change, "worse" * one.worse])
    return Table(["row", "figure", "first", "second", "change (95 %)", ""], rows, words=2)
