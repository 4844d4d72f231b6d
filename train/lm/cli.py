"""`htrjand lm`: language models over characters, built, looked at, measured."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ...options import FILE, MAX_TIME, PATH, RECIPE, format_option, log

if TYPE_CHECKING:
    from ...runtime.decode.neural import NeuralLm
    from ...runtime.decode.ngram import Ngram


@click.group("lm")
def lm() -> None:
    """Build and look at language models over characters: n-grams, and neural ones."""


@lm.command()
@click.argument("texts", nargs=-1, required=True, type=PATH)
@click.option("-o", "--output", type=FILE, required=True, help="A .lm file.")
@click.option("--order", type=click.IntRange(2, 8), default=7, show_default=True, help="Characters of the longest.")
@click.option("--size", type=click.IntRange(1), default=1_300_000, show_default=True, help="N-grams to keep at most.")
@click.option("--lang", "languages", multiple=True, help="Of line files only lines of this language. Repeatable.")
@click.option("--exclude", multiple=True, help="A dataset of line files to leave out. Repeatable.")
@click.option("--lines-weight", type=click.FloatRange(0, min_open=True), default=10.0, show_default=True,
              help="How often a text of line files counts, against once for other text.")  # fmt: skip
@click.option("--split", "splits", type=click.Choice(["train", "val", "test"]), multiple=True, default=("train",),
              show_default=True, help="Of line files. Repeatable.")  # fmt: skip
@click.option("--evaluated-texts", is_flag=True, help="Allow val and test, for a file that nothing is measured with.")
@click.option("--licence", default="", help="What the file is to say of its licence.")
def build(
    texts: tuple[Path, ...], output: Path, order: int, size: int, languages: tuple[str, ...],
    exclude: tuple[str, ...], lines_weight: float, splits: tuple[str, ...], evaluated_texts: bool, licence: str,
) -> None:  # fmt: skip
    """Count texts into a character n-gram.

    TEXTS are UTF-8 files (.gz and .xz too), and line files (.parquet) or folders of them. Figures measured with the
    help of the texts they are measured on are worth nothing: of line files only train is taken, unless val or test is
    named with --split and allowed; the file then says so.
    """
    from ...runtime.errors import UsageError
    from .build import LmRecipe
    from .build import build as build_lm

    if set(splits) != {"train"} and not evaluated_texts:
        raise UsageError("--split: figures measured on val and test would be worthless; --evaluated-texts allows it")
    recipe = LmRecipe(
        order=order, size=size, lines_weight=lines_weight, splits=splits, languages=languages, exclude=exclude,
        name=output.stem, licence=licence,
    )  # fmt: skip
    about = build_lm(texts, output, recipe, log)
    click.echo(f"{output}: {sum(about['ngrams']):,} n-grams, {output.stat().st_size:,} bytes")


@lm.command()
@click.argument("texts", nargs=-1, required=True, type=PATH)
@click.option("--words", "listed", type=PATH, required=True,
              help="A word a line, and its frequency, where it has one.")  # fmt: skip
@click.option("-o", "--output", type=FILE, required=True, help="A text file.")
@click.option("--share", type=click.FloatRange(0, 1, min_open=True), default=0.9, show_default=True,
              help="Of the words that may be replaced, those that are.")  # fmt: skip
@click.option("--keep", type=click.IntRange(0), default=1500, show_default=True,
              help="So many of the commonest words of TEXTS stay.")  # fmt: skip
@click.option("--power", type=click.FloatRange(0, 1), default=0.6, show_default=True,
              help="Of the frequencies that words are drawn with: 1 as listed, 0 all alike.")  # fmt: skip
@click.option("--seed", type=click.IntRange(0), default=1, show_default=True)
def words(
    texts: tuple[Path, ...], listed: Path, output: Path, share: float, keep: int, power: float, seed: int
) -> None:  # fmt: skip
    """Write prose with words of a list in it.

    For those who have names and words that a language model should know, and no texts that hold them: rarer words of
    TEXTS (UTF-8 files; .gz and .xz too) give place to words of the list that have the same case, and begin and end
    alike. Count the result besides other text (`htrjand lm build`), or let a neural model learn from it (`htrjand lm
    train`).
    """
    import numpy as np

    from ...runtime.files import atomic_path
    from .words import Words, with_words

    random = np.random.default_rng(seed)
    found = Words(listed, power, random)
    with atomic_path(output) as part, part.open("w", encoding="utf-8") as file:
        file.writelines(f"{line}\n" for line in with_words(texts, found, share, keep, random))
    click.echo(f"{listed}: {found.count:,} words, {found.passed:,} other lines passed over")
    click.echo(f"{output}: {output.stat().st_size:,} bytes")


@lm.command("train")
@RECIPE
@click.option("-o", "--output", type=FILE, required=True, help="A .nlm file; FILE.nlm.run is the folder of the run.")
@MAX_TIME
def train(recipe: Path, output: Path, max_time: float | None) -> None:
    """Train a neural language model as RECIPE (YAML) says. A run that was cut off goes on where it was saved."""
    from ...runtime.errors import UsageError
    from ..precision import kept_memory
    from ..recipe_loader import load_recipe
    from .neural import train as train_lm
    from .neural import write
    from .neural_recipe import NeuralLmRecipe

    if output.suffix != ".nlm":
        raise UsageError(f"{output}: a neural language model is a .nlm file; give it that suffix")
    run = output.with_name(f"{output.name}.run")
    kept_memory()
    network, texts, found = train_lm(load_recipe(NeuralLmRecipe, recipe), recipe, run, max_time, log)
    write(network, texts, found, output)
    click.echo(f"{output}: {output.stat().st_size:,} bytes")


@lm.command()
@click.argument("file", type=PATH, required=False)
@format_option("txt", "json")
def show(file: Path | None, form: str) -> None:
    """Print what a language model says of itself: FILE, or the bundled one."""
    from ...runtime.recognizer import bundled_ngram
    from ...runtime.text import json_text, printable

    model = opened(file) if file else bundled_ngram()
    about: dict[str, Any] = {"path": str(model.path), "bytes": model.path.stat().st_size} | model.about
    del about["arrays"], about["seal"]
    if form == "json":
        click.echo(json_text(about, indent=1))
        return
    characters: list[str] = about["characters"]
    about["characters"] = f"{len(characters)} with the beginning of a line: {''.join(characters)}"
    for key, value in about.items():
        if isinstance(value, dict):
            value = [f"{name}: {item}" for name, item in value.items()]
        shown = printable(", ".join(map(str, value)) if isinstance(value, list) else value)
        click.echo(f"{key:<16}{shown}")


@lm.command()
@click.argument("file", type=PATH)
@click.argument("text", type=PATH)
@click.option("--split", type=click.Choice(["train", "val", "test"]), default="val", show_default=True,
              help="Of line files.")  # fmt: skip
def score(file: Path, text: Path, split: str) -> None:
    """Print how many bits a character of a text costs: fewer are better."""
    from ...runtime.errors import HtrjandError
    from .texts import is_lines, prose, transcriptions

    lines = list(transcriptions(text, (split,)) if is_lines(text) else prose(text))
    bits, characters = opened(file).bits(lines)
    if not characters:
        raise HtrjandError(f"{text}: no text; name another file")
    click.echo(f"{text}: {bits / characters:.3f} bits a character, {characters:,} characters")


def opened(file: Path) -> Ngram | NeuralLm:
    """A language model of either kind."""
    from ...runtime.decode.arrays import is_neural
    from ...runtime.decode.neural import NeuralLm
    from ...runtime.decode.ngram import Ngram

    return NeuralLm(file) if is_neural(file) else Ngram(file)
