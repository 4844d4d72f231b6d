"""What the runtime takes of a device: disk, import time, cold start, memory. Each installation is made in a folder.

    python -m htrjand.benchmarks.studies.footprint

Builds the wheel of this checkout and installs it once for each engine, with pip: as the base install has it
(onnxruntime), and for devices that read TFLite or OpenVINO files alone. Each figure is a median of fresh processes,
which see that folder and the standard library, and take turns; bytecode is compiled and files are in memory before.
Times are of the processor, of one thread.
"""

from __future__ import annotations

import csv
import json
import os
import platform
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from statistics import median

import click

from ...export.ort import convert
from ...runtime import HtrjandError
from ...runtime.recognizer import BUNDLED
from .. import machine

ROOT = Path(__file__).resolve().parents[2]
LINE = ROOT / "benchmarks" / "sample" / "lines" / "01.png"
PAGE = ROOT / "benchmarks" / "sample" / "page.png"
OURS = "htrjand"
# By the module of its engine: what a device is given beside ours; none: what the wheel asks for.
INSTALLATIONS: dict[str, tuple[str, ...] | None] = {
    "onnxruntime": None,
    "ai_edge_litert.interpreter": ("numpy", "Pillow", "ai-edge-litert"),
    "openvino": ("numpy", "Pillow", "openvino"),
}
if sys.version_info < (3, 12):  # its last edition; also for 32-bit ARM
    INSTALLATIONS["tflite_runtime.interpreter"] = ("numpy<2", "Pillow", "tflite-runtime")
# Of ours, by the folder or the suffix of a file; the first that fits.
SHARES = {
    "runtime: ONNX files": (".onnx",),
    "runtime: TFLite files": (".tflite",),
    "runtime: OpenVINO files": (".xml", ".bin"),
    "runtime: n-gram": (".lm",),
    "runtime: neural language model": (".nlm",),
    "runtime: code": ("htrjand/runtime/",),
    "train: weights to adapt": ("htrjand/train/weights/",),
    "all else: code to train, export, compress, measure": ("",),
}
# Run by a process; its arguments are the folder of an installation, its engine, a line, a page, and maybe a model file.
# Processor time: on an idle machine it is what a clock shows, on a busy one it leaves out what others take.
MEASURED = """
import json, sys, time
sys.path.insert(0, sys.argv[1])
times = []
def done():
    times.append((time.process_time(), time.perf_counter()))
done()
import numpy
done()
from htrjand.runtime import Recognizer
done()
if sys.argv[2] == "openvino":
    sys.modules["openvino_telemetry"] = None
__import__(sys.argv[2])
done()
reader = Recognizer(*sys.argv[5:], threads=1)
done()
text = reader.read_line(sys.argv[3]).text
done()
def peak():
    with open("/proc/self/status") as status:
        return int(status.read().partition("VmHWM:")[2].split()[0]) * 1024
peaks = [peak()]
reader.read_page(sys.argv[4])
done()
peaks.append(peak())
print(json.dumps({"times": times, "peaks": peaks, "text": text, "file": reader.path.name}))
"""
STEPS = (
    "import numpy, ms", "import htrjand.runtime besides, ms", "import the engine's library besides, ms",
    "Recognizer(), ms", "the first line, ms", "the first page besides, ms",
)  # fmt: skip
COLD = "cold start: from the import of htrjand.runtime to the first text, ms"
CLOCK = "the same by the clock, the least, ms"
PEAK, PAGE_PEAK = "peak memory of the line, MB", "peak memory of the page, MB"
FIGURES = (*STEPS[:-1], COLD, CLOCK, PEAK, STEPS[-1], PAGE_PEAK)


def pip(*words: str) -> None:
    """Runs pip; an HtrjandError with its last line where it fails."""
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", "-q", *words]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise HtrjandError(f"pip {words[0]} failed: {last_line(done.stderr)}; mend that first")


def last_line(text: str) -> str:
    return (text.strip().splitlines() or ["it said nothing"])[-1]


def install(wheel: Path, beside: Sequence[str] | None, folder: Path) -> None:
    """Installs a wheel of ours into a folder: with what it asks for, or with other packages beside it."""
    constraints: tuple[str, ...] = ("-c", str(ROOT / "constraints.txt"))
    if beside and "numpy<2" in beside:  # constraints.txt has numpy 2
        constraints = ()
    if beside is None:
        pip("install", "--target", str(folder), *constraints, str(wheel))
        return
    pip("install", "--target", str(folder), *constraints, *beside)
    pip("install", "--target", str(folder), "--no-deps", str(wheel))


def sizes(folder: Path) -> dict[str, int]:
    """Bytes of each package of an installation, by what pip recorded; the largest first."""
    found: Counter[str] = Counter()
    for record in folder.glob("*.dist-info/RECORD"):
        for size in recorded(folder, record).values():
            found[record.parent.name.partition("-")[0]] += size
    return dict(found.most_common())


