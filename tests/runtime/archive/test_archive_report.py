"""The page that tells what was read, and the queries that docs/archive.md gives for the rest."""

from __future__ import annotations

import base64
import io
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pytest
from archive_pages import png, read_here, task
from click.testing import CliRunner
from PIL import Image

from htrjand.cli import main
from htrjand.runtime import HtrjandError
from htrjand.runtime.archive import report as module
from htrjand.runtime.archive.report import Found, pictures, report
from htrjand.runtime.archive.results import Results, table_of
from htrjand.runtime.archive.source import Source
from htrjand.runtime.archive.store import Entry, Store
from htrjand.runtime.archive.worker import base_row

DOCS = Path(__file__).resolve().parents[3] / "docs" / "archive.md"


@pytest.fixture
def read(tiny_model: Path, tmp_path: Path, draw: Callable[..., np.ndarray]) -> Path:
    """Results of four lines, one of them broken, and where they are."""
    scans = tmp_path / "scans"
    scans.mkdir()
    for name, text in (("a", "abba cab"), ("<b>", "baé cé"), ("c", "ccc")):
        (scans / f"{name}.png").write_bytes(png(draw(text)))
    (scans / "bad.png").write_bytes(b"bad")
    read_here(task(tiny_model, scans, tmp_path / "out"), Store(str(scans)).entries())
    return tmp_path / "out"


def data_of(html: str) -> dict[str, list]:
    return json.loads(re.search(r'<script type="application/json" id="data">(.*?)</script>', html, re.S)[1])


def test_the_page_has_counts_failures_lines_and_their_images(read: Path) -> None:
    html = report(str(read))
    assert "<dt>pages</dt><dd>4</dd>" in html and "<dt>failed</dt><dd>1</dd>" in html
    assert "image: 1" in html and "<td>bad.png</td>" in html
    found = data_of(html)
    assert found["pages"] == ["<b>.png", "a.png", "c.png"]
    assert [line[:2] for line in found["lines"]] == [[0, "baé cé"], [1, "abba cab"], [2, "ccc"]]
    assert html.count('<img src="data:image/jpeg;base64,') == 3
    assert "<b>.png" not in html.replace(json.dumps("<b>.png"), "") and "&lt;b&gt;.png" in html, "names are text"
    order = re.findall(r"<figcaption><b>.*?</b> <span class=\"soft\">([\d.]+)", html)
    assert order == sorted(order)
    assert not re.search(r"(src|href)=.?https?:", html), "it works without a network"


