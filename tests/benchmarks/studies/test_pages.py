"""The study of pages, on pages that it is given: printed lines, found by the detector's weights."""

from __future__ import annotations

import io
import json
from pathlib import Path
from xml.etree import ElementTree

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner
from PIL import Image, ImageDraw, ImageFont

from htrjand.benchmarks.studies.pages import main

WEIGHTS = Path(__file__).resolve().parents[3] / "train" / "weights" / "detector.safetensors"
TEXTS = ("la premiere ligne", "une deuxieme ligne", "et la troisieme", "puis une autre", "la derniere ligne")


def page(number: int, dataset: str, split: str = "val") -> dict[str, object]:
    """Five printed lines; the true one in place `number` is without ink."""
    image = Image.new("L", (640, 900), 235)
    lines = []
    for index, text in enumerate(TEXTS):
        base = 150 + 130 * index
        if index != number:
            ImageDraw.Draw(image).text((70, base), text, fill=30, font=ImageFont.load_default(44), anchor="ls")
        left, top, right, foot = 66, base - 38, 70 + 21 * len(text), base + 14
        polygon = [(left, top), (right, top), (right, foot), (left, foot)]
        lines.append({"order": index, "text": text, "polygon": polygon, "baseline": [(left, base), (right, base)]})
    file = io.BytesIO()
    image.save(file, "PNG")
    return {
        "id": f"{dataset}-{number}", "dataset": dataset, "doc": "d", "split": split, "image": file.getvalue(),
        "lines": json.dumps(lines), "ignore": "[]",
    }  # fmt: skip


@pytest.fixture
def pages(tmp_path: Path) -> Path:
    rows = [page(-1, "copiste"), page(2, "poilus"), page(0, "poilus", "test"), page(0, "read2016-bozen")]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "pages.parquet")
    return tmp_path / "pages.parquet"


def run(*arguments: object) -> str:
    result = CliRunner().invoke(main, [str(value) for value in arguments], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


def test_pages_are_found_and_read(pages: Path, tmp_path: Path) -> None:
    printed = run("-i", pages, "--detector", WEIGHTS, "-o", tmp_path / "out.json", "--sheet", tmp_path / "out.svg")
    document = json.loads((tmp_path / "out.json").read_text("utf-8"))
    assert [engine["name"] for engine in document["engines"]] == ["bundled", "bundled with language"]
    greedy, language = (engine["datasets"] for engine in document["engines"])
    assert list(greedy) == ["copiste", "poilus", "all"]  # neither of another split nor of what is left out
    assert greedy["copiste"]["detected"]["recall"] == 100 and greedy["copiste"]["detected"]["baseline_f1"] > 95
    assert greedy["poilus"]["detected"]["recall"] == 80 and greedy["poilus"]["detected"]["precision"] == 100
    assert "detected" not in language["all"] and language["all"]["found"] == greedy["all"]["found"]
    for values in (*greedy.values(), *language.values()):
        assert values["cer"] == pytest.approx(values["cer_given"] + sum(values["lost"].values()), abs=0.01)
    assert greedy["copiste"]["lost"]["missed"] == 0
    assert document["engines"][0]["bytes"] > WEIGHTS.stat().st_size and document["engines"][0]["peak_rss"] > 50e6
    assert "| poilus | 1 | 5 | 80.0 / 100.0 / " in printed
    drawing = ElementTree.parse(tmp_path / "out.svg")
    titles = [text.text for text in drawing.iter("{http://www.w3.org/2000/svg}text") if text.get("font-size") == "10"]
    assert titles[:-1] == ["copiste: 5 of 5 lines found, 0 others", "poilus: 4 of 5 lines found, 0 others"]
    assert not any(text in (tmp_path / "out.svg").read_text("utf-8") for text in TEXTS)


def test_lines_are_detected_alone(pages: Path, tmp_path: Path) -> None:
    arguments = ("-i", pages, "--detector", WEIGHTS, "--no-read", "--split", "test", "-o", tmp_path / "out.json")
    assert "CER" not in run(*arguments)
    (engine,) = json.loads((tmp_path / "out.json").read_text("utf-8"))["engines"]
    assert engine["datasets"]["all"]["lines"] == 5 and engine["datasets"]["all"]["detected"]["recall"] == 80
    assert "found" not in engine["datasets"]["all"] and engine["peak_rss"] > 50e6


def test_a_dataset_without_pages_is_an_error(pages: Path) -> None:
    result = CliRunner().invoke(main, ["-i", str(pages), "--dataset", "copiste", "--split", "test"])
    assert result.exit_code and "no test pages of copiste" in str(result.exception)
