"""The `htrjand` command: a verb a function. Loading it loads click alone; a verb imports its part when it runs."""

from __future__ import annotations

import json
import os
import signal
import sys
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, TextIO

import click

from . import __version__
from .benchmarks.cli import bench
from .benchmarks.studies.cli import ablate
from .compress.cli import distill, prune, qat, quantize, search, sensitivity
from .export.cli import export, fit, prove
from .options import (
    FILE,
    OUTPUT_FOLDER,
    PATH,
    RECIPE,
    files_option,
    format_option,
    log,
    machine_options,
    warn,
)
from .train.cli import train
from .train.data.cli import data
from .train.lm.cli import lm
from .train.page.cli import detector

if TYPE_CHECKING:
    from .runtime import ModelInfo, Recognizer
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
            warn(f"{error.filename or 'a file'}: {error.strerror or error}; check the path, its permissions and space")
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
    train, detector, data, lm, distill, prune, qat, search, sensitivity, quantize, export, prove, ablate, bench,
)  # fmt: skip
for verb in OF_PARTS:
    main.add_command(verb)
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
@click.argument("images", nargs=-1, required=True, type=PATH)
@click.option("-m", "--model", type=PATH, help="A model file. Default: the bundled student.")
@format_option("txt", "json")
@click.option("-o", "--output", type=FILE, default="-", help="A file. Default: -, stdout.")
@click.option("--resume", is_flag=True, help="Go on with OUTPUT.part, which an interrupted run left.")
@click.option("--threads", type=click.IntRange(min=1), help="Threads to compute with. Default: one for each core.")
@click.option(
    "--lm", type=PATH, help="A language model (htrjand lm build). Default: the bundled one, for its languages."
)
@click.option("--no-lm", is_flag=True, help="Read each character by its image alone.")
@click.option("--beam", type=click.IntRange(min=1), default=12, show_default=True,
              help="Texts of a line followed at a time, with a language model.")  # fmt: skip
@click.option("--min-confidence", type=click.FloatRange(0, 1), metavar="C",
              help="Tell on stderr, and by \"check\": true in JSON, of lines with a word below C.")  # fmt: skip
@click.pass_context
def read(
    ctx: click.Context, images: tuple[Path, ...], model: Path | None, form: str, output: Path, resume: bool,
    threads: int | None, lm: Path | None, no_lm: bool, beam: int,
    min_confidence: float | None,
) -> None:  # fmt: skip
    """Read the text of line images.

    IMAGES are files of one line each, or folders of such files. Prints a line of text for an image, after its path and
    a tab where there are several. An image that cannot be read is named on stderr; the others are read all the same,
    and the exit status is 1.

    OUTPUT is written when all is read. Until then OUTPUT.part holds what is read so far, an image a line; --resume
    keeps that and reads the rest.
    """
    from .runtime import Recognizer, UsageError

    if lm and no_lm:
        raise UsageError("--lm and --no-lm ask for opposite things; give one of them")
    warnings.filterwarnings("ignore", module="PIL")  # of a file that is half broken: it is read, or an error tells why
    part = None if str(output) == "-" else part_of(output)
    done = earlier(part, form, resume)
    recognizer = Recognizer(model, threads, None if no_lm else lm or "bundled", beam)
    failed: list[Path] = []
    paths = expand(images, failed)
    if others := sorted(done.difference(map(str, paths))):
        raise UsageError(f"{part}: holds images that are not asked for now ({others[0]}); ask for them, or remove it")
    total = len(paths) + len(failed)
    with whole_file(None if part is None else output) as whole, terminable():
        try:
            with progress([path for path in paths if str(path) not in done], part is None) as shown:
                rows = read_each(recognizer, shown, form, done, failed, min_confidence)
                if part is None:
                    write_rows(sys.stdout, rows, form, several=total > 1)
                else:
                    append_rows(part, rows)
        except BaseException as error:
            if isinstance(error, BrokenPipeError):
                raise
            kept = f" and kept in {part}: the same command with --resume reads the rest" if part and done else ""
            if done or isinstance(error, KeyboardInterrupt):
                warn(f"stopped: {len(done)} of {total} images are read{kept}")
            if isinstance(error, KeyboardInterrupt):
                ctx.exit(128 + (error.args or (signal.SIGINT,))[0])
            raise
        finally:
            if part is not None and not done:
                part.unlink(missing_ok=True)
        if failed and total > 1:
            warn(f"{len(failed)} of {total} could not be read: {', '.join(map(str, failed))}")
        if not done:
            ctx.exit(1)  # inside the block: a file with nothing in it is not written
        if part is not None and whole is not None:
            with part.open(encoding="utf-8", newline="\n") as rows_read, whole.open("w", encoding="utf-8") as stream:
                write_rows(stream, (row.removesuffix("\n") for row in rows_read), form, several=total > 1)
    if part is not None:
        part.unlink()
    ctx.exit(1 if failed else 0)


