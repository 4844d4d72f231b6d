"""How CER changes when lines are resized, converted to grey and padded by other code than the runtime's.

    python -m htrjand.benchmarks.studies.pixels -m MODEL -m OTHER --pages pages/ -i lines/copiste.parquet --split val

Lines are cut out of page images (with PAGE or ALTO XML beside them) in colour and at full size. Each is read as the
runtime prepares it, then in the variants below. Lines of Parquet files are 64 rows high and grey already, so that only
the padding varies. The model does not know which columns are padding: it reads them as part of the line.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw

from ...runtime import HtrjandError, Recognizer, UsageError
from ...runtime.files import atomic_path
from ...runtime.image import HEIGHT, MAX_WIDTH, WIDTH_MULTIPLE, Grey, load_line, open_image, paper_grey
from ...train.data.error_rates import LineErrors, cer, compare

if TYPE_CHECKING:
    from ...runtime.page.cut import Point

Pixels = npt.NDArray[np.uint8]  # H, W or H, W, 3
Variant = Callable[[Pixels, np.random.Generator], Pixels]  # prepares a line as other code would
MARKS = "<>[^~¥"  # editorial marks: the text of a line with one of them is not what the image shows


@dataclass(frozen=True)
class Line:
    """A line to read: its pixels, uint8 [H, W, 3] or [64, W], and its text."""

    pixels: Pixels
    text: str


def mean_grey(pixels: Pixels) -> Grey:
    """The plain mean of red, green and blue: [H, W, 3] → [H, W]."""
    return pixels if pixels.ndim == 2 else pixels.mean(axis=2).round().astype(np.uint8)


def weighed_grey(pixels: Pixels) -> Grey:
    """Grey by the weights of BT.601, as the runtime makes it: [H, W, 3] → [H, W]."""
    return pixels if pixels.ndim == 2 else np.asarray(Image.fromarray(pixels).convert("L"))


def without_antialiasing(grey: Grey) -> Grey:
    """A line [H, W] at 64 rows by bilinear interpolation between the four nearest pixels, as OpenCV's INTER_LINEAR."""
    height, width = grey.shape
    columns = max(1, round(width * HEIGHT / height))
    top, bottom, down = neighbours(height, HEIGHT)
    left, right, across = neighbours(width, columns)
    rows = grey[top] * (1 - down)[:, None] + grey[bottom] * down[:, None]  # 64, W
    return (rows[:, left] * (1 - across) + rows[:, right] * across).round().astype(np.uint8)  # 64, W'


def neighbours(size: int, wanted: int) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp], npt.NDArray[np.float64]]:
    """For each of `wanted` pixels, the two source pixels around it and the weight of the second."""
    place = np.clip((np.arange(wanted) + 0.5) * size / wanted - 0.5, 0, size - 1)
    first = place.astype(np.intp)
    return first, np.minimum(first + 1, size - 1), place - first


