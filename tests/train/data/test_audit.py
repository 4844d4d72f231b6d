"""The audit: clean lines are called clean, and each defect is found and named, and not confused with others."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner, Result
from generated import printed, printed_row
from PIL import Image

from htrjand.cli import main
from htrjand.runtime.errors import HtrjandError
from htrjand.train.data.audit import near
from htrjand.train.data.audit.run import audit
from htrjand.train.data.lines import SCHEMA, LineRow, write_lines

PROSE = (
    "the quick brown fox jumps over", "the lazy dog and runs to the", "river where it drinks a while",
    "pack my box with five dozen jugs", "of liquor said the old captain", "while five boxing wizards jumped",
    "sphinx of black quartz judge my", "vow was all that he would answer", "how vexingly quick daft zebras",
)  # fmt: skip
Audit = Callable[..., dict[str, Any]]


def line(text: str, name: str, split: str = "train", doc: str = "", **changes: Any) -> LineRow:
    return replace(printed_row(text, name, split), doc=doc or f"doc-{split}", **changes)


def clean() -> list[LineRow]:
    """Three lines a split, of another document and another text each."""
    splits = ("train", "val", "test")
    return [line(text, f"{i}", splits[i // 3]) for i, text in enumerate(PROSE)]


def encoded(pixels: np.ndarray, form: str = "PNG", **options: Any) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, form, **options)
    return stream.getvalue()


@pytest.fixture
def look(tmp_path: Path) -> Audit:
    def look(rows: Iterable[LineRow], **options: Any) -> dict[str, Any]:
        write_lines(tmp_path / "lines.parquet", rows)
        return audit([tmp_path / "lines.parquet"], **options)

    return look


def test_clean_lines_are_clean(look: Audit) -> None:
    report = look(clean())
    assert report["voids"] == report["drop"] == []
    assert report["faults"] == {}
    assert not [key for key in report if key.startswith(("documents in", "images in", "lines with", "unread"))
                and report[key]]  # fmt: skip
    train = report["splits"][0]
    assert [row["split"] for row in report["splits"]] == ["train", "val", "test"]
    assert (train["lines"], train["documents"], train["pages"]) == (3, 1, 1)
    assert train["characters"] == sum(map(len, PROSE[:3]))
    assert train["mean width"] == round(np.mean([printed(text).shape[1] for text in PROSE[:3]]))
    assert 3 < train["frames a character"]["p50"] < 10
    assert train["text in train"] is None
    assert [row["text in train"] for row in report["splits"][1:]] == [0, 0]


def test_a_document_in_two_splits_voids(look: Audit) -> None:
    rows = [*clean(), line("another text of the same letter", "x", "test", doc="doc-train")]
    report = look(rows)
    assert report["documents in several splits"] == [
        {"dataset": "printed", "doc": "doc-train", "lines": {"train": 3, "test": 1}}
    ]
    assert len(report["voids"]) == 1
    elsewhere = replace(rows[-1], dataset="another")
    assert look([*clean(), elsewhere])["voids"] == [], "another dataset's document of that name is another document"


def test_a_copied_text_is_found_though_its_lines_break_elsewhere(look: Audit) -> None:
    running = " ".join(PROSE[:3])
    copied = [line(running[i : i + 40], f"copy-{i}", "test", "copy") for i in (5, 45)]
    report = look([*clean(), *copied])
    assert report["documents with their text in train"] == [
        {"dataset": "printed", "split": "test", "doc": "copy", "share": 1.0, "grams": 42}
    ]
    assert {row["id"] for row in report["lines with their text in train"]} == {"copy-5", "copy-45"}
    assert report["splits"][2]["text in train"] > 0.3
    assert report["splits"][1]["text in train"] == 0
    assert report["voids"] == [], "texts may recur; the hands differ"


def test_a_short_text_counts_when_it_is_the_same_as_a_whole_and_not_too_short(look: Audit) -> None:
    train = [line("Le 3 mars 1915", "a"), line("id.", "b"), line("son of Le 5 mars 1915", "c")]
    val = [line("le 3  mars 1915", "d", "val"), line("id.", "e", "val"), line("Le 5 mars 1915", "f", "val")]
    assert [row["id"] for row in look(train + val)["lines with their text in train"]] == ["d"]


def test_grams_of_a_million_random_stretches_differ() -> None:
    letters = np.random.default_rng(0).integers(97, 123, 1_000_000).astype(np.uint8).tobytes().decode()
    hashes = near.grams(letters)
    assert len(np.unique(hashes)) == len(hashes) == 1_000_000 - 19


@pytest.mark.parametrize("change", ["same", "jpeg", "brighter", "cropped", "smaller"])
def test_the_same_image_in_two_splits_is_found_however_it_was_saved(look: Audit, change: str) -> None:
    pixels = printed(PROSE[0])
    if change == "brighter":
        pixels = (pixels * 0.7 + 70).astype(np.uint8)
    elif change == "cropped":
        pixels = pixels[1:, 2:-2]
    elif change == "smaller":
        pixels = np.asarray(Image.fromarray(pixels).resize((pixels.shape[1] // 2, 32)))
    image = encoded(pixels, "JPEG", quality=40) if change == "jpeg" else encoded(pixels)
    height, width = pixels.shape
    copy = line("read otherwise", "copy", "test", image=image, width=width, height=height)
    report = look([*clean(), copy])
    assert [{row["id"] for row in group} for group in report["images in several splits"]] == [{"0", "copy"}]
    assert [row["id"] for row in report["drop"]] == ["0"], "train gives way"
    assert "drop 1 of train" in report["voids"][0]
    assert look([*clean(), copy], images=False)["voids"] == []


def test_an_image_twice_in_train_is_told_and_voids_nothing(look: Audit) -> None:
    report = look([*clean(), line(PROSE[0], "copy")])
    assert [[row["id"] for row in group] for group in report["images repeated within a split"]] == [["0", "copy"]]
    assert report["voids"] == report["drop"] == []


def test_blank_images_are_not_each_others_copies(look: Audit) -> None:
    grain = np.random.default_rng(0).normal(200, 2, (2, 64, 400)).clip(0, 255).astype(np.uint8)
    blank = [
        line("a text", f"blank-{split}", split, image=encoded(pixels), width=400, height=64)
        for split, pixels in zip(("train", "test"), grain, strict=True)
    ]
    report = look([*clean(), *blank])
    assert [row["id"] for row in report["faults"]["image shows nothing"]] == ["blank-train", "blank-test"]
    assert report["images in several splits"] == []


def test_copies_are_found_among_many_lines() -> None:
    rng = np.random.default_rng(0)
    shapes = rng.normal(size=(3000, 256)).astype(np.float32)
    shapes[2900] = shapes[17] + rng.normal(size=256) * 0.2
    shapes[1500] = shapes[2900]
    shapes[40] = shapes[41]
    shapes /= np.linalg.norm(shapes, axis=1, keepdims=True)
    widths = rng.integers(300, 310, 3000)
    widths[40], widths[41] = 300, 600
    assert near.alike(list(shapes.astype(np.float16)), widths.tolist()) == [[17, 1500, 2900]]


def test_broken_lines_are_counted_and_the_others_audited(look: Audit) -> None:
    good = clean()
    bad = [
        replace(good[0], id="cut", image=good[0].image[:200]),
        replace(good[1], id="size", width=good[1].width + 8, text="another line of text"),
    ]
    report = look([*good[2:], *bad])
    assert [row["id"] for row in report["faults"]["image does not decode"]] == ["cut"]
    assert [row["id"] for row in report["faults"]["width or height is not the image's"]] == ["size"]
    assert report["voids"] == ["2 broken lines: drop or write again"]
    assert {row["id"] for row in report["drop"]} == {"cut", "size"}
    assert report["lines"] == 9


def test_a_line_that_lacks_a_value_is_counted(tmp_path: Path) -> None:
    rows = [vars(row) for row in clean()] + [vars(clean()[0]) | {"id": "bare", "doc": None}]
    pq.write_table(pa.Table.from_pylist(rows, schema=SCHEMA), tmp_path / "x.parquet")
    report = audit([tmp_path])
    assert [row["id"] for row in report["faults"]["lacks a value or has no size"]] == ["bare"]
    assert report["lines"] == 9


def test_an_unreadable_file_is_named_and_the_others_are_audited(tmp_path: Path) -> None:
    write_lines(tmp_path / "good.parquet", clean())
    (tmp_path / "bad.parquet").write_bytes(b"PAR1")
    report = audit([tmp_path, tmp_path / "missing.parquet"])
    assert report["lines"] == 9
    assert ["bad.parquet" in report["unreadable files"][0], "missing.parquet" in report["unreadable files"][1]] == [
        True, True
    ]  # fmt: skip
    assert report["voids"] == ["2 unreadable files: write or copy again"]
    with pytest.raises(HtrjandError, match="bad.parquet"):
        audit([tmp_path / "bad.parquet"])


def test_texts_ids_and_splits(look: Audit) -> None:
    odd = [
        line(" ", "empty"),
        line("cafe\u0301", "nfd"),
        line("abc", "0"),  # an id that is there already
        line("ab" * 40, "narrow", image=encoded(printed("ab")), width=printed("ab").shape[1]),
        line("some text", "odd", "dev"),
    ]
    report = look([*clean(), *odd])
    ids = {reason: [row["id"] for row in rows] for reason, rows in report["faults"].items()}
    assert ids == {
        "no text": ["empty"],
        "text is not NFC": ["nfd"],
        "more text than frames": ["narrow"],
        "split is none of train, val, test": ["odd"],
    }
    assert report["repeated ids"] == [{"dataset": "printed", "id": "0", "lines": 2}]
    assert report["splits"][0]["more text than frames"] == 1
    assert report["voids"] == []


def test_characters(look: Audit) -> None:
    train = [line("aaaaa bbbbb’’’’’", "a"), line("c q\u0303\u200b é", "b")]
    found = look([*train, line("a x€ x", "c", "test")])["characters"]
    assert found["train"]["'"] == 5, "counted as they are trained on: quotes folded"
    assert set(found["rare in train"]) == {" ", "c", "q", "\u0303", "\u200b", "é"}
    assert found["not in train"] == {"x": {"printed test": 2}, "€": {"printed test": 1}}
    assert found["combining"] == {"\u0303": 1}
    assert found["control"] == {"\u200b": 1}


def run(*arguments: object) -> Result:
    return CliRunner().invoke(main, ["data", "audit", *map(str, arguments)])


def test_the_command_tells_and_its_exit_status_too(tmp_path: Path) -> None:
    write_lines(tmp_path / "clean.parquet", clean())
    result = run(tmp_path / "clean.parquet")
    assert result.exit_code == 0, result.output
    assert result.stdout.endswith("Clean: 9 lines, and nothing that voids an evaluation.\n")
    assert result.stderr == "", "no bar but on a terminal"

    write_lines(tmp_path / "more.parquet", [line(PROSE[8], "copy\u0303"), line("q\u0303\x07", "odd"), line("", "none")])
    result = run(tmp_path, "-f", "json", "-o", tmp_path / "report.json")
    assert (result.exit_code, result.stdout) == (1, "")
    report = json.loads((tmp_path / "report.json").read_text(encoding="utf-8"))
    assert report["drop"] == [{"dataset": "printed", "split": "train", "doc": "doc-train", "id": "copy\u0303"}]
    text = run(tmp_path).stdout
    assert "images in several splits: 1\n  printed test  8  =  printed train  copy" in text
    assert "  ◌\u0303  U+0303 COMBINING TILDE  1\n" in text
    assert "\x07" not in text
    assert "- 1 image in several splits: drop 1 of train ('drop' in the JSON report)" in text
    assert run(tmp_path, "--no-images").exit_code == 0


def test_only_core_lines_are_audited(tmp_path: Path) -> None:
    write_lines(tmp_path / "x.parquet", clean())
    marked = pq.read_table(tmp_path / "x.parquet").append_column("core", pa.array([True] * 4 + [False] * 5))
    pq.write_table(marked, tmp_path / "x.parquet")
    assert audit([tmp_path], core=True)["lines"] == 4


def test_files_that_cannot_be_audited(tmp_path: Path) -> None:
    result = run(tmp_path)
    assert result.exit_code == 1
    assert "no *.parquet file" in result.stderr
    write_lines(tmp_path / "empty.parquet", [])
    assert "no usable line" in run(tmp_path).stderr
