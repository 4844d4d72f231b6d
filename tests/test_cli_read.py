from __future__ import annotations

import json
import subprocess
import sys

import pytest
from click.testing import CliRunner
from PIL import Image

from htrjand import __version__
from htrjand.cli import main


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


def test_a_folder_prints_path_and_text_sorted(htrjand, scans, tiny_model):
    done = htrjand("read", scans, "-m", tiny_model)
    assert done.exit_code == 0
    assert done.stdout == f"{scans / '1.PNG'}\tabc\n{scans / '2.png'}\tb a\n{scans / '3.png'}\té\n"


def test_json(htrjand, scans, tiny_model):
    done = htrjand("read", scans, "-m", tiny_model, "-f", "json")
    items = json.loads(done.stdout)
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
    lines = done.stderr.splitlines()
    assert len(lines) == 3 and "2.png: not a readable image" in lines[0] and "none.png: no such file" in lines[1]
    assert lines[2] == f"htrjand: 2 of 4 could not be read: {scans / '2.png'}, {scans / 'none.png'}"


@pytest.mark.parametrize(("form", "printed"), [("txt", ""), ("json", "[]\n")])
def test_nothing_readable_writes_no_file(htrjand, tiny_model, tmp_path, form, printed):
    bad = tmp_path / "bad.png"
    bad.write_text("nothing")
    done = htrjand("read", bad, "-m", tiny_model, "-f", form, "-o", tmp_path / "out")
    assert done.exit_code == 1 and len(done.stderr.splitlines()) == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bad.png", "tiny.onnx"]
    assert htrjand("read", bad, "-m", tiny_model, "-f", form).stdout == printed


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
    [["read"], ["read", "x.png", "-f", "alto"], ["read", "x.png", "--threads", "0"], ["nonsense"], ["read", "-z"]],
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


def test_models_goes_on_after_a_bad_file(htrjand, tiny_model, tmp_path):
    (tmp_path / "bad.onnx").write_text("nothing")
    done = htrjand("models", tmp_path / "bad.onnx", tiny_model, "-f", "json")
    assert done.exit_code == 1 and "bad.onnx: the file does not describe itself" in done.stderr
    assert len(json.loads(done.stdout)) == 1


def test_version_and_help(htrjand):
    assert htrjand("--help").exit_code == 0 and htrjand("read", "-h").exit_code == 0
    assert __version__ in htrjand("--version").stdout


def test_a_verb_whose_extra_is_not_installed_says_so():
    code = "import sys; sys.modules['pyarrow'] = None\nfrom htrjand.cli import main\nmain(['bench', '--data', 'lines'])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 1 and done.stderr == (
        "htrjand: pyarrow is not installed, and this verb needs it: pip install 'htrjand[all]'\n"
    )
