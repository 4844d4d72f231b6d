"""Nothing lost, nothing twice: what is left where a driver, an actor or a node is killed while it reads."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from htrjand.runtime.archive.results import Results
from htrjand.runtime.archive.store import Store

pytestmark = pytest.mark.cluster

PAGE = Path(__file__).resolve().parents[3] / "benchmarks" / "sample" / "page.png"
COUNT = 24
PATIENCE = 120  # seconds


@pytest.fixture
def scans(tmp_path: Path) -> Path:
    """Pages that take about a second each."""
    folder = tmp_path / "scans"
    folder.mkdir()
    for number in range(COUNT):
        shutil.copy(PAGE, folder / f"{number:02}.png")
    return folder


def started(scans: Path, out: Path, *options: str) -> subprocess.Popen[str]:
    """A run in a process of its own."""
    command = [sys.executable, "-m", "htrjand", "archive", str(scans), str(out), "--block", "2", *options]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def wait_until(true: Callable[[], Any]) -> Any:
    ended = time.monotonic() + PATIENCE
    while not (found := true()):
        assert time.monotonic() < ended, "it does not happen"
        time.sleep(0.1)
    return found


def blocks(out: Path) -> int:
    return len(list((out / "pages").glob("*.parquet"))) if (out / "pages").is_dir() else 0


def check(out: Path) -> None:
    """Each page is there once, and was read."""
    found = list(Results(Store(str(out))).rows(["page", "error", "text"]))
    assert Counter(row["path"] for row in found) == {f"{number:02}.png": 1 for number in range(COUNT)}
    assert not [row for row in found if row["error"]] and len({row["text"] for row in found}) == 1
    assert not list((out / "tries").iterdir())
    assert not [path for path in out.rglob("*") if path.suffix == ".part"]


def actors() -> set[int]:
    """Processes of workers."""
    found = set()
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if path.read_bytes().startswith(b"ray::MapWorker"):
                found.add(int(path.parent.name))
        except OSError:  # it has ended
            continue
    return found


def test_a_driver(scans: Path, tmp_path: Path) -> None:
    out, others = tmp_path / "out", actors()
    run = started(scans, out, "--workers", "2")
    wait_until(lambda: blocks(out) >= 2)
    run.send_signal(signal.SIGKILL)
    run.wait()
    wait_until(lambda: actors() <= others)  # Ray ends what a driver leaves
    done = blocks(out)
    assert 2 <= done < COUNT // 2
    before = {path.name: path.stat().st_mtime_ns for path in (out / "pages").iterdir() if path.suffix == ".parquet"}
    again = started(scans, out, "--workers", "2")
    told, _ = again.communicate(timeout=PATIENCE)
    assert again.returncode == 0, told
    check(out)
    assert all((out / "pages" / name).stat().st_mtime_ns == written for name, written in before.items())


def test_actors(scans: Path, tmp_path: Path) -> None:
    out, others = tmp_path / "out", actors()
    run = started(scans, out, "--workers", "2")
    for done in (1, 4):
        wait_until(lambda: blocks(out) >= done)  # noqa: B023
        os.kill(wait_until(lambda: actors() - others).pop(), signal.SIGKILL)
    told, _ = run.communicate(timeout=PATIENCE)
    assert run.returncode == 0, told
    check(out)


def test_a_person_who_stops_it(scans: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    signal.signal(signal.SIGINT, signal.default_int_handler)  # what a shell starts in the background would ignore it
    run = started(scans, out, "--workers", "2")
    wait_until(lambda: blocks(out) >= 2)
    run.send_signal(signal.SIGINT)
    told, _ = run.communicate(timeout=PATIENCE)
    assert run.returncode == 130 and "htrjand: stopped; the same command reads the rest" in told and "Trace" not in told
    again = started(scans, out, "--workers", "2")
    told, _ = again.communicate(timeout=PATIENCE)
    assert again.returncode == 0, told
    check(out)


def test_a_node(scans: Path, tmp_path: Path) -> None:
    from ray.cluster_utils import Cluster

    memory = {"object_store_memory": 128 * 2**20}
    cluster = Cluster(True, head_node_args={"num_cpus": 1, **memory})
    other = cluster.add_node(num_cpus=1, **memory)
    try:
        cluster.wait_for_nodes()
        out = tmp_path / "out"
        run = started(scans, out, "--address", cluster.address)
        wait_until(lambda: blocks(out) >= 2)
        cluster.remove_node(other, allow_graceful=False)
        told, _ = run.communicate(timeout=PATIENCE)
        assert run.returncode == 0, told
        check(out)
    finally:
        cluster.shutdown()
