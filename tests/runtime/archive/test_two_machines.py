"""The commands of docs/archive.md on two machines, each with its own network, processes and folders, and a store."""

from __future__ import annotations

import re
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from archive_server import Server
from hosts import HERE, Host, hosts, why_not

from htrjand.runtime.archive.results import Results
from htrjand.runtime.archive.store import Store

ROOT = Path(__file__).resolve().parents[3]
WHY_NOT = "the machines have a /tmp of their own, without this checkout" if ROOT.is_relative_to("/tmp") else why_not()
pytestmark = [pytest.mark.cluster, pytest.mark.skipif(bool(WHY_NOT), reason=WHY_NOT)]

PAGE = ROOT / "benchmarks" / "sample" / "page.png"
COUNT = 24
PATIENCE = 120  # seconds


def commands(source: str, target: str, first: str) -> list[str]:
    """Those of the docs, with these addresses."""
    text = (ROOT / "docs" / "archive.md").read_text("utf-8")
    block = re.search(r"```sh\n(export RAY_AUTH.*?)```", text, re.S)[1]  # type: ignore[index]
    for old, new in (
        ("ray ", f"{sys.executable} -m ray.scripts.scripts "), ("htrjand ", f"{sys.executable} -m htrjand "),
        ("s3://bucket/scans", f"'{source}'"), ("s3://bucket/texts", f"'{target}'"), ("first:", f"{first}:"),
    ):  # fmt: skip
        block = block.replace(old, new)
    return [line.partition("#")[0].strip() for line in block.splitlines()]


@pytest.fixture
def two() -> Iterator[tuple[Host, Host, str, list[str]]]:
    """Two machines that are one cluster, the address of results, and the commands that are left."""
    with Server(HERE) as server, hosts("one", "two") as (one, two):
        source, target = server.bucket("scans", "box"), server.bucket("texts", "box")
        for number in range(COUNT):
            Store(source).write(f"{number:02}.png", PAGE.read_bytes())
        export, head, join, *rest = commands(source, target, one.address)
        for host in (one, two):
            host.run(export)
        one.run(f"{head} --num-cpus 1 --object-store-memory {2**27}")
        two.run(f"{join} --num-cpus 1 --object-store-memory {2**27}")
        yield one, two, target, rest


def readers(host: Host) -> int:
    """Workers on a machine."""
    return int(host.run("grep -l '^ray::MapWorker' /proc/[0-9]*/cmdline | wc -l"))


def wait_until_both_read(other: Host, target: str) -> None:
    ended = time.monotonic() + PATIENCE
    while len(Results(Store(target)).blocks()) < 3 or readers(other) < 1:
        assert time.monotonic() < ended, "one does not read"
        time.sleep(0.5)


def check(target: str) -> None:
    """Each page is there once, and was read."""
    found = list(Results(Store(target)).rows(["page", "error", "text"]))
    assert Counter(row["path"] for row in found) == {f"{number:02}.png": 1 for number in range(COUNT)}
    assert not [row for row in found if row["error"]] and len({row["text"] for row in found}) == 1


def test_both_read(two: tuple[Host, Host, str, list[str]]) -> None:
    one, other, target, (read, stop) = two
    one.begin(read)
    wait_until_both_read(other, target)
    status, told = one.end()
    assert status == 0 and f"{COUNT} pages read, 0 failed" in told, told
    check(target)
    other.run(stop)
    one.run(stop)


def test_a_token_that_is_missing_or_wrong(two: tuple[Host, Host, str, list[str]]) -> None:
    one, _, _, (read, _) = two
    address = f"{one.address}:6379"
    for wrong in ("RAY_AUTH_TOKEN=ANOTHER", "-u RAY_AUTH_TOKEN", "-u RAY_AUTH_TOKEN -u RAY_AUTH_MODE"):
        one.begin(f"env {wrong} {read.replace('--address auto', f'--address {address}')}")
        status, told = one.end()
        assert status == 2 and f"htrjand: {address}: no Ray cluster answers, or it wants another token" in told, told
        assert "Traceback" not in told


def test_one_whose_cable_is_pulled(two: tuple[Host, Host, str, list[str]]) -> None:
    one, other, target, (read, _) = two
    one.begin(read)
    wait_until_both_read(other, target)
    other.pull_the_cable()
    status, told = one.end()
    assert status == 0 and f"{COUNT} pages read, 0 failed" in told, told
    check(target)
