"""What a release needs beside `htrjand run`, so that nothing is copied by hand: `make release` calls it twice.

python -m htrjand.benchmarks.studies.release cards train/recipes/release.yaml   # before the run
python -m htrjand.benchmarks.studies.release files runs/release                 # after it
"""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import click
import yaml

from ... import __version__
from ...export.proof import proof_path
from ...pipeline_recipe import PipelineRecipe
from ...runtime import Recognizer
from ...runtime.errors import HtrjandError, UsageError
from ...runtime.files import atomic_path
from ...runtime.formats import parts_of
from ...runtime.info import sha256
from ...train.checkpoint import load_card, save_card
from ...train.data.lines import LineRow, data_dir, read_lines, spread
from ...train.reader import open_weights, read_rows
from ...train.recipe_loader import load_recipe

ROOT = Path(__file__).resolve().parents[2]
MODELS = ROOT / "runtime" / "models"
GUARD = ROOT / "tests" / "released.yaml"
SAMPLE = ROOT / "benchmarks" / "sample" / "sample.parquet"
GUARDED = ("copiste", "cremma-mss-19", "dhsd", "peraire", "poilus")  # whose validation lines the guard reads
LICENCE = "Apache-2.0; trained on lines under CC BY 4.0, attribution in train/weights/README.md"
LANGUAGES = ("fr", "en", "de")
SUMS = re.compile(r"(```text\n).*?(```)", re.DOTALL)


@click.group()
def main() -> None:
    """Put a release together."""


@main.command()
@click.argument("recipe", type=click.Path(exists=True, dir_okay=False, path_type=Path))
def cards(recipe: Path) -> None:
    """Write names, version, languages, licence and CER on test lines into the cards of RECIPE's weights."""
    stages = load_recipe(PipelineRecipe, recipe)
    if stages.teacher is None or not (stages.teacher.weights and stages.student.weights and stages.bench):
        raise UsageError(f"{recipe}: a release names the weights of teacher and student, and the lines of bench")
    family = stages.name.removesuffix("-student")
    for kind, name in (("teacher", stages.teacher.weights), ("student", stages.student.weights)):
        path = recipe.resolve().parent / name
        rows = [row for row in read_lines(data_dir() / "lines", "test") if row.dataset in stages.bench.datasets]
        reading = read_rows(open_weights(path), rows)
        card = replace(
            load_card(path), name=f"{family}-{kind}", version=__version__, languages=LANGUAGES, licence=LICENCE,
            cer={dataset: round(reading.cer(dataset), 2) for dataset in stages.bench.datasets},
        )  # fmt: skip
        save_card(path, card)
        click.echo(f"{path.name}: {card.cer}")


@main.command()
@click.argument("run", type=click.Path(exists=True, file_okay=False, path_type=Path))
def files(run: Path) -> None:
    """Copy the int8 files of RUN with their proofs into the package; write their sums, and what they must read."""
    made = [path for path in sorted(run.glob("*-int8.*")) if proof_path(path).is_file()]
    if not made:
        raise HtrjandError(f"{run}: no int8 file with its proof in it; it is the folder that `htrjand run` wrote")
    for path in made:
        for part in (*parts_of(path), proof_path(path)):
            with atomic_path(MODELS / part.name) as copy:
                copy.write_bytes(part.read_bytes())
    write_sums()
    with atomic_path(GUARD) as part:
        part.write_text(
            "# Written by `python -m htrjand.benchmarks.studies.release files RUN`: CER in percent, read as it ships.\n"
            + yaml.safe_dump({path.name: read_guard(MODELS / path.name) for path in made}, sort_keys=False),
            encoding="utf-8",
        )
    click.echo(GUARD.read_text(encoding="utf-8"))


def write_sums() -> None:
    """The list of SHA-256 in the README of the bundled files."""
    suffixes = {".bin": 0, ".lm": 1, ".nlm": 2, ".onnx": 3, ".tflite": 4, ".xml": 5}
    found = sorted(
        (path for path in MODELS.iterdir() if path.suffix in suffixes),
        key=lambda path: (suffixes[path.suffix], path.name),
    )
    lines = "".join(f"{sha256(path)}  {path.name}\n" for path in found)
    readme = MODELS / "README.md"
    text = SUMS.sub(lambda match: match[1] + lines + match[2], readme.read_text(encoding="utf-8"), count=1)
    with atomic_path(readme) as part:
        part.write_text(text, encoding="utf-8")


def read_guard(path: Path) -> dict[str, Any]:
    """CER in percent of a file on the guard's lines, greedily and with the bundled n-gram."""
    found: dict[str, Any] = {}
    for name, rows in guard_lines().items():
        greedy, spoken = (read_rows(Recognizer(path, 1, lm), rows).cer() for lm in (None, "bundled"))
        found[name] = {"greedy": round(greedy, 2), "with language": round(spoken, 2)}
    return found


def guard_lines() -> dict[str, list[LineRow]]:
    """The bundled sample and, where the data folder is at hand, 200 validation lines of real hands."""
    lines = {"sample": list(read_lines(SAMPLE))}
    try:
        folder = data_dir() / "lines"
    except UsageError:
        return lines
    chosen = [folder / f"{name}.parquet" for name in GUARDED]
    return lines | {"validation": spread(read_lines(chosen, "val"), 200)}


if __name__ == "__main__":
    main()
