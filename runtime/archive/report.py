"""What an archive run found, as one page that works without a network: failures, confidence, doubtful lines, search."""

from __future__ import annotations

import base64
import heapq
import io
import math
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from html import escape
from importlib.resources import files
from pathlib import Path
from string import Template
from typing import TYPE_CHECKING, Any

import numpy as np

from ... import __version__
from ..errors import HtrjandError
from ..page.inputs import PageSource, pages_of
from ..text import json_text
from .results import Results
from .source import Source
from .store import Entry, Store, StoreError

if TYPE_CHECKING:
    import pyarrow as pa

BINS = 20  # of the confidence of pages
DOUBTFUL = 100  # lines shown
SEARCHED = 100_000  # lines that can be searched in the page; 60 bytes each, about
SHOWN = 30  # failures named
HEIGHT = 96  # pixels of a line's image, at most
QUALITY = 70  # of it as JPEG
# Without outlines, which are most of what is kept of a page.
COLUMNS = ("page", "error", "kind", "seconds", "confidence", "lines.list.element.text", "lines.list.element.confidence")


@dataclass(frozen=True)
class Doubt:
    """A line that is not sure, and where its results are: its place among the lines of the page."""

    block: str
    path: str
    page: int
    name: str
    number: int


@dataclass
class Found:
    """What is counted of all rows."""

    pages: int = 0
    lines: int = 0
    seconds: float = 0.0
    kinds: Counter[str] = field(default_factory=Counter)
    failed: list[tuple[str, str, str]] = field(default_factory=list)  # page, kind, error
    bins: np.ndarray = field(default_factory=lambda: np.zeros(BINS, int))
    names: list[str] = field(default_factory=list)
    text: list[tuple[int, str, float]] = field(default_factory=list)  # number of the page, text, confidence
    doubtful: list[tuple[float, int, Doubt]] = field(default_factory=list)  # a heap, the surest of them first

    def add(self, table: pa.Table) -> None:
        """Counts the rows of a file of results, with the columns `COLUMNS`."""
        self.pages += len(table)
        paths, pages, kinds, errors = (table[name].to_pylist() for name in ("path", "page", "kind", "error"))
        names = [path if page == 1 else f"{path}, page {page}" for path, page in zip(paths, pages, strict=True)]
        for name, kind, error in zip(names, kinds, errors, strict=True):
            if error is not None:
                self.kinds[kind] += 1
                if len(self.failed) < SHOWN:
                    self.failed.append((name, kind, error))
        self.seconds += float(np.sum(table["seconds"].drop_null().to_numpy()))
        sure = table["confidence"].drop_null().to_numpy()
        self.bins += np.bincount(np.minimum((sure * BINS).astype(int), BINS - 1), minlength=BINS)
        self.add_lines(table, names)

    def add_lines(self, table: pa.Table, names: Sequence[str]) -> None:
        """Counts the lines that have text; keeps the first to be searched, and the least sure."""
        import pyarrow.compute as pc

        rows = pc.list_parent_indices(table["lines"]).to_numpy()
        lines = pc.list_flatten(table["lines"])
        texts, sure = pc.struct_field(lines, "text"), pc.struct_field(lines, "confidence").to_numpy()
        places = np.flatnonzero(pc.not_equal(pc.utf8_trim_whitespace(texts), "").to_numpy())
        begins = np.searchsorted(rows, np.arange(len(table)))  # the first line of each page

        for place in places[: max(0, SEARCHED - len(self.text))].tolist():
            name = names[rows[place]]
            if self.names[-1:] != [name]:
                self.names.append(name)
            self.text.append((len(self.names) - 1, texts[place].as_py(), round(float(sure[place]), 2)))

        for count in np.argsort(sure[places], kind="stable")[:DOUBTFUL].tolist():
            place = int(places[count])
            item = -float(sure[place]), -self.lines - count
            if len(self.doubtful) == DOUBTFUL and item < self.doubtful[0][:2]:
                break  # the others of the file are surer
            row = int(rows[place])
            doubt = Doubt(table["block"][row].as_py(), table["path"][row].as_py(), table["page"][row].as_py(),
                          names[row], place - int(begins[row]))  # fmt: skip
            if len(self.doubtful) < DOUBTFUL:
                heapq.heappush(self.doubtful, (*item, doubt))
            else:
                heapq.heapreplace(self.doubtful, (*item, doubt))
        self.lines += len(places)

    def least_sure(self, results: Results) -> list[dict[str, Any]]:
        """The doubtful lines, the least sure first, with what is needed to cut them out."""
        import pyarrow as pa

        doubts = [doubt for *_, doubt in sorted(self.doubtful, key=lambda item: item[:2], reverse=True)]
        pages: dict[tuple[str, int], dict[str, Any]] = {}
        blocks = {doubt.block: results.name(doubt.block) for doubt in doubts}
        tables = results.tables(("path", "page", "width", "lines"), list(blocks.values()))
        for block, table in zip(blocks, tables, strict=True):
            wanted = {(doubt.path, doubt.page) for doubt in doubts if doubt.block == block}
            places = zip(table["path"].to_pylist(), table["page"].to_pylist(), strict=True)
            part = table.filter(pa.array([place in wanted for place in places], pa.bool_()))
            pages |= {(row["path"], row["page"]): row for row in part.to_pylist()}
        found = []
        for doubt in doubts:
            page = pages[doubt.path, doubt.page]
            found.append(page | page["lines"][doubt.number] | {"name": doubt.name})
        return found


