"""Archive runs on a real Ray: what is read, what is not read again, and what is left where something is wrong."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from archive_pages import png, read_here, task
from archive_server import Server
from click.testing import CliRunner, Result
from PIL import Image
from pyarrow import parquet as pq

from htrjand.cli import main
from htrjand.runtime import HtrjandError
from htrjand.runtime.archive.results import CRASH, IMAGE, STORE, Results
from htrjand.runtime.archive.run import blocks_of, signature
from htrjand.runtime.archive.source import Source, check_names
from htrjand.runtime.archive.store import Entry, Store
from htrjand.runtime.archive.worker import Worker, files_of
from htrjand.runtime.bundled import MODELS

ROOT = Path(__file__).resolve().parents[3]
Draw = Callable[..., np.ndarray]


@pytest.fixture
def scans(tmp_path: Path, draw: Draw) -> Path:
    """A folder of five lines, one of them broken, in two folders, and a TIFF file of two."""
    folder = tmp_path / "scans"
    (folder / "box 1").mkdir(parents=True)
    for name, text in (("a.png", "abba"), ("box 1/a.png", "cab"), ("box 1/é.png", "bac"), ("z.PNG", "aab")):
        (folder / name).write_bytes(png(draw(text)))
    (folder / "broken.png").write_bytes(png(draw("abc"))[:60])
    (folder / "notes.txt").write_text("no image")
    (folder / ".hidden.png").write_bytes(b"")
    pages = [Image.fromarray(draw(text)) for text in ("ab", "ba")]
    pages[0].save(folder / "both.tif", save_all=True, append_images=pages[1:])
    return folder


@pytest.fixture(scope="module")
def cluster() -> Iterator[str]:
    """A Ray that runs join: it takes seconds to start."""
    from ray.cluster_utils import Cluster

    started = Cluster(True, head_node_args={"num_cpus": 2, "object_store_memory": 128 * 2**20})
    yield started.address
    started.shutdown()


def archive(model: Path, *arguments: object) -> Result:
    """`htrjand archive` of lines, with a tiny model, by two workers."""
    options = ["--line", "-m", str(model), "--no-lm", "--workers", "2", "--block", "2"]
    return CliRunner().invoke(main, ["archive", *map(str, arguments), *options])


def rows(target: object) -> dict[tuple[str, int], dict[str, Any]]:
    found = list(Results(Store(str(target))).rows(["page", "text", "error", "kind", "sha256", "lines", "confidence"]))
    by_page = {(row["path"], row["page"]): row for row in found}
    assert len(by_page) == len(found), "no page twice"
    return by_page


def test_a_folder_is_read_once_and_then_what_is_new(tiny_model: Path, scans: Path, tmp_path: Path, draw: Draw) -> None:
    out, handler = tmp_path / "out", signal.getsignal(signal.SIGTERM)
    done = archive(tiny_model, scans, out)
    assert done.exit_code == 1, done.output
    assert signal.getsignal(signal.SIGTERM) is handler
    assert "7 pages read, 1 failed, 0 files read before" in done.output
    found = rows(out)
    texts = {place: row["text"] for place, row in found.items()}
    assert texts == {
        ("a.png", 1): "abba", ("box 1/a.png", 1): "cab", ("box 1/é.png", 1): "bac", ("z.PNG", 1): "aab",
        ("both.tif", 1): "ab", ("both.tif", 2): "ba", ("broken.png", 1): None,
    }  # fmt: skip
    broken = found["broken.png", 1]
    assert broken["kind"] == IMAGE and broken["error"].startswith("broken.png: ") and "/tmp" not in broken["error"]
    line = found["a.png", 1]["lines"][0]
    assert line["text"] == "abba" and 0 < line["confidence"] <= 1 and len(line["polygon"]) == 4
    assert found["a.png", 1]["sha256"] == sha256((scans / "a.png").read_bytes()).hexdigest()

    again = archive(tiny_model, scans, out)
    assert again.exit_code == 0 and "0 pages read, 0 failed, 6 files read before" in again.output

    (scans / "a.png").write_bytes(png(draw("cc")))
    (scans / "new.png").write_bytes(png(draw("cba")))
    more = archive(tiny_model, scans, out)
    assert more.exit_code == 0 and "2 pages read, 0 failed, 5 files read before" in more.output
    texts |= {("a.png", 1): "cc", ("new.png", 1): "cba"}
    assert texts == {place: row["text"] for place, row in rows(out).items()}
    assert not list((out / "tries").iterdir())


def test_a_store_is_read_into_a_store(tiny_model: Path, scans: Path, cluster: str) -> None:
    with Server() as server:
        source, target = server.bucket("scans", "of/1914"), server.bucket("texts", "of/1914")
        for path in scans.rglob("*.*"):
            Store(source).write(str(path.relative_to(scans)), path.read_bytes())
        server.busy("a.png", times=3)
        done = archive(tiny_model, source, target, "-f", "alto", "--address", cluster)
        assert done.exit_code == 1 and "7 pages read, 1 failed" in done.output, done.output
        assert rows(target)["box 1/a.png", 1]["text"] == "cab"
        written = [entry.path for entry in Store(target).entries("alto")]
        assert written == [
            f"alto/{name}.alto.xml" for name in ("a", "both.0001", "both.0002", "box 1/a", "box 1/é", "z")
        ]
        assert b"cab" in Store(target).read("alto/box 1/a.alto.xml")


def test_images_of_a_parquet_file(tiny_model: Path, tmp_path: Path, draw: Draw, cluster: str) -> None:
    places = tmp_path / "in.parquet", tmp_path / "out", "--address", cluster

    def write(texts: dict[str, str]) -> None:
        images = [png(draw(text)) for text in texts.values()]
        pq.write_table(pa.table({"id": list(texts), "image": images}), tmp_path / "in.parquet", row_group_size=2)

    write({"one": "abc", "two": "cab", "three": "bb"})
    assert "3 pages read, 0 failed" in archive(tiny_model, *places).output
    write({"zero": "a", "one": "abc", "two": "caa", "three": "bb"})
    more = archive(tiny_model, *places).output
    assert "2 pages read, 0 failed, 2 files read before" in more, "a new image and one that has changed"
    texts = {path: row["text"] for (path, _), row in rows(tmp_path / "out").items()}
    assert texts == {"zero": "a", "one": "abc", "two": "caa", "three": "bb"}


def test_a_file_that_ends_its_processes_is_given_up(tiny_model: Path, scans: Path, tmp_path: Path) -> None:
    """As a worker sees it that begins a block anew, each time after a process ended over the same two of its files."""
    names = ("a.png", "box 1/a.png", "box 1/é.png", "z.PNG")
    entries = [entry for entry in Store(str(scans)).entries() if entry.path in names]
    begun: list[str] = []

    class Dying(Worker):
        def rows_of(self, entry: Entry) -> Iterator[dict[str, Any]]:
            begun.append(entry.path)
            if entry.path in names[1:3]:
                raise SystemExit
            return super().rows_of(entry)

    given = task(tiny_model, scans, tmp_path)
    passes = 0
    while True:
        passes += 1
        try:
            told = Dying(given).read_block("b", entries)
            break
        except SystemExit:
            continue
    assert begun == [*names[:2], *names[:2], names[1], names[2], names[2], names[3]] and passes == 6
    assert told == {"pages": 4, "failed": 2}
    found = rows(tmp_path)
    assert {path: row["text"] for (path, _), row in found.items()} == dict(
        zip(names, ("abba", None, None, "aab"), strict=True)
    )
    error = found["box 1/a.png", 1]["error"]
    assert found["box 1/a.png", 1]["kind"] == CRASH and "ended 2 processes that read it" in error
    results = Results(Store(str(tmp_path)))
    assert set(results.done()) == {"a.png", "z.PNG"}, "the next run tries again"
    assert results.tries("b", "this run") is None


def test_what_an_earlier_run_left_of_a_block_is_nothing(tiny_model: Path, scans: Path, tmp_path: Path) -> None:
    entries = [entry for entry in Store(str(scans)).entries() if entry.path in ("a.png", "z.PNG")]
    Results(Store(str(tmp_path))).note("b", "another run", 1, 2)
    read_here(task(tiny_model, scans, tmp_path), entries)
    assert {path: row["text"] for (path, _), row in rows(tmp_path).items()} == {"a.png": "abba", "z.PNG": "aab"}
    assert [path.name for path in (tmp_path / "pages").iterdir()] == ["b.parquet"]


def test_blocks_hold_few_files_of_few_pages_or_large_ones() -> None:
    def sizes(files: Sequence[int], workers: int = 2, most: int = 4, suffix: str = ".png") -> list[list[int]]:
        entries = [Entry(f"{n}{suffix}", size * 2**20, n) for n, size in enumerate(files)]
        blocks = blocks_of(entries, workers, most)
        found = [files_of(block["files"]) for block in blocks]
        assert [entry for part in found for entry in part] == entries
        assert len({block["block"] for block in blocks}) == len(blocks)
        return [[entry.size // 2**20 for entry in part] for part in found]

    assert sizes([]) == []
    assert sizes([1] * 31) == [[1]] * 31, "all workers have eight, and end at about the same time"
    assert sizes([1] * 100) == [[1] * 4] * 25
    assert sizes([100, 100, 100, 900, 1, 255, 1] * 16)[:4] == [[100, 100], [100], [900], [1, 255]]
    assert sizes([10] * 100, suffix=".PDF") == [[10] * 3] * 33 + [[10]], "of many pages"


def test_what_a_store_did_not_give_is_asked_for_again(tiny_model: Path, scans: Path, tmp_path: Path) -> None:
    gone = Entry("box 1/gone.png", 5, 1)
    read_here(task(tiny_model, scans, tmp_path), [gone])
    row = rows(tmp_path)["box 1/gone.png", 1]
    assert row["kind"] == STORE and "no such file" in row["error"] and Results(Store(str(tmp_path))).done() == {}


def test_a_page_of_ten_thousand_by_ten_thousand_pixels(tiny_model: Path, tmp_path: Path) -> None:
    scans = tmp_path / "scans"
    scans.mkdir()
    Image.new("1", (10_000, 10_000), 1).save(scans / "large.png")
    Image.new("1", (20_000, 20_000), 1).save(scans / "too large.png")
    read_here(task(tiny_model, scans, tmp_path / "out", "page"), Store(str(scans)).entries())
    found = rows(tmp_path / "out")
    assert found["large.png", 1]["error"] is None and found["large.png", 1]["text"] == ""
    assert found["too large.png", 1]["kind"] == IMAGE and "200" in found["too large.png", 1]["error"]


@pytest.mark.parametrize(
    ("make", "wanted"),
    [
        (lambda folder: folder / "nowhere", "nowhere: nothing is there"),
        (lambda folder: folder, "no image and no PDF is there"),
        (lambda folder: ((folder / "a.png").write_bytes(b"") and None) or folder / "a.png", "is one file"),
        (lambda folder: write_table(folder, {"id": ["a"]}), "needs a column `image`"),
        (lambda folder: write_table(folder, {"id": ["a", "a"], "image": [b"", b""]}), "1 names stand more than once"),
        (lambda folder: (folder / "x.parquet").write_bytes(b"PAR1") and folder / "x.parquet", "not a whole Parquet"),
    ],
)  # fmt: skip
def test_sources_that_cannot_be_read(
    make: Callable[[Path], Path], wanted: str, tiny_model: Path, tmp_path: Path
) -> None:
    (tmp_path / "in").mkdir()
    done = archive(tiny_model, make(tmp_path / "in"), tmp_path / "out")
    assert done.exit_code in (1, 2) and wanted in done.output and done.output.count("\n") == 1, done.output
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(("names", "wanted"), [([None], "row 0 of row group 0 has no id"), ([], "has no rows")])
def test_parquet_files_that_name_nothing(names: list[str | None], wanted: str, tmp_path: Path) -> None:
    table = pa.table({"id": pa.array(names, pa.string()), "image": pa.array([b""] * len(names), pa.binary())})
    pq.write_table(table, tmp_path / "in.parquet")
    with pytest.raises(HtrjandError, match=wanted):
        Source(Store(str(tmp_path / "in.parquet"))).entries()


def write_table(folder: Path, columns: dict[str, list[Any]]) -> Path:
    pq.write_table(pa.table(columns), folder / "in.parquet")
    return folder / "in.parquet"


def test_results_of_something_else_are_not_touched(
    make_model: Callable[..., Path], tiny_model: Path, scans: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    Results(Store(str(out))).claim(signature(task(tiny_model, scans, out)))
    before = (out / "archive.json").read_bytes()
    other = make_model("other.onnx", sharpness=0.02)
    (out / "pages").mkdir()
    pq.write_table(pa.table({"path": pa.array([], pa.string())}), out / "pages" / "x.parquet")
    for arguments, wanted in (
        ((other, scans, out), "results of another run (other.onnx is not among its models"),
        ((tiny_model, scans / "box 1", out), "results of another run (source was"),
        ((tiny_model, scans, out, "-f", "page"), "results of another run (xml was None and is 'page')"),
    ):
        done = archive(*arguments)
        assert done.exit_code == 2 and wanted in done.output, done.output
    (out / "archive.json").write_text("{")
    assert "archive.json: not that of an archive" in archive(tiny_model, scans, out).output
    (out / "archive.json").write_bytes(before)
    assert "x.parquet: not a whole Parquet file ('it has no" in archive(tiny_model, scans, out).output
    (out / "pages" / "x.parquet").write_bytes(b"PAR1")
    done = archive(tiny_model, scans, out)
    assert done.exit_code == 1 and "x.parquet: not a whole Parquet file" in done.output
    (out / "archive.json").unlink()
    assert "holds pages/ and no archive.json" in archive(tiny_model, scans, out).output


def told(done: Result, begin: str) -> bool:
    """Whether one line says what is wrong; Ray may say something of the workers that it ends besides."""
    return sum(line.startswith(f"htrjand: {begin}") for line in done.output.splitlines()) == 1


def test_what_no_page_can_be_read_for_ends_the_run(tiny_model: Path, scans: Path, tmp_path: Path, cluster: str) -> None:
    cut = tmp_path / "cut.onnx"
    cut.write_bytes(tiny_model.read_bytes()[:-40])
    done = archive(cut, scans, tmp_path / "out", "--address", cluster)
    assert done.exit_code == 1 and told(done, f"{cut}: ")
    out = tmp_path / "other"
    (out / "pages").mkdir(parents=True)
    (out / "tries").write_text("in the way")
    done = archive(tiny_model, scans, out, "--address", cluster)
    assert done.exit_code == 1 and told(done, f"{out}/tries/"), done.output


def test_a_claim_that_nothing_was_read_under_binds_nobody(tiny_model: Path, scans: Path, tmp_path: Path) -> None:
    given = task(tiny_model, scans, tmp_path / "out")
    Results(Store(given.target)).claim(signature(given))
    Results(Store(given.target)).claim(signature(replace(given, form="alto")))
    assert Results(Store(given.target)).manifest()["xml"] == "alto"


def test_a_neural_language_model_is_read_with_and_is_one_of_the_models(tmp_path: Path) -> None:
    line = ROOT / "benchmarks" / "sample" / "lines" / "01.png"
    (source := tmp_path / "scans").mkdir()
    (source / "a.png").write_bytes(line.read_bytes())
    given = task(MODELS / "htrjand-student-int8.onnx", source, tmp_path / "out")
    given = replace(given, models=replace(given.models, lm="bundled", neural_lm="bundled"))
    reader = given.models.open(1)
    read_here(given, Source(Store(given.source)).entries())
    assert rows(given.target)["a.png", 1]["text"] == reader.read_line(line).text
    assert reader.rescorer and "htrjand-fr-en-de.nlm" in Results(Store(given.target)).manifest()["models"]
    for arguments, wanted in (
        ([], "htrjand-fr-en-de.nlm is among its models"),
        (["--neural-lm", tmp_path / "mine.nlm"], "mine.nlm: no such file"),
        (["--neural-lm", "bundled", "--no-lm"], "leave out --no-lm"),
    ):
        done = CliRunner().invoke(main, ["archive", str(source), given.target, "--line", *map(str, arguments)])
        assert done.exit_code and wanted in done.output, done.output


def test_results_do_not_go_where_the_source_is(tiny_model: Path, scans: Path) -> None:
    done = archive(tiny_model, scans, f"{scans}/")
    assert done.exit_code == 2 and "is what is to be read" in done.output and not (scans / "archive.json").exists()


def test_images_that_change_after_they_were_listed_are_not_taken_for_others(
    tiny_model: Path, tmp_path: Path, draw: Draw
) -> None:
    def write(**texts: str) -> None:
        images = [png(draw(text)) for text in texts.values()]
        pq.write_table(pa.table({"id": list(texts), "image": images}), tmp_path / "in.parquet", row_group_size=1)

    given = task(tiny_model, tmp_path / "in.parquet", tmp_path / "out")
    write(a="abc", b="cab", c="aa")
    entries = Source(Store(given.source)).entries()
    write(b="cab", a="abc")
    read_here(given, entries)
    found = {
        path: (row["kind"], "has changed" in (row["error"] or "")) for (path, _), row in rows(given.target).items()
    }
    assert found == {"a": (STORE, True), "b": (STORE, True), "c": (STORE, False)}
    assert Results(Store(given.target)).done() == {}, "the next run lists and reads them anew"


@pytest.mark.parametrize("names", [("a.png", "a.jpg"), ("a.tif", "a.0001.png"), ("../a.png",), ("/a.png",)])
def test_names_whose_outputs_would_meet_or_lie_elsewhere(names: tuple[str, ...]) -> None:
    with pytest.raises(HtrjandError, match="or leave out -f"):
        check_names([Entry(name, 1, 1) for name in names])
    check_names([Entry(name, 1, 1) for name in ("a.png", "b/a.png", "b.0001.png", "x..y.png")])


def test_odd_names_and_images_of_other_libraries(tiny_model: Path, tmp_path: Path, draw: Draw) -> None:
    names = ["a?b.png", "x." + "y" * 300, "line\nbreak", "<b>#%41 é"]
    images = [{"bytes": png(draw("cab")), "path": None} for _ in names]
    pq.write_table(pa.table({"name": names, "image": images}), tmp_path / "in?1.parquet")
    given = task(tiny_model, tmp_path / "in?1.parquet", tmp_path / "out?2")
    read_here(given, Source(Store(given.source)).entries())
    assert {path: row["text"] for (path, _), row in rows(given.target).items()} == dict.fromkeys(names, "cab")
    pq.write_table(pa.table({"name": ["a"], "image": ["no bytes"]}), tmp_path / "in.parquet")
    with pytest.raises(HtrjandError, match="column image holds no encoded images but str"):
        Source(Store(str(tmp_path / "in.parquet"))).entries()


def test_links_are_followed_once_and_names_that_are_no_text_are_told(scans: Path) -> None:
    (scans / "again").symlink_to(".")
    (scans / "gone.png").symlink_to("nowhere.png")
    paths = [entry.path for entry in Source(Store(str(scans))).entries()]
    assert paths == ["a.png", "both.tif", "box 1/a.png", "box 1/é.png", "broken.png", "gone.png", "z.PNG"]
    (scans / os.fsdecode(b"caf\xe9.png")).write_bytes(b"")
    with pytest.raises(HtrjandError, match="the name is not UTF-8; rename the file"):
        Source(Store(str(scans))).entries()


def test_only_what_is_ours_is_removed(tmp_path: Path) -> None:
    (tmp_path / "tries").mkdir()
    for name in ("a.png", "notes.json", "0123456789abcdef0123.json", "0123456789abcdef0123.json.ab12.part"):
        (tmp_path / "tries" / name).write_text("")
    Results(Store(str(tmp_path))).tidy()
    assert sorted(path.name for path in (tmp_path / "tries").iterdir()) == ["a.png", "notes.json"]


def test_two_sources_with_one_name(tiny_model: Path, scans: Path, tmp_path: Path, draw: Draw) -> None:
    (scans / "a.jpg").write_bytes(png(draw("b")))
    done = archive(tiny_model, scans, tmp_path / "out", "-f", "alto")
    assert done.exit_code == 1 and "a.png: its output would be that of a.jpg" in done.output


def test_no_cluster_at_an_address(tiny_model: Path, scans: Path, tmp_path: Path) -> None:
    done = archive(tiny_model, scans, tmp_path / "out", "--address", "127.0.0.1:1")
    assert done.exit_code == 2 and "127.0.0.1:1: no Ray cluster answers" in done.output, done.output
