"""The machine of a measurement: device, processor, system, libraries; and how fast and hot it is at a moment."""

from __future__ import annotations

import os
import platform
import re
import subprocess
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
ROOT = Path("/")  # the folder that /proc and /sys are in
# Bits of /sys/…/get_throttled on a Raspberry Pi: what is the case now.
PI_LIMITS = {0: "under-voltage", 1: "frequency capped", 2: "throttled", 3: "soft temperature limit"}


def describe(root: Path = ROOT) -> dict[str, object]:
    """Device, processor, governor, memory and system; None for what the system does not report."""
    information = cpu_information(root)
    flags = information.get("flags") or information.get("Features") or ""
    architecture = platform.machine()
    return {
        "device": text_of(root / "proc/device-tree/model"),
        "cpu": information.get("model name") or platform.processor() or architecture,
        "architecture": architecture,
        "emulated": is_emulated(architecture, information),
        "cores": os.cpu_count(),
        "usable_cores": usable_cores(),
        "flags": sorted(FLAGS_OF_INTEREST & set(flags.split())),
        "governor": text_of(root / "sys/devices/system/cpu/cpu0/cpufreq/scaling_governor"),
        "memory_bytes": memory_bytes(),
        "system": platform.platform(),
    }


def is_emulated(architecture: str, information: dict[str, str]) -> bool:
    """Whether an emulator runs ARM's code: under QEMU /proc shows the processor that is really there."""
    return architecture.startswith(("aarch64", "arm")) and "flags" in information  # ARM calls them Features


def memory_bytes() -> int | None:
    """The machine's memory."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        return None


def sensors(root: Path = ROOT) -> dict[str, object]:
    """The hottest place in °C, the mean frequency of the cores in MHz, and what holds the processor back; or None."""
    zones = [*root.glob("sys/class/thermal/thermal_zone*/temp"), *root.glob("sys/class/hwmon/hwmon*/temp*_input")]
    temperatures = [degrees / 1000 for zone in zones if (degrees := number_of(zone)) is not None]
    clocks = root.glob("sys/devices/system/cpu/cpu[0-9]*/cpufreq/scaling_cur_freq")
    frequencies = [kilohertz / 1000 for file in clocks if (kilohertz := number_of(file)) is not None]
    if not frequencies:
        told = re.findall(r"^cpu MHz\s*: ([\d.]+)", text_of(root / "proc/cpuinfo") or "", re.MULTILINE)
        frequencies = [float(megahertz) for megahertz in told]
    return {
        "temperature_c": round(max(temperatures), 1) if temperatures else None,
        "frequency_mhz": round(sum(frequencies) / len(frequencies)) if frequencies else None,
        "limits": pi_limits(root),
    }


def pi_limits(root: Path) -> list[str] | None:
    """What holds the processor of a Raspberry Pi back at this moment; None on other machines."""
    told = text_of(root / "sys/devices/platform/soc/soc:firmware/get_throttled")
    return None if told is None else [name for bit, name in PI_LIMITS.items() if int(told, 16) >> bit & 1]


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


def cpu_information(root: Path = ROOT) -> dict[str, str]:
    """The first processor's fields of /proc/cpuinfo."""
    text = (text_of(root / "proc/cpuinfo") or "").split("\n\n")[0]
    return {key.strip(): value.strip() for key, _, value in (line.partition(":") for line in text.splitlines())}


def text_of(path: Path) -> str | None:
    """A small system file's text, or None."""
    try:
        return path.read_text(errors="replace").strip("\0\n ")
    except OSError:
        return None


def number_of(path: Path) -> int | None:
    """The number in a small system file, or None."""
    try:
        return int(path.read_text())
    except (OSError, ValueError):
        return None
