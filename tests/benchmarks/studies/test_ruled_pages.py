"""Rules are drawn on pages, and their lines stay as they are."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner
from drawn import drawn_page

from htrjand.benchmarks.studies.ruled_pages import main, with_rules
from htrjand.train.page.pages import load_pages

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    (tmp_path / "pagepacks").mkdir()
    path = tmp_path / "pagepacks" / "drawn.parquet"
    pq.write_table(pa.Table.from_pylist([drawn_page(0, "val") | {"dataset": "copiste"}]), path)
    return path


def test_a_ruled_page_has_the_lines_of_the_plain_one(file: Path) -> None:
    (page,) = load_pages([file], "val")
    first, second = (with_rules(page, (seed, 0)) for seed in (1, 2))
    assert first.image.shape == page.image.shape and first.polygons == page.polygons
    assert (first.image != page.image).any() and (first.image != second.image).any()
    assert (with_rules(page, (1, 0)).image == first.image).all()
    assert np.percentile(first.image, 95) >= np.percentile(page.image, 95) - 1  # paper stays paper


def test_both_kinds_of_pages_are_counted(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTRJAND_DATA", str(file.parents[1]))
    result = CliRunner().invoke(main, [str(ROOT / "runtime/models/htrjand-detector-int8.onnx")])
    assert result.exit_code == 0, result.output
    assert "1 pages as they are" in result.output and "3 pages ruled" in result.output
    assert result.output.count("copiste") == 2
