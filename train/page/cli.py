"""`htrjand detector`: the network that finds lines on pages, trained and measured."""

from __future__ import annotations

from pathlib import Path

import click

from ...options import DATASETS, FILE, OUTPUT_FOLDER, PATH, RECIPE, log


@click.group("detector")
def detector() -> None:
    """Train and measure the network that finds the lines of pages."""


@detector.command("train")
@RECIPE
@OUTPUT_FOLDER
@click.option("--from", "begin", type=FILE, help="Begin from these weights (.safetensors).")
@click.option("--data", "folder", type=PATH, help="Where the recipe's files lie. Default: HTRJAND_DATA.")
@click.option("--workers", type=click.IntRange(0), default=1, show_default=True, help="Processes that make crops.")
def train(recipe: Path, output: Path, begin: Path | None, folder: Path | None, workers: int) -> None:
    """Train a detector as RECIPE (YAML) says, into OUTPUT. A run that was cut off goes on where it was saved."""
    from ..data.lines import data_dir
    from ..recipe_loader import load_recipe
    from .fit import train_detector
    from .recipe import DetectorTrainRecipe

    loaded = load_recipe(DetectorTrainRecipe, recipe)
    train_detector(loaded, recipe, output, data_folder=folder or data_dir(), begin=begin, workers=workers, log=log)
    click.echo(output / "weights.safetensors")


@detector.command("score")
@click.argument("file", type=FILE)
@click.option("-i", "--input", "files", multiple=True, type=PATH, help="A Parquet file of pages, or a folder of them. "
              "Repeatable. Default: pagepacks/ in HTRJAND_DATA.")  # fmt: skip
@DATASETS
@click.option("--exclude", multiple=True, help="A dataset to leave out. Repeatable.")
@click.option("--split", type=click.Choice(["train", "val", "test"]), default="val", show_default=True)
@click.option("--card", is_flag=True, help="Write the figures into the card beside FILE, for what is made from it.")
def score(
    file: Path, files: tuple[Path, ...], datasets: tuple[str, ...], exclude: tuple[str, ...], split: str, card: bool
) -> None:
    """Print how many lines of pages FILE finds at an overlap (IoU) of one half, and how many of what it finds are one.

    FILE is a model file, or weights (.safetensors).
    """
    from ...runtime.errors import UsageError
    from ..data.lines import data_dir
    from .card import save_scores
    from .measure import ALL, chosen_pages, score_pages, table
    from .session import open_detector

    if card and (split != "test" or file.suffix != ".safetensors"):
        raise UsageError("--card: a card is that of weights (.safetensors), and its figures those of --split test")
    pages = chosen_pages(files or [data_dir() / "pagepacks"], split, datasets, exclude)
    scores = score_pages(open_detector(file).detect, pages)
    if not scores[ALL].true:
        raise UsageError(f"no line of the split {split} in the files; name others with -i, --split or --dataset")
    if card:
        save_scores(file, scores)
    click.echo(table(scores))
