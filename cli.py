"""The `htrjand` command: a verb a function. Loading it loads click alone; a verb imports its part when it runs."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from . import __version__
from .benchmarks.cli import bench
from .benchmarks.studies.cli import ablate
from .compress.cli import distill, prune, qat, quantize, search, sensitivity
from .export.cli import export, export_corrector, fit, prove
from .options import (
    OUTPUT_FOLDER,
    PATH,
    RECIPE,
    files_option,
    format_option,
    log,
    machine_options,
    warn,
)
from .runtime.archive.cli import archive
from .runtime.cli import read
from .train.cli import train
from .train.correct.cli import correct
from .train.data.cli import data
from .train.lm.cli import lm
from .train.page.cli import detector

if TYPE_CHECKING:
    from .train.fit import Machine

# The extras of pyproject.toml -> what is imported of each. A verb's own extra comes first, then the first that has it.
EXTRAS = {
    "train": ("defusedxml", "lightning", "pyarrow", "rapidfuzz", "safetensors", "tensorboard", "torch", "yaml"),
    "export": ("onnx", "onnxscript"),
    "litert": ("ai_edge_litert",),
    "openvino": ("openvino",),
    "tensorflow": ("ai_edge_quantizer", "flatbuffers", "tensorflow"),
    "compress": ("neural_compressor", "nncf", "torch_pruning", "torchao"),
    "bench": ("pyarrow", "rapidfuzz", "rapidocr"),
    "pdf": ("pypdfium2",),
    "hub": ("datasets",),
    "correct": ("transformers",),
    "archive": ("fsspec", "pyarrow", "ray"),
}


class Verbs(click.Group):
    """Makes one line on stderr and an exit status of what a user can meet: bad input, files, a missing library."""

    def invoke(self, ctx: click.Context) -> Any:
        from .runtime.errors import HtrjandError  # here, so that --help and --version need no numpy

        try:
            return super().invoke(ctx)
        except HtrjandError as error:
            warn(error)
            ctx.exit(error.exit_status)
        except OSError as error:
            if isinstance(error, BrokenPipeError):
                raise
            name, said = error.filename or "the output", error.strerror or error
            warn(f"{name}: {said}; check the path, its permissions and space")
            ctx.exit(1)
        except ModuleNotFoundError as error:
            if error.name is None or error.name.startswith("htrjand"):
                raise
            extra = extra_of(error.name.partition(".")[0], ctx.invoked_subcommand or "")
            warn(f"{error.name} is not installed, and this verb needs it: pip install 'htrjand[{extra}]'")
            ctx.exit(1)


def extra_of(module: str, verb: str) -> str:
    """The extra that brings a module to a verb."""
    if module in EXTRAS.get(verb, ()):
        return verb
    return next((extra for extra, modules in EXTRAS.items() if module in modules), "all")


@click.group(cls=Verbs, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__)
def main() -> None:
    """Handwritten text recognition for small machines: train, compress, export, read, measure."""


OF_PARTS = (
    train, detector, data, lm, correct, distill, prune, qat, search, sensitivity, quantize, export, prove, read,
    archive, ablate, bench,
)  # fmt: skip
for verb in OF_PARTS:
    main.add_command(verb)
correct.add_command(export_corrector)
lm.add_command(fit)  # it writes model files: a matter of export, which train does not know


@main.command()
@RECIPE
@files_option("In place of the recipe's.")
@OUTPUT_FOLDER
@machine_options
def run(recipe: Path, files: tuple[Path, ...], output: Path, machine: Machine) -> None:
    """Run all of a recipe, from lines to proven, measured files.

    Trains, distils, prunes, quantises, exports, proves and measures as RECIPE (YAML) says, into OUTPUT. What is done is
    not done again. A stage that breaks its budget stops the run.
    """
    from dataclasses import replace

    from .pipeline import Pipeline
    from .pipeline_recipe import PipelineRecipe
    from .train.recipe_loader import load_recipe

    loaded = load_recipe(PipelineRecipe, recipe)
    if files:
        names = tuple(str(path.resolve()) for path in files)
        loaded = replace(loaded, data=replace(loaded.data, files=names, val_files=()))
    for path in Pipeline(loaded, recipe, output, machine, log).run():
        click.echo(path)


@main.command()
@click.argument("files", nargs=-1, type=PATH)
@format_option("txt", "json")
@click.pass_context
def models(ctx: click.Context, files: tuple[Path, ...], form: str) -> None:
    """List the bundled models and language models, or print what FILES say of themselves."""
    from .runtime import HtrjandError, bundled_models
    from .runtime.formats import format_of
    from .runtime.recognizer import bundled_neural, bundled_ngram
    from .runtime.text import json_text, printable

    paths = files or tuple(bundled_models())
    if not paths:
        raise HtrjandError("no model came with this installation; install htrjand again, or name a model file")
    found: list[dict[str, Any]] = []
    failed = False
    for path in paths:
        if not files and not format_of(path).is_installed():
            warn(f"{path}: to read it, install {' or '.join(format_of(path).libraries)}")
            continue
        try:
            if not os.path.lexists(path):
                raise HtrjandError(f"{path}: no such file; check the path")
            found.append(describe(path))
        except HtrjandError as error:
            warn(error)
            failed = True
    if form == "json":
        click.echo(json_text(found, indent=1))
    elif files:
        if found:
            click.echo("\n\n".join(map(block, found)))
    else:
        for item in found:
            name, place = printable(f"{item['name']} {item['version']}"), printable(item["path"])
            click.echo(f"{name}\t{item['kind']}\t{item['precision']}\t{item['bytes']:,} bytes\t{place}")
        for kind, model in (("n-gram", bundled_ngram()), ("neural language model", bundled_neural())):
            name, place = printable(f"{model.about['name']} {model.about['version']}"), printable(str(model.path))
            click.echo(f"{name}\t{kind}\t\t{model.path.stat().st_size:,} bytes\t{place}")
    ctx.exit(int(failed))


def describe(path: Path) -> dict[str, Any]:
    """A model file's path, size, kind and all its metadata as plain values; it is opened, so what is bad is found."""
    from dataclasses import asdict

    from .runtime.info import size_of
    from .runtime.kinds import kind_name, open_any

    model = open_any(path, 1)
    about = {"path": str(path), "bytes": size_of(path), "kind": kind_name(model.info)}
    texts = {key: model.session.metadata.get(key, "") for key in ("format", "preprocessing", "seal")}
    return about | {"format": texts.pop("format")} | asdict(model.info) | texts


def block(description: dict[str, Any]) -> str:
    """A description for a reader: a key and its value a line."""
    from .runtime.text import printable

    if "charset" in description:
        description["charset"] = f"{len(description['charset'])} classes: {''.join(description['charset'])}"
    if "cer" in description:
        fitted = description["language_model"] or {}
        description["language_model"] = [f"{key} {value}" for key, value in fitted.items()] or "not fitted to one"
        description["cer"] = [f"{name} {percent} %" for name, percent in description["cer"].items()]
    elif "found" in description:
        description["found"] = [f"{name} {pair[0]} and {pair[1]} %" for name, pair in description["found"].items()]
    rows = {key: ", ".join(value) if isinstance(value, list | tuple) else value for key, value in description.items()}
    return "\n".join(f"{key:<16}{printable(value)}" for key, value in rows.items())