def recorded(folder: Path, record: Path) -> dict[str, int]:
    """The files of one package, and their bytes."""
    with record.open(encoding="utf-8", newline="") as stream:
        names = [row[0] for row in csv.reader(stream)]
    return {name: (folder / name).stat().st_size for name in names if (folder / name).is_file()}


def shares(folder: Path) -> dict[str, int]:
    """Bytes of each share of our package."""
    found = dict.fromkeys(SHARES, 0)
    (record,) = folder.glob(f"{OURS}-*.dist-info/RECORD")
    for name, size in recorded(folder, record).items():
        found[next(share for share, parts in SHARES.items() if any(part in name for part in parts))] += size
    return found


def start(folder: Path, engine: str, model: Path | None = None) -> tuple[dict[str, float], str]:
    """The figures of one process, and the name of the model file that it opened: by default the bundled one."""
    words = [str(folder), engine, str(LINE), str(PAGE), *([] if model is None else [str(model)])]
    command = [sys.executable, "-I", "-S", "-c", MEASURED, *words]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise HtrjandError(f"{folder}: cannot read ({last_line(done.stderr)}); install it again")
    found = json.loads(done.stdout.splitlines()[-1])
    computed, clock = zip(*found["times"], strict=True)
    figures = {step: 1000 * (after - before) for step, (before, after) in zip(STEPS, pairwise(computed), strict=True)}
    figures |= {COLD: 1000 * (computed[-2] - computed[1]), CLOCK: 1000 * (clock[-2] - clock[1])}
    return figures | dict(zip((PEAK, PAGE_PEAK), (peak / 1e6 for peak in found["peaks"]), strict=True)), found["file"]


def markdown(names: Sequence[str], rows: Mapping[str, Sequence[float]], digits: int) -> str:
    """A table with a column for each installation."""
    table = "| | " + " | ".join(names) + " |\n|---|" + "---:|" * len(names) + "\n"
    for row, values in rows.items():
        table += f"| {row} | " + " | ".join(f"{value:.{digits}f}" if value else "–" for value in values) + " |\n"
    return table


def name(engine: str) -> str:
    return engine.partition(".")[0]


def state() -> str:
    """The machine, and how busy it is besides."""
    told = machine.describe()
    load = " ".join(f"{value:.1f}" for value in os.getloadavg())
    return f"{told['cpu']}, {told['cores']} cores, {told['system']}, Python {platform.python_version()}; load {load}"


@click.command()
@click.option("--processes", type=click.IntRange(1), default=15, show_default=True, help="Of each installation.")
@click.option("--wheel", type=click.Path(path_type=Path), help="Ours. Default: it is built from this checkout.")
@click.option("--folder", type=click.Path(path_type=Path), help="Install here, and keep it for the next time.")
def main(processes: int, wheel: Path | None, folder: Path | None) -> None:
    """Print what an installation takes of disk, and a first line of time and memory."""
    with tempfile.TemporaryDirectory() as scratch:
        folders = {engine: (folder or Path(scratch)) / engine for engine in INSTALLATIONS}
        if not all(place.is_dir() for place in folders.values()):
            if wheel is None:
                pip("wheel", "--no-deps", "-w", scratch, str(ROOT))
                (wheel,) = Path(scratch).glob("*.whl")
            for engine, place in folders.items():
                install(wheel, INSTALLATIONS[engine], place)
        found = {engine: sizes(place) for engine, place in folders.items()}
        packages: dict[str, list[float]] = {}
        for package in dict.fromkeys(package for one in found.values() for package in one):
            packages[package] = [one.get(package, 0) / 1e6 for one in found.values()]
        megabytes = dict(sorted(packages.items(), key=lambda item: (item[0] != OURS, -max(item[1]))))
        megabytes["all, MB"] = [sum(one.values()) / 1e6 for one in found.values()]
        click.echo(markdown([name(engine) for engine in found], megabytes, 1))
        ours = {share: [size / 1e6] for share, size in shares(folders["onnxruntime"]).items()}
        click.echo(markdown(["of ours, MB"], ours, 2))
        ort = Path(scratch) / f"{BUNDLED}.ort"
        convert(folders["onnxruntime"] / OURS / "runtime" / "models" / f"{BUNDLED}.onnx", ort)
        tried: list[tuple[str, Path | None]] = [*((engine, None) for engine in INSTALLATIONS), ("onnxruntime", ort)]
        runs: dict[str, list[dict[str, float]]] = {}  # by engine and model file
        click.echo(f"{state()}\n")
        for turn in range(processes + 1):  # of the first, files come into memory
            for engine, model in tried:
                figures, file = start(folders[engine], engine, model)
                if turn:
                    runs.setdefault(f"{name(engine)}, {Path(file).suffix}", []).append(figures)
        told = {
            figure: [(min if figure == CLOCK else median)(one[figure] for one in run) for run in runs.values()]
            for figure in FIGURES
        }
        click.echo(markdown(list(runs), told, 0))


if __name__ == "__main__":
    try:
        main()
    except HtrjandError as problem:
        raise SystemExit(f"footprint: {problem}") from problem
