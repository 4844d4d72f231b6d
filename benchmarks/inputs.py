"""What is read in a benchmark: lines, and pages, each with its text. Parquet alone needs a library besides the base."""

from __future__ import annotations

import hashlib
import os
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, TypeVar

import numpy as np

from ..runtime.errors import HtrjandError
from ..runtime.image import Grey
from ..runtime.page.inputs import load_page
from ..runtime.text import normalize
from ..train.data.importers import Skipped, Source, import_lines
from ..train.data.importers.folder import ENDING, image_name

if TYPE_CHECKING:
    from ..train.data.row import LineRow

SAMPLE = Path(__file__).parent / "sample"  # comes with the package
SEED = 0  # of every sample of lines, so that the same data gives the same lines
Log = Callable[[str], None]
Row = TypeVar("Row")


class Item(Protocol):
    """A line or a page, and what it says."""

    @property
    def id(self) -> str: ...
    @property
    def dataset(self) -> str: ...
    @property
    def split(self) -> str: ...
    @property
    def text(self) -> str: ...
    @property
    def image(self) -> bytes: ...
    def pixels(self) -> np.ndarray: ...


@dataclass(frozen=True)
class PageItem:
    """A page: its encoded image, and its lines in reading order, one below the other."""

    id: str
    dataset: str
    text: str
    image: bytes
    split: str = ""

    def pixels(self) -> Grey:
        """The page as uint8 [H, W], 0 = black, reduced where it is huge."""
        try:
            return load_page(self.image).grey
        except HtrjandError as error:
            raise HtrjandError(f"page {self.id} of {self.dataset}: {error}") from error


def choose_lines(
    paths: Sequence[Path], split: str | None, datasets: Sequence[str] = (), limit: int | None = None,
    log: Log = lambda _: None,
) -> list[LineRow]:  # fmt: skip
    """The lines to measure on, in the order of the files: at most `limit` of each named dataset, or of all datasets.

    Args:
        paths: Parquet files of lines, folders of them, or folders of line images with `.gt.txt` beside them, whose
            dataset is the folder's name. None at all: the lines of the bundled sample.
        split: of lines in Parquet files; None for all. Other lines have none.
        log: called with each line that cannot be used.

    Raises:
        HtrjandError: a file cannot be read, a dataset has no such line, or there is none at all.
    """
    groups: dict[str, list[LineRow]] = {name: [] for name in datasets}
    for row in lines_of(paths or (SAMPLE / "lines",), split, datasets, log):
        if not datasets or row.dataset in datasets:
            groups.setdefault(row.dataset, []).append(row)
    empty = [name for name, rows in groups.items() if not rows]
    if empty or not groups:
        raise HtrjandError(
            f"{', '.join(map(str, paths))}: no {split or ''} lines of {', '.join(empty) or 'any dataset'}; "
            f"check -i, --dataset and --split{splits_of(paths)}"
        )
    return [row for rows in groups.values() for row in sampled(rows, limit)]


def splits_of(paths: Sequence[Path]) -> str:
    """How many lines of each split some Parquet files hold, for a message; nothing of other paths."""
    if any(path.suffix != ".parquet" for path in paths):
        return ""
    from ..train.data.lines import placed_lines

    counts = Counter(row.split for row, _ in placed_lines(paths, images=False))
    return f" ({', '.join(f'{split}: {count:,}' for split, count in counts.items())})" if counts else ""


def lines_of(paths: Sequence[Path], split: str | None, datasets: Sequence[str], log: Log) -> Iterator[LineRow]:
    """The lines of folders with `.gt.txt` files, then those of Parquet files."""
    texts = [path for path in paths if holds_texts(path)]
    for path in texts:
        for found in import_lines(Source(path, dataset_of(path)), "gt"):
            if isinstance(found, Skipped):
                log(f"left out: {found.where}: {found.reason}")
            else:
                yield found
    tables = [path for path in paths if path not in texts]
    for path in tables:
        if path.is_dir() and not any(path.glob("*.parquet")):
            raise HtrjandError(
                f"{path}: holds neither *{ENDING} files beside images nor *.parquet files; check the path"
            )
    if tables:
        try:
            from ..train.data.lines import parquet_files, read_lines
        except ModuleNotFoundError as error:
            raise HtrjandError(
                f"{tables[0]}: to read Parquet, pip install 'htrjand[bench]'; or name a folder of line images with "
                f"*{ENDING} beside them"
            ) from error

        files = parquet_files(tables)
        named = [file for file in files if file.stem in datasets]  # files are usually named after their dataset
        yield from read_lines(named if {file.stem for file in named} >= set(datasets) and named else files, split)


def choose_pages(paths: Sequence[Path], limit: int | None = None) -> list[PageItem]:
    """The pages to measure on: at most `limit` of each folder.

    Args:
        paths: folders of page images with `.gt.txt` beside them, a line of the page a line. None: the bundled page.

    Raises:
        HtrjandError: there is no page, or one lacks its image, its text, or is not UTF-8; the message names it.
    """
    chosen: list[PageItem] = []
    for path in paths or (SAMPLE,):
        pages = [page_of(file, path) for file in sorted(path.glob(f"*{ENDING}"))]
        if not pages:
            raise HtrjandError(f"{path}: no *{ENDING} file in this folder; put the text of each page beside its image")
        chosen += sampled(pages, limit)
    return chosen


def page_of(file: Path, folder: Path) -> PageItem:
    """The page of a text file."""
    stem = file.name.removesuffix(ENDING)
    image = image_name(stem, set(os.listdir(file.parent)))
    if image is None:
        raise HtrjandError(f"{file}: its image is missing; put it beside it, under the same name")
    try:
        text = file.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise HtrjandError(f"{file}: is not UTF-8; save it again as that") from error
    if not normalize(text):
        raise HtrjandError(f"{file}: holds no text; write down what the page says, or take the file away")
    return PageItem(stem, f"{dataset_of(folder)}, pages", text, (file.parent / image).read_bytes())


def holds_texts(path: Path) -> bool:
    """Whether a path is a folder with `.gt.txt` files in it, or in folders below it, and with no Parquet files."""
    return path.is_dir() and not any(path.glob("*.parquet")) and any(path.rglob(f"*{ENDING}"))


def dataset_of(folder: Path) -> str:
    """What the lines, or the pages, of a folder are called."""
    return "sample" if folder.is_relative_to(SAMPLE) else folder.resolve().name


def sampled(rows: Sequence[Row], limit: int | None) -> list[Row]:
    """A random sample of the rows in their order, always the same; all rows without a limit."""
    if limit is None or limit >= len(rows):
        return list(rows)
    chosen = np.random.default_rng(SEED).choice(len(rows), limit, replace=False)
    return [rows[int(index)] for index in sorted(chosen)]


def digest(items: Sequence[Item]) -> str:
    """A SHA-256 of the ids, texts and images of lines or pages."""
    found = hashlib.sha256()
    for item in items:
        found.update(f"{item.id}\t{item.text}\t{hashlib.sha256(item.image).hexdigest()}\n".encode())
    return found.hexdigest()
