"""Every command of the documentation exists: its verb, options, module, target and files. Quick ones are run."""

from __future__ import annotations

import io
import os
import re
import shutil
import tomllib
from collections.abc import Callable, Iterator
from contextlib import redirect_stderr, redirect_stdout
from importlib import import_module
from itertools import pairwise
from pathlib import Path

import click
import pytest
import yaml
from click.testing import CliRunner
from shell_commands import Command, blocks, commands, python_imports, spans

from htrjand.cli import main

ROOT = Path(__file__).resolve().parents[1]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
PAGES += [ROOT / "train" / "weights" / "README.md", ROOT / "benchmarks" / "sample" / "README.md"]
RECIPES = sorted((ROOT / "train" / "recipes").glob("*.yaml"))
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
EXTRAS = PROJECT["project"]["optional-dependencies"]
KEPT = (ROOT / "train" / "weights", ROOT / "runtime" / "models")  # where files are that training begins from
TARGETS = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
FOLDERS = ("runtime/", "train/", "compress/", "export/", "benchmarks/", "tests/", "docs/")
QUICK = {("read",), ("models",), ("data", "import"), ("data", "audit"), ("data", "show")}


@pytest.fixture
def check(monkeypatch: pytest.MonkeyPatch) -> Callable[[Command], None]:
    """Raises an AssertionError for a command that could not be given, by the parsers of the commands themselves."""
    monkeypatch.setattr(click.Command, "invoke", lambda *_: None)  # parsed to the end, and not run

    def parse(command: click.Command, words: Command) -> None:
        try:
            with redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
                command.main([word for word in words if word != "…"], standalone_mode=False)
        except (click.MissingParameter, click.exceptions.NoArgsIsHelpError) as error:
            assert "…" in words, error.format_message()
        except click.UsageError as error:
            raise AssertionError(error.format_message()) from error

    def check(command: Command) -> None:
        words = list(command)
        if words[0] == "make":
            targets = [word for word in words[1:] if "=" not in word]
            assert set(targets) <= TARGETS, f"make has no {targets}"
        elif words[:2] == ["pip", "install"]:
            asked = {extra for word in words for names in re.findall(r"\[(.*)\]", word) for extra in names.split(",")}
            assert asked <= set(EXTRAS), f"no extra {asked}"
        elif words[0] == "pytest":
            check_files(command)
        elif words[0] == "htrjand":
            parse(main, command[1:])
            check_files(command)
        elif module := next((b for a, b in pairwise(words) if a == "-m" and b.startswith("htrjand")), None):
            rest = command[words.index(module) + 1 :]
            check_files(rest)
            if module == "htrjand":
                parse(main, rest)
                return
            loaded = import_module(module)
            assert 'if __name__ == "__main__":' in Path(str(loaded.__file__)).read_text(encoding="utf-8"), module
            if isinstance(getattr(loaded, "main", None), click.Command):
                parse(loaded.main, rest)
            else:
                assert not [word for word in rest if word.startswith("-")], f"{module} takes no options"

    return check


def check_files(command: Command) -> None:
    """What a command reads of this repository is there."""
    for before, word in pairwise(("", *command)):
        if word.startswith(FOLDERS) and before not in ("-o", "--output"):
            assert list(ROOT.glob(word)), f"no file {word}"


def of(page: Path, folder: Path) -> Iterator[Command]:
    """Every command of a page; one that stands in the text may leave out what it needs."""
    text = page.read_text(encoding="utf-8")
    for block in blocks(text):
        yield from commands(block, folder)
    for span in spans(text):
        if span.startswith(("htrjand ", "make ", "pip install ", "python -m ", ".venv/bin/")):
            yield from ((*command, "…") for command in commands(span, folder) if command[0] != "make")
            yield from (command for command in commands(span, folder) if command[0] == "make")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_command_of_a_page_is_one_that_there_is(
    page: Path, check: Callable[[Command], None], tmp_path: Path
) -> None:
    for command in of(page, tmp_path):
        try:
            check(command)
        except AssertionError as error:
            raise AssertionError(f"{page.name}: {' '.join(command)}: {error}") from error


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_what_a_page_names_is_there(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    for module, name in python_imports(text):
        assert not module.startswith("htrjand") or hasattr(import_module(module), name), f"{module} has no {name}"
    for span in spans(text):
        if span.startswith(FOLDERS) and " " not in span and not span.endswith(".parquet"):
            assert list(ROOT.glob(span.partition(":")[0].rstrip("/"))), f"{page.name}: no {span}"  # file:function


def test_the_pages_have_the_commands_that_they_are_known_for(tmp_path: Path) -> None:
    """Or the tests above would pass where the extractor finds nothing."""
    found = {command[:2] for page in PAGES for command in of(page, tmp_path)}
    assert {("htrjand", name) for name in main.commands} <= found
    assert {("make", "test"), ("make", "fonts"), ("pip", "install"), ("torchrun", "--nnodes")} <= found


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda recipe: recipe.stem)
def test_a_recipe_begins_from_weights_that_every_clone_has(
    recipe: Path, check: Callable[[Command], None], tmp_path: Path
) -> None:
    text = recipe.read_text(encoding="utf-8")

    def named(values: object) -> Iterator[str]:
        if isinstance(values, dict):
            yield from (str(values[key]) for key in ("begin", "teacher", "weights") if isinstance(values.get(key), str))
            for value in values.values():
                yield from named(value)

    for name in named(yaml.safe_load(text)):
        path = (recipe.parent / name).resolve()
        assert path.is_file() and path.parent in KEPT, f"{recipe.name}: no {name}"
    comments = "\n".join(re.findall(r"htrjand [^`\n]*-o [^`\s;]+[^`\n;:]*", text))
    for command in commands(comments, tmp_path):
        check(command)
    assert "htrjand " not in text or comments or "docs/" in text, f"{recipe.name}: its command is not seen"


