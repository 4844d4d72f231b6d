"""The examples of docs/examples read as the package does."""

from __future__ import annotations

import ast
import io
import subprocess
import sys
from itertools import islice
from pathlib import Path

import pytest
from PIL import Image

from htrjand.runtime import Recognizer
from htrjand.runtime.bundled import bundled_in
from htrjand.runtime.recognizer import BUNDLED
from htrjand.train.data.lines import read_lines

ROOT = Path(__file__).resolve().parents[1]
PYTHON = ROOT / "docs" / "examples" / "python" / "read_line.py"
MODEL = bundled_in(BUNDLED, ".onnx")
VECTORS = sorted((ROOT / "tests" / "vectors").glob("*.source.png"))  # colours, 16 bits, alpha, EXIF


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Fifty lines of the sample as files, ten of them larger, as scans might be; and the images of the test vectors."""
    folder = tmp_path_factory.mktemp("fifty")
    paths = []
    for index, row in enumerate(islice(read_lines([ROOT / "benchmarks" / "sample" / "sample.parquet"]), 50)):
        image = Image.open(io.BytesIO(row.image))
        if index < 10:
            image = image.resize((image.width * (index + 2) // 2, image.height * (index + 2) // 2))
        paths.append(folder / f"{index:02}.png")
        image.save(paths[-1])
    return [*paths, *VECTORS]


def test_the_python_example_reads_as_the_package_and_knows_nothing_of_it(images: list[Path], tmp_path: Path) -> None:
    alone = "import runpy, sys; sys.modules['htrjand'] = None; del sys.argv[0]; "
    alone += "runpy.run_path(sys.argv[0], run_name='__main__')"
    done = subprocess.run(
        [sys.executable, "-P", "-c", alone, str(PYTHON), str(MODEL), *map(str, images)],
        cwd=tmp_path, capture_output=True, text=True, encoding="utf-8", check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert len(images) == 60
    reader = Recognizer(MODEL, lm=None)
    assert done.stdout.splitlines() == [reader.read_line(path).text for path in images]


def test_the_python_example_needs_three_libraries() -> None:
    tree = ast.parse(PYTHON.read_text(encoding="utf-8"))
    names = [alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names]
    names += [str(node.module) for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    libraries = {name.partition(".")[0] for name in names}
    assert libraries - sys.stdlib_module_names == {"numpy", "onnxruntime", "PIL"}
    assert len(PYTHON.read_text(encoding="utf-8").splitlines()) <= 80
