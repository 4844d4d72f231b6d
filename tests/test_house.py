"""Holds the layout: who may import whom, what ships, and that two lists of the same thing agree."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

import htrjand
from htrjand.benchmarks.devices import DEVICES, HERE
from htrjand.benchmarks.engines import BUNDLED, PEERS
from htrjand.benchmarks.report.compare import SLOWER
from htrjand.cli import EXTRAS, main
from htrjand.compress.quantize import QuantizeRecipe
from htrjand.export.files import FLOATS
from htrjand.export.page_proof import PAGE_BUDGET
from htrjand.export.proof import BUDGET
from htrjand.runtime.archive.run import BLOCK
from htrjand.runtime.decode.beam import WIDTH
from htrjand.runtime.image import MAX_WIDTH
from htrjand.runtime.page.outputs import OUTPUTS

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
PACKAGES = PROJECT["tool"]["setuptools"]["packages"]
PARTS = ("runtime", "train", "compress", "export", "benchmarks")
MAY_IMPORT = {
    "runtime": set(),
    "train": {"runtime"},
    "compress": {"train", "export", "runtime"},  # what is compressed is a file, and is proven as one
    "export": {"train", "runtime"},
    "benchmarks": {"runtime", "train"},  # of train its `data`, and inside functions the reader of weights
}
# `benchmarks/studies`, what was measured once for the docs, may know everything.
HEAVY = {"torch", "lightning", "tensorflow", "openvino"}
SOURCES = {part: sorted((ROOT / part).rglob("*.py")) for part in PARTS}


def imports(path: Path, at_load_only: bool = False) -> Iterator[str]:
    """Full names of the modules a file imports; with `at_load_only` those imported when it is loaded itself."""
    module = ("htrjand", *path.relative_to(ROOT).with_suffix("").parts)

    def visit(node: ast.AST) -> Iterator[str]:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.Import):
                yield from (alias.name for alias in child.names)
            elif isinstance(child, ast.ImportFrom):
                base = ".".join(module[: -child.level]) if child.level else ""
                base = ".".join(part for part in (base, child.module) if part)
                yield base
                yield from (f"{base}.{alias.name}" for alias in child.names)
            elif at_load_only and (is_function(child) or is_for_types(child)):
                continue
            else:
                yield from visit(child)

    return visit(ast.parse(path.read_text(encoding="utf-8"), str(path)))


def is_function(node: ast.AST) -> bool:
    return isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)


def is_for_types(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and ast.unparse(node.test) in ("TYPE_CHECKING", "typing.TYPE_CHECKING")


def parts_of(names: Iterator[str]) -> set[str]:
    return {name.split(".")[1] for name in names if name.startswith("htrjand.")} & set(PARTS)


@pytest.mark.parametrize("part", PARTS)
def test_a_part_imports_only_the_parts_below_it(part: str) -> None:
    assert SOURCES[part]
    for path in SOURCES[part]:
        if "studies" in path.parts:
            continue
        others = parts_of(imports(path)) - {part}
        assert others <= MAY_IMPORT[part], f"{path.relative_to(ROOT)} imports {others - MAY_IMPORT[part]}"


@pytest.mark.parametrize("part", ["runtime", "benchmarks"])
def test_what_measures_and_what_reads_load_no_training_code(part: str) -> None:
    for path in SOURCES[part]:
        if path.parent.name == "engines" or "studies" in path.parts:
            continue  # each imports its own library, and is imported only when chosen
        loaded = {name.split(".")[0] for name in imports(path, at_load_only=True)} & HEAVY
        names = [name for name in imports(path, at_load_only=True) if not name.startswith("htrjand.train.data")]
        loaded |= parts_of(iter(names)) & {"train"}
        assert not loaded, f"{path.relative_to(ROOT)} loads {loaded} when it is imported"


def test_runtime_never_imports_a_training_library() -> None:
    for path in SOURCES["runtime"]:
        own = {path.stem} if path.parent.name == "engines" else set()  # an engine is imported only when chosen
        assert not {name.split(".")[0] for name in imports(path)} & HEAVY - own, path


def is_command_line(path: Path) -> bool:
    return path.name in ("cli.py", "__main__.py") or path == ROOT / "options.py"


ALL = sorted([*ROOT.glob("*.py"), *(path for part in PARTS for path in SOURCES[part])])


@pytest.mark.parametrize("path", list(filter(is_command_line, ALL)), ids=lambda path: str(path.relative_to(ROOT)))
def test_the_command_line_imports_a_part_only_when_its_verb_runs(path: Path) -> None:
    names = [name for name in imports(path, at_load_only=True) if name.startswith("htrjand.")]
    other = {name for name in names if not re.search(r"\.(cli|options)(\.\w+)?$|^htrjand\.__version__$", name)}
    assert not other, f"{path.relative_to(ROOT)} loads {other}, which --help does not need"


def test_help_needs_click_alone() -> None:
    code = "import sys, htrjand.cli; print(*{name.partition('.')[0] for name in sys.modules} - sys.stdlib_module_names)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    bare = subprocess.run([sys.executable, "-c", "import sys; print(*sys.modules)"], capture_output=True, text=True)
    assert set(loaded) - {name.partition(".")[0] for name in bare.stdout.split()} == {"click", "htrjand"}


def test_no_library_imports_the_command_line() -> None:
    for path in ALL:
        found = {name for name in imports(path) if re.search(r"^htrjand\.(.*\.)?(cli|options)(\.|$)", name)}
        assert is_command_line(path) or not found, f"{path.relative_to(ROOT)} imports {found}"


def test_defaults_that_help_shows_are_those_of_the_parts() -> None:
    """The command line writes them down again, since --help loads no part."""
    params = {(verb, param.name): param for verb, command in main.commands.items() for param in command.params}

    def choices(verb: str, name: str) -> list[str]:
        return list(params[verb, name].type.choices)  # type: ignore[attr-defined]

    for verb in ("export", "prove", "quantize", "search"):
        assert params[verb, "budget"].default == BUDGET
    for verb in ("export", "prove", "quantize"):
        assert params[verb, "page_budget"].default == PAGE_BUDGET
    for verb in ("quantize", "search", "sensitivity"):
        assert params[verb, "calibrate"].default == QuantizeRecipe.calibrate
    assert choices("export", "precision") == list(FLOATS)
    assert choices("bench", "named") == [BUNDLED, *PEERS]
    assert choices("read", "form") == list(OUTPUTS)
    assert params["read", "beam"].default == WIDTH
    archive = {param.name: param.default for param in main.commands["archive"].commands["read"].params}  # type: ignore[attr-defined]
    assert (archive["beam"], archive["block"]) == (WIDTH, BLOCK)
    assert params["bench", "width"].type.max == MAX_WIDTH  # type: ignore[attr-defined]
    slower = next(param for param in main.commands["bench"].commands["compare"].params if param.name == "slower")  # type: ignore[attr-defined]
    assert slower.default == SLOWER
    device = next(param for param in main.commands["bench"].commands["estimate"].params if param.name == "device")  # type: ignore[attr-defined]
    assert list(device.type.choices) == [*DEVICES, HERE]


def test_every_library_is_a_dependency_or_has_an_extra_to_name_when_it_is_missing() -> None:
    """Of each extra that `EXTRAS` names for a module, pyproject.toml lists the distribution that brings it."""
    brought = {"cv2": "rapidocr"}  # by a distribution that another one depends on
    distributions = packages_distributions()

    def listed(lines: list[str]) -> set[str]:
        return {re.split(r"[^\w.-]", line)[0].lower().replace("_", "-") for line in lines}

    def distribution(module: str) -> str:
        module = brought.get(module, module)
        return distributions.get(module, [module])[0].lower().replace("_", "-")

    base, extras = listed(PROJECT["project"]["dependencies"]), PROJECT["project"]["optional-dependencies"]
    for extra, modules in EXTRAS.items():
        for module in modules:
            assert distribution(module) in listed(extras[extra]), f"pyproject.toml: {extra} has no {module}"
    named = {module for modules in EXTRAS.values() for module in modules} | set(brought)
    for path in ALL:
        for name in imports(path):
            module = name.partition(".")[0]
            if module in (*sys.stdlib_module_names, "", "htrjand", "_typeshed"):
                continue
            assert module in named or distribution(module) in base, f"{path.relative_to(ROOT)}: {module} has no extra"


def test_parts_speak_of_each_other_by_relative_imports() -> None:
    for path in [file for part in PARTS for file in SOURCES[part]]:
        tree = ast.parse(path.read_text(encoding="utf-8"))
        for node in ast.walk(tree):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom) and not node.level:
                names.append(node.module or "")
            assert not [name for name in names if name.split(".")[0] == "htrjand"], path


def test_no_two_files_import_each_other() -> None:
    """By whatever way round, imports inside functions included: each file can be understood after those it imports."""
    files = {module_name(path): path for path in ALL}
    needs = {name: {target for target in imports(path) if target in files} for name, path in files.items()}
    while done := {name for name, others in needs.items() if not others}:
        needs = {name: others - done for name, others in needs.items() if name not in done}
    assert not needs, "these import each other in a circle, or what does"


def module_name(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(["htrjand", *(parts[:-1] if parts[-1] == "__init__" else parts)])


# JSON that only this project reads back, and what is hashed or shown.
OWN_JSON = {
    "benchmarks/process.py", "benchmarks/studies/pages.py", "benchmarks/studies/recipe_docs.py", "benchmarks/worker.py",
    "ledger.py", "runtime/page/jobs.py", "train/checkpoint.py", "train/module.py", "train/recipe.py",
    "train/recipe_loader.py",
}  # fmt: skip


def test_json_for_others_has_finite_numbers_alone() -> None:
    """By `json_text`, or by json.dumps with allow_nan=False: NaN is no JSON, and other programs refuse the file."""
    found = set()
    for path in ALL:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and ast.unparse(node.func) in ("json.dumps", "json.dump"):
                strict = any(word.arg == "allow_nan" and ast.unparse(word.value) == "False" for word in node.keywords)
                if not strict:
                    found.add(str(path.relative_to(ROOT)))
    assert found == OWN_JSON


def test_the_package_itself_imports_nothing() -> None:
    assert not list(imports(ROOT / "__init__.py"))


def test_every_folder_of_python_files_ships() -> None:
    folders = {path.parent for part in PARTS for path in SOURCES[part]}
    assert sorted(PACKAGES) == sorted(
        ["htrjand", *(".".join(["htrjand", *folder.relative_to(ROOT).parts]) for folder in folders)]
    )
    for folder in folders:
        assert (folder / "__init__.py").is_file(), f"{folder} has no __init__.py"


def test_nothing_else_lies_in_the_root_to_ship_with_the_package() -> None:
    assert {path.name for path in ROOT.glob("*.py")} == {
        "__init__.py", "__main__.py", "cli.py", "ledger.py", "options.py", "pipeline.py", "pipeline_files.py",
        "pipeline_lines.py", "pipeline_recipe.py",
    }  # fmt: skip


def test_the_version_is_written_once() -> None:
    assert "version" in PROJECT["project"]["dynamic"]
    assert PROJECT["tool"]["setuptools"]["dynamic"]["version"] == {"attr": "htrjand.__version__"}
    assert f"[{htrjand.__version__}]" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")


def test_every_direct_dependency_is_pinned() -> None:
    def names(lines: list[str]) -> set[str]:
        return {line.split(";")[0].split("[")[0].split("=")[0].split(">")[0].strip().lower() for line in lines}

    constraints = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pinned = names([line for line in constraints if line and not line.startswith("#")])
    extras = PROJECT["project"]["optional-dependencies"].values()
    wanted = names([*PROJECT["project"]["dependencies"], *(line for lines in extras for line in lines)])
    assert wanted - {"htrjand"} <= pinned
