"""The tables of README and docs are those of the results of record."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from htrjand.benchmarks.studies.record import MARKED, ROOT, TABLES, filled, pages
from htrjand.runtime.errors import HtrjandError


@pytest.mark.parametrize("page", pages(), ids=lambda page: str(page.relative_to(ROOT)))
def test_tables_are_those_of_the_results(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    assert len(re.findall("<!-- (?:results:|end of results)", text)) == 2 * len(MARKED.findall(text)), (
        "a comment is cut"
    )
    assert filled(text) == text, f"{page.name} differs from benchmarks/results: make results"


def test_every_table_stands_somewhere() -> None:
    found = {name for page in pages() for _, name, *_ in MARKED.findall(page.read_text(encoding="utf-8"))}
    assert found == set(TABLES)


def test_another_figure_is_found_and_put_right() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    changed = re.sub(r"(\| bundled ONNX, greedy \|) [\d.]+", r"\1 99.99", text)
    assert changed != text == filled(changed)
    with pytest.raises(HtrjandError, match="none.json: no such table or result"):
        filled(text.replace("peers, language-bench.json", "peers, none.json"))
