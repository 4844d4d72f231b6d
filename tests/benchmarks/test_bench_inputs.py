"""What is measured on, and with what: the base install alone, folders of images, pages, lines a model cannot read."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result
from PIL import Image
from results_made import VALID

from htrjand.benchmarks.cli import bench
from htrjand.benchmarks.document import as_json
from htrjand.benchmarks.inputs import SAMPLE, choose_lines, choose_pages, digest
from htrjand.cli import EXTRAS
from htrjand.runtime.errors import HtrjandError

# Run before anything else in every process, those of engines too: no library of an extra can be imported.
BASE_ALONE = """
import sys
class Missing:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {modules!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)
sys.meta_path.insert(0, Missing())
"""
MEASURE = """
import sys
from pathlib import Path
from htrjand.benchmarks.document import as_json
from htrjand.benchmarks.inputs import choose_lines, choose_pages
from htrjand.benchmarks.run import Settings, run
from htrjand.runtime.errors import HtrjandError
settings = Settings(threads=(1,), queries=4, page_queries=1, seconds=0, warm_up=1, cold_starts=1, batch_rounds=1)
lines, pages = choose_lines((), "test", limit=3), choose_pages([Path(sys.argv[2])])
document = run(["bundled", "rapidocr"], lines, settings, None, pages)
loaded = {name for name in sys.modules if name.startswith("htrjand.train")}
print(as_json(document), file=open(sys.argv[1], "w"))
print(*sorted(loaded))
try:
    choose_lines([Path("lines.parquet")], "test")
except HtrjandError as error:
    print(error, file=sys.stderr)
