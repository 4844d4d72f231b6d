"""How CER changes when lines are resized, converted to grey and padded by other code than the runtime's, or scanned
with fewer pixels.

    python -m htrjand.benchmarks.studies.pixels --pages pagepacks/copiste.parquet -i lines/copiste.parquet

Lines of page images are cut out in colour, at the size they have there; the same are read four times as large besides,
as if scanned at a high resolution. Each is read as the runtime prepares it, then in the ways below. Lines of Parquet
files (`-i`) are 64 rows high and grey already, so that padding alone varies, and how many rows they had in the scan.
Needs OpenCV, of the extra `bench`.
"""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw

from ...runtime import HtrjandError, Recognizer, UsageError
from ...runtime.decode import decode_greedy
from ...runtime.decode.beam import decode_beam
from ...runtime.files import atomic_path
from ...runtime.image import HEIGHT, MAX_WIDTH, WIDTH_MULTIPLE, Grey, load_line, paper_grey
from ...runtime.text import json_text
from ...train.data.error_rates import LineErrors, cer, compare, difference_interval

Pixels = npt.NDArray[np.uint8]  # H, W or H, W, 3
MARKS = "<>[^~¥"  # editorial marks: the text of a line with one of them is not what the image shows
ENLARGED, GRAIN = 4, 12  # times; standard deviation of the grain, in grey levels
INKS = (20, 20, 25), (30, 40, 140), (90, 60, 40), (150, 30, 40)  # RGB: black, blue, brown, red
PAPERS = (255, 255, 255), (240, 225, 185), (205, 215, 235)  # white, yellowed, bluish


@dataclass(frozen=True)
class Line:
    """A line to read: its pixels, uint8 [H, W, 3] or [64, W], and its text."""

    pixels: Pixels
    text: str


@dataclass(frozen=True)
class Way:
    """How other code prepares a line; `dropped`: and decodes only the frames that the line itself fills."""

    prepare: Callable[[Pixels, np.random.Generator], Grey]  # → [64, W]
    dropped: bool = False


def resized(method: str) -> Way:
    """A line at 64 rows, by one of OpenCV's ways."""

    def prepare(pixels: Pixels, rng: np.random.Generator) -> Grey:
        import cv2

        grey = weighed_grey(pixels)
        size = (max(1, round(grey.shape[1] * HEIGHT / grey.shape[0])), HEIGHT)
        return np.asarray(cv2.resize(grey, size, interpolation=getattr(cv2, method)), np.uint8)

    return Way(prepare)


def opencv_recipe(pixels: Pixels, rng: np.random.Generator) -> Grey:
    """The recipe of docs/pixels.md: an average over the pixels that become one, twice; and nothing to pad.

    INTER_AREA is one such average, a blur by its deviation (1/√12 of its length) the other; both make the triangle.
    """
    import cv2

    grey = weighed_grey(pixels)
    times = grey.shape[0] / HEIGHT
    size = (max(1, round(grey.shape[1] / times / WIDTH_MULTIPLE)) * WIDTH_MULTIPLE, HEIGHT)
    if times > 1:
        grey = np.asarray(cv2.GaussianBlur(grey, (0, 0), 0.29 * times), np.uint8)
    return np.asarray(cv2.resize(grey, size, interpolation=cv2.INTER_AREA if times > 1 else cv2.INTER_LINEAR), np.uint8)


def weighed_grey(pixels: Pixels) -> Grey:
    """Grey by the weights of BT.601, as the runtime makes it: [H, W, 3] → [H, W]."""
    return pixels if pixels.ndim == 2 else np.asarray(Image.fromarray(pixels).convert("L"))


def mean_grey(pixels: Pixels) -> Grey:
    """The plain mean of red, green and blue: [H, W, 3] → [H, W]."""
    return pixels if pixels.ndim == 2 else pixels.mean(axis=2).round().astype(np.uint8)


