"""What pruning costs and brings: one table and one plot out of weights and a latency run of the files made from them.

    python -m htrjand.benchmarks.studies.pruning runs/*/student/weights.safetensors --latency run.json -o docs/pruning

writes `docs/pruning.md` and `docs/pruning.svg`. A row is named by the folder two above its weights: `30-3` is 30 % gone
in 3 steps. The latency run is one of `htrjand bench --width 1024`, over fp32 and int8 files of each of the weights,
which it knows by their SHA-256.
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
from ..report import load_result

COLOURS = {"1": "#1f77b4", "3": "#d62728"}
WIDTH, HEIGHT, LEFT, BOTTOM = 640, 400, 60, 50  # pixels of the plot, and its margins


@dataclass(frozen=True)
class Row:
    """One edition of the weights: parameters, multiply-adds of a line 1024 wide, CER, and p50 in ms by precision."""

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
    """A row for each of the weights, smallest share gone first.

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
            if row.get("weights_sha256") == digest and "latency" in row
        }
        if not ms or card.val_cer is None:
            raise HtrjandError(f"{path}: not in the latency run, or without a validation CER; measure its files too")
        with FlopCounterMode(display=False) as counter, no_grad():
            network(zeros(1, 1, 64, 1024, dtype=uint8))
        count = sum(p.numel() for name, p in network.named_parameters() if not name.startswith("shortcut."))
        rows.append(Row(path.parents[1].name, count, counter.get_total_flops() // 2, card.val_cer, ms))
    return sorted(rows, key=lambda row: (int(row.ratio), row.steps))


def table(rows: Sequence[Row]) -> str:
    """Markdown, a line a row."""
    kinds = sorted({kind for row in rows for kind in row.ms})
    head = ["share gone", "steps", "parameters, M", "multiply-adds, G", "CER, %", *(f"{kind}, ms" for kind in kinds)]
    lines = [head, ["---:"] * len(head)]
    for row in rows:
        figures = [f"{row.parameters / 1e6:.3f}", f"{row.multiply_adds / 1e9:.3f}", f"{row.cer:.2f}"]
        lines.append([f"{row.ratio} %", row.steps, *figures, *(f"{row.ms[kind]:.2f}" for kind in kinds)])
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines) + "\n"


def plot(rows: Sequence[Row], kind: str) -> str:
    """SVG: CER against p50 latency of one precision; a line for each number of steps, from the whole network on."""
    across, down = [row.ms[kind] for row in rows], [row.cer for row in rows]
    (left, right), (low, high) = around(across), around(down)

    def place(row: Row) -> tuple[float, float]:
        x = LEFT + (row.ms[kind] - left) / (right - left) * (WIDTH - 2 * LEFT)
        y = HEIGHT - BOTTOM - (row.cer - low) / (high - low) * (HEIGHT - 2 * BOTTOM)
        return round(x, 1), round(y, 1)

    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif">',
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>',
        f'<path d="M{LEFT} {BOTTOM}V{HEIGHT - BOTTOM}H{WIDTH - LEFT}" fill="none" stroke="black"/>',
        f'<text x="{WIDTH / 2}" y="{HEIGHT - 12}" text-anchor="middle">p50 of the {kind} file, ms a line</text>',
        f'<text x="16" y="{HEIGHT / 2}" transform="rotate(-90 16 {HEIGHT / 2})" text-anchor="middle">CER, %</text>',
    ]
    for value, x in ((left, LEFT), (right, WIDTH - LEFT)):
        parts.append(f'<text x="{x}" y="{HEIGHT - 32}" text-anchor="middle">{value:.1f}</text>')
    for value, y in ((low, HEIGHT - BOTTOM), (high, BOTTOM)):
        parts.append(f'<text x="{LEFT - 6}" y="{y}" text-anchor="end">{value:.1f}</text>')
    whole = [row for row in rows if row.ratio == "0"]
    for number, steps in enumerate(sorted({row.steps for row in rows if row.ratio != "0"})):
        colour = COLOURS.get(steps, "gray")
        members = [*whole, *(row for row in rows if row.ratio != "0" and row.steps == steps)]
        points = " ".join(f"{x},{y}" for x, y in map(place, members))
        parts.append(f'<polyline points="{points}" fill="none" stroke="{colour}"/>')
        for row in members:
            right_of, over = place(row)
            parts.append(f'<circle cx="{right_of}" cy="{over}" r="4" fill="{colour}"/>')
            label = f'<text x="{right_of + 7}" y="{over - 6 + 18 * number}" fill="{colour}">{row.ratio} %</text>'
            parts.append(label)
        name = "at one go" if steps == "1" else f"in {steps} steps"
        parts.append(
            f'<text x="{WIDTH - LEFT}" y="{BOTTOM + 18 * number}" text-anchor="end" fill="{colour}">{name}</text>'
        )
    return "\n".join([*parts, "</svg>"]) + "\n"


def around(values: Sequence[float]) -> tuple[float, float]:
    """A range with a tenth to spare at each end."""
    spare = (max(values) - min(values)) / 10 or 1.0
    return min(values) - spare, max(values) + spare


@click.command()
@click.argument("weights", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--latency", type=click.Path(path_type=Path), required=True, help="A result of `htrjand bench`.")
@click.option("--plot", "kind", default="int8", show_default=True, help="The precision to plot.")
@click.option("-o", "--output", type=click.Path(path_type=Path), required=True, help="Without its suffixes.")
def main(weights: tuple[Path, ...], latency: Path, kind: str, output: Path) -> None:
    """What pruning costs and brings, as a table and a plot."""
    rows = measured(weights, load_result(latency))
    for suffix, text in ((".md", table(rows)), (".svg", plot(rows, kind))):
        with atomic_path(output.with_suffix(suffix)) as part:
            part.write_text(text, encoding="utf-8")
    click.echo(table(rows), nl=False)


if __name__ == "__main__":
    main()
