"""Energy, where the machine tells it: RAPL of x86 processors, and power sensors (INA219 and its kin) of boards."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from .machine import ROOT, text_of

POWERCAP = "sys/class/powercap"
HWMON = "sys/class/hwmon"
FAILURES = (OSError, ValueError)  # of a counter that cannot be read, or holds no number
EVERY = 0.05  # seconds between two readings of a power sensor: these average over some 10 ms


class Rapl:
    """The processor's own counters, a file a socket, in microjoules.

    Attributes:
        failure: why it could not be read in the middle of a run; from then on it counts nothing.
    """

    def __init__(self, folders: list[Path]) -> None:
        self.folders = folders
        self.source, self.failure = "RAPL, the whole processor", ""
        self.counts()  # what may not be read is an error before anything is measured

    def counts(self) -> list[int]:
        return [int((folder / "energy_uj").read_text()) for folder in self.folders]

    def start(self) -> Callable[[], float]:
        """Begins to count; what is returned ends it, and returns the joules."""
        before = self.counts()

        def end() -> float:
            used = 0
            for folder, first, last in zip(self.folders, before, self.counts(), strict=True):
                wraps = int((folder / "max_energy_range_uj").read_text()) if last < first else 0
                used += last - first + wraps
            return used / 1e6

        return end


class Sensors:
    """Power sensors, read over and over in a thread while something is measured.

    Args:
        channels: the files of which the product is microwatts: its power, or millivolts and milliamperes.

    Attributes:
        failure: as of `Rapl`.
    """

    def __init__(self, channels: list[list[Path]]) -> None:
        self.channels = channels
        self.source, self.failure = "power sensors: " + ", ".join(label_of(files[0]) for files in channels), ""
        self.watts()

    def watts(self) -> float:
        return sum(math.prod(int(file.read_text()) for file in files) for files in self.channels) / 1e6

    def start(self) -> Callable[[], float]:
        """Begins to count; what is returned ends it, and returns the joules."""
        powers = [self.watts()]
        failures: list[Exception] = []
        done = threading.Event()

        def follow() -> None:
            while not done.wait(EVERY):
                try:
                    powers.append(self.watts())
                except FAILURES as error:
                    failures.append(error)
                    return

        def end() -> float:
            elapsed = time.perf_counter() - start
            done.set()
            thread.join()
            for error in failures:
                raise error
            return elapsed * (sum(powers) + self.watts()) / (len(powers) + 1)

        thread = threading.Thread(target=follow)
        start = time.perf_counter()
        thread.start()
        return end


def find_meter(root: Path = ROOT) -> tuple[Rapl | Sensors | None, str]:
    """What counts energy here, or None and the reason why.

    Args:
        root: the folder that /sys is in.
    """
    sockets = sorted(path for path in (root / POWERCAP).glob("*-rapl:*") if path.name.count(":") == 1)
    channels = channels_of(root)
    try:
        if sockets:
            return Rapl(sockets), ""
        if channels:
            return Sensors(channels), ""
    except PermissionError as error:
        return None, f"{error.filename}: may not be read; measure as root, or let everybody read it: chmod a+r"
    except FAILURES as error:
        return None, f"its counters cannot be read ({error})"
    return None, "this machine tells none (no RAPL, no INA sensor)"


def channels_of(root: Path) -> list[list[Path]]:
    """The files of each channel of the INA sensors; where some measure what comes in, the others see it again."""
    channels = []
    for chip in sorted((root / HWMON).glob("hwmon*")):
        if not (text_of(chip / "name") or "").startswith("ina"):
            continue
        powers = sorted(chip.glob("power*_input"))
        volts = [] if powers else sorted(chip.glob("in*_input"))
        pairs = [[file, file.with_name(file.name.replace("in", "curr", 1))] for file in volts]
        channels += [[file] for file in powers] + [pair for pair in pairs if pair[1].is_file()]
    return [files for files in channels if label_of(files[0]).endswith("IN")] or channels


def label_of(file: Path) -> str:
    """What a channel is called (VDD_IN, say), or its chip."""
    return text_of(file.with_name(file.name.replace("_input", "_label"))) or text_of(file.with_name("name")) or ""


@contextmanager
def joules(meter: Rapl | Sensors | None) -> Iterator[list[float]]:
    """A list that holds the joules of the block when it has ended; it stays empty without a meter that works."""
    found: list[float] = []
    if meter is None or meter.failure:
        yield found
        return
    try:
        end = meter.start()
    except FAILURES as error:
        meter.failure = f"{meter.source}: failed during the run ({error})"
        yield found
        return
    try:
        yield found
    finally:
        try:
            found.append(end())
        except FAILURES as error:
            meter.failure = f"{meter.source}: failed during the run ({error})"
