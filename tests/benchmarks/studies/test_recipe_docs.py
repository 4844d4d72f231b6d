from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from click.testing import CliRunner

from htrjand.benchmarks.studies.recipe_docs import default_of, described, keys_without_meaning, main

PAGE = Path(__file__).parents[3] / "docs" / "recipes.md"


@dataclass(frozen=True)
class Inner:
    """What the inner recipe is for.

    More of it.
    """

    size: int = 3  # in pixels


@dataclass(frozen=True)
class Outer:
    """A recipe with every way to describe a key."""

    name: str  # begins the names of the files
    # what comes above a key
    # describes it, in as many lines as it takes
    above: float = 0.5
    long: tuple[str, ...] = (
        "a",
        "b",
    )  # after the last line
    inner: Inner = field(default_factory=lambda: Inner(size=4))
    other: Inner = field(default_factory=Inner)  # another one
    bare: int = 1


def test_the_page_is_what_the_command_writes(tmp_path):
    written = tmp_path / "recipes.md"
    done = CliRunner().invoke(main, [str(written)], catch_exceptions=False)
    assert done.exit_code == 0
    assert written.read_text(encoding="utf-8") == PAGE.read_text(encoding="utf-8"), (
        "run: python -m htrjand.benchmarks.studies.recipe_docs docs/recipes.md"
    )


def test_every_key_says_what_it_means():
    assert not list(keys_without_meaning())


def test_meanings_are_read_from_comments_and_docstrings():
    assert described(Outer) == {
        "name": "begins the names of the files",
        "above": "what comes above a key describes it, in as many lines as it takes",
        "long": "after the last line",
        "inner": "What the inner recipe is for.",
        "other": "another one",
    }


def test_defaults_are_written_as_yaml():
    defaults = {name: default_of(of) for name, of in Outer.__dataclass_fields__.items()}
    assert defaults == {
        "name": "required",
        "above": "`0.5`",
        "long": "`[a, b]`",
        "inner": "its defaults, but `size: 4`",
        "other": "its defaults",
        "bare": "`1`",
    }
