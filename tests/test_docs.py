"""Holds docs/architecture.md to the code: the functions that it names exist, and its picture is that of the rules."""

from __future__ import annotations

import ast
import hashlib
import re
from functools import cache
from pathlib import Path

import pytest
from test_house import MAY_IMPORT

ROOT = Path(__file__).resolve().parents[1]
PAGE = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
NAMED = sorted(set(re.findall(r"`([\w/]+\.py):([\w.]+)`", PAGE)))
PATHS = sorted(set(re.findall(r"`((?:[\w.-]+/)*[\w.-]+(?:/|\.py|\.md|\.yaml|\.txt|\.png))`", PAGE)))
EXAMPLES = {"bench.json", "report.md"}  # what a run writes


@cache
def defined_in(path: Path) -> frozenset[str]:
    """The functions, classes and constants of a file, and the methods of its classes as `Class.method`."""
    names: set[str] = set()

    def visit(body: list[ast.stmt], prefix: str) -> None:
        for node in body:
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                names.add(prefix + node.name)
            elif isinstance(node, ast.ClassDef):
                names.add(prefix + node.name)
                visit(node.body, f"{prefix}{node.name}.")
            elif isinstance(node, ast.Assign | ast.AnnAssign):
                targets = node.targets if isinstance(node, ast.Assign) else [node.target]
                names.update(prefix + target.id for target in targets if isinstance(target, ast.Name))

    visit(ast.parse(path.read_text(encoding="utf-8")).body, "")
    return frozenset(names)


@pytest.mark.parametrize("file, name", NAMED)
def test_a_function_that_the_page_names_exists(file: str, name: str) -> None:
    assert (ROOT / file).is_file(), f"{file}: no such file"
    assert name in defined_in(ROOT / file), f"{file}: no {name}"


@pytest.mark.parametrize("path", PATHS)
def test_a_path_that_the_page_names_exists(path: str) -> None:
    assert path in EXAMPLES or "NAME" in path or (ROOT / path).exists()


def test_the_sums_of_the_released_files_are_theirs() -> None:
    folder = ROOT / "runtime" / "models"
    page = (folder / "README.md").read_text(encoding="utf-8")
    listed = re.findall(r"^([0-9a-f]{64})  (\S+)$", page, re.MULTILINE)
    files = sorted(path for path in folder.iterdir() if path.suffix not in (".json", ".md"))
    assert listed == [
        (hashlib.sha256(path.read_bytes()).hexdigest(), path.name)
        for path in sorted(files, key=lambda path: (path.suffix, path.stem))
    ], "print them anew, as runtime/models/README.md says"


def test_the_page_names_functions_of_all_parts() -> None:
    assert {file.split("/")[0] for file, _ in NAMED} >= set(MAY_IMPORT)


def test_the_picture_shows_which_part_may_import_which() -> None:
    solid = re.findall(r"^ +(\w+) --> (\w+)$", PAGE, re.MULTILINE)
    assert len(solid) == len(set(solid))
    assert {part: {to for start, to in solid if start == part} for part in MAY_IMPORT} == MAY_IMPORT
    assert {start for start, _ in solid} <= set(MAY_IMPORT)


def test_a_thing_is_added_in_five_steps_at_most() -> None:
    sections = re.split(r"^### ", PAGE.split("## How to add\n")[1], flags=re.MULTILINE)[1:]
    assert [section.splitlines()[0] for section in sections] == [
        "A format", "An importer", "A distortion", "A decoder", "An output of pages", "A released model",
    ]  # fmt: skip
    for section in sections:
        assert 1 <= len(re.findall(r"^\d\. ", section, re.MULTILINE)) <= 5, section
