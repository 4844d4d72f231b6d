"""Looks for inputs that raise what they must not, take too much memory, or too long: by atheris, a fuzzer.

    python tests/fuzz/fuzz.py --seconds 60              # every target, each in a process of its own
    python tests/fuzz/fuzz.py image --seconds 600
    python tests/fuzz/fuzz.py image build/fuzz/image/crash-…   # a finding again

A target ends at its first finding, whose input is then in build/fuzz/TARGET/. Mend the cause, and keep the input as a
small test.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

HERE = Path(__file__).resolve().parent
FOUND = HERE.parents[1] / "build" / "fuzz"
MEMORY = 300  # MB that an input may take
SECONDS = 10  # that it may take
NAMES = ("image", "metadata", "onnx", "tflite", "openvino", "ngram")
sys.path[:0] = [str(HERE), str(HERE.parent)]


def peak() -> int:
    """MB that this process had in memory at most since `forget`."""
    return int(Path("/proc/self/status").read_text().partition("VmHWM:")[2].split()[0]) // 1000


def forget() -> int:
    """Begins to measure `peak` anew; MB now."""
    Path("/proc/self/clear_refs").write_text("5")
    return peak()


def watched(one: Callable[[bytes], None]) -> Callable[[bytes], None]:
    """A target that takes an HtrjandError for an answer, and raises a MemoryError where too much memory was taken."""
    from htrjand.runtime import HtrjandError

    before = forget()

    def watch(content: bytes) -> None:
        nonlocal before
        try:
            one(content)
        except HtrjandError as error:
            assert ";" in str(error), f"no remedy in: {error}"
        taken = peak() - before
        if taken > MEMORY:
            raise MemoryError(f"{taken} MB")
        if taken > MEMORY // 10:
            before = forget()

    return watch


def fuzz(name: str, seconds: int, again: Path | None, scratch: Path) -> None:
    """Runs one target in this process, which atheris ends."""
    import atheris

    with atheris.instrument_imports(include=["htrjand.runtime", "PIL"]):
        from targets import TARGETS

    warnings.simplefilter("ignore")
    (FOUND / name).mkdir(parents=True, exist_ok=True)
    seeds, one = TARGETS[name](scratch)
    corpus = scratch / "corpus"
    corpus.mkdir()
    for number, seed in enumerate(seeds):
        (corpus / str(number)).write_bytes(seed)
    words = [str(again)] if again else [str(corpus), f"-max_total_time={seconds}"]
    limits = [f"-timeout={SECONDS}", "-rss_limit_mb=4000", "-max_len=65536"]
    atheris.Setup([name, *words, *limits, "-print_final_stats=1", f"-artifact_prefix={FOUND / name}/"], watched(one))
    atheris.Fuzz()


def main() -> int:
    """Runs targets one after the other; the exit status is the number of those with a finding."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("target", nargs="?", choices=NAMES)
    parser.add_argument("again", nargs="?", type=Path, help="an input of a finding")
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--here", type=Path, help=argparse.SUPPRESS)  # a folder to work in: fuzz in this process
    asked = parser.parse_args()
    if find_spec("atheris") is None:
        parser.error("atheris is not installed: make fuzz does that")
    if asked.here:
        fuzz(asked.target, asked.seconds, asked.again, asked.here)
    found = []
    for name in [asked.target] if asked.target else NAMES:
        with tempfile.TemporaryDirectory() as scratch:
            words = [name, *([str(asked.again)] if asked.again else []), "--seconds", str(asked.seconds)]
            done = subprocess.run(
                [sys.executable, __file__, *words, "--here", scratch],
                stderr=subprocess.PIPE, encoding="utf-8", errors="replace",
            )  # fmt: skip
        if done.returncode:
            found.append(name)
            said = [line for line in done.stderr.splitlines() if not line.startswith(("INFO", "WARNING", "#"))]
            print("\n".join(said)[-6000:])
        runs = done.stderr.partition("number_of_executed_units:")[2].split()
        end = f"a finding, in {FOUND / name}" if done.returncode else "nothing found"
        print(f"{name}: {end}; {runs[0] if runs else 'no'} inputs", flush=True)
    return len(found)


if __name__ == "__main__":
    raise SystemExit(main())
