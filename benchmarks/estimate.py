"""How long a model would take on a board that is not at hand. Estimated: never in one table with what was measured."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from .devices import DEVICES, HERE
from .floor import look
from .machine import describe
from .rates import Rates
from .report.layout import Table
from .work import KINDS, Node, nodes_of

ERROR = 16  # percent by which estimates of a quiet machine, from its own rates, were wrong at most: docs/bench.md


def estimates(paths: Sequence[str | Path], device: str, width: int) -> dict[str, Any]:
    """How long each model would take on one core of a device.

    Args:
        device: one of `DEVICES`; or `here`, by the rates of this machine, which shows how wrong such estimates are.
        width: columns of the line; a line detector gets a page of 1024 × 768.

    Returns:
        A document of a schema of its own, which no report of measured results takes.

    Raises:
        HtrjandError: a file cannot be run by onnxruntime.
    """
    if device == HERE:
        rates, models = look(paths, width)
        title, sources, all_rates = f"{describe()['cpu']}, its own rates", "measured now", [rates]
        rows = [
            estimate(model.name, model.nodes, all_rates) | {"measured_ms": 1000 * model.seconds} for model in models
        ]
    else:
        board = DEVICES[device]
        title, sources, all_rates = board.title, board.sources, list(board.rates())
        rows = [estimate(Path(path).name, nodes_of(path, width=width), all_rates) for path in paths]
    return {
        "schema": "htrjand-estimate-1",
        "device": device,
        "title": title,
        "sources": sources,
        "width": width,
        "rates": [asdict(one) for one in all_rates],
        "models": rows,
    }


def estimate(name: str, nodes: Sequence[Node], rates: Sequence[Rates]) -> dict[str, Any]:
    """Milliseconds of one model at the slowest and the fastest rates, and by kind of operator the mean of all."""
    kinds = [one.seconds(nodes) for one in rates]
    ms = [1000 * sum(seconds.values()) for seconds in kinds]
    means = {kind: 1000 * sum(one[kind] for one in kinds) / len(kinds) for kind in KINDS}
    return {"name": name, "low_ms": min(ms), "high_ms": max(ms), "kinds_ms": means}


def estimate_table(found: dict[str, Any]) -> Table:
    """A row a model; of this machine with what was measured, which the estimate is held against."""
    here = found["device"] == HERE
    head = ["model", "estimate, ms", *(f"{kind}, ms" for kind in KINDS)] + ["measured, ms", "error, %"] * here
    rows = []
    for model in found["models"]:
        between = f"{model['low_ms']:.1f}" if here else f"{model['low_ms']:.0f}–{model['high_ms']:.0f}"
        row = [model["name"], between, *(f"{ms:.1f}" for ms in model["kinds_ms"].values())]
        if here:
            row += [f"{model['measured_ms']:.1f}", f"{100 * (model['low_ms'] / model['measured_ms'] - 1):+.0f}"]
        rows.append(row)
    return Table(head, rows, 1)


def caption(found: dict[str, Any]) -> str:
    """What the estimates are of, where their rates come from, and how wrong they may be."""
    doubt = (
        " Low and high are by the faster and the slower of the published rates; estimates of a machine by its "
        f"own rates were wrong by up to {ERROR} %, and where int8 convolutions had no rates of their own, as here, a "
        "line detector was 40 % too low."
    ) * (found["device"] != HERE)
    return (
        f"ESTIMATED, not measured: {found['title']}, one core, onnxruntime, lines {found['width']} columns wide, "
        f"without decoding. Rates: {found['sources']}.{doubt}"
    )
