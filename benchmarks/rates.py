"""How fast this machine computes through onnxruntime, on one thread: products, memory, and what an operator costs.

Measured on tiny graphs in `probes/` (`studies/probes.py` makes them), in turns with whatever it is compared with. Times
are of this process's processor time: what other programs do on the machine counts little then.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from .work import KINDS, Node, open_plain

PROBES = Path(__file__).parent / "probes"
ROWS, INNER, COLUMNS = 1024, 512, 512  # of the matrices of a product: larger ones are no faster
# Convolutions in int8, by the channels that they read: kernel, stride, and the map that they make [C, H, W]. An engine
# makes matrices of them first, a piece of a row at a time: the fewer channels, the smaller the pieces.
CONVOLUTIONS = {1: (8, 4, (32, 128, 128)), 32: (3, 1, (32, 128, 128))}
WIDE = 96  # channels from which on a convolution is as quick as a product of matrices
# Of operators other than products; the first fits into a small cache.
MAPS = {"little": (1, 24, 16, 128), "middle": (1, 24, 64, 256), "large": (1, 24, 128, 512)}
CHAIN = 32  # operators of a graph that measures those other than products
ROUNDS = 30  # of which the fastest is taken: whatever disturbs makes it slower

Work = Callable[[], object]


@dataclass(frozen=True)
class Rates:
    """What a core does in a second.

    Args:
        int8, fp32: multiply-adds of products.
        traffic: bytes that other operators read and write: pairs of how many bytes one of them has, the fewest first,
            and the rate then. Between two pairs the rate goes by the logarithm of the bytes, beyond them it stays.
        operator: seconds that every operator takes besides.
        convolutions: multiply-adds of those in int8: pairs of channels that they read, the fewest first, and the rate
            then, which goes between two pairs and beyond them as that of the traffic does. None: as products.
    """

    int8: float
    fp32: float
    traffic: tuple[tuple[float, float], ...]
    operator: float
    convolutions: tuple[tuple[float, float], ...] = ()

    def seconds(self, nodes: Sequence[Node]) -> dict[str, float]:
        """How long operators take by their kinds, at these rates: products for their work, others for their bytes."""
        found = dict.fromkeys(KINDS, 0.0)
        for one in nodes:
            amount = one.bytes / self.bytes_a_second(one.bytes)
            if one.multiply_adds:
                amount = one.multiply_adds / (self.int8_rate(one) if one.kind == KINDS[0] else self.fp32)
            found[one.kind] += amount + self.operator
        return found

    def bytes_a_second(self, size: int) -> float:
        """The rate of an operator that reads and writes so many bytes."""
        return between(self.traffic, size)

    def int8_rate(self, product: Node) -> float:
        """The rate of a product in int8."""
        return between(self.convolutions, product.channels) if self.convolutions and product.channels else self.int8

    def floor(self, nodes: Sequence[Node]) -> float:
        """Seconds of the multiply-adds alone, at the rate of a large product."""
        return sum(one.multiply_adds / (self.int8 if one.kind == KINDS[0] else self.fp32) for one in nodes)


def between(pairs: Sequence[tuple[float, float]], amount: float) -> float:
    """The rate at an amount, by pairs of amounts and rates: along the logarithm of the amount."""
    amounts, rates = zip(*pairs, strict=True)
    return float(np.interp(math.log(max(1, amount)), np.log(amounts), rates))


def measure(others: Mapping[str, Work] | None = None, rounds: int = ROUNDS) -> tuple[Rates, dict[str, float]]:
    """The rates of this machine, and seconds of other work that takes turns with them: the fastest of all rounds."""
    convolutions = {channels: f"convolution-{channels}" for channels in CONVOLUTIONS}
    works = {name: probe(name) for name in ("product-fp32", "product-int8", *convolutions.values(), "small", *MAPS)}
    found = fastest(works | dict(others or {}), rounds)
    product = ROWS * INNER * COLUMNS
    # By turns two maps of floats are read and one is written, and one read and one written: ten bytes a number.
    sizes = {name: 10 * math.prod(shape) for name, shape in MAPS.items()}
    int8 = product / found["product-int8"]
    work = {channels: channels * side**2 * math.prod(made) for channels, (side, _, made) in CONVOLUTIONS.items()}
    rates = Rates(
        int8=int8,
        fp32=product / found["product-fp32"],
        traffic=tuple((size, CHAIN * size / found[name]) for name, size in sizes.items()),
        operator=found["small"] / CHAIN,
        convolutions=(
            *((channels, work[channels] / found[name]) for channels, name in convolutions.items()),
            (WIDE, int8),
        ),
    )
    return rates, {name: found[name] for name in others or ()}


def fastest(works: Mapping[str, Work], rounds: int) -> dict[str, float]:
    """Seconds of processor time of each, by turns."""
    times: dict[str, list[float]] = {name: [] for name in works}
    for turn in range(rounds + 1):
        for name, work in works.items():
            start = time.process_time()
            work()
            if turn:  # the first prepares memory
                times[name].append(time.process_time() - start)
    return {name: min(some) for name, some in times.items()}


def probe(name: str) -> Work:
    """One run of a graph in `probes/`."""
    session = open_plain(PROBES / f"{name}.onnx")
    random = np.random.default_rng(0)
    types = {"tensor(float)": np.float32, "tensor(uint8)": np.uint8, "tensor(int8)": np.int8}
    given = {port.name: random.integers(1, 100, port.shape).astype(types[port.type]) for port in session.get_inputs()}
    return lambda: session.run(None, given)
