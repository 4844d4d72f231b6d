"""Curves as an SVG picture, for the docs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

WIDTH, HEIGHT, LEFT, BOTTOM = 640, 400, 60, 50  # pixels of the plot, and its margins
COLOURS = ("#1f77b4", "#d62728", "#2ca02c", "#9467bd")


@dataclass(frozen=True)
class Axis:
    """What an axis shows: its title, its range, and what stands beside some of its values."""

    title: str
    low: float
    high: float
    ticks: Mapping[float, str]

    @classmethod
    def around(cls, title: str, values: Sequence[float], ticks: Mapping[float, str] | None = None) -> Axis:
        """An axis over the values and a tenth more at each end; without ticks, its ends are told."""
        spare = (max(values) - min(values)) / 10 or 1.0
        low, high = min(values) - spare, max(values) + spare
        return cls(title, low, high, {low: f"{low:.1f}", high: f"{high:.1f}"} if ticks is None else ticks)

    def share(self, value: float) -> float:
        """Where a value stands, from 0 to 1."""
        return (value - self.low) / (self.high - self.low)


@dataclass(frozen=True)
class Curve:
    """Points (x, y) that a line joins, and a label beside each."""

    name: str
    colour: str
    points: Sequence[tuple[float, float]]
    labels: Sequence[str]


def svg(curves: Sequence[Curve], across: Axis, up: Axis, names_left: bool = False) -> str:
    """SVG: the curves with their names, over two axes; the names stand at the top right, or left."""

    def x_of(value: float) -> float:
        return round(LEFT + across.share(value) * (WIDTH - 2 * LEFT), 1)

    def y_of(value: float) -> float:
        return round(HEIGHT - BOTTOM - up.share(value) * (HEIGHT - 2 * BOTTOM), 1)

    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif">',
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>',
        f'<path d="M{LEFT} {BOTTOM}V{HEIGHT - BOTTOM}H{WIDTH - LEFT}" fill="none" stroke="black"/>',
        f'<text x="{WIDTH / 2}" y="{HEIGHT - 12}" text-anchor="middle">{across.title}</text>',
        f'<text x="16" y="{HEIGHT / 2}" transform="rotate(-90 16 {HEIGHT / 2})" text-anchor="middle">{up.title}</text>',
    ]
    for value, text in across.ticks.items():
        parts.append(f'<text x="{x_of(value):g}" y="{HEIGHT - 32}" text-anchor="middle">{text}</text>')
    for value, text in up.ticks.items():
        parts.append(f'<text x="{LEFT - 6}" y="{y_of(value):g}" text-anchor="end">{text}</text>')
    name_at, anchor = (LEFT + 12, "start") if names_left else (WIDTH - LEFT, "end")
    for number, curve in enumerate(curves):
        places = [(x_of(x), y_of(y)) for x, y in curve.points]
        points = " ".join(f"{x},{y}" for x, y in places)
        parts.append(f'<polyline points="{points}" fill="none" stroke="{curve.colour}"/>')
        for (x, y), label in zip(places, curve.labels, strict=True):
            parts.append(f'<circle cx="{x}" cy="{y}" r="4" fill="{curve.colour}"/>')
            parts.append(f'<text x="{x + 7}" y="{y - 6 + 18 * number}" fill="{curve.colour}">{label}</text>')
        parts.append(
            f'<text x="{name_at}" y="{BOTTOM + 18 * number}" text-anchor="{anchor}" fill="{curve.colour}">'
            f"{curve.name}</text>"
        )
    return "\n".join([*parts, "</svg>"]) + "\n"
