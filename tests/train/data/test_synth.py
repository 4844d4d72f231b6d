from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageFont

from htrjand.runtime import HtrjandError
from htrjand.train.data.lines import read_lines
from htrjand.train.data.synth import Style, missing_characters, open_font, render_line, stroke_width
from htrjand.train.data.synth.sample import HANDS, LINES, make_sample

SAMPLE = Path(__file__).parents[3] / "benchmarks" / "sample"


@pytest.fixture(scope="session")
def font(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A font file: the one that Pillow carries, which has no accents."""
    path = tmp_path_factory.mktemp("fonts") / "font.ttf"
    path.write_bytes(ImageFont.load_default(20).font_bytes)
    return path


def test_a_seed_gives_its_pixels_and_another_seed_others(font: Path) -> None:
    first, again, other = (render_line("summer at last", font, np.random.default_rng(seed)) for seed in (3, 3, 4))
    assert np.array_equal(first, again)
    assert first.shape != other.shape or not np.array_equal(first, other)


@pytest.mark.parametrize("seed", range(6))
def test_a_line_is_dark_ink_on_light_paper_that_fills_the_height(font: Path, seed: int) -> None:
    text = "Friday the 14th, paid 12.50 fr."
    line = render_line(text, font, np.random.default_rng(seed), Style(ruled=0))
    assert line.dtype == np.uint8 and line.shape[0] == 64
    assert 12 <= line.shape[1] / len(text) <= 40
    paper, ink = np.percentile(line, 80), np.percentile(line, 1)
    assert paper > 180 and paper - ink > 50
    dark = np.flatnonzero((line < (paper + ink) / 2).any(1))
    assert dark[0] <= 8 and dark[-1] >= 55


def test_the_pen_has_the_width_asked_for(font: Path) -> None:
    plain = {"slant": (0, 0), "tremor": (0, 0), "pressure": (0, 0), "flow": (0, 0), "ruled": 0, "ink": (0, 0)}
    plain |= {"paper": (255, 255), "stain": (0, 0), "grain": (0, 0), "blur": (0, 0), "noise": (0, 0), "edge": (0, 0)}
    widths = []
    for pen in (0.1, 0.13):
        line = render_line("bdpq", font, np.random.default_rng(1), Style(pen=(pen, pen), **plain))
        widths.append(stroke_width(1 - line.astype(np.float32) / 255))
    assert widths == pytest.approx([6.4, 8.3], rel=0.25)


def test_slant_leans_letters_to_the_right(font: Path) -> None:
    def lean(slant: float) -> float:
        style = Style(slant=(slant, slant), ruled=0, word_shift=0, drift=(0, 0))
        line = render_line("l", font, np.random.default_rng(5), style)
        dark = line < 128
        top, bottom = (np.flatnonzero(dark[rows].any(0)).mean() for rows in (slice(5, 20), slice(44, 58)))
        return float(top - bottom)

    assert lean(0.3) > lean(0.0) + 6 > lean(-0.3) + 12


def test_a_character_the_font_lacks_is_an_error(font: Path) -> None:
    assert missing_characters("a fine day, isn't it?", font) == ""
    assert missing_characters("aक字", font) == "क字"
    with pytest.raises(HtrjandError, match="has no 字"):
        render_line("a 字", font, np.random.default_rng(0))


def test_a_file_that_is_no_font_and_a_blank_text_are_errors(font: Path, tmp_path: Path) -> None:
    wrong = tmp_path / "font.woff"
    wrong.write_bytes(b"no font")
    with pytest.raises(HtrjandError, match=r"font\.woff: not a readable font"):
        open_font(wrong, 20)
    with pytest.raises(HtrjandError, match="without text"):
        render_line("  ", font, np.random.default_rng(0))


def test_the_sample_is_made_whole(font: Path, tmp_path: Path) -> None:
    for hand in (*HANDS["train"], *HANDS["test"]):
        (tmp_path / f"{hand}-latin-400-normal.woff").write_bytes(font.read_bytes())
    texts = [("train", "fr", f"bonjour {number}") for number in range(6)]
    texts += [("test", "en", f"a line {number}") for number in range(16)]
    (tmp_path / "texts.tsv").write_text("".join("\t".join(row) + "\n" for row in texts), encoding="utf-8")
    make_sample(tmp_path, tmp_path)
    rows = list(read_lines(tmp_path / "sample.parquet"))
    assert [(row.split, row.lang, row.text) for row in rows] == texts
    assert [row.doc for row in rows if row.split == "train"] == list(HANDS["train"])
    assert len(list((tmp_path / "lines").glob("*.png"))) == LINES
    with Image.open(tmp_path / "page.png") as page:
        assert page.height > LINES * 64


def test_a_missing_font_is_named(tmp_path: Path) -> None:
    (tmp_path / "texts.tsv").write_text("train\tfr\tbonjour\n", encoding="utf-8")
    with pytest.raises(HtrjandError, match="@fontsource/bad-script"):
        make_sample(tmp_path, tmp_path)


def test_the_bundled_sample_is_what_its_texts_say() -> None:
    rows = list(read_lines(SAMPLE / "sample.parquet"))
    with (SAMPLE / "texts.tsv").open(encoding="utf-8", newline="") as stream:
        assert [[row.split, row.lang, row.text] for row in rows] == list(csv.reader(stream, delimiter="\t"))
    assert [sum(row.split == split for row in rows) for split in ("train", "test")] == [48, 32]
    hands = {split: {row.doc for row in rows if row.split == split} for split in ("train", "test")}
    assert len(hands["train"] | hands["test"]) == 14 and not hands["train"] & hands["test"]
    by_text = {row.text: row for row in rows if row.split == "test"}
    for truth in sorted((SAMPLE / "lines").glob("*.gt.txt")):
        with Image.open(truth.with_name(truth.name.replace(".gt.txt", ".png"))) as image:
            assert np.array_equal(np.asarray(image), by_text[truth.read_text(encoding="utf-8").strip()].pixels())


def test_the_bundled_sample_stays_small() -> None:
    assert sum(file.stat().st_size for file in SAMPLE.rglob("*") if file.is_file()) < 1_200_000
    assert (SAMPLE / "page.png").stat().st_size < 300_000
