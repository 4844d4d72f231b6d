"""What an archive run found, as one page that works without a network: failures, confidence, doubtful lines, search."""

from __future__ import annotations

import base64
import heapq
import io
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from html import escape
from importlib.resources import files
from pathlib import Path
from string import Template
from typing import Any

from ... import __version__
from ..errors import HtrjandError
from ..page.inputs import PageSource, pages_of
from ..text import json_text
from .results import Results
from .source import Source
from .store import Entry, Store, StoreError

BINS = 20  # of the confidence of pages
DOUBTFUL = 100  # lines shown
SEARCHED = 100_000  # lines that can be searched in the page; 60 bytes each, about
SHOWN = 30  # failures named
HEIGHT = 96  # pixels of a line's image, at most
QUALITY = 70  # of it as JPEG


@dataclass
class Found:
    """What is counted of all rows."""

    pages: int = 0
    lines: int = 0
    seconds: float = 0.0
    kinds: Counter[str] = field(default_factory=Counter)
    failed: list[tuple[str, str, str]] = field(default_factory=list)  # page, kind, error
    bins: list[int] = field(default_factory=lambda: [0] * BINS)
    names: list[str] = field(default_factory=list)
    text: list[tuple[int, str, float]] = field(default_factory=list)  # number of the page, text, confidence
    doubtful: list[tuple[float, int, dict[str, Any]]] = field(default_factory=list)

    def add(self, row: dict[str, Any]) -> None:
        """Counts a row."""
        self.pages += 1
        name = row["path"] if row["page"] == 1 else f"{row['path']}, page {row['page']}"
        if row["error"] is not None:
            self.kinds[row["kind"]] += 1
            if len(self.failed) < SHOWN:
                self.failed.append((name, row["kind"], row["error"]))
            return
        self.seconds += row["seconds"] or 0.0
        if row["confidence"] is not None:
            self.bins[min(BINS - 1, int(row["confidence"] * BINS))] += 1
        for line in row["lines"]:
            if not line["text"].strip():
                continue
            self.lines += 1
            if len(self.text) < SEARCHED:
                if self.names[-1:] != [name]:
                    self.names.append(name)
                self.text.append((len(self.names) - 1, line["text"], round(line["confidence"], 2)))
            about = {key: row[key] for key in ("path", "page", "width", "turned")}
            item = -line["confidence"], self.lines, {**line, **about, "name": name}
            if len(self.doubtful) < DOUBTFUL:
                heapq.heappush(self.doubtful, item)
            elif item > self.doubtful[0]:
                heapq.heapreplace(self.doubtful, item)

    def least_sure(self) -> list[dict[str, Any]]:
        """The doubtful lines, the least sure first."""
        return [line for _, _, line in sorted(self.doubtful, key=lambda item: (-item[0], item[1]))]


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
    columns = ("page", "error", "kind", "seconds", "confidence", "lines", "width", "turned")
    for row in results.rows(columns):
        found.add(row)
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
        doubtful=doubtful(found.least_sure(), Source(Store(source or manifest["source"]))),
        data=data,
        version=__version__,
    )


def bars(counts: Sequence[int]) -> str:
    """Bars as high as their counts."""
    most = max(1, *counts)
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
            cut = picture.crop((max(0, int(min(x))), max(0, int(min(y))), int(max(x)) + 1, int(max(y)) + 1))
            cut = cut.rotate(-line["turned"], expand=True)
            if cut.height > HEIGHT:
                cut = cut.resize((max(1, cut.width * HEIGHT // cut.height), HEIGHT))
            stream = io.BytesIO()
            cut.convert("L").save(stream, "jpeg", quality=QUALITY)
            yield number, base64.b64encode(stream.getvalue()).decode()


def page_picture(source: Source, entry: Entry, page: int) -> Any:
    """A page of a source as an image."""
    with tempfile.TemporaryDirectory(prefix="htrjand-") as folder:
        path = Path(folder) / "page"
        path.write_bytes(source.data(entry))
        found: PageSource = list(pages_of(path))[page - 1]
        picture = found.picture()
        picture.load()
        return picture
