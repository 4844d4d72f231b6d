"""Every key of every recipe, for the docs.

    python -m htrjand.benchmarks.studies.recipe_docs docs/recipes.md

All of it is read from the dataclasses. The meaning of a key is the comment at the end of its line, or the comment lines
directly above it; of a key that holds another recipe, the first line of that recipe's docstring will do.
"""

from __future__ import annotations

import ast
import dataclasses
import inspect
import io
import json
import textwrap
import tokenize
from collections.abc import Iterator
from pathlib import Path
from types import NoneType
from typing import Any, get_args, get_origin, get_type_hints

import click

from ...compress.distill import DistillRecipe
from ...compress.joint import JointRecipe
from ...compress.prune import PruneRecipe
from ...compress.qat import QatRecipe
from ...compress.quantize.recipe import QuantizeRecipe
from ...pipeline_recipe import PipelineRecipe
from ...runtime.files import atomic_path
from ...train.correct.recipe import CorrectRecipe
from ...train.lm.neural_recipe import NeuralLmRecipe
from ...train.page.recipe import DetectorTrainRecipe
from ...train.recipe import TrainRecipe
from .ablate import AblateRecipe

ROOTS: tuple[tuple[str, type], ...] = (  # of each command
    ("htrjand train", TrainRecipe),
    ("htrjand distill", DistillRecipe),
    ("python -m htrjand.compress.joint", JointRecipe),
    ("htrjand prune", PruneRecipe),
    ("htrjand lm train", NeuralLmRecipe),
    ("htrjand correct train", CorrectRecipe),
    ("htrjand qat", QatRecipe),
    ("htrjand ablate", AblateRecipe),
    ("htrjand run", PipelineRecipe),
    ("htrjand quantize", QuantizeRecipe),
    ("htrjand detector train", DetectorTrainRecipe),
)
BAR = "\\|"  # as a cell of a Markdown table holds it
BY_OPTIONS = ("htrjand quantize",)  # commands that take no YAML file: their recipe's keys are options
HEAD = """# Every key of every recipe

Written by `python -m htrjand.benchmarks.studies.recipe_docs docs/recipes.md` from the dataclasses; edit those, not
this page.

A recipe is a YAML file. A key that is not listed here is an error, as is a value of another type; a key that is left
out has its default. Paths are relative to the recipe; files of lines that are not there are looked for in
`HTRJAND_DATA`. `none` is written `null` in YAML.
"""


def recipes_page() -> str:
    """The page, as Markdown."""
    roots = [cls for _, cls in ROOTS]
    places = holders(roots)
    lines = [HEAD, "| command | its recipe |", "|---|---|"]
    for command, cls in ROOTS:
        lines.append(f"| `{command} {'…' if command in BY_OPTIONS else 'RECIPE'}` | {link(cls)} |")
    for cls in with_nested(roots):
        lines += ["", f"## {cls.__name__}", "", first_line(cls), ""]
        lines += [f"Taken by {', '.join(taken_by(cls, places))}.", ""]
        lines += ["| key | type | default | meaning |", "|---|---|---|---|"]
        meanings, hints = described(cls), get_type_hints(cls)
        for field in dataclasses.fields(cls):
            cells = (f"`{field.name}`", type_name(hints[field.name]), default_of(field), meanings.get(field.name, ""))
            lines.append(f"| {' | '.join(cell.replace('|', BAR) for cell in cells)} |")
    return "\n".join(lines) + "\n"


def keys_without_meaning() -> list[str]:
    """The keys that nothing describes, as `Recipe.key`."""
    recipes = with_nested([cls for _, cls in ROOTS])
    return [
        f"{cls.__name__}.{f.name}" for cls in recipes for f in dataclasses.fields(cls) if f.name not in described(cls)
    ]


def nested(hint: Any) -> type | None:
    """The recipe that a type hint holds: the class itself, or within an optional, a list or a mapping."""
    if dataclasses.is_dataclass(hint):
        return hint  # type: ignore[return-value]
    return next((found for part in get_args(hint) if (found := nested(part))), None)


