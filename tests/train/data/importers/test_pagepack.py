"""Lines cut from Parquet files of pages."""

from __future__ import annotations

import io
import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner
from generated import printed
from PIL import Image

from htrjand.cli import main
from htrjand.runtime import HtrjandError
from htrjand.train.data.importers import Skipped, Source, import_lines
from htrjand.train.data.importers.guess import guess_format
from htrjand.train.data.lines import LineRow, read_lines


def page(name: str, texts: list[str], split: str) -> dict[str, object]:
    """A page of printed lines, one below the other, as a row."""
    images = [printed(text) for text in texts]
    canvas = np.full((100 * len(texts) + 20, max(image.shape[1] for image in images) + 40), 255, np.uint8)
    lines = []
    for number, (text, image) in enumerate(zip(texts, images, strict=True)):
        top, right = 100 * number + 20, 20 + image.shape[1]
        canvas[top : top + 64, 20:right] = image
        polygon = [[20, top], [right, top], [right, top + 64], [20, top + 64]]
        lines.append({"text": text, "polygon": polygon, "baseline": [[20, top + 50], [right, top + 50]]})
    file = io.BytesIO()
    Image.fromarray(canvas).save(file, "PNG")
    return {"id": name, "doc": f"doc of {name}", "split": split, "image": file.getvalue(), "lines": json.dumps(lines)}


@pytest.fixture
def pages(tmp_path: Path) -> Path:
    broken = page("c", ["ab"], "train") | {"image": b"no image"}
    rows = [page("a", ["abc", "cab"], "train"), page("b", ["bca", " "], "test"), broken]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "pages.parquet")
    return tmp_path / "pages.parquet"


def test_lines_are_cut_out_with_text_document_and_split(pages: Path) -> None:
    found = list(import_lines(Source(pages, "mine", lang="fr"), "pages"))
    rows = [row for row in found if isinstance(row, LineRow)]
    assert [(row.id, row.text, row.doc, row.split) for row in rows] == [
        ("a/0", "abc", "doc of a", "train"), ("a/1", "cab", "doc of a", "train"), ("b/0", "bca", "doc of b", "test"),
    ]  # fmt: skip
    assert {(row.dataset, row.lang) for row in rows} == {("mine", "fr")}
    for row in rows:
        assert np.array_equal(row.pixels(), printed(row.text))
    assert sorted(skip.reason for skip in found if isinstance(skip, Skipped)) == [
        "image cannot be read", "line has no text",
    ]  # fmt: skip


def test_the_command_finds_out_the_layout(pages: Path, tmp_path: Path) -> None:
    assert guess_format(pages) == guess_format(pages.parent) == "pages"
    done = CliRunner().invoke(main, ["data", "import", str(pages), "-o", str(tmp_path / "lines.parquet")])
    assert done.exit_code == 0 and "left out 1: image cannot be read" in done.stderr
    assert [row.split for row in read_lines(tmp_path / "lines.parquet")] == ["train", "train", "test"]


def test_another_file_is_refused_by_the_columns_it_lacks(tmp_path: Path) -> None:
    pq.write_table(pa.table({"id": ["a"], "text": ["b"]}), tmp_path / "other.parquet")
    with pytest.raises(HtrjandError, match="other.parquet: no column doc, image, lines, split"):
        list(import_lines(Source(tmp_path / "other.parquet", "mine"), "pages"))
