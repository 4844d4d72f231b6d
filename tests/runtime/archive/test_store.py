"""Folders and object stores: a real S3 client against a real server."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from archive_server import Server

from htrjand.runtime import HtrjandError, UsageError
from htrjand.runtime.archive import store as module
from htrjand.runtime.archive.store import Store, StoreError


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with Server() as found:
        yield found


@pytest.fixture(params=["folder", "store"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    if request.param == "folder":
        return Store(str(tmp_path / "a folder"))
    server: Server = request.getfixturevalue("server")
    return Store(server.bucket(f"b{abs(hash(str(tmp_path)))}", "below"))


def test_what_is_written_is_read_and_listed(place: Store) -> None:
    assert place.kind() == "nothing" and place.entries() == []
    place.write("box/é 1.png", b"12345")
    place.write("a.png", b"1")
    place.write("a.png", b"22")
    assert [(entry.path, entry.size) for entry in place.entries()] == [("a.png", 2), ("box/é 1.png", 5)]
    assert all(entry.modified > 10**18 for entry in place.entries())
    assert place.read("box/é 1.png") == b"12345" and place.kind("box/é 1.png") == "file"
    place.remove("a.png")
    place.remove("a.png")
    assert place.kind("a.png") == "nothing" and [entry.path for entry in place.entries("box")] == ["box/é 1.png"]
    with pytest.raises(HtrjandError, match="a.png: no such file"):
        place.read("a.png")


def test_a_folder_shows_whole_files_alone(tmp_path: Path) -> None:
    place, seen = Store(str(tmp_path)), set()
    ended = threading.Event()

    def look() -> None:
        while not ended.is_set():
            seen.update(len((tmp_path / "x").read_bytes()) for _ in range(1) if (tmp_path / "x").exists())

    looking = threading.Thread(target=look)
    looking.start()
    for size in (10_000_000, 20_000_000, 10_000_000):
        place.write("x", bytes(size))
    ended.set()
    looking.join()
    assert seen and seen <= {10_000_000, 20_000_000} and [entry.path for entry in place.entries()] == ["x"]


def test_a_busy_store_is_asked_again(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "FIRST_WAIT", 0.01)
    place = Store(server.bucket("busy", "scans"))
    place.write("page.png", b"123")
    server.busy("page.png", times=7)  # more than Arrow's client asks for in one of our tries
    assert place.read("page.png") == b"123"
    assert server.refused == 7


def test_a_store_that_stays_busy_is_given_up(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "TRIES", 2)
    monkeypatch.setattr(module, "FIRST_WAIT", 0.01)
    place = Store(server.bucket("gone", "scans"))
    place.write("page.png", b"123")
    server.busy("page.png", times=10_000)
    refused = server.refused
    with pytest.raises(StoreError, match=r"s3://gone/scans/page.png: .*; tried 2 times"):
        place.read("page.png")
    assert server.refused - refused == 2 * 3
    server.busy("page.png", times=0)


def test_a_slow_store_is_waited_for_so_long(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    address = server.bucket("slow", "scans")
    Store(address).write("page.png", b"123")
    server.slow("page.png", 3.5)  # Arrow's own client would ask again after three, and never be told
    assert Store(address).read("page.png") == b"123"
    monkeypatch.setattr(module, "FIRST_WAIT", 0.01)
    monkeypatch.setattr(module, "TRIES", 1)
    monkeypatch.setattr(module, "ANSWER", 1)
    with pytest.raises(StoreError, match=r"Timeout was reached.*tried 1 times"):
        Store(address).read("page.png")
    server.slow("page.png", 0)


def test_options_of_an_address(server: Server) -> None:
    port = server.server.server_port
    server.bucket("options")
    for who in ("any:se%2Fcret@", ""):
        place = Store(f"s3://{who}options/a%20b%C3%A9?scheme=http&endpoint_override=127.0.0.1:{port}&region=eu-west-1")
        place.write("page.png", b"1")
        assert place.read("page.png") == b"1" and place.opened[0].region == "eu-west-1"


@pytest.mark.parametrize("rest", ["@b/x?bogus=1", "@b/x y?region=x", "/ecret@b/x", "?ecret@b/x", "@b@c/x?bogus=1"])
def test_keys_in_an_address_that_cannot_be_opened_are_not_shown(rest: str) -> None:
    with pytest.raises(UsageError, match=r"^s3://….*: cannot be opened") as told:
        Store(f"s3://any:secret{rest}").kind()
    assert "secret" not in str(told.value) and "any:" not in str(told.value)


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("s3://key:secret@bucket/of/1914?region=x", "s3://bucket/of/1914/a.png"),
        ("s3://bucket/who@where/", "s3://bucket/who@where/a.png"),
        ("abfs://box:secret@account.dfs.core.windows.net/of", "abfs://box@account.dfs.core.windows.net/of/a.png"),
        ("hdfs://user@host:8020/of", "hdfs://user@host:8020/of/a.png"),
        ("/a folder/who@where?", "/a folder/who@where?/a.png"),
    ],
)
def test_addresses_are_shown_without_options_and_keys(address: str, shown: str) -> None:
    assert Store(address).shown("a.png") == shown


def test_what_a_full_disk_cut_short_is_removed(tmp_path: Path) -> None:
    resource = pytest.importorskip("resource")
    place, (soft, hard) = Store(str(tmp_path)), resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, hard))
    try:
        with pytest.raises(StoreError, match=r"File too large; tried 1 times"):
            place.write("x.png", bytes(100_000))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, handler)
    assert not list(tmp_path.iterdir())


def test_a_store_that_is_not_reached_is_told() -> None:
    with pytest.raises(StoreError, match="hdfs://127.0.0.1:1/x: .*check the address"):  # nor is its library there
        Store("hdfs://127.0.0.1:1/x").kind()


def test_keys_without_rights_are_told_at_once(server: Server) -> None:
    place = Store(server.bucket("shut", "scans"))
    place.write("page.png", b"123")
    server.forbid("page.png")
    with pytest.raises(HtrjandError, match=r"page.png: the store refuses it .*check the keys"):
        place.read("page.png")


def test_an_address_that_nothing_knows() -> None:
    with pytest.raises(UsageError, match="nosuch://x/y: cannot be opened"):
        Store("nosuch://x/y").entries()


def test_what_arrow_does_not_know_fsspec_may(tmp_path: Path) -> None:
    place = Store("memory://archive/scans")
    place.write("a/b.png", b"123")
    assert [entry.path for entry in place.entries()] == ["a/b.png"] and place.read("a/b.png") == b"123"
