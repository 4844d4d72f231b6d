"""How far a model is from what this machine could do, and where its time goes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from .machine import describe, versions
from .rates import Rates, Work, measure
from .report.layout import Table
from .work import KINDS, Node, by_operator, input_of, nodes_of, open_plain

SHOWN = 12  # operators of a table
HEAD = ["model", "int8 multiply-adds, M", "fp32 multiply-adds, M", "read and written, MB", "floor, ms", "ms", "÷ floor"]


@dataclass(frozen=True)
class Model:
    """A model file on this machine: its operators for one input, and the seconds that they take together."""

    name: str
    nodes: list[Node]
    seconds: float

    def work(self, kind: str) -> int:
        """Multiply-adds of one kind of products."""
        return sum(node.multiply_adds for node in self.nodes if node.kind == kind)


def look(paths: Sequence[str | Path], width: int) -> tuple[Rates, list[Model]]:
    """The rates of this machine, and the models, measured by turns with them: all on one thread, in processor time.

    Args:
        width: columns of the line; a line detector gets a page of 1024 × 768.

    Raises:
        HtrjandError: a file cannot be run by onnxruntime.
    """
    nodes = {str(path): nodes_of(path, width=width) for path in paths}
    rates, seconds = measure({path: run_of(path, width) for path in nodes})
    return rates, [Model(Path(path).name, nodes[path], seconds[path]) for path in nodes]


def run_of(path: str, width: int) -> Work:
    """One run of a model."""
    session = open_plain(path)
    given = input_of(session, path, width)
    return lambda: session.run(None, given)


def floor_tables(rates: Rates, models: Sequence[Model]) -> list[tuple[str, Table]]:
    """A table of all models, and of each one where its time goes, with captions."""
    rows = []
    for model in models:
        least, floor = 1000 * model.seconds, 1000 * rates.floor(model.nodes)
        amounts = [f"{model.work(kind) / 1e6:.1f}" for kind in KINDS[:2]]
        size = sum(node.bytes for node in model.nodes) / 1e6
        rows.append([model.name, *amounts, f"{size:.0f}", f"{floor:.2f}", f"{least:.2f}", f"{least / floor:.2f}"])
    caption = (
        f"{describe()['cpu']}, one thread, processor time, onnxruntime {versions().get('onnxruntime', '')}. A large "
        f"product has {rates.int8 / 1e9:.1f} G multiply-adds a second in int8, {rates.fp32 / 1e9:.1f} in fp32; the "
        "floor is the time that a model's multiply-adds would take at these rates."
    )
    tables = [(caption, Table(HEAD, rows, 1))]
    return tables + [(f"{model.name}: where the time goes", operators_table(model.nodes)) for model in models]


def operators_table(nodes: Sequence[Node]) -> Table:
    """The slowest operators, by the engine's own profile; its clock makes small ones look larger than they are."""
    summed = by_operator(nodes)
    whole = sum(one.ms for one in summed)
    rows = [
        [
            one.operator,
            one.kind,
            one.name,
            f"{one.multiply_adds / 1e6:.1f}" if one.multiply_adds else "",
            f"{one.bytes / 1e6:.1f}",
            f"{one.ms:.2f}",
            f"{100 * one.ms / whole:.0f}",
        ]
        for one in summed[:SHOWN]
    ]
    return Table(["operator", "kind", "how many", "multiply-adds, M", "MB", "ms", "%"], rows, 2)
