from __future__ import annotations

import json
import os
import re
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from generated import printed_row
from PIL import Image

from htrjand import __version__
from htrjand.cli import main
from htrjand.runtime.bundled import bundled_in
from htrjand.runtime.cli import read
from htrjand.runtime.decode.beam import WIDTH
from htrjand.runtime.engines import open_session
from htrjand.runtime.info import FORMAT as LINES
from htrjand.runtime.page.batch import How
from htrjand.runtime.page.detector import BUNDLED as DETECTOR
from htrjand.runtime.page.detector_info import FORMAT as PAGES
from htrjand.runtime.page.run import Models
from htrjand.train.data.lines import write_lines

SAMPLE = Path(__file__).resolve().parents[1] / "benchmarks" / "sample"
IMAGES = 1000


@pytest.fixture
def scans(tmp_path, draw):
    folder = tmp_path / "scans"
    folder.mkdir()
    for name, text in {"2.png": "b a", "1.PNG": "abc", "3.png": "é"}.items():
        Image.fromarray(draw(text)).save(folder / name, "PNG")
    (folder / "notes.txt").write_text("no image")
    (folder / ".hidden.png").write_text("no image")
    return folder


@pytest.fixture
def htrjand(tiny_model):
    return lambda *words: CliRunner().invoke(main, [str(word) for word in words])


def test_one_image_prints_its_text(htrjand, scans, tiny_model):
    done = htrjand("read", scans / "2.png", "-m", tiny_model, "--threads", 1)
    assert (done.exit_code, done.stdout, done.stderr) == (0, "b a\n", "")


def test_verbose_tells_which_files_are_read_with(htrjand, scans, tiny_model):
    done = htrjand("read", "-v", "-m", str(tiny_model), "--no-lm", str(scans / "2.png"))
    assert done.exit_code == 0
    assert re.fullmatch(rf"htrjand: reads with {tiny_model} \(onnxruntime [\d.]+\), no n-gram.*\n", done.stderr)
    quiet = htrjand("read", "-m", str(tiny_model), "--no-lm", str(scans / "2.png"))
    assert (quiet.stdout, quiet.stderr) == (done.stdout, "")


def test_a_folder_prints_path_and_text_sorted(htrjand, scans, tiny_model):
    done = htrjand("read", scans, "-m", tiny_model)
    assert done.exit_code == 0
    assert done.stdout == f"{scans / '1.PNG'}\tabc\n{scans / '2.png'}\tb a\n{scans / '3.png'}\té\n"


def test_json(htrjand, scans, tiny_model):
    done = htrjand("read", scans, "-m", tiny_model, "-f", "json")
    items = [json.loads(row) for row in done.stdout.splitlines()]
    assert [item["text"] for item in items] == ["abc", "b a", "é"]
    assert list(items[0]) == ["path", "text", "confidence", "characters"]
    assert [item["char"] for item in items[0]["characters"]] == ["a", "b", "c"]


@pytest.mark.parametrize("form", ["txt", "json"])
def test_output_to_a_file(htrjand, scans, tiny_model, tmp_path, form):
    target = tmp_path / "new" / "result"
    done = htrjand("read", scans, "-m", tiny_model, "-f", form, "-o", target)
    assert (done.exit_code, done.stdout) == (0, "")
    assert "b a" in target.read_text("utf-8") and [path.name for path in target.parent.iterdir()] == ["result"]


