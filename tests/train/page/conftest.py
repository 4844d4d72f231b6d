"""A drawn page, as a row of a Parquet file."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from drawn import drawn_page


@pytest.fixture(scope="session")
def drawn_pages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a file of two pages, the same to learn from and to validate on."""
    folder = tmp_path_factory.mktemp("pages")
    pq.write_table(pa.Table.from_pylist([drawn_page(0), drawn_page(0, "val")]), folder / "drawn.parquet")
    return folder