def padding(grey: str, share: float = 0.0, more: int = 0) -> Variant:
    """A variant that pads a line by a share of its width and `more` columns, to a multiple of 16, in a grey."""

    def pad(pixels: Pixels, rng: np.random.Generator) -> Pixels:
        line = load_line(pixels)  # 64, W
        value = {"paper": paper_grey(line), "white": 255, "black": 0, "any": int(rng.integers(256))}[grey]
        wanted = line.shape[1] * (1 + share) + more
        width = min(MAX_WIDTH, -(-round(wanted) // WIDTH_MULTIPLE) * WIDTH_MULTIPLE)
        return np.pad(line, ((0, 0), (0, width - line.shape[1])), constant_values=value)

    return pad


def all_at_once(pixels: Pixels, rng: np.random.Generator) -> Pixels:
    """The plain mean, no antialiasing, and a quarter more columns in any grey."""
    return padding("any", 0.25)(without_antialiasing(mean_grey(pixels)), rng)


RESIZING: dict[str, Variant] = {
    "resized without antialiasing": lambda pixels, rng: without_antialiasing(weighed_grey(pixels)),
    "grey as the mean of red, green and blue": lambda pixels, rng: mean_grey(pixels),
    "both, and 25 % more columns in any grey": all_at_once,
}
PADDING: dict[str, Variant] = {
    f"padded with {grey} {how}": padding("any" if grey == "any grey" else grey, share, more)
    for how, share, more in (
        ("to a multiple of 16", 0, 0), ("by 25 % of the width", 0.25, 0), ("by 512 columns", 0, 512)
    )
    for grey in ("paper", "white", "black", "any grey")
    if (grey, more, share) != ("paper", 0, 0)  # which is what the runtime does
}  # fmt: skip


def page_lines(source: Path) -> Iterator[Line]:
    """The lines of pages in PAGE or ALTO XML, in colour; pixels outside their outline take the paper's colour."""
    from ...runtime.page.cut import line_spacing
    from ...train.data.importers import alto, page
    from ...train.data.importers.xml import local, parse_xml
    from ...train.data.importers.xml_pages import in_pixels, outline_of, scale_of, xml_files

    for path in xml_files(source):
        root = parse_xml(path)
        found = (page if local(root) == "PcGts" else alto).page_of(root)
        image = next((file for file in sorted(path.parent.glob(f"{path.stem}.*")) if file.suffix != ".xml"), None)
        if image is None:
            raise HtrjandError(f"{path}: no image of that name beside it; put it there")
        pixels = np.asarray(open_image(image, str(image)).convert("RGB"))  # H, W, 3
        scale = scale_of(found, pixels[:, :, 0])
        if isinstance(scale, str):
            raise HtrjandError(f"{path}: {scale}; name other pages")
        lines = [in_pixels(line, scale) for line in found.lines]
        spacing = line_spacing([line.baseline for line in lines if line.baseline], pixels.shape[0])
        for line in lines:
            outline = outline_of(line, spacing)
            if outline and line.text.strip() and not set(MARKS) & set(line.text):
                yield Line(cropped(pixels, outline), line.text)


def cropped(pixels: Pixels, outline: Sequence[Point]) -> Pixels:
    """The bounding box of an outline [H, W, 3]; pixels outside the outline take the colour of its paper."""
    across, down = np.array(outline).T
    left, top = max(0, int(across.min())), max(0, int(down.min()))
    box = pixels[top : int(down.max()) + 1, left : int(across.max()) + 1]  # H, W, 3
    mask = Image.new("1", (box.shape[1], box.shape[0]))
    ImageDraw.Draw(mask).polygon([(x - left, y - top) for x, y in outline], fill=1)
    inside = np.asarray(mask)
    paper = np.percentile(box[inside], 80, axis=0).astype(np.uint8)  # 3
    return np.where(inside[:, :, None], box, paper)


def stored_lines(files: Sequence[Path], split: str, limit: int) -> Iterator[Line]:
    """At most `limit` lines of a split of each file, without those with editorial marks."""
    from ...train.data.lines import read_lines, spread

    for file in files:
        rows = (row for row in read_lines(file, split) if not set(MARKS) & set(row.text))
        for row in spread(rows, limit):
            yield Line(row.pixels(), row.text)


def measure(reader: Recognizer, lines: Sequence[Line], variants: dict[str, Variant]) -> list[dict[str, Any]]:
    """CER in percent, and number of texts that change: as the runtime reads the lines, then in each variant."""
    usual = [line.text for line in reader.read_lines([line.pixels for line in lines])]
    rows: list[dict[str, Any]] = [{"way": "as the runtime reads them", "cer": cer_of(lines, usual), "changed": 0}]
    for name, variant in variants.items():
        rng = np.random.default_rng(1)
        texts = [line.text for line in reader.read_lines([variant(line.pixels, rng) for line in lines])]
        changed = sum(text != other for text, other in zip(texts, usual, strict=True))
        rows.append({"way": name, "cer": cer_of(lines, texts), "changed": changed})
    return rows


def cer_of(lines: Sequence[Line], texts: Sequence[str]) -> float:
    """CER in percent of the texts read."""
    errors: list[LineErrors] = [compare(line.text, text) for line, text in zip(lines, texts, strict=True)]
    return round(cer(errors), 2)


def markdown(title: str, count: int, rows: Sequence[dict[str, Any]]) -> str:
    """A Markdown table of the lines of one source."""
    heads = f"| {count} {title} | CER, % | against the runtime's | texts changed |\n|---|---:|---:|---:|\n"
    usual = rows[0]["cer"]
    return heads + "".join(
        f"| {row['way']} | {row['cer']:.2f} | {row['cer'] - usual:+.2f} | {row['changed']} |\n" for row in rows
    )


@click.command()
@click.option(
    "--model",
    "-m",
    "models",
    multiple=True,
    type=click.Path(path_type=Path),
    help="A model file. Repeatable. Default: the bundled one.",
)
@click.option(
    "--pages", multiple=True, type=click.Path(path_type=Path), help="PAGE or ALTO XML beside its image, or a folder."
)
@click.option("-i", "--input", "files", multiple=True, type=click.Path(path_type=Path), help="Lines. Repeatable.")
@click.option("--split", type=click.Choice(("train", "val", "test")), default="val", show_default=True, help="Of -i.")
@click.option("--limit", type=click.IntRange(1), default=80, show_default=True, help="Lines of each file at most.")
@click.option("--threads", type=click.IntRange(1), default=1, show_default=True)
@click.option("-o", "--output", type=click.Path(path_type=Path), help="Write the figures here, as JSON.")
def main(
    models: tuple[Path, ...], pages: tuple[Path, ...], files: tuple[Path, ...], split: str, limit: int, threads: int,
    output: Path | None,
) -> None:  # fmt: skip
    """Print how CER changes when lines are resized, made grey and padded by other code than ours."""
    kinds = {
        "lines cut from pages": ([line for path in pages for line in page_lines(path)], RESIZING | PADDING),
        "stored lines": (list(stored_lines(files, split, limit)), PADDING),
    }
    if not any(lines for lines, _ in kinds.values()):
        raise UsageError("no line to measure on; name page images by --pages or lines by -i")
    results: list[dict[str, Any]] = []
    for reader in [
        Recognizer(model, threads, None) for model in models or (None,)
    ]:  # all are opened first, so that a wrong path fails at once
        results.append({"model": reader.path.name, "split": split, "kinds": {}})
        click.echo(f"{reader.path.name}\n")
        for title, (lines, variants) in kinds.items():
            if lines:
                rows = measure(reader, lines, variants)
                results[-1]["kinds"][title] = {"lines": len(lines), "rows": rows}
                click.echo(markdown(title, len(lines), rows))
    if output:
        with atomic_path(output) as part:
            part.write_text(json.dumps(results, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    try:
        main()
    except HtrjandError as problem:
        raise SystemExit(f"pixels: {problem}") from problem