def with_nested(roots: list[type]) -> list[type]:
    """Recipes and those they hold, each once: what a recipe holds comes right after it."""
    found: dict[type, None] = {}

    def visit(cls: type) -> None:
        if cls not in found:
            found[cls] = None
            for hint in get_type_hints(cls).values():
                if inner := nested(hint):
                    visit(inner)

    for root in roots:
        visit(root)
    return list(found)


def holders(roots: list[type]) -> dict[type, list[str]]:
    """Recipe -> the keys that hold it, as Markdown."""
    places: dict[type, list[str]] = {}
    for cls in with_nested(roots):
        for name, hint in get_type_hints(cls).items():
            if inner := nested(hint):
                places.setdefault(inner, []).append(f"the key `{name}` of {link(cls)}")
    return places


def taken_by(cls: type, places: dict[type, list[str]]) -> Iterator[str]:
    """The commands and the keys that take a recipe."""
    for command, root in ROOTS:
        if root is cls:
            yield f"`{command}`{' as options' if command in BY_OPTIONS else ''}"
    yield from places.get(cls, [])


def described(cls: type) -> dict[str, str]:
    """Key -> its meaning, of those keys that have one."""
    source = textwrap.dedent(inspect.getsource(cls))
    comments: dict[int, str] = {}
    alone: set[int] = set()  # lines that hold nothing but a comment
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT:
            comments[token.start[0]] = token.string.lstrip("# ").rstrip()
            if not token.line[: token.start[1]].strip():
                alone.add(token.start[0])
    meanings = {name: first_line(inner) for name, hint in get_type_hints(cls).items() if (inner := nested(hint))}
    (definition,) = ast.parse(source).body
    assert isinstance(definition, ast.ClassDef)
    for node in definition.body:
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            last = node.end_lineno or node.lineno
            above: list[str] = []
            line = node.lineno - 1
            while line in alone:
                above.insert(0, comments[line])
                line -= 1
            if meaning := comments.get(last, " ".join(above)):
                meanings[node.target.id] = meaning
    return meanings


def first_line(cls: type) -> str:
    """The first line of a recipe's docstring."""
    return (inspect.getdoc(cls) or "").partition("\n")[0]


def type_name(hint: Any) -> str:
    """A type as a reader of YAML knows it."""
    parts = [part for part in get_args(hint) if part not in (NoneType, Ellipsis)]
    if NoneType in get_args(hint):
        return f"{type_name(parts[0])}, or none"
    if get_origin(hint) is tuple:
        return f"list of {type_name(parts[0])}"
    if get_origin(hint) is dict:
        return f"{type_name(parts[1])} for each name"
    return link(hint) if nested(hint) else str(hint.__name__)


def default_of(field: dataclasses.Field[Any]) -> str:
    """The default as YAML; of another recipe what differs from that recipe's own defaults."""
    if field.default is not dataclasses.MISSING:
        return code(field.default)
    if field.default_factory is dataclasses.MISSING:
        return "required"
    value = field.default_factory()
    if not dataclasses.is_dataclass(value):
        return code(value)
    changed = [
        f"`{f.name}: {as_yaml(getattr(value, f.name))}`"
        for f in dataclasses.fields(value)
        if getattr(value, f.name) != default_value(f)
    ]
    return f"its defaults, but {', '.join(changed)}" if changed else "its defaults"


def default_value(field: dataclasses.Field[Any]) -> Any:
    """What a field holds where nothing is said."""
    return field.default if field.default_factory is dataclasses.MISSING else field.default_factory()


def code(value: Any) -> str:
    return f"`{as_yaml(value)}`" if value is not None else "none"


def as_yaml(value: Any) -> str:
    """A plain value as YAML in one line."""
    if isinstance(value, tuple | list):
        return f"[{', '.join(map(as_yaml, value))}]"
    return value if isinstance(value, str) and value else json.dumps(value, ensure_ascii=False)


def link(cls: type) -> str:
    return f"[{cls.__name__}](#{cls.__name__.lower()})"


@click.command()
@click.argument("output", type=click.Path(dir_okay=False, path_type=Path))
def main(output: Path) -> None:
    """Write the page of recipes to OUTPUT."""
    with atomic_path(output) as part:
        part.write_text(recipes_page(), encoding="utf-8")


if __name__ == "__main__":
    main()
