"""The machine of a measurement, and whether it was quiet enough for one."""

from __future__ import annotations

import os
import platform
import subprocess
import time
from importlib import metadata
from pathlib import Path

from .. import __version__
from ..runtime.formats import FORMATS

# Instruction sets that decide how fast a small network runs, on x86 and on ARM.
FLAGS_OF_INTEREST = {
    "sse4_2",
    "avx",
    "avx2",
    "fma",
    "f16c",
    "avx512f",
    "avx512_vnni",
    "avx_vnni",
    "avx512_bf16",
    "amx_int8",
    "amx_bf16",
} | {"neon", "asimd", "asimdhp", "asimddp", "i8mm", "bf16", "sve", "sve2"}
# Besides those that read model files, which the table of formats names.
LIBRARIES = ("numpy", "pillow", "torch", "rapidocr", "opencv-python-headless", "rapidfuzz")
FOREIGN_CORES = 0.2  # cores that other programs may use on average; with more, p90 changes
STEAL = 0.02  # share of the time that the host may take from a virtual machine
DRIFT = 0.25  # relative change allowed in the time of the probe: thermal throttling of a Pi is 30 % and more


def describe() -> dict[str, object]:
    """Device, processor, governor, memory and system; None for what the system does not report."""
    information = cpu_information()
    flags = information.get("flags") or information.get("Features") or ""
    return {
        "device": text_of("/proc/device-tree/model"),
        "cpu": information.get("model name") or platform.processor() or platform.machine(),
        "architecture": platform.machine(),
        "cores": os.cpu_count(),
        "usable_cores": usable_cores(),
        "flags": sorted(FLAGS_OF_INTEREST & set(flags.split())),
        "governor": text_of("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor"),
        "memory_bytes": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        "system": platform.platform(),
    }


def versions() -> dict[str, str]:
    """Versions of Python, of this package, and of the libraries that are installed."""
    found = {"python": platform.python_version(), "htrjand": __version__}
    engines = (name.replace("_", "-") for form in FORMATS.values() for name in form.libraries)
    for name in dict.fromkeys((*LIBRARIES, *engines)):
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def git_revision() -> str | None:
    """The commit this package runs from, with `-dirty` where files differ from it; None outside a checkout."""
    root = Path(__file__).resolve().parents[1]
    if not (root / ".git").exists():
        return None
    command = ["git", "-C", str(root), "describe", "--always", "--dirty", "--abbrev=12", "--exclude=*"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return None


def usable_cores() -> int:
    """Cores this process may run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class Watch:
    """Watches the machine during a measurement: the load of other programs, and changes in its speed."""

    def __init__(self) -> None:
        self.load_average = [round(load, 2) for load in os.getloadavg()]
        self.start = time.perf_counter()
        self.own = own_seconds()
        self.busy, self.stolen = machine_seconds()
        self.paces: list[float] = []

    def probe(self) -> None:
        """Times a fixed piece of work (the fastest of ten); to be called at intervals."""
        times = []
        for _ in range(10):
            start = time.perf_counter()
            sum(range(200_000))
            times.append(time.perf_counter() - start)
        self.paces.append(min(times))

    def finish(self) -> tuple[dict[str, object], list[str]]:
        """The conditions, and the reasons why latencies measured meanwhile are not valid.

        Call it after the measured processes have ended: the system counts a child's time only then.
        """
        elapsed = time.perf_counter() - self.start
        busy, stolen = machine_seconds()
        foreign = max(0.0, busy - self.busy - (own_seconds() - self.own)) / elapsed if busy else None
        steal = (stolen - self.stolen) / elapsed / (os.cpu_count() or 1)
        drift = max(self.paces) / min(self.paces) - 1 if self.paces else 0.0
        reasons = []
        if foreign is None and self.load_average[0] > FOREIGN_CORES:
            reasons.append(f"busy machine: load average {self.load_average[0]} at the start")
        if foreign is not None and foreign > FOREIGN_CORES:
            reasons.append(f"busy machine: other programs used {foreign:.1f} cores")
        if steal > STEAL:
            reasons.append(f"busy host: it kept {100 * steal:.0f} % of the time from this virtual machine")
        if drift > DRIFT:
            reasons.append(f"the processor's pace wandered by {100 * drift:.0f} % (throttled, or shared)")
        seen: dict[str, object] = {
            "load_average": self.load_average,
            "foreign_cores": None if foreign is None else round(foreign, 2),
            "steal": round(steal, 3),
            "pace_drift": round(drift, 3),
        }
        return seen, reasons


def own_seconds() -> float:
    """Processor seconds of this process and of its children that have ended."""
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


def machine_seconds() -> tuple[float, float]:
    """Processor seconds that the machine was busy, and that its host took from it; zeros without /proc."""
    try:
        fields = Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:]
    except OSError:
        return 0.0, 0.0
    user, nice, system, _idle, _wait, irq, softirq, steal = (int(field) for field in fields[:8])
    tick = os.sysconf("SC_CLK_TCK")
    return (user + nice + system + irq + softirq) / tick, steal / tick


def cpu_information() -> dict[str, str]:
    """The first processor's fields of /proc/cpuinfo."""
    text = (text_of("/proc/cpuinfo") or "").split("\n\n")[0]
    return {key.strip(): value.strip() for key, _, value in (line.partition(":") for line in text.splitlines())}


def text_of(path: str) -> str | None:
    """A small system file's text, or None."""
    try:
        return Path(path).read_text(errors="replace").strip("\0\n ")
    except OSError:
        return None
