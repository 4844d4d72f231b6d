"""Prepares what the edge tests run on: `python tests/edge/prepare.py`. What is there already is left as it is.

build/arm/             an emulator, Python 3.11 as Debian 12 has it for arm64, and our engines' arm64 wheels
build/tflite-runtime/  a virtual environment with tflite-runtime, for which numpy is too new in the one of the project

The host is left as it is, and root is not needed: apt-get downloads with lists of its own, dpkg unpacks, nothing is
installed. Debian 12's archive has to be among apt's sources, and Python 3.11 at hand.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
ARM = ROOT / "build" / "arm"
TFLITE = ROOT / "build" / "tflite-runtime"

EMULATOR = "qemu-user-static"
PYTHON = "python3.11"
DEBS = (
    *("python3.11-minimal", "libpython3.11-minimal", "libpython3.11-stdlib", "libc6", "libgcc-s1", "libstdc++6"),
    *("libgomp1", "libcrypt1", "libexpat1", "libffi8", "libbz2-1.0", "liblzma5", "libssl3", "libuuid1", "zlib1g"),
)
# Later editions of onnxruntime and LiteRT crash under the emulator of Debian 12. What these depend on is left out:
# nothing of it is needed to read a model.
WHEELS = (
    "onnxruntime==1.24.4",
    "ai-edge-litert==2.1.0",
    "openvino==2026.4.1",
    "numpy==2.4.6",
    "pillow==13.0.0",
    "click==8.5.1",
)
GLIBC = range(17, 37)  # 2.17 to 2.36: wheels made for any of these run on Debian 12, and each project names another
TFLITE_WHEELS = ("tflite-runtime==2.14.0", "numpy==1.26.4", "pillow==13.0.0")

# A later processor has instructions that this emulator gets wrong: int8 results then differ.
ARM_PYTHON = (f"{ARM}/qemu-aarch64-static", "-cpu", "cortex-a72", "-L", f"{ARM}/root", f"{ARM}/root/usr/bin/{PYTHON}")
TFLITE_PYTHON = (f"{TFLITE}/bin/python",)


class Unprepared(Exception):
    """What is needed cannot be had here: a program is missing, or its download failed."""


def prepare_arm() -> None:
    """Makes build/arm."""
    if is_done(ARM, EMULATOR, *DEBS, *WHEELS):
        return
    begin(ARM)
    apt, debs = ARM / "apt", ARM / "debs"
    for folder in (apt / "state" / "lists" / "partial", apt / "cache" / "archives" / "partial", debs):
        folder.mkdir(parents=True)
    (apt / "status").touch()
    (apt / "conf").write_text(apt_configuration(apt), encoding="utf-8")
    environment = os.environ | {"APT_CONFIG": str(apt / "conf")}
    run("apt-get", "-qq", "update", env=environment)
    run("apt-get", "-qq", "download", EMULATOR, *(f"{name}:arm64" for name in DEBS), cwd=debs, env=environment)
    for deb in debs.iterdir():
        run("dpkg", "-x", str(deb), str(ARM / ("host" if deb.name.startswith(EMULATOR) else "root")))
    (ARM / "host" / "usr" / "bin" / "qemu-aarch64-static").rename(ARM_PYTHON[0])
    for folder in (apt, debs, ARM / "host"):
        shutil.rmtree(folder)
    platforms = [f"--platform=manylinux_2_{minor}_aarch64" for minor in GLIBC] + ["--platform=manylinux2014_aarch64"]
    pip(sys.executable, "--target", str(ARM / "wheels"), "--python-version=3.11", "--only-binary=:all:", *platforms,
        "--no-deps", *WHEELS)  # fmt: skip
    done(ARM, EMULATOR, *DEBS, *WHEELS)


def prepare_tflite() -> None:
    """Makes build/tflite-runtime."""
    if is_done(TFLITE, *TFLITE_WHEELS):
        return
    python = sys.executable if sys.version_info[:2] == (3, 11) else PYTHON
    begin(TFLITE)
    run(python, "-m", "venv", str(TFLITE))
    pip(*TFLITE_PYTHON, "--only-binary=:all:", *TFLITE_WHEELS)
    done(TFLITE, *TFLITE_WHEELS)


def apt_configuration(apt: Path) -> str:
    """Lists and cache in a folder of their own, for two architectures; the archive as it is set up on this machine."""
    sources = [Path("/etc/apt/sources.list.d/debian.sources"), Path("/etc/apt/sources.list")]
    source = next((path for path in sources if path.is_file()), None)
    if source is None:
        raise Unprepared(f"none of {', '.join(map(str, sources))} is there: Debian's packages cannot be fetched")
    return f"""
        Dir::State "{apt}/state";
        Dir::State::status "{apt}/status";
        Dir::Cache "{apt}/cache";
        Dir::Etc::sourcelist "{source}";
        Dir::Etc::sourceparts "-";
        APT::Architectures {{ "{run("dpkg", "--print-architecture").strip()}"; "arm64"; }};
        APT::Sandbox::User "";
        Acquire::Languages "none";
    """


def pip(python: str, *arguments: str) -> None:
    run(python, "-m", "pip", "install", "-q", "--disable-pip-version-check", *arguments)


def run(*command: str, **options: object) -> str:
    """What a command prints.

    Raises:
        Unprepared: it is not installed or fails; the last line it complains with is in the message.
    """
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, **options)  # type: ignore[call-overload]
    except FileNotFoundError as error:
        raise Unprepared(f"{command[0]} is not installed") from error
    if done.returncode:
        raise Unprepared(f"{' '.join(command[:4])} …: {(done.stderr.strip() or 'failed').splitlines()[-1]}")
    return str(done.stdout)


def begin(folder: Path) -> None:
    print(f"preparing {folder.relative_to(ROOT)}", file=sys.stderr)
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)


def done(folder: Path, *contents: str) -> None:
    (folder / "contents").write_text("\n".join(contents), encoding="utf-8")


def is_done(folder: Path, *contents: str) -> bool:
    stamp = folder / "contents"
    return stamp.is_file() and stamp.read_text(encoding="utf-8") == "\n".join(contents)


if __name__ == "__main__":
    try:
        prepare_arm()
        prepare_tflite()
    except Unprepared as problem:
        sys.exit(f"edge tests: {problem}")
