"""The two far sides, the lines that all read, and the model files."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import prepare
import pytest

from htrjand.runtime import Recognizer
from htrjand.runtime.errors import HtrjandError
from htrjand.runtime.info import sha256
from htrjand.train.data import error_rates as metrics

ROOT = prepare.ROOT
WEIGHTS = ROOT / "train" / "weights" / "student.safetensors"
SAMPLE = ROOT / "benchmarks" / "sample" / "sample.parquet"
SUFFIXES = (".onnx", ".tflite", ".xml")
LINES = {"int8": 50, "fp32": 12}  # how many ARM reads: a second or two each under the emulator
CLOSE = 1e-3  # the largest difference of a logit in float: what an exported file may differ from its weights
CER = 0.5  # points that int8 may read worse elsewhere than here
Side = Callable[..., str]  # runs Python there with these arguments; its stdout
found: list[str] = []  # what the tests measured, for the end of the run


class Lines(NamedTuple):
    """Encoded line images, by name in the order of the texts that they show."""

    folder: Path
    texts: list[str]


@pytest.fixture(scope="session")
def root() -> Path:
    return ROOT


@pytest.fixture(scope="session")
def paths(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder from which `htrjand` can be imported."""
    folder = tmp_path_factory.mktemp("paths")
    (folder / "htrjand").symlink_to(ROOT)
    return folder


@pytest.fixture(scope="session")
def here(paths: Path) -> Side:
    return side([sys.executable], paths)


@pytest.fixture(scope="session")
def arm(paths: Path) -> Side:
    prepared(prepare.prepare_arm)
    variables = {"PYTHONPYCACHEPREFIX": str(prepare.ARM / "compiled")}
    variables["HTRJAND_BENCH_PYTHON"] = shlex.join(prepare.ARM_PYTHON)  # what starts its processes
    return side(prepare.ARM_PYTHON, paths, prepare.ARM / "wheels", **variables)


@pytest.fixture(scope="session")
def tflite_runtime(paths: Path) -> Side:
    prepared(prepare.prepare_tflite)
    return side(prepare.TFLITE_PYTHON, paths)


def prepared(preparation: Callable[[], None]) -> None:
    """Skips where it cannot be had; `make test-arm` prepares first, and fails there."""
    try:
        preparation()
    except prepare.Unprepared as problem:
        pytest.skip(str(problem))


def side(python: Sequence[str], *paths: Path, **variables: str) -> Side:
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(map(str, paths))} | variables

    def run(*arguments: str | Path | int) -> str:
        command = [*python, *map(str, arguments)]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run


@pytest.fixture(scope="session")
def lines(tmp_path_factory: pytest.TempPathFactory) -> Callable[[int], Lines]:
    """So many real validation lines, or those of the bundled sample where there are none."""
    from htrjand.train.data.lines import data_dir, read_lines, spread

    @cache
    def lines(count: int) -> Lines:
        try:
            rows = spread(read_lines(data_dir() / "lines", "val"), count)
        except HtrjandError:
            rows = spread(read_lines(SAMPLE), count)
        assert len(rows) >= min(count, max(LINES.values()))
        folder = tmp_path_factory.mktemp("lines")
        for number, row in enumerate(rows):
            (folder / f"{number:03}.image").write_bytes(row.image)
        return Lines(folder, [row.text for row in rows])

    return lines


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, str], Path]:
    """The student: int8 as it is bundled, fp32 exported here; both from HTRJAND_EDGE_MODELS where that is set."""
    from htrjand.export.files import write
    from htrjand.runtime.files import atomic_model
    from htrjand.train.checkpoint import load_network
    from htrjand.train.reader import model_info

    given = os.environ.get("HTRJAND_EDGE_MODELS")
    exported = tmp_path_factory.mktemp("models")

    def model(suffix: str, precision: str) -> Path:
        folder = Path(given) if given else ROOT / "runtime" / "models" if precision == "int8" else exported
        path = folder / f"htrjand-student-{precision}{suffix}"
        if folder == exported and not path.exists():
            network, card = load_network(WEIGHTS)
            with atomic_model(path) as part:
                write(network, model_info(card, WEIGHTS), part)
        assert Recognizer(path, 1).info.weights_sha256 == sha256(WEIGHTS), f"{path}: made from other weights"
        return path

    return model


@pytest.fixture(scope="session")
def read(lines: Any, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Any]:
    """Reads so many times the lines that LINES says with a model on a side; what `reader.py` tells."""

    def read(side: Side, path: Path, precision: str, times: int = 1) -> Any:
        out = tmp_path_factory.mktemp("read") / "read.npz"
        side(Path(__file__).with_name("reader.py"), path, lines(times * LINES[precision]).folder, out)
        return np.load(out)

    return read


@pytest.fixture(scope="session")
def read_on_arm(arm: Side, model: Any, read: Any) -> Iterator[dict[tuple[str, str], Future[Any]]]:
    """What ARM reads with each file: all begun at once, for a reading takes minutes and keeps one core busy."""
    files = {(suffix, precision): model(suffix, precision) for precision in LINES for suffix in SUFFIXES}
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        yield {key: pool.submit(read, arm, path, key[1]) for key, path in files.items()}


@pytest.fixture(scope="session")
def percent() -> Callable[[list[str], list[str]], float]:
    """The edits from texts to what was read, in percent of the characters of the texts."""
    return lambda texts, read: metrics.cer([metrics.compare(*pair) for pair in zip(texts, read, strict=True)])


@pytest.fixture(scope="session")
def compare(lines: Any, percent: Any) -> Callable[[Path, Any, Any, float], None]:
    """Holds a far reading to that from here: pixels equal; texts at most `apart` percent of their characters apart,
    with the language model and without; and the search in numpy finds what the compiled one does."""

    def compare(path: Path, near: Any, far: Any, apart: float) -> None:
        count = len(near["texts"])
        worst = [float(np.abs(near[f"logits-{i}"] - far[f"logits-{i}"]).max()) for i in range(count)]
        close = sum(each <= CLOSE for each in worst)
        assert all(np.array_equal(near[f"pixels-{i}"], far[f"pixels-{i}"]) for i in range(count))
        assert all(np.array_equal(side["numpy"], side["texts"]) for side in (near, far))
        for decoder in ("texts", "greedy"):
            texts = [list(map(str, side[decoder])) for side in (near, far)]
            equal, between = sum(a == b for a, b in zip(*texts, strict=True)), percent(texts[0], texts[1])
            cer = [percent(lines(count).texts, read) for read in texts]
            found.append(
                f"{path.name}, {far['machine']} {far['engine']} against {near['machine']} {near['engine']}, "
                f"{'greedy' if decoder == 'greedy' else 'with the language model'}: "
                f"{equal} of {count} texts equal, {between:.2f} % of characters apart, "
                f"CER {cer[1]:.2f} against {cer[0]:.2f} %, "
                f"logits of {close} lines within {CLOSE}, of all within {max(worst):.1e}"
            )
            assert any(texts[0])
            assert between <= apart, found[-1]
            assert cer[1] <= cer[0] + CER, found[-1]
            if not apart:
                assert (equal, close) == (count, count), found[-1]

    return compare


def pytest_terminal_summary(terminalreporter: Any) -> None:
    for line in found:
        terminalreporter.write_line(line)