"""


def invoke(*arguments: object) -> Result:
    return CliRunner().invoke(bench, [str(argument) for argument in arguments])


@pytest.fixture
def folder(draw: Callable[[str], np.ndarray], tmp_path: Path) -> Path:
    """Three lines with their text beside them, the last of which is wrong by one character."""
    for name, drawn, text in (("1", "ab", "ab"), ("2", "abca", "abca"), ("3", "caa", "caab")):
        (tmp_path / "hand").mkdir(exist_ok=True)
        Image.fromarray(draw(drawn)).save(tmp_path / "hand" / f"{name}.png")
        (tmp_path / "hand" / f"{name}.gt.txt").write_text(f"{text}\n")
    return tmp_path / "hand"


def small_page(folder: Path) -> Path:
    """A folder with the first three lines of the bundled page."""
    pages = folder / "pages"
    pages.mkdir()
    with Image.open(SAMPLE / "page.png") as page:
        page.crop((0, 0, page.width, 324)).save(pages / "page.png")
    lines = (SAMPLE / "page.gt.txt").read_text(encoding="utf-8").splitlines()
    (pages / "page.gt.txt").write_text("\n".join(lines[:3]), encoding="utf-8")
    return pages


def test_the_base_install_alone_measures_lines_and_pages(tmp_path: Path) -> None:
    """No library of any extra, and of the training code no more than what a line is and how errors are counted."""
    modules = {module for names in EXTRAS.values() for module in names}
    (tmp_path / "sitecustomize.py").write_text(BASE_ALONE.format(modules=modules))
    paths = os.pathsep.join([str(tmp_path), *(os.path.abspath(path) for path in sys.path if path)])
    done = subprocess.run(
        [sys.executable, "-c", MEASURE, tmp_path / "result.json", small_page(tmp_path)],
        env=os.environ | {"PYTHONPATH": paths}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    result = json.loads((tmp_path / "result.json").read_text())
    VALID(result)
    of_lines, of_rapidocr, of_pages, _ = result["engines"]
    assert [row["unit"] for row in result["engines"]] == ["line", "line", "page", "page"]
    assert of_lines["latency"][0]["queries"] >= 4 and of_lines["batches"][2]["size"] == 32
    assert of_lines["accuracy"]["all"]["cer"] < 20 and of_pages["accuracy"]["all"]["cer"] < 20
    assert of_pages["detector"]["bytes"] < of_pages["bytes"] - of_pages["detector"]["bytes"] == of_lines["bytes"]
    assert "rapidocr is not installed" in of_rapidocr["error"] or "cv2 is not installed" in of_rapidocr["error"]
    data = {"htrjand.train.data" + name for name in ("", ".error_rates", ".importers", ".importers.folder", ".row")}
    data |= {"htrjand.train", "htrjand.train.data.importers.rows", "htrjand.train.data.importers.splits"}
    assert set(done.stdout.split()) == data
    assert "lines.parquet: to read Parquet, pip install 'htrjand[bench]'; or name a folder" in done.stderr


def test_a_folder_of_images_with_their_texts(make_model: Callable[..., Path], folder: Path) -> None:
    (folder / "4.gt.txt").write_text("no image\n")
    done = invoke("-i", folder, "-m", make_model(), "--only", "accuracy", "-f", "json")
    assert done.exit_code == 0, done.output
    assert "left out: 4: image is missing" in done.stderr
    result = json.loads(done.stdout)
    VALID(result)
    assert [(part["dataset"], part["items"], part["characters"]) for part in result["data"]] == [("hand", 3, [2, 4, 4])]
    assert result["engines"][0]["accuracy"]["datasets"]["hand"]["edits"] == [0, 0, 1]
    assert result["engines"][0]["accuracy"]["all"]["cer"] == 10.0


def test_a_line_that_a_model_cannot_read_leaves_the_others(make_model: Callable[..., Path], folder: Path) -> None:
    model = make_model(max_width=112)
    done = invoke("-i", folder, "-m", model, "--quick", "--queries", 4, "--seconds", 0, "-f", "json")
    assert done.exit_code == 0, done.output
    result = json.loads(done.stdout)
    VALID(result)
    (row,) = result["engines"]
    (failed,) = row["accuracy"]["failed"]
    assert failed["item"] == 1 and "too wide for this model" in failed["error"]
    assert row["accuracy"]["datasets"]["hand"]["edits"] == [0, 4, 1]
    assert set(row["latency"][0]["items"]) == {0, 2}
    done = invoke("-i", folder, "-m", model, "--only", "accuracy")
    assert "tiny.onnx could not read 1 line, which count" in " ".join(done.output.split())
    done = invoke("-i", folder, "-m", make_model("none.onnx", max_width=16), "--only", "accuracy")
    assert "none.onnx failed" in done.output
    assert isinstance(done.exception, HtrjandError)


def test_pages_are_images_with_a_text_of_several_lines() -> None:
    (page,) = choose_pages(())
    lines = choose_lines((), "test")
    assert page.text.splitlines() == [line.text for line in lines] and len(lines) == 12
    assert page.pixels().shape[0] > 12 * 64 and {line.dataset for line in lines} == {"sample"}
    assert digest([page]) != digest([page, page])


@pytest.mark.parametrize(
    ("break_it", "message"),
    [
        (lambda folder: (folder / "page.png").unlink(), "page.gt.txt: its image is missing"),
        (lambda folder: (folder / "page.gt.txt").write_bytes(b"\xff\xfe"), "page.gt.txt: is not UTF-8"),
        (lambda folder: (folder / "page.gt.txt").write_text(" \n"), "page.gt.txt: holds no text"),
        (lambda folder: (folder / "page.gt.txt").unlink(), r"no \*.gt.txt file in this folder"),
    ],
)
def test_pages_that_are_none(break_it: Callable[[Path], object], message: str, tmp_path: Path) -> None:
    for name in ("page.png", "page.gt.txt"):
        (tmp_path / name).write_bytes((SAMPLE / name).read_bytes())
    assert len(choose_pages([tmp_path])) == 1
    break_it(tmp_path)
    with pytest.raises(HtrjandError, match=message):
        choose_pages([tmp_path])


def test_matrix_has_every_bundled_file_with_its_own_engine(folder: Path, tmp_path: Path) -> None:
    done = invoke("matrix", "-i", folder, "--only", "accuracy", "--no-lm", "-o", f"{tmp_path}/results/")
    assert done.exit_code == 0, done.output
    (output,) = (tmp_path / "results").glob("*.json")  # named by the machine, in a folder
    assert re.fullmatch(r"[a-z0-9.-]+-\d+-cores-htrjand-[\d.]+-\d{14}\.json", output.name)
    rows = json.loads(output.read_text())["engines"]
    assert [(row["name"], row["engine"]) for row in rows] == [
        ("htrjand-student-int8.onnx", "onnxruntime"), ("htrjand-student-int8.tflite", "litert"),
        ("htrjand-student-int8.xml", "openvino"),
    ]  # fmt: skip


def test_numbers_of_a_document_stand_on_one_line() -> None:
    document = {"ms": [1.5, -2, 3e-05], "names": ["a", "b"], "nested": [{"n": [1]}], "empty": []}
    text = as_json(document)
    assert '"ms": [1.5, -2, 3e-05]' in text and '"n": [1]' in text and json.loads(text) == document


def test_a_folder_that_holds_neither_lines_nor_tables(tmp_path: Path) -> None:
    with pytest.raises(HtrjandError, match=r"holds neither \*.gt.txt files beside images nor"):
        choose_lines([tmp_path], "test")
