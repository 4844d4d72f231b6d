"""What the runtime takes of a device: disk, import time, cold start, memory. Each installation is made in a folder.

    python -m htrjand.benchmarks.studies.footprint

Builds the wheel of this checkout and installs it twice, with pip: as the base install has it (onnxruntime), and for a
device that reads TFLite alone (numpy, Pillow, LiteRT). Each figure is a median of fresh processes, which see that
folder and the standard library, and take turns; bytecode is compiled before.
"""

from __future__ import annotations

import csv
import json
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from statistics import median

import click

from ...export.ort import convert
from ...runtime import HtrjandError
from ...runtime.recognizer import BUNDLED

ROOT = Path(__file__).resolve().parents[2]
LINE = ROOT / "benchmarks" / "sample" / "lines" / "01.png"
OURS = "htrjand"
# What a device is given beside ours, none: what the wheel asks for.
INSTALLATIONS: dict[str, tuple[str, ...] | None] = {
    "base install (onnxruntime)": None,
    "TFLite alone (numpy, Pillow, LiteRT)": ("numpy", "Pillow", "ai-edge-litert"),
}
# Of ours, by the folder or the suffix of a file; the first that fits.
SHARES = {
    "runtime: ONNX files": (".onnx",),
    "runtime: TFLite files": (".tflite",),
    "runtime: OpenVINO files": (".xml", ".bin"),
    "runtime: n-gram": (".lm",),
    "runtime: code": ("htrjand/runtime/",),
    "train: weights to adapt": ("htrjand/train/weights/",),
    "all else: code to train, export, compress, measure": ("",),
}
# Run by a process that has as its arguments the folder of an installation, a line, and maybe a model file. Processor time: on an idle
# machine with the files in memory it is what a clock shows; on a busy one it leaves out what others take.
MEASURED = """
import json, sys, time
sys.path.insert(0, sys.argv[1])
times = [time.process_time()]
import numpy
times.append(time.process_time())
from htrjand.runtime import Recognizer
times.append(time.process_time())
reader = Recognizer(*sys.argv[3:], threads=1)
times.append(time.process_time())
text = reader.read_line(sys.argv[2]).text
times.append(time.process_time())
with open("/proc/self/status") as status:
    peak = int(status.read().partition("VmHWM:")[2].split()[0]) * 1024
print(json.dumps({"times": times, "peak": peak, "text": text, "file": reader.path.name}))
"""
STEPS = ("import numpy, ms", "import htrjand.runtime besides, ms", "Recognizer(), ms", "the first line, ms")
PEAK, COLD = "peak memory, MB", "from the import of htrjand.runtime to the first text, ms"


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
    constraints = ("-c", str(ROOT / "constraints.txt"))
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


def start(folder: Path, model: Path | None = None) -> tuple[dict[str, float], str]:
    """The figures of one process, and the name of the model file that it opened: by default the bundled one."""
    command = [sys.executable, "-I", "-S", "-c", MEASURED, str(folder), str(LINE), *filter(None, [model])]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise HtrjandError(f"{folder}: cannot read ({last_line(done.stderr)}); install it again")
    found = json.loads(done.stdout.splitlines()[-1])
    figures = {
        step: 1000 * (after - before) for step, (before, after) in zip(STEPS, pairwise(found["times"]), strict=True)
    }
    figures |= {COLD: 1000 * (found["times"][-1] - found["times"][1]), PEAK: found["peak"] / 1e6}
    return figures, found["file"]


def markdown(names: Sequence[str], rows: dict[str, Sequence[float]], digits: int) -> str:
    """A table with a column for each installation."""
    table = "| | " + " | ".join(names) + " |\n|---|" + "---:|" * len(names) + "\n"
    for row, values in rows.items():
        table += f"| {row} | " + " | ".join(f"{value:.{digits}f}" if value else "–" for value in values) + " |\n"
    return table


@click.command()
@click.option("--processes", type=click.IntRange(1), default=15, show_default=True, help="Of each installation.")
@click.option("--wheel", type=click.Path(path_type=Path), help="Ours. Default: it is built from this checkout.")
def main(processes: int, wheel: Path | None) -> None:
    """Print what an installation takes of disk, and a first line of time and memory."""
    with tempfile.TemporaryDirectory() as scratch:
        if wheel is None:
            pip("wheel", "--no-deps", "-w", scratch, str(ROOT))
            (wheel,) = Path(scratch).glob("*.whl")
        folders = {name: Path(scratch) / str(number) for number, name in enumerate(INSTALLATIONS)}
        for name, folder in folders.items():
            install(wheel, INSTALLATIONS[name], folder)
        found = {name: sizes(folder) for name, folder in folders.items()}
        packages: dict[str, list[float]] = {}
        for package in dict.fromkeys(package for one in found.values() for package in one):
            packages[package] = [one.get(package, 0) / 1e6 for one in found.values()]
        megabytes = dict(sorted(packages.items(), key=lambda item: (item[0] != OURS, -max(item[1]))))
        megabytes["all, MB"] = [sum(one.values()) / 1e6 for one in found.values()]
        click.echo(markdown(list(found), megabytes, 1))
        ours = {share: [size / 1e6] for share, size in shares(next(iter(folders.values()))).items()}
        click.echo(markdown(["of ours, MB"], ours, 2))
        base, tflite = folders.values()
        ort = Path(scratch) / f"{BUNDLED}.ort"
        convert(base / OURS / "runtime" / "models" / f"{BUNDLED}.onnx", ort)
        runs: dict[str, list[dict[str, float]]] = {}  # by the model file
        for _ in range(processes):  # by turns
            for folder, model in ((base, None), (base, ort), (tflite, None)):
                figures, file = start(folder, model)
                runs.setdefault(file, []).append(figures)
        medians = {
            figure: [median(figures[figure] for figures in run) for run in runs.values()]
            for figure in (*STEPS, COLD, PEAK)
        }
        click.echo(markdown(list(runs), medians, 0))


if __name__ == "__main__":
    try:
        main()
    except HtrjandError as problem:
        raise SystemExit(f"footprint: {problem}") from problem
