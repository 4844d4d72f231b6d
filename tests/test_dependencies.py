"""Holds what pyproject.toml asks of other libraries: markers, and upper bounds where we use their internals."""

from __future__ import annotations

import ast
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
from packaging.markers import default_environment
from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
EXTRAS = {name: [Requirement(line) for line in lines] for name, lines in PROJECT["optional-dependencies"].items()}
BASE = [Requirement(line) for line in PROJECT["dependencies"]]
PINNED = [
    Requirement(line)
    for line in (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    if line and not line.startswith("#")
]
FOLDERS = ("runtime", "train", "compress", "export", "benchmarks")
SOURCES = [*ROOT.glob("*.py"), *(path for folder in FOLDERS for path in sorted((ROOT / folder).rglob("*.py")))]

# What we use of a library though it does not promise to keep it, where no underscore in its name says so.
INTERNALS = {
    "ai-edge-litert": "schema_py_generated",  # the classes of the file format's schema
    "ai-edge-quantizer": "quantizer.Quantizer",  # before 1.0, with names of its own for operators
    "lightning": "fit_loop.epoch_loop.batch_progress",  # the loop's counters, for exact resume
    "neural-compressor": "_exported",  # what its quantiser looks for in an exported graph
    "nncf": "AdvancedQuantizationParameters",
    "onnxruntime": "onnxruntime.capi",  # its exceptions, which have no base class
    "onnxscript": "dynamo=True",  # torch's exporter is written against one edition of it
    "torch": "torch.fx",
    "torch-pruning": "pruner.DG",  # the graph of dependencies
    "torchao": "torchao.quantization.pt2e",
}

OTHERWISE = {"PIL": "pillow", "yaml": "pyyaml"}  # modules that are not called as their package is


def asked_for(extras: list[str], environment: dict[str, str]) -> list[Requirement]:
    """What is installed with these extras: the base's requirements and theirs, with the extras that they name."""
    found = list(BASE)
    for extra in extras:
        for requirement in EXTRAS[extra]:
            if requirement.name == "htrjand":
                found += asked_for(sorted(requirement.extras), environment)
            else:
                found.append(requirement)
    return [one for one in found if one.marker is None or one.marker.evaluate(environment)]


def device(machine: str, python: str) -> dict[str, str]:
    """The environment of a Linux machine."""
    return dict(default_environment()) | {
        "platform_machine": machine, "python_version": python, "python_full_version": f"{python}.0",
        "sys_platform": "linux", "platform_system": "Linux", "os_name": "posix", "extra": "",
    }  # fmt: skip


def is_capped(requirements: list[Requirement], name: str) -> bool:
    return any(
        spec.operator in ("<", "<=", "==", "~=")
        for one in requirements
        if one.name.lower() == name
        for spec in one.specifier
    )


def underscored(path: Path) -> Iterator[str]:
    """Libraries that a file imports by a path with a leading underscore, or of which it uses such an attribute."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    names: dict[str, str] = {}  # as the file calls it -> library
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found = [(alias.asname or alias.name.split(".")[0], alias.name) for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and not node.level and node.module:
            found = [(alias.asname or alias.name, f"{node.module}.{alias.name}") for alias in node.names]
        else:
            continue
        for name, full in found:
            library, *parts = full.split(".")
            names[name] = library
            if any(part.startswith("_") for part in parts):
                yield library
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and node.attr.startswith("_") and not node.attr.startswith("__"):
            owner = ast.unparse(node.value).split(".")[0].split("(")[0]
            if owner in names:
                yield names[owner]


def test_libraries_whose_internals_we_use_have_an_upper_bound() -> None:
    requirements = asked_for(["all", "hub", "dev"], device("x86_64", "3.11"))
    known = {one.name.lower() for one in requirements}
    used = {library for path in SOURCES for library in underscored(path)}
    found = {OTHERWISE.get(library, library.replace("_", "-")) for library in used} & known
    assert "torch" in found  # torch._foreach_norm: or nothing is looked at
    assert not {name for name in found | set(INTERNALS) if not is_capped(requirements, name)}


def test_the_table_of_internals_is_of_what_the_code_uses() -> None:
    code = "\n".join(path.read_text(encoding="utf-8") for path in SOURCES)
    assert not {name: used for name, used in INTERNALS.items() if used not in code}


@pytest.mark.parametrize("machine, python", [("x86_64", "3.11"), ("aarch64", "3.13"), ("armv7l", "3.11")])
def test_every_bound_admits_the_version_it_was_tested_with(machine: str, python: str) -> None:
    environment = device(machine, python)
    pins = {
        one.name.lower(): next(iter(one.specifier)).version
        for one in PINNED
        if one.marker is None or one.marker.evaluate(environment)
    }
    extras = [] if machine == "armv7l" else ["all", "hub", "dev"]
    for one in asked_for(extras, environment):
        assert one.specifier.contains(pins[one.name.lower()]), f"{one}, tested with {pins[one.name.lower()]}"


def test_32_bit_arm_gets_the_engine_that_exists_there_and_the_numpy_it_needs() -> None:
    wanted = asked_for([], device("armv7l", "3.11"))
    assert {one.name for one in wanted} == {"click", "numpy", "Pillow", "tflite-runtime"}
    numpy = [one.specifier for one in wanted if one.name == "numpy"]
    assert all(one.contains("1.26.4") for one in numpy)
    assert not all(one.contains("2.0.0") for one in numpy)


def test_32_bit_arm_with_a_later_python_gets_no_engine_and_any_numpy() -> None:
    wanted = asked_for([], device("armv7l", "3.13"))
    assert {one.name for one in wanted} == {"click", "numpy", "Pillow"}
    assert all(one.specifier.contains("2.4.6") for one in wanted if one.name == "numpy")


@pytest.mark.parametrize("python", ["3.11", "3.13"])
def test_other_machines_get_onnxruntime_and_any_numpy(python: str) -> None:
    wanted = asked_for([], device("aarch64", python))
    assert {one.name for one in wanted} == {"click", "numpy", "onnxruntime", "Pillow"}
    assert all(one.specifier.contains("2.4.6") for one in wanted if one.name == "numpy")
