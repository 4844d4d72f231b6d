"""What a core of well-known boards computes in a second, as others have published it; from low to high.

Multiply-adds are of two whole networks that ncnn ran on one core, MobileNet v1 (569 M multiply-adds) and ResNet-50 (3.86 G),
the slower first: their memory traffic is in them. Bytes are between once and twice what memcpy copies, for a copied byte is
read and written. What an operator takes is 8 µs of a core of 1000 7-zip MIPS, as was found on x86.
"""  # noqa: E501

from __future__ import annotations

from dataclasses import dataclass

from .rates import Rates

NCNN = "Tencent/ncnn benchmark/README.md, one thread"
SBC = "ThomasKaiser/sbc-bench Results.md"


@dataclass(frozen=True)
class Device:
    """A board, one of its cores at a time.

    Args:
        int8, fp32: 10⁹ multiply-adds a second, low and high.
        copied: 10⁹ bytes a second of memcpy, low and high.
        mips: of 7-zip on one core.
    """

    title: str
    int8: tuple[float, float]
    fp32: tuple[float, float]
    copied: tuple[float, float]
    mips: float
    sources: str

    def rates(self) -> tuple[Rates, Rates]:
        """The slower, and the faster."""
        slow, fast = (
            Rates(1e9 * int8, 1e9 * fp32, ((1.0, 1e9 * bytes_),), 8e-3 / self.mips)
            for int8, fp32, bytes_ in zip(self.int8, self.fp32, (self.copied[0], 2 * self.copied[1]), strict=True)
        )
        return slow, fast


DEVICES = {
    "zero2": Device(
        "Raspberry Pi Zero 2 W, Cortex-A53, 1.0 GHz",
        int8=(1.98, 2.94),
        fp32=(1.44, 2.14),
        copied=(1.3, 1.3),
        mips=838,
        sources=f"{NCNN}; {SBC}",
    ),
    "pi3": Device(
        "Raspberry Pi 3 B+, Cortex-A53, 1.4 GHz",
        int8=(3.13, 4.33),
        fp32=(2.78, 3.95),
        copied=(1.05, 1.23),
        mips=1076,
        sources=f"{NCNN}; {SBC}",
    ),
    "pi4": Device(
        "Raspberry Pi 4 B, Cortex-A72, 1.8 GHz",
        int8=(6.72, 9.11),
        fp32=(4.60, 7.24),
        copied=(2.24, 2.58),
        mips=1752,
        sources=f"{NCNN}; {SBC}",
    ),
    # Nobody has published these networks on a Pi 5. Low: a Pi 4's rates by twice the vectors a cycle and 2.4/1.8 GHz.
    # High: of a Cortex-A78AE, which has as many vector units, by 2.4/2.2 GHz; in fp32 half of its rate in fp16. Copies:
    # a Pi 4's by 4267/3200 of its memory's rate; half of a Rock 5B's (Cortex-A76, a bus twice as wide).
    "pi5": Device(
        "Raspberry Pi 5, Cortex-A76, 2.4 GHz",
        int8=(17.9, 39.4),
        fp32=(12.3, 23.5),
        copied=(3.0, 5.4),
        mips=3146,
        sources=f"{NCNN}, of a Pi 4 and a Jetson AGX Orin, scaled; {SBC}, of a Pi 4 and a Rock 5B, scaled",
    ),
}
HERE = "here"  # this machine, by rates measured now
