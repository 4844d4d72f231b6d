"""`htrjand read` with pages: the bundled models, on sheets put together of the bundled sample's lines."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import nullcontext
from difflib import SequenceMatcher
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result
from PIL import Image
from pypdf import PdfReader, PdfWriter

from htrjand.cli import main
from htrjand.runtime.bundled import bundled_file
from htrjand.runtime.errors import HtrjandError
from htrjand.runtime.page.batch import How
from htrjand.runtime.page.jobs import find_jobs
from htrjand.runtime.page.run import Models, Run
from htrjand.runtime.recognizer import BUNDLED

SAMPLE = Path(__file__).resolve().parents[1] / "benchmarks" / "sample"
Words = str | Path | int | float
SHEETS = ((3, 4), (6, 9), (11, 12), (3, 9))  # numbers of the sample's lines


def sheet(*numbers: int, size: tuple[int, int] = (1100, 800)) -> Image.Image:
    page = Image.new("L", size, 250)
    for place, number in enumerate(numbers):
        page.paste(Image.open(SAMPLE / "lines" / f"{number:02}.png").convert("L"), (60, 80 + 110 * place))
    return page


def text_of(*numbers: int) -> str:
    return "\n".join((SAMPLE / "lines" / f"{n:02}.gt.txt").read_text("utf-8").strip() for n in numbers)


def same(read: str, expected: str) -> bool:
    """Whether what was read is the text, but for some characters."""
    found = SequenceMatcher(None, read.strip(), expected.strip(), autojunk=False).ratio()
    return found > 0.85 and read.strip().count("\n") == expected.count("\n")


def htrjand(*words: Words, stdin: bytes | None = None) -> Result:
    return CliRunner().invoke(main, ["read", *map(str, words), "--threads", "1", "--no-lm"], input=stdin)


def made_of(done: Result) -> tuple[int, int]:
    """Pages read, and done before, as the summary says."""
    summary = done.stderr.splitlines()[-1]
    read, before = re.search(r"(\d+) pages?,", summary), re.search(r"(\d+) done before", summary)
    return int(read[1]) if read else 0, int(before[1]) if before else 0


@pytest.fixture
def box(tmp_path: Path) -> Path:
    """A folder of two images, a TIFF file of three pages, a PDF of two; and what is none of these."""
    folder = tmp_path / "box"
    folder.mkdir()
    sheet(3, 4).save(folder / "a.png")
    sheet(6, 9).save(folder / "b.jpg", quality=90)
    first, *others = (sheet(*numbers) for numbers in SHEETS[:3])
    first.save(folder / "book.tif", save_all=True, append_images=others, compression="tiff_deflate")
    first.save(folder / "scan.pdf", save_all=True, append_images=others[:1], resolution=300)
    sheet(3).save(folder / ".hidden.png")
    (folder / "notes.txt").write_text("no image")
    return folder


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if path.name[0] != ".")


def test_the_sample_page_as_text() -> None:
    done = CliRunner().invoke(main, ["read", str(SAMPLE / "page.png")])
    assert (done.exit_code, done.stderr) == (0, "")
    assert same(done.stdout, text_of(*range(1, 13)))


def test_a_folder_of_everything_in_one_stream(box: Path) -> None:
    done = htrjand(box)
    pages = done.stdout.split("\f")
    assert done.exit_code == 0 and len(pages) == 7 and made_of(done) == (7, 0)
    for page, numbers in zip(pages, (SHEETS[0], SHEETS[1], *SHEETS[:3], *SHEETS[:2]), strict=True):
        assert same(page, text_of(*numbers))
    several = htrjand(box, "--workers", 3)
    assert several.stdout == done.stdout, "in order, whoever reads first"


def test_json_is_a_page_a_line_and_lines_keep_their_form(box: Path) -> None:
    line = SAMPLE / "lines" / "03.png"
    done = htrjand("-i", box / "book.tif", "-i", line, "-f", "json", "--min-confidence", 0.9)
    *pages, last = [json.loads(row) for row in done.stdout.splitlines()]
    assert [(page["path"], page["page"], len(page["lines"])) for page in pages] == [
        (str(box / "book.tif"), number, 2) for number in (1, 2, 3)
    ]
    assert last["path"] == str(line) and list(last) == ["path", "text", "confidence", "characters", "check"]
    checks = [entry["check"] for page in pages for entry in page["lines"]] + [last["check"]]
    assert done.stderr.count(": check ") == sum(checks) > 0 and "book.tif, page 1, line 1: check" in done.stderr


def test_lines_and_pages_as_text(box: Path) -> None:
    one, two = SAMPLE / "lines" / "03.png", SAMPLE / "lines" / "04.png"
    parts = htrjand(one, two, box / "a.png", one).stdout.split("\f")
    first, page = parts  # the line that is named twice is read once
    assert re.fullmatch(rf"{one}\t.+\n{two}\t.+\n", first) and same(page, text_of(3, 4))


def test_an_output_beside_each_input(box: Path, tmp_path: Path) -> None:
    out = tmp_path / "new" / "out"
    done = htrjand(box, "-o", f"{out}/", "-f", "alto")
    assert done.exit_code == 0 and made_of(done) == (7, 0)
    pages = ["a", "b", "book.0001", "book.0002", "book.0003", "scan.0001", "scan.0002"]
    assert names(out) == [f"{page}.alto.xml" for page in pages]
    done = htrjand(box, "-o", out)
    assert names(out) == sorted(
        [*(f"{page}.alto.xml" for page in pages), *(f"{n}.txt" for n in ("a", "b", "book", "scan"))]
    )
    assert (out / "book.txt").read_text("utf-8").count("\f") == 2 and same((out / "b.txt").read_text(), text_of(6, 9))


def test_what_is_done_is_not_done_again(box: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    words = (box / "a.png", box / "book.tif", "-o", f"{out}/", "-f", "hocr")
    assert made_of(htrjand(*words)) == (4, 0)
    before = {path: path.stat().st_mtime_ns for path in out.iterdir()}
    assert made_of(htrjand(*words)) == (0, 4)
    assert {path: path.stat().st_mtime_ns for path in out.iterdir()} == before, "nothing is written"
    (out / "a.hocr").unlink()
    assert made_of(htrjand(*words)) == (1, 3), "what is removed is made again"
    sheet(11, 12).save(box / "a.png")
    assert made_of(htrjand(*words)) == (1, 3), "what has changed is read again"
    assert made_of(htrjand(*words, "--beam", 2)) == (4, 0), "other options"
    with (out / ".htrjand.jsonl").open("ab") as stream:
        stream.write(b'{"file":"a.ho')  # a kill amid a row
    assert made_of(htrjand(*words, "--beam", 2)) == (0, 4)
    shutil.rmtree(out)
    assert made_of(htrjand(*words, "--beam", 2)) == (4, 0), "begun anew"


@pytest.mark.parametrize("suffix", ["txt", "json", "tsv", "hocr", "pdf"])
def test_one_file_by_its_suffix(box: Path, tmp_path: Path, suffix: str) -> None:
    out = tmp_path / f"all.{suffix}"
    done = htrjand(box / "book.tif", "-o", out, "--pages", "2-", "--page")
    assert done.exit_code == 0 and names(tmp_path) == [out.name, "box"] and made_of(done) == (2, 0)
    if suffix == "pdf":
        pages = PdfReader(out).pages
        assert len(pages) == 2 and "filets" in pages[0].extract_text()
    else:
        assert "filets" in out.read_text("utf-8")


def test_formats_of_one_page_a_file(box: Path, tmp_path: Path) -> None:
    assert htrjand(box / "a.png", "-o", tmp_path / "a.page.xml").exit_code == 0
    assert (
        b"PcGts" in (tmp_path / "a.page.xml").read_bytes()
        and b"<alto" in htrjand(box / "a.png", "-f", "alto").stdout_bytes
    )
    for words in ((box, "-o", tmp_path / "all.alto.xml"), (box, "-f", "page")):
        refused = htrjand(*words)
        assert refused.exit_code == 2 and "give a folder, -o out/" in refused.stderr and refused.stdout == ""
    doubtful = htrjand(box / "a.png", "-o", tmp_path / "a.xml")
    assert doubtful.exit_code == 2 and "-f alto or -f page" in doubtful.stderr
    assert htrjand(box / "a.png", "-o", tmp_path / "a.xml", "-f", "alto").exit_code == 0


def test_one_bad_page_does_not_stop_the_others(box: Path, tmp_path: Path) -> None:
    whole = (box / "book.tif").read_bytes()
    with Image.open(box / "book.tif") as image:
        image.seek(1)
        (begin,) = image.tag_v2[273][:1]  # where the pixels of the second frame begin
    (box / "book.tif").write_bytes(whole[:begin] + bytes(2000) + whole[begin + 2000 :])
    writer = PdfWriter(box / "scan.pdf")
    writer.encrypt("secret")
    writer.write(box / "locked.pdf")
    (tmp_path / "empty").mkdir()
    os.mkfifo(tmp_path / "pipe")
    out = tmp_path / "out"
    words = (box, tmp_path / "none.png", tmp_path / "pipe", "/dev/null", "-o", f"{out}/")
    done = htrjand(*words)
    assert done.exit_code == 1 and made_of(done) == (6, 0)
    for told in (
        "book.tif, page 2: not a readable image", "locked.pdf: not a readable PDF", "none.png: no such file",
        "pipe: is a pipe or a device", "/dev/null: is a pipe or a device", "5 of 11 could not be read", "5 failed",
        "book.txt: lacks 1 page",
    ):  # fmt: skip
        assert told in done.stderr
    assert "empty: no image file in this folder" in htrjand(tmp_path / "empty").stderr
    assert names(out) == ["a.txt", "b.txt", "book.txt", "book.txt.part", "scan.txt"]
    assert (out / "book.txt").read_text("utf-8").count("\f") == 1

    again = htrjand(*words)
    assert again.exit_code == 1 and made_of(again) == (0, 6), "what could not be read is tried again, the rest is not"
    (box / "book.tif").write_bytes(whole)
    mended = htrjand(box, "-o", out)
    assert mended.exit_code == 1 and made_of(mended) == (3, 4)
    assert names(out) == ["a.txt", "b.txt", "book.txt", "scan.txt"]


def test_blank_paper_is_an_empty_result(tmp_path: Path) -> None:
    Image.new("L", (1000, 1400), 245).save(tmp_path / "blank.png")
    done = htrjand(tmp_path / "blank.png")
    assert (done.exit_code, done.stdout) == (0, "") and "blank.png: no line was found" in done.stderr
    done = htrjand(tmp_path / "blank.png", "-o", tmp_path / "blank.alto.xml")
    assert done.exit_code == 0 and "1 page, 0 lines" in done.stderr and (tmp_path / "blank.alto.xml").is_file()


def test_a_page_as_a_line_warns(box: Path) -> None:
    done = htrjand(box / "a.png", "--line")
    assert done.exit_code == 0 and done.stdout.count("\n") == 1
    assert "a.png: is read as one line, and looks like a page" in done.stderr


def test_outputs_never_collide(box: Path, tmp_path: Path) -> None:
    shutil.copy(box / "a.png", box / "scan.png")
    clash = htrjand(box, "-o", f"{tmp_path / 'out'}/", "-f", "tsv", "--pages", "1")
    assert clash.exit_code == 2 and not (tmp_path / "out").exists() and "different folders" in clash.stderr
    assert "scan.pdf" in clash.stderr and "scan.png" in clash.stderr
    (tmp_path / "crate").mkdir()
    shutil.copy(box / "a.png", tmp_path / "crate")
    for path in box.glob("scan.*"):
        path.unlink()
    done = htrjand(box, tmp_path / "crate", "-o", f"{tmp_path / 'out'}/", "--pages", "1")
    assert done.exit_code == 0 and names(tmp_path / "out") == ["box", "crate"]
    assert names(tmp_path / "out" / "crate") == ["a.txt"]


def test_what_is_read_is_never_written_over(box: Path, tmp_path: Path) -> None:
    before = {path: path.read_bytes() for path in box.iterdir()}
    link = tmp_path / "link"
    link.symlink_to(box)
    for words in (
        ("-o", box / "a.png", "-f", "txt"), ("-o", link / "scan.pdf"), ("-o", f"{box}/", "-f", "pdf"),
        ("-o", tmp_path / "out/", "--draw", link), ("-o", box / "new.pdf"),
    ):  # fmt: skip
        done = htrjand(box, *words)
        assert done.exit_code == 2, words
    assert {path: path.read_bytes() for path in box.iterdir()} == before


def test_an_output_whose_name_is_taken_does_not_stop_the_others(box: Path, tmp_path: Path) -> None:
    for name in ("a.txt", "book.txt"):
        (tmp_path / "out" / name).mkdir(parents=True)
    done = htrjand(box, "-o", tmp_path / "out")
    assert done.exit_code == 1 and "a.txt: not a plain file" in done.stderr and "2 failed" in done.stderr
    assert (tmp_path / "out" / "b.txt").is_file() and (tmp_path / "out" / "scan.txt").is_file()
    (tmp_path / "out" / "book.txt").rmdir()
    again = htrjand(box, "-o", tmp_path / "out")
    assert made_of(again) == (1, 6) and (tmp_path / "out" / "book.txt").is_file()


def test_pages_are_drawn(box: Path, tmp_path: Path) -> None:
    done = htrjand(box, "-o", f"{tmp_path / 'out'}/", "--draw", tmp_path / "drawn")
    assert done.exit_code == 0
    assert names(tmp_path / "drawn") == [
        "a.drawn.jpg", "b.drawn.jpg", *(f"book.000{i}.drawn.jpg" for i in (1, 2, 3)), "scan.0001.drawn.jpg",
        "scan.0002.drawn.jpg",
    ]  # fmt: skip
    drawn, plain = (
        np.asarray(Image.open(path).convert("RGB")) for path in (tmp_path / "drawn" / "a.drawn.jpg", box / "a.png")
    )
    assert drawn.shape == plain.shape and np.ptp(drawn.astype(int), axis=2).max() > 100 > np.ptp(plain, axis=2).max()


def test_what_was_not_written_here_is_left(box: Path, tmp_path: Path) -> None:
    """A transcription that was there before, and one that was corrected since; `--overwrite` writes over both."""
    out = tmp_path / "out"
    out.mkdir()
    (out / "a.txt").write_text("by hand")
    first = htrjand(box / "a.png", box / "b.jpg", "-o", out)
    assert first.exit_code == 1 and "a.txt: is there, and is not what was written here" in first.stderr
    assert (out / "a.txt").read_text() == "by hand" and "guide" not in (out / "a.txt").read_text()
    (out / "b.txt").write_text("corrected")
    assert htrjand(box / "b.jpg", "-o", out).exit_code == 0  # done before
    other = htrjand(box / "b.jpg", "-o", out, "--page")  # another stamp: it would be read again
    assert other.exit_code == 1 and (out / "b.txt").read_text() == "corrected"
    forced = htrjand(box / "a.png", box / "b.jpg", "-o", out, "--page", "--overwrite")
    assert forced.exit_code == 0 and {(out / name).read_text() for name in ("a.txt", "b.txt")}.isdisjoint(
        {"by hand", "corrected"}
    )


def test_a_file_that_a_killed_run_left_without_its_row_is_ours(box: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert htrjand(box / "a.png", "-o", f"{out}/").exit_code == 0
    kept = out / ".htrjand.jsonl"
    rows = kept.read_bytes().splitlines(keepends=True)
    kept.write_bytes(b"".join(rows[:-1]))  # as if killed after the file got its name
    again = htrjand(box / "a.png", "-o", out)
    assert again.exit_code == 0 and made_of(again) == (1, 0)


def test_a_drawing_that_is_missing_is_made_and_the_text_left(box: Path, tmp_path: Path) -> None:
    out, drawn = tmp_path / "out", tmp_path / "drawn"
    assert htrjand(box / "a.png", "-o", f"{out}/").exit_code == 0
    (out / "a.txt").write_text("corrected")
    again = htrjand(box / "a.png", "-o", out, "--draw", drawn)
    assert again.exit_code == 0 and names(drawn) == ["a.drawn.jpg"]
    assert (out / "a.txt").read_text() == "corrected"
    assert made_of(htrjand(box / "a.png", "-o", out, "--draw", drawn)) == (0, 1)
    beside = htrjand(box / "a.png", "-o", out, "--draw", box)
    assert beside.exit_code != 0 and not (box / "a.drawn.jpg").exists()


def test_one_image_by_two_names_is_read_once(box: Path, tmp_path: Path) -> None:
    (tmp_path / "link.png").symlink_to(box / "a.png")
    done = htrjand(box / "a.png", box / ".." / "box" / "a.png", tmp_path / "link.png", "-o", f"{tmp_path / 'out'}/")
    assert made_of(done) == (1, 0) and names(tmp_path / "out")[-1] == "a.txt"


def test_one_file_keeps_its_parts_where_an_input_is_no_image(box: Path, tmp_path: Path) -> None:
    (box / "c.png").write_bytes(b"x")
    done = htrjand(box / "a.png", box / "c.png", "-o", tmp_path / "all.txt")
    assert done.exit_code == 1 and "all.txt: lacks 1 page" in done.stderr and (tmp_path / "all.txt.part").is_file()
    without = htrjand(box / "a.png", "-o", tmp_path / "all.txt")
    assert made_of(without) == (0, 1) and not (tmp_path / "all.txt.part").exists(), "the bad one is given up"
    done = htrjand(box / "a.png", box / "c.png", "-o", tmp_path / "all.txt")
    sheet(3).save(box / "c.png")
    done = htrjand(box / "a.png", box / "c.png", "-o", tmp_path / "all.txt")
    assert done.exit_code == 0 and made_of(done) == (1, 1) and not (tmp_path / "all.txt.part").exists()


def test_an_output_whose_name_says_no_format_is_refused(box: Path, tmp_path: Path) -> None:
    done = htrjand(box / "a.png", "-o", tmp_path / "a.docx")
    assert done.exit_code != 0 and ".docx names no format" in done.stderr and not (tmp_path / "a.docx").exists()


def test_standard_input(box: Path, tmp_path: Path) -> None:
    done = htrjand("-", "-f", "json", stdin=(box / "book.tif").read_bytes())
    assert [(page["path"], page["page"]) for page in map(json.loads, done.stdout.splitlines())] == [
        ("-", 1),
        ("-", 2),
        ("-", 3),
    ]
    done = htrjand("-", "-o", tmp_path / "out.pdf", stdin=(box / "a.png").read_bytes())
    assert done.exit_code == 0 and "vache" in PdfReader(tmp_path / "out.pdf").pages[0].extract_text()
    done = htrjand("-", "-o", f"{tmp_path / 'out'}/", stdin=(SAMPLE / "lines" / "03.png").read_bytes())
    assert same((tmp_path / "out" / "stdin.txt").read_text("utf-8"), text_of(3))
    done = htrjand("-", stdin=b"nothing")
    assert done.exit_code == 1 and done.stderr.startswith("htrjand: standard input: not an image")


@pytest.mark.parametrize("words", [("--pages", "0"), ("--pages", "x"), ("--engine", "onnx", "-m", "model.tflite")])
def test_wrong_options_are_status_2(box: Path, words: tuple[str, ...]) -> None:
    done = htrjand(box, *words)
    assert done.exit_code == 2 and done.stdout == "" and len(done.stderr.splitlines()) == 1


def test_pages_that_a_file_does_not_have(box: Path) -> None:
    done = htrjand(box, "--pages", "3")
    assert done.exit_code == 1 and same(done.stdout, text_of(*SHEETS[2]))
    assert "a.png: has 1 page, and none of those asked for" in done.stderr


NORMAL = {"json": re.compile(rb'"created":"[^"]*"'), "alto": re.compile(rb"<processingDateTime>[^<]*<")}


def contents(folder: Path, form: str) -> dict[str, bytes]:
    """What is in the files, but for the time when they were made."""
    return {name: NORMAL[form].sub(b"", (folder / name).read_bytes()) for name in names(folder)}


@pytest.mark.parametrize(("form", "name", "workers"), [("alto", "", 1), ("json", "all.json", 3)])
def test_a_killed_run_goes_on_and_ends_as_if_it_was_not(
    box: Path, tmp_path: Path, form: str, name: str, workers: int
) -> None:
    for number in range(6):
        shutil.copy(box / "a.png", box / f"more-{number:02}.png")
    whole, out = tmp_path / "whole", tmp_path / "out"
    assert htrjand(box, "-o", f"{whole}/{name}", "-f", form).exit_code == 0
    words = ["read", box, "-o", f"{out}/{name}", "-f", form, "--threads", 1, "--no-lm", "--workers", workers]
    kills, ledger = 0, out / (f"{name}.part" if name else ".htrjand.jsonl")
    for rows in (2, 5) if name else (4, 10):  # of a folder's file there are two rows
        process = subprocess.Popen([sys.executable, "-m", "htrjand", *map(str, words)], stderr=subprocess.PIPE)
        while process.poll() is None and not (ledger.is_file() and ledger.read_bytes().count(b"\n") >= rows):
            time.sleep(0.002)
        process.kill()
        kills += process.wait() == -signal.SIGKILL
        process.communicate()
        if name:
            assert not (out / name).exists(), "nothing half done bears the name of the output"
    assert kills == 2
    done = CliRunner().invoke(main, list(map(str, words)))
    read, before = made_of(done)
    assert done.exit_code == 0 and read + before == 13 and before >= 5
    assert contents(out, form) == contents(whole, form)


def hard_pages() -> dict[str, Callable[[], Image.Image]]:
    def scan() -> Image.Image:
        return sheet(3, 4, 6).resize((12000, 8727))

    def many_lines() -> Image.Image:
        page = Image.new("L", (900, 3300), 255)
        for place in range(200):
            line = Image.open(SAMPLE / "lines" / f"{place % 12 + 1:02}.png").convert("L")
            page.paste(line.resize((line.width // 5, 13)), (20 + 450 * (place % 2), 16 * place + 20))
        return page

    def photograph() -> Image.Image:
        rng = np.random.default_rng(0)
        rough = Image.fromarray(rng.integers(0, 255, (30, 40, 3), np.uint8))
        return rough.resize((1600, 1200), Image.Resampling.BICUBIC)

    def table() -> Image.Image:
        page = np.asarray(sheet(3, 4, 6, 9, 11, 12)).copy()
        page[::110] = page[:, ::150] = 0
        return Image.fromarray(page)

    def black() -> Image.Image:
        return Image.new("L", (2000, 1500), 0)

    return {maker.__name__: maker for maker in (scan, many_lines, photograph, table, black)}


@pytest.mark.parametrize("name", hard_pages())
def test_hard_pages_are_read_to_the_end(tmp_path: Path, name: str) -> None:
    hard_pages()[name]().save(tmp_path / "page.png", compress_level=1)
    done = htrjand(tmp_path / "page.png", "-o", tmp_path / "page.pdf", "--draw", tmp_path / "drawn")
    assert done.exit_code == 0, done.stderr
    assert len(PdfReader(tmp_path / "page.pdf").pages) == 1 and (tmp_path / "drawn" / "page.drawn.jpg").is_file()
    if name == "scan":
        assert "3 lines" in done.stderr


def test_a_detector_that_cannot_be_opened_ends_the_run(box: Path, tmp_path: Path) -> None:
    """It is no fault of each page. Lines need none."""
    broken = tmp_path / "broken.onnx"
    broken.write_bytes(b"nothing")
    jobs = find_jobs([SAMPLE / "lines" / "03.png", box], None, "", lambda *_: None)
    failed: list[str] = []
    models = Models(bundled_file(BUNDLED), broken, None, 1)
    run = Run("txt", How(), models, 1, 1, len(jobs), failed, print, lambda _: nullcontext(lambda _: None))
    stream = BytesIO()
    with pytest.raises(HtrjandError, match="broken.onnx"):
        run.print(jobs, stream)
    assert same(stream.getvalue().decode().partition("\t")[2], text_of(3)) and not failed and run.done == 1


def test_a_bar_on_a_terminal(box: Path, tmp_path: Path) -> None:
    ours, theirs = os.openpty()
    command = [sys.executable, "-m", "htrjand", "read", str(box), "-o", str(tmp_path / "all.txt"), "--no-lm"]
    with subprocess.Popen(command, stderr=theirs) as process:
        os.close(theirs)
        shown = b""
        try:
            while part := os.read(ours, 1000):
                shown += part
        except OSError:  # the other end is closed
            pass
    assert process.returncode == 0 and b"reading" in shown and b"7/7" in shown
