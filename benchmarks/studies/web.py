"""What the page of docs/examples/web reads in a headless Chromium, beside what the package reads here.

    npm ci --ignore-scripts --prefix docs/examples/web
    node docs/examples/web/build.mjs build/examples/web
    python -m htrjand.benchmarks.studies.web build/examples/web -i lines/

Every line is read greedily and with the language model. Why the texts of an int8 file differ: `web_layers.py`.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import click
import onnx
import onnxruntime  # type: ignore[import-untyped]
from PIL import Image

from ...compress.quantize.onnx_graph import pool_means
from ...runtime import HtrjandError, Recognizer, UsageError
from ...runtime.bundled import bundled_in
from ...runtime.engines.onnx import OnnxSession
from ...runtime.files import atomic_path
from ...runtime.recognizer import BUNDLED
from ...runtime.seal import seal
from ...train.data.error_rates import cer, compare
from ...train.data.lines import data_dir, read_lines, spread

EXAMPLE = Path(__file__).resolve().parents[2] / "docs" / "examples" / "web"
EXACT = "session.x64quantprecision"  # sums that do not saturate, also on x86 without VNNI
PATH = click.Path(path_type=Path)
KINDS = ("greedy", "language")
COLOURS = 128  # of the picture for the docs

Texts = dict[str, list[str]]  # of each kind


class Quiet(SimpleHTTPRequestHandler):
    """The server of `python -m http.server`, without its log."""

    def log_message(self, format: str, *arguments: Any) -> None: ...


@contextmanager
def served(site: Path) -> Iterator[str]:
    """The address under which a folder is served meanwhile."""
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(site))) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()


def browser() -> str | None:
    """The Chromium that there is; None where there is none."""
    named = os.environ.get("CHROMIUM")
    return named or next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


def browse(site: Path, task: str, *arguments: str | Path, line: str = "") -> dict[str, Any]:
    """What docs/examples/web/check.mjs tells of the page in a folder, see there.

    Args:
        line: another line reader than the page's own, as a path in the folder.

    Raises:
        HtrjandError: it fails.
    """
    with served(site) as address:
        command = ["node", str(EXAMPLE / "check.mjs"), address, task, *map(str, arguments)]
        environment = os.environ | {"CHROMIUM": browser() or "", "LINE": line}
        done = subprocess.run(command, env=environment, capture_output=True, text=True, encoding="utf-8", check=False)
    if done.returncode:
        raise HtrjandError(f"{EXAMPLE / 'check.mjs'}: {done.stderr.strip()}")
    told: dict[str, Any] = json.loads(done.stdout)
    return told


def exact_session(path: Path) -> OnnxSession:
    """An ONNX file on one thread, whose int8 sums do not saturate on any processor."""
    session, options = OnnxSession(path, 1), onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = 1, 4
    options.add_session_config_entry(EXACT, "1")
    session.session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    return session


def exact_reader(path: Path) -> Recognizer:
    """A line reader over such a session."""
    reader = Recognizer(path, 1)
    reader.session = exact_session(path)
    return reader


def read_here(reader: Recognizer, images: Sequence[Path]) -> Texts:
    """The texts of line images, greedy and with the language model."""
    language = reader.language
    found: Texts = {}
    for kind in KINDS:
        reader.language = language if kind == "language" else None
        found[kind] = [reader.read_line(image).text for image in images]
    reader.language = language
    return found


def read_there(site: Path, model: Path, images: Sequence[Path]) -> Texts:
    """The same in the browser."""
    if (copy := site / "models" / model.name) != model:
        shutil.copy(model, copy)
    told = browse(site, "read", *images, line=f"models/{model.name}")
    return {kind: ["".join(card["lines"]) for card in told[kind]] for kind in KINDS}


def pooled(model: Path, folder: Path) -> Iterator[Path]:
    """A copy of an int8 file that has means in their old form, with those that such files get now."""
    copy = onnx.load(model)
    if {"ReduceMean", "QuantizeLinear"} <= {node.op_type for node in copy.graph.node}:
        pool_means(copy)
        onnx.save(copy, folder / f"{model.stem}-pooled.onnx")
        seal(folder / f"{model.stem}-pooled.onnx")
        yield folder / f"{model.stem}-pooled.onnx"


def cer_of(texts: Sequence[str], read: Sequence[str]) -> float:
    """The edits between texts and what was read, in percent of the characters of the texts."""
    return cer([compare(*pair) for pair in zip(texts, read, strict=True)])


def row(name: str, read: Texts, exact: Texts, texts: Sequence[str]) -> str:
    """A row of the table."""
    cells = [name]
    for kind in KINDS:
        equal = sum(one == other for one, other in zip(read[kind], exact[kind], strict=True))
        cells += [str(equal), f"{cer_of(exact[kind], read[kind]):.2f}", f"{cer_of(texts, read[kind]):.2f}"]
    return f"| {' | '.join(cells)} |"


def picture(site: Path, out: Path) -> None:
    """The page after it read the bundled page, as PNG in few colours."""
    with tempfile.TemporaryDirectory() as folder:
        browse(site, "use", Path(folder) / "page.png")
        image = Image.open(Path(folder) / "page.png").convert("RGB")
        with atomic_path(out) as part:
            image.quantize(COLOURS, dither=Image.Dither.NONE).save(part, "PNG", optimize=True)


@click.command()
@click.argument("site", type=PATH)
@click.option("-i", "--input", "files", multiple=True, type=PATH, help="Lines. Repeatable. Default: of HTRJAND_DATA.")
@click.option("--split", type=click.Choice(("train", "val", "test")), default="val", show_default=True)
@click.option("--limit", type=click.IntRange(1), default=100, show_default=True, help="Lines, drawn at random.")
@click.option("-m", "--model", "models", multiple=True, type=PATH, help="An ONNX file. Repeatable. Default: bundled.")
@click.option("--picture", "shown", type=PATH, help="Write a picture of the page here, and read no lines.")
def main(
    site: Path, files: tuple[Path, ...], split: str, limit: int, models: tuple[Path, ...], shown: Path | None
) -> None:
    """Print how many lines SITE reads as onnxruntime does with exact sums, and the CER of all, as a table.

    A file that was quantised before means were pooled (compress/quantize/onnx.py) is read as it is, and with that.
    """
    if not (site / "index.html").is_file() or browser() is None:
        raise UsageError(f"{site}: no page, or no Chromium; see docs/embedding.md on how to make and have them")
    if shown is not None:
        picture(site, shown)
        return
    rows = spread(read_lines(files or (data_dir() / "lines",), split), limit)
    bundled = bundled_in(BUNDLED, ".onnx")
    click.echo(f"| {len(rows)} lines | equal, greedy | apart, % | CER, % | equal, with n-gram | apart, % | CER, % |")
    click.echo("|---|" + "---:|" * 2 * len(KINDS) + "---:|" * len(KINDS))
    with tempfile.TemporaryDirectory() as folder:
        images = [Path(folder) / f"{number:04}.png" for number in range(len(rows))]
        for image, line in zip(images, rows, strict=True):
            Image.fromarray(line.pixels()).save(image)
        texts = [line.text for line in rows]
        given = models or tuple(filter(None, (bundled,)))
        for model in [file for path in given for file in (path, *pooled(path, Path(folder)))]:
            exact = read_here(exact_reader(model), images)
            click.echo(row(f"{model.name}, onnxruntime, exact sums", exact, exact, texts))
            click.echo(row(f"{model.name}, onnxruntime", read_here(Recognizer(model, 1), images), exact, texts))
            click.echo(row(f"{model.name}, the page", read_there(site, model, images), exact, texts))


if __name__ == "__main__":
    try:
        main()
    except HtrjandError as problem:
        raise SystemExit(f"web: {problem}") from problem
