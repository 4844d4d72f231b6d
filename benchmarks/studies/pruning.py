"""The cost and gain of pruning: a table and a plot from weights and a latency run of the files made from them.

    python -m htrjand.benchmarks.studies.pruning runs/*/student/weights.safetensors --latency run.json -o docs/pruning

writes `docs/pruning.md` and `docs/pruning.svg`. A row is named after the folder two levels above its weights: `30-3` is
30 % pruned in 3 steps. The latency run is one of `htrjand bench --width 1024 --no-lm`, over fp32 and int8 files of
each of the weights; files are matched to weights by SHA-256, and rows with a language model are left out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from ...runtime.errors import HtrjandError
from ...runtime.files import atomic_path
from ...runtime.info import sha256
from ..document import load_result
from .plot import Axis, Curve, svg

COLOURS = {"1": "#1f77b4", "3": "#d62728"}


@dataclass(frozen=True)
class Row:
    """One pruned network: parameters, multiply-adds for a line 1024 wide, CER in percent, precision -> p50 in ms."""

    name: str
    parameters: int
    multiply_adds: int
    cer: float
    ms: dict[str, float]

    @property
    def ratio(self) -> str:
        return self.name.partition("-")[0]

    @property
    def steps(self) -> str:
        return self.name.partition("-")[2]


def measured(weights: Sequence[Path], latency: dict[str, Any]) -> list[Row]:
    """A row for each of the weights, in order of the share pruned.

    Raises:
        HtrjandError: weights or a card cannot be read, or the latency run has no file of them.
    """
    from torch import no_grad, uint8, zeros
    from torch.utils.flop_counter import FlopCounterMode

    from ...train.checkpoint import load_network

    rows = []
    for path in weights:
        network, card = load_network(path)
        digest = sha256(path)
        ms = {
            row["precision"]: row["latency"][0]["p50_ms"]
            for row in latency["engines"]
            if row.get("weights_sha256") == digest and row["unit"] == "line" and "latency" in row and "lm" not in row
        }
        if not ms or card.val_cer is None:
            raise HtrjandError(f"{path}: not in the latency run, or without a validation CER; measure its files too")
        with FlopCounterMode(display=False) as counter, no_grad():
            network(zeros(1, 1, 64, 1024, dtype=uint8))
        count = sum(p.numel() for name, p in network.named_parameters() if not name.startswith("shortcut."))
        rows.append(Row(path.parents[1].name, count, counter.get_total_flops() // 2, card.val_cer, ms))
    return sorted(rows, key=lambda row: (int(row.ratio), row.steps))


def table(rows: Sequence[Row]) -> str:
    """The rows as a Markdown table."""
    kinds = sorted({kind for row in rows for kind in row.ms})
    head = ["share gone", "steps", "parameters, M", "multiply-adds, G", "CER, %", *(f"{kind}, ms" for kind in kinds)]
    cells = [head, ["---:"] * len(head)]
    for row in rows:
        figures = [f"{row.parameters / 1e6:.3f}", f"{row.multiply_adds / 1e9:.3f}", f"{row.cer:.2f}"]
        cells.append([f"{row.ratio} %", row.steps, *figures, *(f"{row.ms[kind]:.2f}" for kind in kinds)])
    return "\n".join("| " + " | ".join(row_cells) + " |" for row_cells in cells) + "\n"


def plot(rows: Sequence[Row], kind: str) -> str:
    """SVG: CER against p50 latency of one precision; a polyline for each number of steps, from the unpruned network."""
    unpruned = [row for row in rows if row.ratio == "0"]
    curves = []
    for steps in sorted({row.steps for row in rows if row.ratio != "0"}):
        members = [*unpruned, *(row for row in rows if row.ratio != "0" and row.steps == steps)]
        name = "at one go" if steps == "1" else f"in {steps} steps"
        points = [(row.ms[kind], row.cer) for row in members]
        curves.append(Curve(name, COLOURS.get(steps, "gray"), points, [f"{row.ratio} %" for row in members]))
    across = Axis.around(f"p50 of the {kind} file, ms a line", [row.ms[kind] for row in rows])
    return svg(curves, across, Axis.around("CER, %", [row.cer for row in rows]))


@click.command()
@click.argument("weights", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--latency", type=click.Path(path_type=Path), required=True, help="A result of `htrjand bench`.")
@click.option("--plot", "kind", default="int8", show_default=True, help="The precision to plot.")
@click.option("-o", "--output", type=click.Path(path_type=Path), required=True, help="Without its suffixes.")
def main(weights: tuple[Path, ...], latency: Path, kind: str, output: Path) -> None:
    """Write the cost and gain of pruning as a table and a plot."""
    rows = measured(weights, load_result(latency))
    for suffix, text in ((".md", table(rows)), (".svg", plot(rows, kind))):
        with atomic_path(output.with_suffix(suffix)) as part:
            part.write_text(text, encoding="utf-8")
    click.echo(table(rows), nl=False)


if __name__ == "__main__":
    main()
