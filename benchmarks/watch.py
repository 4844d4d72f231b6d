"""Whether a machine was quiet enough to measure on; and if not, by how much."""

from __future__ import annotations

import os
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from .machine import ROOT, describe, sensors

FOREIGN_CORES = 0.2  # cores that other programs may use on average; with more, p90 changes
STEAL = 0.02  # share of the time that the host may take from a virtual machine
DRIFT = 0.25  # relative change allowed in the time of the probe: thermal throttling of a Pi is 30 % and more
CLOCK_STEP = 2.0  # seconds by which the date may run ahead of the time that passed, or behind it


@dataclass(frozen=True)
class Disturbance:
    """Why a run's latencies are not valid: what was measured, against what is allowed, and both in words."""

    what: str  # `short`, `load`, `steal`, `pace`, `limits` or `emulated`
    measured: float
    allowed: float
    text: str


class Watch:
    """Watches the machine during a measurement: the load of other programs, its speed, its heat and its clock.

    Args:
        root: the folder that /proc and /sys are in.
    """

    def __init__(self, root: Path = ROOT) -> None:
        self.root = root
        self.load_average = [round(load, 2) for load in os.getloadavg()] if hasattr(os, "getloadavg") else None
        self.before = sensors(root)
        self.limits = set(self.before["limits"] or ())  # type: ignore[call-overload]
        self.start, self.date = time.perf_counter(), time.time()
        self.own = own_seconds()
        self.busy, self.stolen = machine_seconds(root)
        self.paces: list[float] = []

    def probe(self) -> None:
        """Times a fixed piece of work (the fastest of ten); to be called at intervals."""
        times = []
        for _ in range(10):
            start = time.perf_counter()
            sum(range(200_000))
            times.append(time.perf_counter() - start)
        self.paces.append(min(times))
        self.limits |= set(sensors(self.root)["limits"] or ())  # type: ignore[call-overload]

    def finish(self) -> tuple[dict[str, object], list[dict[str, object]]]:
        """The conditions, and the disturbances, as plain values: why latencies measured meanwhile are not valid.

        Call it after the measured processes have ended: the system counts a child's time only then.
        """
        elapsed, passed = time.perf_counter() - self.start, time.time() - self.date
        busy, stolen = machine_seconds(self.root)
        foreign = max(0.0, busy - self.busy - (own_seconds() - self.own)) / elapsed if busy else None
        steal = (stolen - self.stolen) / elapsed / (os.cpu_count() or 1)
        drift = max(self.paces) / min(self.paces) - 1 if self.paces else 0.0
        step = passed - elapsed if abs(passed - elapsed) > CLOCK_STEP else 0.0
        conditions: dict[str, object] = {
            "seconds": round(elapsed, 1),
            "load_average": self.load_average,
            "foreign_cores": None if foreign is None else round(foreign, 2),
            "steal": round(steal, 3),
            "pace_drift": round(drift, 3),
            "paces_ms": [round(1000 * pace, 3) for pace in self.paces],
            "before": self.before,
            "after": sensors(self.root),
            "clock_step_s": round(step, 1),  # times are taken from another clock, which does not step
        }
        return conditions, [asdict(found) for found in self.disturbances(foreign, steal, drift)]

    def disturbances(self, foreign: float | None, steal: float, drift: float) -> list[Disturbance]:
        """What of this is beyond what is allowed."""
        found = []
        average = self.load_average[0] if self.load_average else 0.0
        if foreign is None and average > FOREIGN_CORES:
            text = f"busy machine: load average {average} at the start"
            found.append(Disturbance("load", average, FOREIGN_CORES, text))
        if foreign is not None and foreign > FOREIGN_CORES:
            text = f"busy machine: other programs used {foreign:.1f} cores"
            found.append(Disturbance("load", round(foreign, 2), FOREIGN_CORES, text))
        if steal > STEAL:
            text = f"busy host: it kept {100 * steal:.0f} % of the time from this virtual machine"
            found.append(Disturbance("steal", round(steal, 3), STEAL, text))
        if drift > DRIFT:
            text = f"the processor's pace wandered by {100 * drift:.0f} % (throttled, or shared)"
            found.append(Disturbance("pace", round(drift, 3), DRIFT, text))
        if self.limits:
            text = f"the processor was held back: {', '.join(sorted(self.limits))}"
            found.append(Disturbance("limits", len(self.limits), 0, text))
        if describe(self.root)["emulated"]:
            found.append(Disturbance("emulated", 1, 0, "emulated processor: its times say nothing of a real one's"))
        return found


def own_seconds() -> float:
    """Processor seconds of this process and of its children that have ended."""
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


def machine_seconds(root: Path = ROOT) -> tuple[float, float]:
    """Processor seconds that the machine was busy, and that its host took from it; zeros without /proc."""
    try:
        fields = (root / "proc/stat").read_text().split("\n", 1)[0].split()[1:]
        user, nice, system, _idle, _wait, irq, softirq, steal = (int(field) for field in fields[:8])
    except (OSError, ValueError):
        return 0.0, 0.0
    tick = os.sysconf("SC_CLK_TCK")
    return (user + nice + system + irq + softirq) / tick, steal / tick