@main.command()
@click.argument("files", nargs=-1, type=PATH)
@format_option("txt", "json")
@click.pass_context
def models(ctx: click.Context, files: tuple[Path, ...], form: str) -> None:
    """List the bundled models, or print what FILES say of themselves."""
    from .runtime import HtrjandError, Recognizer, bundled_models
    from .runtime.formats import format_of
    from .runtime.info import size_of

    paths = files or tuple(bundled_models())
    if not paths:
        raise HtrjandError("no model came with this installation; install htrjand again, or name a model file")
    found: list[tuple[Path, ModelInfo]] = []
    failed = False
    for path in paths:
        if not files and not format_of(path).is_installed():
            warn(f"{path}: to read it, install {' or '.join(format_of(path).libraries)}")
            continue
        try:
            found.append((path, Recognizer(path, 1, None).info))
        except HtrjandError as error:
            warn(error)
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
    fitted = description["language_model"] or {}
    description["language_model"] = [f"{key} {value}" for key, value in fitted.items()] or "not fitted to one"
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
            warn(f"{image}: the folder may not be listed ({error.strerror}); change its permissions")
            failed.append(image)
            continue
        if not inside:
            warn(f"{image}: no image file in this folder; name one with {', '.join(sorted(SUFFIXES))} files")
            failed.append(image)
        paths += inside
    return paths


def read_each(
    recognizer: Recognizer, paths: Iterable[Path], form: str, done: set[str], failed: list[Path],
    least: float | None = None,
) -> Iterator[str]:  # fmt: skip
    """Yields a row of each image that could be read, and adds it to `done`; warns of the others: these are `failed`.

    Where `least` is given, it warns too of lines with a word that is less sure, or with none and as a whole less sure.
    """
    from .runtime import HtrjandError

    for path in paths:
        try:
            line = recognizer.read_line(path)
        except HtrjandError as error:
            warn(error)
            failed.append(path)
        else:
            values = {"path": str(path)} | line.to_dict()
            if least is not None:
                doubtful = [word for word in line.words if word.confidence < least]
                values["check"] = bool(doubtful) or (not line.words and line.confidence < least)
                if values["check"]:
                    words = ", ".join(f"{word.text} ({word.confidence:.2f})" for word in doubtful)
                    warn(f"{path}: check {words or f'whether it is empty ({line.confidence:.2f})'}")
            yield json.dumps(values, ensure_ascii=False) if form == "json" else f"{path}\t{line.text}"
            done.add(str(path))  # when its row is written


def write_rows(stream: TextIO, rows: Iterable[str], form: str, several: bool) -> None:
    """Rows as they are printed: one JSON list, or a line of text an image, of several images after path and tab."""
    before, end = ("[\n", "[]\n") if form == "json" else ("", "")
    for row in rows:
        if form == "json":
            stream.write(before + row)
            before, end = ",\n", "\n]\n"
        else:
            stream.write(f"{row if several else row.rpartition(chr(9))[2]}\n")
        stream.flush()  # what is read is not lost with what follows
    stream.write(end)


def append_rows(part: Path, rows: Iterable[str]) -> None:
    """Rows as a part file keeps them: one a line, out of this process before the next image is read."""
    with part.open("a", encoding="utf-8", newline="\n") as stream:
        for row in rows:
            stream.write(f"{row}\n")
            stream.flush()


def part_of(output: Path) -> Path:
    """Where rows are kept until all are read: beside the file, under a name that stays the same."""
    final = Path(os.path.realpath(output))
    return final.with_name(f"{final.name}.part")


def earlier(part: Path | None, form: str, resume: bool) -> set[str]:
    """The images whose rows an interrupted run has left.

    Raises:
        UsageError: it left some and is not to be gone on with, its rows are of another format, or there is no file.
    """
    from .runtime.errors import UsageError

    if part is None:
        if resume:
            raise UsageError("--resume goes on with a file; name it by -o")
        return set()
    if not part.is_file():
        return set()
    if not resume:
        raise UsageError(f"{part}: holds what an interrupted run has read; go on with --resume, or remove it")
    text = part.read_bytes()
    whole = text.rfind(b"\n") + 1
    os.truncate(part, whole)  # a kill or a full disk may have cut off the last row
    try:
        return {path_of(row, form) for row in text[:whole].decode().split("\n")[:-1]}
    except ValueError as error:
        raise UsageError(f"{part}: its rows are not of -f {form}; give the -f that it was begun with") from error


def path_of(row: str, form: str) -> str:
    """The path of a row; a ValueError where it has none."""
    if form == "json":
        return str(json.loads(row)["path"])
    path, tab, _ = row.rpartition("\t")
    if not tab:
        raise ValueError("no tab")
    return path


@contextmanager
def whole_file(output: Path | None) -> Iterator[Path | None]:
    """A path to write to, which becomes `output` when the block ends without an error; None for none."""
    from .runtime.errors import HtrjandError
    from .runtime.files import atomic_path

    if output is None:
        yield None
        return
    try:
        with atomic_path(output) as whole:
            yield whole
    except OSError as error:
        raise HtrjandError(f"{output}: cannot be written ({error.strerror or error}); choose another file") from error


@contextmanager
def terminable() -> Iterator[None]:
    """SIGTERM ends the block as Ctrl-C does: by a KeyboardInterrupt, with the signal's number."""

    def stop(number: int, _: object) -> NoReturn:
        raise KeyboardInterrupt(number)

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


@contextmanager
def progress(paths: list[Path], to_stdout: bool) -> Iterator[Iterable[Path]]:
    """The paths behind a bar on stderr, where that is a terminal and the results do not go there too."""
    if not sys.stderr.isatty() or (to_stdout and sys.stdout.isatty()):
        yield paths
        return
    with click.progressbar(paths, label="reading", file=sys.stderr) as bar:
        yield bar
