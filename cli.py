"""The `htrjand` command: one verb a function, which imports its part of the package only when it runs."""

from __future__ import annotations

import json
import sys
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

import click

from . import __version__

if TYPE_CHECKING:
    from .runtime import Line, ModelInfo, Recognizer

# Verbs whose options stand in their own part: verb -> (module with a click command of that name, one line of help).
PARTS = {
    "train": ("train.cli", "Train a network as a recipe says."),
    "data": ("train.data.cli", "Import, audit, show and synthesise lines of handwriting."),
    "distill": ("compress.cli", "Train a small student with a teacher, and a control without."),
    "prune": ("compress.cli", "Take channels out of a network, and let its teacher teach what is left."),
    "qat": ("compress.quantize_cli", "Fine-tune a network to bear eight bits."),
    "search": ("compress.quantize_cli", "Find what has to stay in float, or whether to fine-tune."),
    "sensitivity": ("compress.quantize_cli", "Tell what each layer loses in eight bits."),
    "quantize": ("compress.cli", "Write an int8 edition of a float file, proven within its budget."),
    "export": ("export.cli", "Write weights as ONNX, OpenVINO or TFLite, proven equal to them."),
    "prove": ("export.cli", "Hold a model file against the weights it was made from."),
    "ablate": ("benchmarks.studies.cli", "Train variants without one part each, and compare them."),
    "bench": ("benchmarks.cli", "Measure error, speed, size and memory of models and peers."),
}


class Verbs(click.Group):
    """Imports a part when its verb is called; makes one line on stderr and an exit status of an `HtrjandError`."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        name, command, rest = super().resolve_command(ctx, args)
        if name in PARTS:
            command = getattr(import_module(f".{PARTS[name][0]}", __package__), name)
        return name, command, rest

    def invoke(self, ctx: click.Context) -> Any:
        from .runtime.errors import HtrjandError  # here, so that --help and --version need no numpy

        try:
            return super().invoke(ctx)
        except HtrjandError as error:
            complain(error)
            ctx.exit(error.exit_status)
        except OSError as error:
            if isinstance(error, BrokenPipeError):
                raise
            complain(
                f"{error.filename or 'a file'}: {error.strerror or error}; check the path, its permissions and space"
            )
            ctx.exit(1)
        except ModuleNotFoundError as error:
            if error.name is None or error.name.startswith("htrjand"):
                raise
            complain(f"{error.name} is not installed, and this verb needs it: pip install 'htrjand[all]'")
            ctx.exit(1)


@click.group(cls=Verbs, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__)
def main() -> None:
    """Handwritten text recognition for small machines: train, compress, export, read, measure."""


for verb, (_, line_of_help) in PARTS.items():
    main.add_command(click.Command(verb, help=line_of_help))  # `resolve_command` puts the real one in its place


@main.command()
@click.argument("images", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("-m", "--model", type=click.Path(path_type=Path), help="A model file. Default: the bundled student.")
@click.option("-f", "--format", "form", type=click.Choice(["txt", "json"]), default="txt", show_default=True)
@click.option("-o", "--output", type=click.Path(dir_okay=False), default="-", help="A file. Default: -, stdout.")
@click.option("--threads", type=click.IntRange(min=1), help="Threads to compute with. Default: one for each core.")
@click.pass_context
def read(
    ctx: click.Context, images: tuple[Path, ...], model: Path | None, form: str, output: str, threads: int | None
) -> None:
    """Read text lines: IMAGES are files of one line each, or folders of such files.

    Prints a line of text for an image, after its path and a tab where there are several. An image that cannot be read
    is named on stderr; the others are read all the same, and the exit status is 1.
    """
    from .runtime import Recognizer

    warnings.filterwarnings("ignore", module="PIL")  # of a file that is half broken: it is read, or an error tells why
    recognizer = Recognizer(model, threads)
    failed: list[Path] = []
    paths = expand(images, failed)
    total = len(paths) + len(failed)
    with output_stream(output) as stream, progress(paths, output) as shown:
        readings = read_each(recognizer, shown, failed)
        if form == "json":
            write_json(stream, readings)
        else:
            write_text(stream, readings, several=total > 1)
        if failed and total > 1:
            complain(f"{len(failed)} of {total} could not be read: {', '.join(map(str, failed))}")
        if len(failed) == total:
            ctx.exit(1)  # inside the block: a file with nothing in it is not written
    ctx.exit(1 if failed else 0)


@main.command()
@click.argument("files", nargs=-1, type=click.Path(path_type=Path))
@click.option("-f", "--format", "form", type=click.Choice(["txt", "json"]), default="txt", show_default=True)
@click.pass_context
def models(ctx: click.Context, files: tuple[Path, ...], form: str) -> None:
    """List the bundled model files, or print what model FILES say of themselves."""
    from .runtime import HtrjandError, bundled_models
    from .runtime.engines import LIBRARIES, is_installed, open_engine
    from .runtime.info import size_of

    paths = files or tuple(bundled_models())
    if not paths:
        raise HtrjandError("no model came with this installation; install htrjand again, or name a model file")
    found: list[tuple[Path, ModelInfo]] = []
    failed = False
    for path in paths:
        if not files and not is_installed(path.suffix):
            complain(f"{path}: to read it, install {' or '.join(LIBRARIES[path.suffix])}")
            continue
        try:
            found.append((path, open_engine(path, threads=1).info))
        except HtrjandError as error:
            complain(error)
            failed = True
    if form == "json":
        click.echo(json.dumps([describe(path, info) for path, info in found], ensure_ascii=False, indent=1))
    elif files:
        click.echo("\n\n".join(block(describe(path, info)) for path, info in found))
    else:
        for path, info in found:
            click.echo(f"{info.name} {info.version}\t{info.precision}\t{size_of(path):,} bytes\t{path}")
    ctx.exit(int(failed))


def describe(path: Path, info: ModelInfo) -> dict[str, Any]:
    """A model file's path, size and description as plain values."""
    from dataclasses import asdict

    from .runtime.info import size_of

    return {"path": str(path), "bytes": size_of(path)} | asdict(info)