def padded(grey: str, share: float = 0.0, more: int = 0, dropped: bool = False) -> Way:
    """A line with columns of a grey: a share of its width and `more` of them, then up to a multiple of 16."""

    def prepare(pixels: Pixels, rng: np.random.Generator) -> Grey:
        line = load_line(pixels)  # 64, W
        value = {"paper": paper_grey(line), "white": 255, "black": 0, "any grey": int(rng.integers(256))}[grey]
        wanted = line.shape[1] * (1 + share) + more
        width = min(MAX_WIDTH, -(-round(wanted) // WIDTH_MULTIPLE) * WIDTH_MULTIPLE)
        return np.pad(line, ((0, 0), (0, width - line.shape[1])), constant_values=value)

    return Way(prepare, dropped)


def stretched(pixels: Pixels, rng: np.random.Generator) -> Grey:
    """A line at 64 rows, as wide as the multiple of 16 nearest to the width it should have: nothing is padded."""
    image = Image.fromarray(weighed_grey(pixels))
    columns = max(1, round(image.width * HEIGHT / image.height / WIDTH_MULTIPLE)) * WIDTH_MULTIPLE
    return np.asarray(image.resize((columns, HEIGHT), Image.Resampling.BILINEAR, reducing_gap=2.0))


def coarse(rows: int, quality: int | None = None) -> Way:
    """A line as cut from a scan in which it has so many rows; `quality`: and which was kept as WebP."""

    def prepare(pixels: Pixels, rng: np.random.Generator) -> Grey:
        line = Image.fromarray(load_line(pixels))  # 64, W
        small = line.resize((max(1, round(line.width * rows / HEIGHT)), rows), Image.Resampling.BOX)
        if quality is not None:
            file = io.BytesIO()
            small.save(file, "WEBP", quality=quality)
            small = Image.open(file).convert("L")
        return np.asarray(small.resize(line.size, Image.Resampling.BILINEAR), np.uint8)

    return Way(prepare)


RESIZING: dict[str, Way] = {
    "OpenCV's `INTER_LINEAR`": resized("INTER_LINEAR"),
    "OpenCV's `INTER_CUBIC`": resized("INTER_CUBIC"),
    "OpenCV's `INTER_AREA`": resized("INTER_AREA"),
    "the OpenCV recipe": Way(opencv_recipe),
}
GREY: dict[str, Way] = {
    "grey as the mean of red, green and blue": Way(lambda pixels, rng: load_line(mean_grey(pixels))),
    "grey as the green channel": Way(lambda pixels, rng: load_line(np.ascontiguousarray(pixels[..., 1]))),
    "grey as the brightest channel": Way(lambda pixels, rng: load_line(pixels.max(axis=2))),
}
PADDING: dict[str, Way] = {
    "stretched to the nearest multiple of 16": Way(stretched),
    "the OpenCV recipe": Way(opencv_recipe),
    "padded with white to a multiple of 16": padded("white"),
    "padded with black to a multiple of 16": padded("black"),
    "padded with any grey to a multiple of 16": padded("any grey"),
    "padded with paper by 25 % of the width": padded("paper", 0.25),
    "padded with paper by 512 columns": padded("paper", 0, 512),
    "padded with white by 512 columns": padded("white", 0, 512),
    "padded with black by 512 columns": padded("black", 0, 512),
    "padded with paper by 512 columns, frames behind the line dropped": padded("paper", 0, 512, True),
}
ROWS = 48, 40, 32, 24, 16
COARSE: dict[str, Way] = {f"{rows} rows in the scan": coarse(rows) for rows in ROWS} | {
    f"{rows} rows, as WebP of quality 50": coarse(rows, 50) for rows in ROWS
}


def page_lines(path: Path, split: str) -> Iterator[Line]:
    """The lines of pages of a split, in colour; pixels outside their outline take the paper's colour.

    Args:
        path: Parquet, a row a page: split, image (encoded), lines (JSON: a list with `polygon` and `text`).

    Raises:
        HtrjandError: it is no such file.
    """
    import pyarrow.parquet as pq

    try:
        rows = pq.read_table(path, columns=["image", "lines"], filters=[("split", "=", split)]).to_pylist()
    except (OSError, ValueError, KeyError) as error:
        raise HtrjandError(f"{path}: not a Parquet file of pages ({error}); name one") from error
    for row in rows:
        with Image.open(io.BytesIO(row["image"])) as image:
            pixels = np.asarray(image.convert("RGB"))  # H, W, 3
        for line in json.loads(row["lines"]):
            if line["text"].strip() and not set(MARKS) & set(line["text"]):
                yield Line(cropped(pixels, line["polygon"]), line["text"])


def cropped(pixels: Pixels, outline: Sequence[Sequence[float]]) -> Pixels:
    """The bounding box of an outline [H, W, 3]; pixels outside the outline take the colour of its paper."""
    across, down = np.asarray(outline, np.float64).T
    left, top = max(0, int(across.min())), max(0, int(down.min()))
    box = pixels[top : int(down.max()) + 1, left : int(across.max()) + 1]  # H, W, 3
    mask = Image.new("1", (box.shape[1], box.shape[0]))
    ImageDraw.Draw(mask).polygon([(x - left, y - top) for x, y in outline], fill=1)
    inside = np.asarray(mask)
    paper = np.percentile(box[inside], 80, axis=0).astype(np.uint8)  # 3
    return np.where(inside[:, :, None], box, paper)


def scanned(line: Line, rng: np.random.Generator) -> Line:
    """A line as a scan of a high resolution has it: four times as large, its strokes' edges sharp again, with grain."""
    height, width = line.pixels.shape[:2]
    large = Image.fromarray(line.pixels).resize((width * ENLARGED, height * ENLARGED), Image.Resampling.LANCZOS)
    sharp = np.asarray(large, np.float32)
    soft = np.asarray(large.reduce(ENLARGED).resize(large.size, Image.Resampling.BILINEAR), np.float32)
    grain = rng.normal(0, GRAIN, (*sharp.shape[:2], 1)).astype(np.float32)
    return Line((2 * sharp - soft + grain).clip(0, 255).round().astype(np.uint8), line.text)


def coloured(line: Line, rng: np.random.Generator) -> Line:
    """A line in an ink and on a paper of two colours drawn at random; the pages of the data are grey, or nearly."""
    ink, paper = INKS[rng.integers(len(INKS))], PAPERS[rng.integers(len(PAPERS))]
    grey = weighed_grey(line.pixels)[:, :, None] / 255  # H, W, 1
    return Line((np.array(ink) + (np.array(paper) - np.array(ink)) * grey).round().astype(np.uint8), line.text)


def stored_lines(files: Sequence[Path], split: str, limit: int) -> Iterator[Line]:
    """At most `limit` lines of a split of each file, without those with editorial marks."""
    from ...train.data.lines import read_lines, spread

    for file in files:
        rows = (row for row in read_lines(file, split) if not set(MARKS) & set(row.text))
        for row in spread(rows, limit):
            yield Line(row.pixels(), row.text)


def texts_of(reader: Recognizer, lines: Sequence[Grey], widths: Sequence[int | None]) -> tuple[list[str], list[str]]:
    """What is read of lines [64, W], greedily and with the reader's n-gram; of `widths` columns alone where given."""
    logits = reader.logits(lines)
    logits = [
        frames if width is None else frames[: -(-width // reader.info.frame_stride)]
        for frames, width in zip(logits, widths, strict=True)
    ]
    sizes = [(line.shape[1], line.shape[1]) for line in lines]
    greedy = [decode_greedy(frames, reader.info, *size).text for frames, size in zip(logits, sizes, strict=True)]
    if reader.language is None:
        return greedy, greedy
    return greedy, [line.text for line in decode_beam(logits, reader.info, reader.language, sizes, reader.beam)]


def measure(reader: Recognizer, lines: Sequence[Line], ways: dict[str, Way]) -> list[dict[str, Any]]:
    """Of each way to prepare the lines, the runtime's first, for both decoders: CER in percent, what it differs by from
    the runtime's and the 95 % interval of that; and the number of texts that change, read greedily."""
    rows: list[dict[str, Any]] = []
    usual: list[tuple[list[str], list[LineErrors]]] = []  # texts and errors of each decoder
    for name, way in {"as the runtime reads them": Way(lambda pixels, _: load_line(pixels)), **ways}.items():
        rng = np.random.default_rng(1)
        prepared = [way.prepare(line.pixels, rng) for line in lines]
        widths = [load_line(line.pixels).shape[1] if way.dropped else None for line in lines]
        row: dict[str, Any] = {"way": name}
        found = [
            (texts, [compare(line.text, text) for line, text in zip(lines, texts, strict=True)])
            for texts in texts_of(reader, prepared, widths)
        ]
        usual = usual or found
        row["changed"] = sum(text != other for text, other in zip(found[0][0], usual[0][0], strict=True))
        for decoder, (_, errors), (_, before) in zip(("greedy", "n-gram"), found, usual, strict=True):
            low, high = difference_interval(before, errors)
            row[decoder] = {
                "cer": round(cer(errors), 2),
                "more": round(cer(errors) - cer(before), 2),
                "low": round(low, 2),
                "high": round(high, 2),
            }
        rows.append(row)
    return rows


def markdown(title: str, count: int, rows: Sequence[dict[str, Any]]) -> str:
    """A Markdown table of the lines of one source."""
    heads = f"| {count} {title} | greedy | with the n-gram | texts changed |\n|---|---:|---:|---:|\n"
    first = rows[0]
    table = f"| {first['way']}: CER, % | {first['greedy']['cer']:.2f} | {first['n-gram']['cer']:.2f} | |\n"
    for row in rows[1:]:
        both = (row["greedy"], row["n-gram"])
        cells = (f"{cell['more']:+.2f} ({cell['low']:+.2f} … {cell['high']:+.2f})" for cell in both)
        table += f"| {row['way']} | {' | '.join(cells)} | {row['changed']} |\n"
    return heads + table


def open_readers(model: Path | None, threads: int, masked: bool) -> list[Recognizer]:
    """A reader of a model file or of weights (`.safetensors`), with the bundled n-gram where that is of its languages.

    Args:
        masked: of weights: a second one, which hides padding from the network.
    """
    if model is None or model.suffix != ".safetensors":
        if masked:
            raise UsageError("--masked needs weights; name a .safetensors file by -m")
        return [Recognizer(model, threads)]
    from ...runtime.recognizer import BUNDLED_LM, language_for
    from ...train.reader import open_weights

    plain = open_weights(model, threads)
    readers = [plain, masked_reader(model, plain)] if masked else [plain]
    for reader in readers:
        reader.language = language_for(reader.info, BUNDLED_LM)
    return readers


def masked_reader(weights: Path, reader: Recognizer) -> Recognizer:
    """A reader whose network is told which columns at the right are padding, as a graph could find out by itself.

    They are those of one grey, that of the last pixel, to the end; up to a multiple of 16 they stay with the line, as
    in training. Frames behind are made blank.
    """
    import torch

    from ...train.checkpoint import load_network
    from ...train.reader import TorchSession

    network, _ = load_network(weights)

    def forward(images: torch.Tensor) -> torch.Tensor:
        ink = (images != images[:, :, :1, -1:]).any(2)[:, 0]  # N, W: columns that are not all of the last pixel's grey
        columns = torch.arange(1, images.shape[3] + 1)
        last = (ink * columns).amax(1).clamp(min=1)
        widths = -(-last // WIDTH_MULTIPLE) * WIDTH_MULTIPLE  # N
        logits: torch.Tensor = network(images, widths)  # N, T, V
        behind = torch.arange(logits.shape[1]) >= widths[:, None] // reader.info.frame_stride  # N, T
        logits[behind] = -100.0
        logits[..., 0][behind] = 0.0
        return logits

    hidden = TorchSession(weights.with_name(f"{weights.name}, padding hidden"), forward)
    return Recognizer.over(hidden, reader.info)


@click.command()
@click.option(
    "--model", "-m", "models", multiple=True, type=click.Path(path_type=Path),
    help="A model file. Repeatable. Default: the bundled one.",
)  # fmt: skip
@click.option("--pages", multiple=True, type=click.Path(path_type=Path), help="Pages, Parquet. Repeatable.")
@click.option("-i", "--input", "files", multiple=True, type=click.Path(path_type=Path), help="Lines. Repeatable.")
@click.option("--split", type=click.Choice(("train", "val", "test")), default="val", show_default=True)
@click.option("--limit", type=click.IntRange(1), default=200, show_default=True, help="Lines of each -i at most.")
@click.option("--threads", type=click.IntRange(1), default=1, show_default=True)
@click.option("--masked", is_flag=True, help="Read with -m weights once more, padding hidden from them.")
@click.option("-o", "--output", type=click.Path(path_type=Path), help="Write the figures here, as JSON.")
def main(
    models: tuple[Path, ...], pages: tuple[Path, ...], files: tuple[Path, ...], split: str, limit: int, threads: int,
    masked: bool, output: Path | None,
) -> None:  # fmt: skip
    """Print how CER changes when lines are resized, made grey and padded by other code, or scanned coarsely."""
    cut = [line for path in pages for line in page_lines(path, split)]
    stored = list(stored_lines(files, split, limit))
    rng = np.random.default_rng(1)
    kinds = {
        "lines cut from pages": (cut, RESIZING),
        f"of them, {ENLARGED} times as large": ([scanned(line, rng) for line in cut], RESIZING),
        "of them, in colour": ([coloured(line, rng) for line in cut], GREY),
        "stored lines": (stored, PADDING),
        "of them, from coarser scans": (stored, COARSE),
    }
    if not any(lines for lines, _ in kinds.values()):
        raise UsageError("no line to measure on; name pages by --pages or lines by -i")
    results: list[dict[str, Any]] = []
    readers = [reader for model in models or (None,) for reader in open_readers(model, threads, masked)]
    for reader in readers:
        results.append({"model": reader.path.name, "split": split, "kinds": {}})
        click.echo(f"{reader.path.name}\n")
        for title, (lines, ways) in kinds.items():
            if lines:
                rows = measure(reader, lines, ways)
                results[-1]["kinds"][title] = {"lines": len(lines), "rows": rows}
                click.echo(markdown(title, len(lines), rows))
    if output:
        with atomic_path(output) as part:
            part.write_text(json_text(results, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    try:
        main()
    except HtrjandError as problem:
        raise SystemExit(f"pixels: {problem}") from problem