def test_only_so_many_lines_are_kept_of_each_kind(read: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    everything = report(str(read))
    least = re.findall(r"<figcaption><b>(.*?)</b>", everything)
    monkeypatch.setattr(module, "DOUBTFUL", 2)
    monkeypatch.setattr(module, "SEARCHED", 1)
    html = report(str(read))
    assert re.findall(r"<figcaption><b>(.*?)</b>", html) == least[:2]
    assert len(data_of(html)["lines"]) == 1 and "3 lines, the first 1 of them" in html


@pytest.mark.parametrize("seed", range(8))
def test_counts_are_those_of_the_rows(seed: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Made-up results in several files, some of pages that were read again, against the plain way to count them."""
    random, results = np.random.default_rng(seed), Results(Store(str(tmp_path)))
    for block in range(random.integers(1, 5)):
        rows = []
        for number in random.permutation(6)[: random.integers(1, 7)]:
            for page in range(1, random.integers(2, 5)):
                row = base_row(Entry(f"{number}.pdf", 1, 1), page) | {"created": f"{block}", "width": 10}
                if random.random() < 0.2:
                    rows.append(row | {"error": "why", "kind": "image"})
                    continue
                lines = [
                    {"text": str(random.choice(["", "  ", "a", "b c"])), "confidence": float(np.float32(sure)),
                     "polygon": [[block, page], [number, line]], "baseline": []}
                    for line, sure in enumerate(random.random(random.integers(0, 4)))
                ]  # fmt: skip
                mean = float(np.mean([line["confidence"] for line in lines])) if lines else None
                rows.append(row | {"lines": lines, "seconds": 0.5, "confidence": mean})
        results.commit(f"{random.integers(10**9):x}", [table_of(rows)])
    monkeypatch.setattr(module, "DOUBTFUL", 7)
    monkeypatch.setattr(module, "SEARCHED", 9)
    found = Found()
    for table in results.newest(module.COLUMNS):
        found.add(table)
    rows = list(results.rows(["page", "error", "kind", "seconds", "confidence", "lines", "width"]))
    read = [row for row in rows if row["error"] is None]
    lines = [
        {**line, "path": row["path"], "page": row["page"]}
        for row in read for line in row["lines"] if line["text"].strip()
    ]  # fmt: skip
    assert (found.pages, sum(found.kinds.values()), found.lines) == (len(rows), len(rows) - len(read), len(lines))
    assert found.seconds == 0.5 * len(read) and found.bins.sum() == sum(bool(row["lines"]) for row in read)
    searched = [(found.names[page], text, sure) for page, text, sure in found.text]
    assert searched == [(name_of(line), line["text"], round(line["confidence"], 2)) for line in lines[:9]]
    least = found.least_sure(results)
    assert [line["polygon"] for line in least] == [
        line["polygon"] for line in sorted(lines, key=lambda line: line["confidence"])[:7]
    ]
    assert [(line["text"], line["name"], line["width"]) for line in least] == [
        (line["text"], name_of(line), 10) for line in sorted(lines, key=lambda line: line["confidence"])[:7]
    ]


def name_of(line: dict[str, Any]) -> str:
    return line["path"] if line["page"] == 1 else f"{line['path']}, page {line['page']}"


def test_a_page_that_was_read_again_counts_once(read: Path, draw: Callable[..., np.ndarray], tiny_model: Path) -> None:
    scans = read.parent / "scans"
    (scans / "c.png").write_bytes(png(draw("bab")))
    (scans / "bad.png").write_bytes(png(draw(" ")))
    read_here(task(tiny_model, scans, read), [Entry("c.png", 1, 1), Entry("bad.png", 1, 1)], "another")
    html = report(str(read))
    assert "<dt>pages</dt><dd>4</dd>" in html and "<dt>failed</dt><dd>0</dd>" in html
    assert sorted(line[1] for line in data_of(html)["lines"]) == ["abba cab", "bab", "baé cé"], "no empty line"
    assert html.count('<img src="data:image/jpeg;base64,') == 3


def test_images_that_are_gone_leave_the_text(read: Path, tmp_path: Path) -> None:
    (tmp_path / "scans").rename(tmp_path / "moved")
    html = report(str(read))
    assert html.count('<p class="soft">no image</p>') == 3 and "abba cab" in html
    assert report(str(read), str(tmp_path / "moved")).count("<img ") == 3


def test_images_of_large_and_turned_pages_show_their_lines(tmp_path: Path) -> None:
    """A page with a line in its lower half that begins with ink, opened at half its size; and turned by quarters."""
    page = np.full((200, 400), 255, np.uint8)
    page[110:190, 10:200] = 0
    x, y = np.array([0, 400, 400, 0]), np.array([100, 100, 200, 200])  # its outline; its baseline is the lower side
    for quarters in range(4):
        pixels, polygon = np.rot90(page, quarters), np.stack([x, y], 1)
        (tmp_path / "p.png").write_bytes(png(np.ascontiguousarray(pixels[::2, ::2])))
        line = {"path": "p.png", "page": 1, "width": pixels.shape[1], "polygon": polygon, "baseline": polygon[[3, 2]]}
        ((_, data),) = pictures([line], Source(Store(str(tmp_path))))
        image = Image.open(io.BytesIO(base64.b64decode(data)))
        assert abs(image.width - 200) < 3 and abs(image.height - 50) < 3, (quarters, image.size)
        left, right = np.asarray(image)[:, :100].mean(), np.asarray(image)[:, 100:].mean()
        assert left < 100 < right, quarters
        width = pixels.shape[1]
        x, y = y, width - x


def test_what_is_no_archive_is_told(tmp_path: Path) -> None:
    done = CliRunner().invoke(main, ["archive", "report", str(tmp_path), "-o", str(tmp_path / "r.html")])
    assert (
        done.exit_code == 1
        and "no results of htrjand archive are here" in done.output
        and not (tmp_path / "r.html").exists()
    )
    (tmp_path / "archive.json").write_text('{"format": "htrjand-archive-1", "source": "x", "models": {}, "lm": null}')
    with pytest.raises(HtrjandError, match="no page was read yet"):
        report(str(tmp_path))


def test_the_queries_of_the_docs(read: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(read.parent)
    queries = re.findall(r"```sql\n(.*?)```", DOCS.read_text("utf-8"), re.S)
    assert len(queries) == 3 and "'médecin'" in queries[0]
    queries[0] = queries[0].replace("médecin", "É Ce")
    search, failures, pages = (duckdb.sql(query).fetchall() for query in queries)
    assert search == [("<b>.png", 1, "baé cé")] and failures == [("image", 1)]
    assert {row[0] for row in pages} == {"a.png", "<b>.png", "c.png"}