def block(description: dict[str, Any]) -> str:
    """A description for a reader: a key and its value a line."""
    description["charset"] = f"{len(description['charset'])} classes: {''.join(description['charset'])}"
    description["cer"] = [f"{name} {percent} %" for name, percent in description["cer"].items()]
    rows = {key: ", ".join(value) if isinstance(value, list | tuple) else value for key, value in description.items()}
    return "\n".join(f"{key:<16}{value}" for key, value in rows.items())


def expand(images: Iterable[Path], failed: list[Path]) -> list[Path]:
    """The images themselves, and in the place of a folder the image files in it, sorted; folders without any fail."""
    from .runtime.image import SUFFIXES

    paths: list[Path] = []
    for image in images:
        if not image.is_dir():
            paths.append(image)
            continue
        try:
            inside = sorted(path for path in image.iterdir() if path.suffix.lower() in SUFFIXES and path.name[0] != ".")
        except OSError as error:
            complain(f"{image}: the folder may not be listed ({error.strerror}); change its permissions")
            failed.append(image)
            continue
        if not inside:
            complain(f"{image}: no image file in this folder; name one with {', '.join(sorted(SUFFIXES))} files")
            failed.append(image)
        paths += inside
    return paths


def read_each(recognizer: Recognizer, paths: Iterable[Path], failed: list[Path]) -> Iterator[tuple[Path, Line]]:
    """Yields what could be read; complains of the others and adds them to `failed`."""
    from .runtime import HtrjandError

    for path in paths:
        try:
            line = recognizer.read_line(path)
        except HtrjandError as error:
            complain(error)
            failed.append(path)
        else:
            yield path, line


def write_text(stream: TextIO, readings: Iterable[tuple[Path, Line]], several: bool) -> None:
    """One line of text an image; of several images each after its path and a tab."""
    for path, line in readings:
        stream.write(f"{path}\t{line.text}\n" if several else f"{line.text}\n")
        stream.flush()  # what is read is not lost with what follows


def write_json(stream: TextIO, readings: Iterable[tuple[Path, Line]]) -> None:
    """A list of objects, one image a line."""
    before, end = "[\n", "[]\n"
    for path, line in readings:
        stream.write(before + json.dumps({"path": str(path)} | line.to_dict(), ensure_ascii=False))
        before, end = ",\n", "\n]\n"
    stream.write(end)


@contextmanager
def output_stream(output: str) -> Iterator[TextIO]:
    """Standard output for `-`; else a file, which is there only when it is whole."""
    from .runtime.errors import HtrjandError
    from .runtime.files import atomic_path

    if output == "-":
        yield sys.stdout
        return
    try:
        with atomic_path(output) as part, part.open("w", encoding="utf-8") as stream:
            yield stream
    except OSError as error:
        raise HtrjandError(f"{output}: cannot be written ({error.strerror or error}); choose another file") from error


@contextmanager
def progress(paths: list[Path], output: str) -> Iterator[Iterable[Path]]:
    """The paths behind a bar on stderr, where that is a terminal and the results do not go there too."""
    if not sys.stderr.isatty() or (output == "-" and sys.stdout.isatty()):
        yield paths
        return
    with click.progressbar(paths, label="reading", file=sys.stderr) as bar:
        yield bar


def complain(problem: object) -> None:
    """One line on stderr."""
    click.echo(f"htrjand: {' '.join(str(problem).split())}", err=True)


@main.command("run")
@click.argument("recipe", type=click.Path(path_type=Path))
@click.option("-i", "--input", "files", multiple=True, type=click.Path(path_type=Path), help="In place of its lines.")
@click.option("-o", "--output", type=click.Path(file_okay=False, path_type=Path), required=True, help="A folder.")
@click.option("--device", type=click.Choice(["auto", "cpu", "gpu"]), default="auto", show_default=True)
@click.option("--devices", type=click.IntRange(1), default=1, show_default=True, help="GPUs, or CPU processes.")
@click.option("--nodes", type=click.IntRange(1), default=1, show_default=True, help="Machines of the run.")
@click.option("--workers", type=click.IntRange(0), default=1, show_default=True, help="Processes that decode.")
def run(
    recipe: Path, files: tuple[Path, ...], output: Path, device: str, devices: int, nodes: int, workers: int
) -> None:
    """Do all that RECIPE (YAML) says: train, distil, prune, quantise, export, prove and measure, into OUTPUT.

    What is done is not done again. A stage that breaks its budget stops the run.
    """
    from dataclasses import replace

    from .pipeline import Pipeline
    from .pipeline_recipe import PipelineRecipe
    from .train.fit import Machine
    from .train.recipe_loader import load_recipe

    loaded = load_recipe(PipelineRecipe, recipe)
    if files:
        names = tuple(str(path.resolve()) for path in files)
        loaded = replace(loaded, data=replace(loaded.data, files=names, val_files=()))
    machine = Machine(device, devices, nodes, workers, progress=sys.stderr.isatty())
    for path in Pipeline(loaded, recipe, output, machine, lambda text: click.echo(text, err=True)).run():
        click.echo(path)