def test_one_bad_image_does_not_stop_the_others(htrjand, scans, tiny_model, tmp_path):
    whole = (scans / "2.png").read_bytes()
    (scans / "2.png").write_bytes(whole[: len(whole) // 2])
    done = htrjand("read", scans, scans / "none.png", "-m", tiny_model, "-o", tmp_path / "out.txt")
    assert done.exit_code == 1
    assert (tmp_path / "out.txt").read_text("utf-8") == f"{scans / '1.PNG'}\tabc\n{scans / '3.png'}\té\n"
    missing, broken, kept, failed, summary = done.stderr.splitlines()
    assert "none.png: no such file" in missing and "2.png: not a readable image" in broken
    assert "out.txt.part keeps what was read" in kept
    assert failed == f"htrjand: 2 of 4 could not be read: {scans / 'none.png'}, {scans / '2.png'}"
    assert summary.startswith("htrjand: 2 lines, 0 doubtful words, 2 failed; ")

    (scans / "2.png").write_bytes(whole)
    done = htrjand("read", scans, "-m", tiny_model, "-o", tmp_path / "out.txt")
    assert (tmp_path / "out.txt").read_text("utf-8").splitlines()[1] == f"{scans / '2.png'}\tb a"
    assert ", 2 done before; " in done.stderr and not (tmp_path / "out.txt.part").exists()


@pytest.mark.parametrize("form", ["txt", "json", "hocr", "pdf"])
def test_nothing_readable_writes_no_file(htrjand, tiny_model, tmp_path, form):
    bad = tmp_path / "bad.png"
    bad.write_text("nothing")
    done = htrjand("read", bad, "-m", tiny_model, "-f", form, "-o", tmp_path / "out")
    assert done.exit_code == 1 and "not an image" in done.stderr.splitlines()[0]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bad.png", "tiny.onnx"]
    assert htrjand("read", bad, "-m", tiny_model, "-f", form).stdout == ""


def test_a_failing_run_leaves_the_earlier_file(htrjand, tiny_model, tmp_path):
    (tmp_path / "out").write_text("earlier")
    assert htrjand("read", tmp_path / "none.png", "-m", tiny_model, "-o", tmp_path / "out").exit_code == 1
    assert (tmp_path / "out").read_text() == "earlier"


def test_an_empty_folder(htrjand, tiny_model, tmp_path):
    (tmp_path / "empty").mkdir()
    done = htrjand("read", tmp_path / "empty", "-m", tiny_model)
    assert (done.exit_code, done.stdout) == (1, "") and "no image file in this folder" in done.stderr


def test_an_output_that_cannot_be_written(htrjand, scans, tiny_model):
    done = htrjand("read", scans, "-m", tiny_model, "-o", scans / "notes.txt" / "out.txt")
    assert done.exit_code == 1 and "cannot be written" in done.stderr and "Traceback" not in done.output


@pytest.mark.parametrize(
    "words",
    [["read"], ["read", "x.png", "-f", "doc"], ["read", "x.png", "--threads", "0"], ["nonsense"], ["read", "-z"]],
)
def test_wrong_usage_is_status_2(htrjand, words):
    done = htrjand(*words)
    assert done.exit_code == 2 and "Usage:" in done.stderr


def test_a_model_cut_short_is_one_line_and_status_1(scans, tiny_model):
    tiny_model.write_bytes(tiny_model.read_bytes()[:200])
    done = subprocess.run(
        [sys.executable, "-m", "htrjand", "read", scans / "1.PNG", "-m", tiny_model],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert len(done.stderr.splitlines()) == 1 and done.stderr.startswith(f"htrjand: {tiny_model}: ")


def test_models_tells_what_a_file_says_of_itself(htrjand, make_model):
    path = make_model("m.onnx", languages=("fr", "en"), licence="Apache-2.0", cer={"copiste": 13.9}, precision="int8")
    done = htrjand("models", path)
    assert done.exit_code == 0
    for text in (str(path), "tiny", "int8", "fr, en", "Apache-2.0", "copiste 13.9 %", "6 classes:  abcé"):
        assert text in done.stdout
    (item,) = json.loads(htrjand("models", path, "-f", "json").stdout)
    assert item["charset"] == ["", " ", "a", "b", "c", "é"] and item["bytes"] == path.stat().st_size


def test_models_gives_all_metadata_of_either_kind_as_json(htrjand, tiny_model):
    """For libraries that show no metadata: a reader in another language can refuse another format."""
    paths = (tiny_model, bundled_in(DETECTOR, ".onnx"))
    items = json.loads(htrjand("models", *paths, "-f", "json").stdout)
    for path, item, form in zip(paths, items, (LINES, PAGES), strict=True):
        metadata = open_session(path).metadata
        assert set(metadata) <= set(item) and item["format"] == form
        assert all(item[key] == metadata[key] for key in ("preprocessing", "seal", "weights_sha256"))


def test_models_goes_on_after_a_bad_file(htrjand, tiny_model, tmp_path):
    (tmp_path / "bad.onnx").write_text("nothing")
    done = htrjand("models", tmp_path / "bad.onnx", tiny_model, "-f", "json")
    assert done.exit_code == 1 and "bad.onnx: the file does not describe itself" in done.stderr
    assert len(json.loads(done.stdout)) == 1


def test_models_of_bad_files_alone_prints_nothing(htrjand, tmp_path):
    (tmp_path / "bad.onnx").write_text("nothing")
    (tmp_path / "round.onnx").symlink_to(tmp_path / "round.onnx")
    done = htrjand("models", tmp_path / "bad.onnx", tmp_path / "round.onnx")
    assert (done.exit_code, done.stdout) == (1, "")
    assert "round.onnx: a link that leads nowhere" in done.stderr
    done = htrjand("models", tmp_path / "none", tmp_path / "x.safetensors")
    assert f"{tmp_path}/none: no such file; check the path" in done.stderr
    (tmp_path / "x.safetensors").write_bytes(b"")
    assert "weights become one by `htrjand export`" in htrjand("models", tmp_path / "x.safetensors").stderr


def test_models_lists_what_came_with_the_package(htrjand):
    rows = [line.split("\t") for line in htrjand("models").stdout.splitlines()]
    assert {kind for _, kind, *_ in rows} == {"line reader", "line detector", "n-gram", "neural language model"}
    assert all(Path(path).is_file() and f"{Path(path).stat().st_size:,} bytes" for *_, path in rows)


STRANGE = ("a\x1b[31m\nb.png", os.fsdecode(b"bad\xff.png"), "c\x9b31m.png")
SHOWN = (r"a\x1b[31m\nb.png", r"bad\udcff.png", r"c\x9b31m.png")


@pytest.fixture
def strange(tmp_path, draw):
    folder = tmp_path / "strange"
    folder.mkdir()
    for name in STRANGE:
        Image.fromarray(draw("abc")).save(folder / name)
    return folder


@pytest.mark.parametrize("form", ["txt", "json", "tsv", "hocr", "alto", "page"])
def test_names_that_are_no_text_lose_nothing(htrjand, strange, tiny_model, tmp_path, form):
    """Nothing raw reaches the output, and every image is read, into files and to one file."""
    done = htrjand("read", strange, "-m", tiny_model, "-f", form, "-o", f"{tmp_path}/out/")
    assert done.exit_code == 0, done.output
    written = [path.read_bytes() for path in (tmp_path / "out").iterdir() if path.name[0] != "."]
    assert len(written) == 3 and all(b"abc" in content for content in written)
    if form in ("txt", "json", "tsv", "hocr"):
        assert htrjand("read", strange, "-m", tiny_model, "-f", form, "-o", tmp_path / "all").exit_code == 0
        written.append((tmp_path / "all").read_bytes())
        assert written[-1].count(b"abc") >= 3
    for content in written:
        assert b"\x1b" not in content and b"\x9b" not in content.replace(b"\xc2\x9b", b"\x9b") and content.decode()


def test_names_are_printed_with_escapes(htrjand, strange, tiny_model, make_model):
    done = htrjand("read", strange, "-m", tiny_model)
    assert [line.split("\t")[0] for line in done.stdout.splitlines()] == [f"{strange}/{name}" for name in SHOWN]
    values = [json.loads(line) for line in htrjand("read", strange, "-m", tiny_model, "-f", "json").stdout.splitlines()]
    assert [value["path"] for value in values] == [f"{strange}/{name}" for name in STRANGE]
    for name in STRANGE:
        (strange / name).write_bytes(b"no image")
    told = htrjand("read", strange, "-m", tiny_model).stderr
    assert (
        all(told.count(name.replace(r"\n", " ")) == 2 for name in SHOWN)
        and told.count("\n") == 5
        and "\x1b" not in told
    )
    shown = htrjand("models", make_model("m.onnx", licence="a\x1b[31m\nb", languages=("\x9b",))).stdout
    assert r"a\x1b[31m\nb" in shown and "\x1b" not in shown and "\x9b" not in shown


def test_outputs_that_cannot_be(htrjand, scans, tiny_model):
    done = htrjand("read", scans / "1.PNG", "-m", tiny_model, "-o", "/proc/none/out.txt")
    assert done.exit_code == 1 and "its folder is not there and cannot be made; check the path" in done.stderr
    with open("/dev/full", "w") as full:
        command = [sys.executable, "-m", "htrjand", "read", scans / "1.PNG", "-m", tiny_model]
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert done.returncode == 1 and done.stderr.startswith("htrjand: standard output: cannot be written (No space left")


def test_version_and_help(htrjand):
    assert htrjand("--help").exit_code == 0 and htrjand("read", "-h").exit_code == 0
    assert __version__ in htrjand("--version").stdout


@pytest.mark.parametrize(
    ("missing", "words", "extra"),
    [
        ("pyarrow", ["data", "audit", "lines"], "train"),
        ("torch", ["train", "recipe.yaml", "-o", "run"], "train"),
        ("onnx", ["sensitivity", "m.onnx", "-i", str(SAMPLE / "sample.parquet")], "export"),
    ],
)
def test_a_verb_whose_library_is_not_installed_names_the_extra(missing, words, extra):
    code = f"import sys\nsys.modules[{missing!r}] = None\nfrom htrjand.cli import main\nmain(sys.argv[1:])"
    done = subprocess.run([sys.executable, "-c", code, *words], capture_output=True, text=True, check=False)
    assert done.returncode == 1 and done.stderr == (
        f"htrjand: {missing} is not installed, and this verb needs it: pip install 'htrjand[{extra}]'\n"
    )


@pytest.fixture
def many(scans, tmp_path):
    """A folder of so many images that a run can be stopped amid them."""
    folder = tmp_path / "many"
    folder.mkdir()
    for number in range(IMAGES):
        (folder / f"{number:04}.png").write_bytes((scans / "2.png").read_bytes())  # of links, one would be read
    return folder


def started(words, **options):
    """A process that reads; Ctrl-C reaches it even where this one runs in the background."""
    command = [sys.executable, "-m", "htrjand", "read", *map(str, words)]
    default = {"preexec_fn": lambda: signal.signal(signal.SIGINT, signal.SIG_DFL)}
    return subprocess.Popen(command, stderr=subprocess.PIPE, text=True, **default | options)


def stopped(process, part, number):
    """Sends a signal once some rows are there; the last line of stderr."""
    while not (part.is_file() and part.read_bytes().count(b"\n") > 2):
        assert process.poll() is None, process.communicate()
        time.sleep(0.005)
    process.send_signal(number)
    return process.communicate(timeout=60)[1].splitlines()[-1:]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_run_goes_on_by_itself(htrjand, many, tiny_model, make_model, tmp_path, number):
    out, part = tmp_path / "out", tmp_path / "out.part"
    out.write_text("earlier")
    words = [many, "-m", tiny_model, "-o", out]
    process = started(words)
    (last,) = stopped(process, part, number)
    assert process.returncode == 128 + number
    rows = part.read_text("utf-8").splitlines(keepends=True)
    assert 2 < len(rows) < IMAGES and all(row.endswith("\n") and "b a" in row for row in rows)
    told = re.fullmatch(rf"htrjand: stopped: (\d+) of {IMAGES} are read; the same command reads the rest", last)
    assert told and len(rows) - 1 <= int(told[1]) <= len(rows)
    assert out.read_text() == "earlier" and {path.name for path in tmp_path.glob("*out*")} == {"out", "out.part"}

    part.write_text("".join([rows[0].replace("b a", "as it was"), *rows[1:]]), "utf-8")
    first = many / "0000.png"
    other = make_model("other.onnx", licence="other")
    done = htrjand("read", first, many / "0001.png", "-m", other, "-o", out)
    assert done.exit_code == 0 and "as it was" not in out.read_text(), "another model: read again"

    part.write_text("".join([rows[0].replace("b a", "as it was"), *rows[1:]]), "utf-8")
    done = htrjand("read", *words)
    assert done.exit_code == 0 and not part.exists() and f"{len(rows)} done before" in done.stderr
    text = out.read_text("utf-8")
    assert htrjand("read", many, "-m", tiny_model).stdout == text.replace("as it was", "b a")
    assert text.count("as it was") == 1, "an image that was read is not read again"


def test_what_a_kill_cut_off_is_read_again(htrjand, many, tiny_model, tmp_path):
    out, part = tmp_path / "out", tmp_path / "out.part"
    words = [many, "-m", tiny_model, "-o", out]
    assert stopped(started(words), part, signal.SIGKILL) == []
    rows = part.read_bytes().count(b"\n")
    with part.open("a") as stream:
        stream.write('{"stamp":"0123')  # half a row
    done = htrjand("read", *words)
    assert done.exit_code == 0 and f", {rows} done before" in done.stderr
    assert out.read_text() == "".join(f"{many / f'{number:04}.png'}\tb a\n" for number in range(IMAGES))


def test_a_disk_that_is_full_loses_nothing(htrjand, many, tiny_model, tmp_path):
    out, part = tmp_path / "out", tmp_path / "out.part"
    words = [many, "-m", tiny_model, "-o", out]
    full = started(words, preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (9999, 9999)))
    first, last = full.communicate(timeout=60)[1].splitlines()
    assert full.returncode == 1 and part.stat().st_size == 9999 and not out.exists()
    assert f"of {IMAGES} are read; the same command" in first and "out: cannot be written" in last
    assert htrjand("read", *words).exit_code == 0
    assert len(out.read_text().splitlines()) == IMAGES


def test_a_part_file_that_holds_something_else(htrjand, scans, tiny_model, tmp_path):
    (tmp_path / "out.part").write_bytes(b'[1]\n{"stamp": 5}\n\x00\x00\n{"path": "1.png"}\nno end')
    done = htrjand("read", scans, "-m", tiny_model, "-o", tmp_path / "out")
    assert done.exit_code == 0 and len((tmp_path / "out").read_text("utf-8").splitlines()) == 3


def test_what_a_person_should_check(htrjand):
    images = [SAMPLE / "lines" / name for name in ("03.png", "06.png")]
    plain = htrjand("read", *images)
    checked = htrjand("read", *images, "--min-confidence", 0.8)
    assert (checked.exit_code, checked.stdout) == (0, plain.stdout)
    told, summary = checked.stderr.splitlines()  # the first line is read without an error, and surely
    assert re.fullmatch(rf"htrjand: {images[1]}: check (\S+ \(0\.[0-7]\d\)(, )?)+", told)
    assert re.fullmatch(r"htrjand: 2 lines, [1-9] doubtful words?, 0 failed; \d\.\d s", summary)
    for least, expected in ((1, [True, True]), (0.8, [False, True]), (0, [False, False])):
        done = htrjand("read", *images, "-f", "json", "--min-confidence", least)
        assert [json.loads(row)["check"] for row in done.stdout.splitlines()] == expected
        assert len(done.stderr.splitlines()) == sum(expected) + 1


def test_an_empty_line_is_to_be_checked_by_its_own_confidence(htrjand, tmp_path):
    Image.fromarray(np.full((64, 300), 255, np.uint8)).save(tmp_path / "empty.png")
    done = htrjand("read", tmp_path / "empty.png", "--min-confidence", 1)
    assert done.stdout == "\n" and re.search(r"empty\.png: check whether it is empty \(\d\.\d\d\)$", done.stderr, re.M)


def test_the_beam_is_as_wide_as_the_readers():
    (option,) = [option for option in read.params if option.name == "beam"]
    assert option.default == WIDTH


def test_with_the_bundled_language_and_without(htrjand, tmp_path):
    sample = SAMPLE / "lines" / "02.png"
    with_it, without = htrjand("read", sample), htrjand("read", sample, "--no-lm")
    assert with_it.stdout != without.stdout and "Le médecin est venu dimanche après la messe" in with_it.stdout
    wide, narrow = htrjand("read", sample, "--beam", 12), htrjand("read", sample, "--beam", 1)
    assert wide.stdout == with_it.stdout != narrow.stdout
    both = htrjand("read", sample, "--lm", tmp_path / "none.lm", "--no-lm")
    assert both.exit_code == 2 and "--lm and --no-lm" in both.stderr
    missing = htrjand("read", sample, "--lm", tmp_path / "none.lm")
    assert missing.exit_code == 1 and "none.lm: no such language model" in missing.stderr
    assert htrjand("read", sample, "--beam", 0).exit_code == 2


def test_a_neural_language_model_is_named_and_needs_an_n_gram(htrjand, scans, tiny_model, tmp_path, one_thread):
    folder = tmp_path / "lm"
    folder.mkdir()
    (folder / "prose.txt").write_text("abc ab\n" * 50)
    recipe = "lines: [lines.parquet]\nprose: {prose.txt: 1}\nhidden: 8\nbatch_texts: 8\ntotal_characters: 500\n"
    (folder / "recipe.yaml").write_text(recipe)
    write_lines(folder / "lines.parquet", [printed_row("abc", "1")])
    done = htrjand("lm", "train", folder / "recipe.yaml", "-o", folder / "tiny.nlm")
    assert done.exit_code == 0, done.output
    done = htrjand("lm", "build", folder / "prose.txt", "-o", folder / "tiny.lm")
    assert done.exit_code == 0, done.output
    command = ["read", "-v", scans / "2.png", "-m", tiny_model, "--neural-lm", folder / "tiny.nlm"]
    done = htrjand(*command, "--lm", folder / "tiny.lm")
    assert (done.exit_code, done.stdout) == (0, "b a\n")
    assert f"n-gram {folder / 'tiny.lm'}, neural language model {folder / 'tiny.nlm'}" in done.stderr
    assert "leave out --no-lm" in htrjand(*command, "--no-lm").stderr
    assert "texts that an n-gram has found" in htrjand(*command).stderr, "the tiny model says no languages"
    assert "not 'htrjand-neural-lm/1'" in htrjand(*command[:-1], folder / "tiny.lm", "--lm", folder / "tiny.lm").stderr
    stamps = []
    for neural in (None, folder / "tiny.nlm", folder / "tiny.lm"):  # another file: what was read before is read again
        stamps.append(Models.choose(tiny_model, None, folder / "tiny.lm", 64, None, neural).stamp(How(None), "txt"))
    assert len(set(stamps)) == 3
    assert "given by --neural-lm" in htrjand("read", scans / "2.png", "-m", folder / "tiny.nlm").stderr


def test_the_bundled_neural_language_model_is_read_with_where_it_is_asked_for(htrjand):
    line = SAMPLE / "lines" / "01.png"
    done, without = (htrjand("read", "-v", line, *more) for more in (["--neural-lm", "bundled"], []))
    assert done.exit_code == without.exit_code == 0 and done.stdout.strip()
    assert "neural language model" in done.stderr and "htrjand-fr-en-de.nlm" in done.stderr
    assert "neural" not in without.stderr