def report(target: str, source: str | None = None) -> str:
    """The page.

    Args:
        target: where the results are.
        source: where the images are, for those of doubtful lines; None: where they were read from.

    Raises:
        HtrjandError: there are no results, or they cannot be read.
    """
    results = Results(Store(target))
    manifest, found = results.manifest(), Found()
    for table in results.newest(COLUMNS):
        found.add(table)
    if not found.pages:
        raise HtrjandError(f"{results.store.shown()}: no page was read yet; give it to htrjand archive first")
    failed = sum(found.kinds.values())
    counts = {
        "pages": f"{found.pages:,}", "failed": f"{failed:,}", "lines": f"{found.lines:,}",
        "seconds a page": f"{found.seconds / max(1, found.pages - failed):.2f}",
    }  # fmt: skip
    cut = "" if found.lines <= len(found.text) else f", the first {len(found.text):,} of them: docs/archive.md has more"
    data = json_text({"pages": found.names, "lines": found.text}).replace("<", "\\u003c")
    return Template((files(__package__) / "report.html").read_text(encoding="utf-8")).substitute(
        title=escape(f"Read: {manifest['source']}"),
        about=escape(f"with {', '.join(manifest['models'])}"),
        counts="".join(f"<div><dt>{key}</dt><dd>{value}</dd></div>" for key, value in counts.items()),
        bars=bars(found.bins),
        failures=failures(found),
        searchable=f"{found.lines:,} lines{cut}",
        doubtful=doubtful(found.least_sure(results), Source(Store(source or manifest["source"]))),
        data=data,
        version=__version__,
    )


def bars(counts: np.ndarray) -> str:
    """Bars as high as their counts."""
    most = max(1, int(counts.max()))
    return "".join(
        f'<span style="height:{100 * count / most:.1f}%" title="{place / BINS:.2f} to {(place + 1) / BINS:.2f}: '
        f'{count} pages"></span>'
        for place, count in enumerate(counts)
    )


def failures(found: Found) -> str:
    """How many pages failed for which kind of reason, and the first of them."""
    if not found.kinds:
        return "<p>Nothing: all pages were read.</p>"
    told = ", ".join(f"{kind}: {count:,}" for kind, count in found.kinds.most_common())
    rows = "".join(
        f"<tr><td>{escape(name)}</td><td>{kind}</td><td>{escape(error)}</td></tr>" for name, kind, error in found.failed
    )
    rest = sum(found.kinds.values()) - len(found.failed)
    more = f'<p class="soft">and {rest:,} more</p>' if rest else ""
    return f'<p class="bad">{told}</p><table><tr><th>page<th>kind<th>why</tr>{rows}</table>{more}'


def doubtful(lines: Sequence[dict[str, Any]], source: Source) -> str:
    """Each line with its image, where that can be had."""
    images = dict(pictures(lines, source))
    figures = []
    for number, line in enumerate(lines):
        image = images.get(number)
        shown = f'<img src="data:image/jpeg;base64,{image}" alt="">' if image else '<p class="soft">no image</p>'
        figures.append(
            f'<figure>{shown}<figcaption><b>{escape(line["text"])}</b> <span class="soft">{line["confidence"]:.2f}, '
            f"{escape(line['name'])}</span></figcaption></figure>"
        )
    return "\n".join(figures) or "<p>No line was read.</p>"


def pictures(lines: Sequence[dict[str, Any]], source: Source) -> Iterator[tuple[int, str]]:
    """The number of each line whose page can be had, with its image as base64 of a JPEG; a page is opened once."""
    by_page: dict[tuple[str, int], list[int]] = {}
    for number, line in enumerate(lines):
        by_page.setdefault((line["path"], line["page"]), []).append(number)
    try:
        _ = source.store.opened
        places = {entry.path: entry for entry in source.images()} if source.is_parquet else {}
    except HtrjandError:
        return
    for (path, page), numbers in by_page.items():
        try:
            picture = page_picture(source, places[path] if places else Entry(path, 0, 0), page)
        except StoreError:  # it would take as long for each of the others
            return
        except (HtrjandError, IndexError, KeyError):  # it is gone, or has changed: its lines are shown without
            continue
        for number in numbers:
            line = lines[number]
            scale = picture.width / line["width"]  # a large page is opened smaller
            x, y = ([value * scale for value in values] for values in zip(*line["polygon"], strict=True))
            left, top = max(0, int(min(x))), max(0, int(min(y)))
            cut = picture.crop((left, top, max(left, int(max(x))) + 1, max(top, int(max(y))) + 1))
            cut = cut.rotate(90 * quarters(line["baseline"]), expand=True)
            if cut.height > HEIGHT:
                cut = cut.resize((max(1, cut.width * HEIGHT // cut.height), HEIGHT))
            stream = io.BytesIO()
            cut.convert("L").save(stream, "jpeg", quality=QUALITY)
            yield number, base64.b64encode(stream.getvalue()).decode()


def quarters(baseline: Sequence[Sequence[float]]) -> int:
    """Quarters of a turn against the clock after which a line runs from left to right: more than one on a turned page,
    and of lines that run up or down the page."""
    (left, top), (right, bottom) = baseline[0], baseline[-1]
    return round(math.atan2(bottom - top, right - left) / (math.pi / 2)) % 4


def page_picture(source: Source, entry: Entry, page: int) -> Any:
    """A page of a source as an image."""
    with tempfile.TemporaryDirectory(prefix="htrjand-") as folder:
        path = Path(folder) / "page"
        path.write_bytes(source.data(entry))
        found: PageSource = list(pages_of(path))[page - 1]
        picture = found.picture()
        picture.load()
        return picture