def test_weights_that_a_command_begins_from_come_with_the_package(tmp_path: Path) -> None:
    """A name for `--from` is one of released weights, and a wheel has no others than those listed to ship."""
    shipped = {
        path.stem
        for pattern in PROJECT["tool"]["setuptools"]["package-data"]["htrjand.train"]
        for path in (ROOT / "train").glob(pattern)
        if path.suffix == ".safetensors"
    }
    for page in PAGES:
        for command in of(page, tmp_path):
            for option, name in pairwise(command):
                assert option != "--from" or name in shipped or name.endswith(".safetensors"), (page.name, name)
    option = next(param for param in main.commands["train"].params if param.name == "begin")
    told = set(re.findall(r"\b(student|teacher)\b", str(option.help)))  # type: ignore[attr-defined]
    assert told == shipped


def test_lines_are_drawn_into_a_folder_where_recipes_look(tmp_path: Path) -> None:
    names = set(re.findall(r"[\w-]+\.parquet", "".join(recipe.read_text(encoding="utf-8") for recipe in RECIPES)))
    drawn = [command for page in PAGES for command in of(page, tmp_path) if command[:3] == ("htrjand", "data", "synth")]
    outputs = [Path(word) for command in drawn for before, word in pairwise(command) if before == "-o"]
    assert {str(output.parent) for output in outputs} == {
        "/home/you/handwriting",
        "train/recipes",
    }  # HTRJAND_DATA, beside them
    assert {output.name for output in outputs} <= names


def test_the_quick_commands_of_the_readme_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In their order, in a folder with what a clone has, and a stranger's pages."""
    for name in ("benchmarks", "runtime", "train"):
        (tmp_path / name).symlink_to(ROOT / name)
    for path in sorted((ROOT / "benchmarks" / "sample" / "lines").iterdir()):
        page = tmp_path / "my-pages" / f"page-{path.name[:2]}"
        page.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, page)
    monkeypatch.chdir(tmp_path)
    ran = []
    for block in blocks((ROOT / "README.md").read_text(encoding="utf-8")):
        for command in commands(block, tmp_path):
            words = [word.replace("/home/you/handwriting", str(tmp_path / "data")) for word in command[1:]]
            verb = next((verb for verb in QUICK if tuple(words[: len(verb)]) == verb), None)
            if command[0] == "htrjand" and verb:
                done = CliRunner().invoke(main, words)
                assert done.exit_code == 0, f"{' '.join(words)}: {done.output}"
                ran.append(verb)
    assert set(ran) == QUICK
    assert {"lines.json", "sheet.png"} <= {path.name for path in tmp_path.iterdir()}
    assert os.listdir(tmp_path / "data" / "lines") == ["mine.parquet"]


PAGE = """
Text with `htrjand read x.png -z` and `make
tset` and *no* command: `-o`.

```sh
htrjand read a.png \\
  --no-such  # htrjand not this
for f in onnx xml; do htrjand quantize e.$f -o e8.$f; done
```

    W=w.safetensors; htrjand export $W -o x.onnx && nice -n 19 .venv/bin/python -m htrjand train r.yaml -o out

A recipe:

    data:
      files: [lines]
"""


def test_commands_are_found_where_they_stand(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(PAGE, encoding="utf-8")
    assert list(of(page, tmp_path)) == [
        ("htrjand", "read", "a.png", "--no-such"),
        ("htrjand", "quantize", "e.onnx", "-o", "e8.onnx"),
        ("htrjand", "quantize", "e.xml", "-o", "e8.xml"),
        ("htrjand", "export", "w.safetensors", "-o", "x.onnx"),
        ("nice", "-n", "19", "python", "-m", "htrjand", "train", "r.yaml", "-o", "out"),
        ("htrjand", "read", "x.png", "-z", "…"),
        ("make", "tset"),
    ]
    with pytest.raises(ValueError, match="syntax error"):
        commands("for f in onnx; htrjand read", tmp_path)


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ("htrjand nonsense x.png", "No such command"),
        ("htrjand read x.png --lines 3", "No such option"),
        ("htrjand data synth -o x.parquet --fonts f --lines 3", "No such option"),
        ("htrjand run recipe.yaml -o out --max-time 2h", "No such option"),
        ("htrjand qat recipe.yaml -o out --device cpu", "No such option"),
        ("htrjand bench report", "Missing argument"),
        ("htrjand prove model.onnx", "Missing option"),
        ("htrjand read x.png -f doc", "is not one of"),
        ("htrjand train train/recipes/none.yaml -o out", "no file train/recipes/none.yaml"),
        ("python -m htrjand.train.data.coverage western --wrong", "No such option"),
        ("python -m htrjand.train.checkpoint a b --wrong", "takes no options"),
        ("python -m htrjand.train.data.lines", "htrjand.train.data.lines"),
        ("torchrun -m htrjand train recipe.yaml", "Missing option"),
        ("make nonsense", "make has no"),
        ("pip install '.[nonsense]'", "no extra"),
        (".venv/bin/pytest tests/none", "no file tests/none"),
    ],
)
def test_a_wrong_command_is_found(check: Callable[[Command], None], tmp_path: Path, wrong: str, says: str) -> None:
    [command] = commands(wrong, tmp_path)
    with pytest.raises(AssertionError, match=says):
        check(command)
