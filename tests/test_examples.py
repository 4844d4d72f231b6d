"""The examples of docs/examples read as the package does."""

from __future__ import annotations

import ast
import io
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from functools import cache
from importlib.util import find_spec
from itertools import islice
from pathlib import Path

import pytest
from click.testing import CliRunner
from PIL import Image

from htrjand.cli import main
from htrjand.runtime import Recognizer
from htrjand.runtime.bundled import bundled_in
from htrjand.runtime.page.detector import BUNDLED as DETECTOR
from htrjand.runtime.recognizer import BUNDLED
from htrjand.train.data.lines import read_lines

ROOT = Path(__file__).resolve().parents[1]
EXAMPLES = ROOT / "docs" / "examples"
PYTHON = EXAMPLES / "python" / "read_line.py"
CPP = EXAMPLES / "cpp" / "read_line.cpp"
NODE = EXAMPLES / "node" / "read_line.mjs"
MODULES = ROOT / "build" / "examples" / "node" / "node_modules"  # `make examples` installs them
VECTORS = sorted((ROOT / "tests" / "vectors").glob("*.source.png"))  # colours, 16 bits, alpha, EXIF
CPP_STANDARD = {"algorithm", "cmath", "cstdint", "cstdio", "iostream", "memory", "numeric", "stdexcept", "string",
                "vector"}  # fmt: skip
each_example = pytest.mark.parametrize("example", ["python", "cpp", "node"])

Example = tuple[list[str], Path, Path]  # its command, a line reader's file, and a line detector's


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


@pytest.fixture(scope="module")
def texts(images: list[Path]) -> Callable[[str], list[str]]:
    """What the package reads in them with the bundled file of a format."""

    @cache
    def read(suffix: str) -> list[str]:
        reader = Recognizer(bundled_in(BUNDLED, suffix), threads=1, lm=None)
        return [reader.read_line(path).text for path in images]

    return read


@pytest.fixture(scope="module")
def python() -> Example:
    """The Python example, which cannot import the package."""
    alone = "import runpy, sys; sys.modules['htrjand'] = None; del sys.argv[0]; "
    alone += "runpy.run_path(sys.argv[0], run_name='__main__')"
    command = [sys.executable, "-P", "-c", alone, str(PYTHON)]
    return command, bundled_in(BUNDLED, ".onnx"), bundled_in(DETECTOR, ".onnx")


@pytest.fixture(scope="module")
def cpp(tmp_path_factory: pytest.TempPathFactory) -> Example:
    """The C++ example, compiled."""
    library = find_spec("openvino")
    if library is None or library.origin is None:
        pytest.skip("openvino is not installed")
    if not shutil.which("cmake") or not shutil.which("c++"):
        pytest.skip("there is no cmake or no C++ compiler (on Debian: apt-get install cmake g++)")
    folder = tmp_path_factory.mktemp("cpp")
    settings = f"-DOpenVINO_DIR={Path(library.origin).parent / 'cmake'}"
    done = run(["cmake", "-S", str(CPP.parent), "-B", str(folder), settings], folder)
    if "Could NOT find PNG" in done.stderr:
        pytest.skip("there are no headers of libpng (on Debian: apt-get install libpng-dev)")
    assert done.returncode == 0, done.stderr
    done = run(["cmake", "--build", str(folder)], folder)
    assert done.returncode == 0, done.stderr
    return [str(folder / "read_line")], bundled_in(BUNDLED, ".xml"), bundled_in(DETECTOR, ".xml")


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Example:
    """The Node example, with its modules, and models with their descriptions beside them."""
    if not shutil.which("node") or not MODULES.is_dir():
        pytest.skip("there is no Node.js, or the example's modules are not installed: make examples")
    folder = tmp_path_factory.mktemp("node")
    (folder / "node_modules").symlink_to(MODULES)
    models = [Path(shutil.copy(bundled_in(name, ".onnx"), folder)) for name in (BUNDLED, DETECTOR)]
    for model in models:
        shown = CliRunner().invoke(main, ["models", str(model), "-f", "json"])
        model.with_suffix(".json").write_text(shown.stdout, encoding="utf-8")
    return ["node", shutil.copy(NODE, folder)], models[0], models[1]


def run(command: list[str], folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, encoding="utf-8", check=False)


@each_example
def test_an_example_reads_as_the_package(
    example: str, images: list[Path], texts: Callable[[str], list[str]], tmp_path: Path,
    request: pytest.FixtureRequest,
) -> None:  # fmt: skip
    command, model, _ = request.getfixturevalue(example)
    done = run([*command, str(model), *map(str, images)], tmp_path)
    assert done.returncode == 0, done.stderr
    assert len(images) == 60
    assert done.stdout.splitlines() == texts(model.suffix)


@each_example
def test_an_example_refuses_what_it_cannot_read(example: str, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    command, model, detector = request.getfixturevalue(example)
    done = run([*command, str(detector), str(VECTORS[0])], tmp_path)
    assert (done.returncode, done.stdout) == (1, "")
    assert f"{detector}: no line reader of format htrjand/1" in done.stderr
    (tmp_path / "cut.png").write_bytes(VECTORS[2].read_bytes()[:4000])
    done = run([*command, str(model), str(tmp_path / "cut.png")], tmp_path)
    assert (done.returncode, done.stdout) == (1, "") and "cut.png: " in done.stderr
    Image.new("L", (4090, 60)).save(tmp_path / "wide.png")
    done = run([*command, str(model), str(tmp_path / "wide.png")], tmp_path)
    assert (done.returncode, done.stdout) == (1, "") and "wide.png: too wide for one line" in done.stderr


def test_an_example_is_small_and_needs_few_libraries() -> None:
    tree = ast.parse(PYTHON.read_text(encoding="utf-8"))
    names = [alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names]
    names += [str(node.module) for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    libraries = {name.partition(".")[0] for name in names}
    assert libraries - sys.stdlib_module_names == {"numpy", "onnxruntime", "PIL"}
    included = set(re.findall(r"^#include <(.+)>$", CPP.read_text(encoding="utf-8"), re.MULTILINE))
    assert included - CPP_STANDARD == {"openvino/openvino.hpp", "png.h"}
    imported = set(re.findall(r"^import .* from '(.+)';$", NODE.read_text(encoding="utf-8"), re.MULTILINE))
    assert imported - {"node:fs/promises"} == {"onnxruntime-node", "sharp"}
    for path, most in ((PYTHON, 80), (CPP, 260), (NODE, 140)):
        assert len(path.read_text(encoding="utf-8").splitlines()) <= most, path


def test_the_node_modules_are_pinned_and_come_from_the_usual_registry() -> None:
    wanted = json.loads((NODE.parent / "package.json").read_text(encoding="utf-8"))["dependencies"]
    locked = json.loads((NODE.parent / "package-lock.json").read_text(encoding="utf-8"))["packages"]
    assert {name: locked[f"node_modules/{name}"]["version"] for name in wanted} == wanted
    for place, module in locked.items():
        assert not place or module["integrity"].startswith("sha512-"), place
        assert module.get("resolved", "https://registry.npmjs.org/").startswith("https://registry.npmjs.org/"), place
