"""What other people's pixels cost: the ways lines are made, and the table."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from click.testing import CliRunner
from generated import printed, printed_row
from PIL import Image

from htrjand.benchmarks.studies.pixels import PADDING, Line, cropped, main, mean_grey, page_lines, without_antialiasing
from htrjand.runtime import Recognizer, UsageError
from htrjand.runtime.image import load_line
from htrjand.train.data.lines import write_lines

PAGE = """<PcGts xmlns="http://schema.primaresearch.org/PAGE/gts/pagecontent/2019-07-15">
<Page imageFilename="one.png" imageWidth="400" imageHeight="300"><TextRegion id="r"><TextLine id="l">
<Coords points="20,40 300,40 300,140 20,140"/><TextEquiv><Unicode>abc</Unicode></TextEquiv></TextLine></TextRegion>
</Page></PcGts>"""


def test_a_line_without_antialiasing_keeps_single_pixels() -> None:
    grey = np.full((192, 300), 255, np.uint8)
    grey[::3] = 0  # every third row, as point sampling meets or misses it
    found = without_antialiasing(grey)
    assert found.shape == (64, 100) == load_line(grey).shape
    assert found.std() < 1 and abs(float(found.mean()) - float(grey.mean())) > 50, "it meets none of the dark rows"
    same = printed("abc")
    assert np.array_equal(without_antialiasing(same), same), "nothing to resize"


def test_ways_of_grey_and_of_padding() -> None:
    blue = np.zeros((64, 100, 3), np.uint8)
    blue[..., 2] = 240
    assert (mean_grey(blue) == 80).all()
    line = printed("abc")
    rng = np.random.default_rng(0)
    for way, pad in PADDING.items():
        found = pad(line, rng)
        assert found.shape[1] % 16 == 0
        assert np.array_equal(found[:, : line.shape[1]], line)
        if "white by 25" in way:
            assert (found[:, line.shape[1] :] == 255).all() and found.shape[1] >= 1.25 * line.shape[1] - 1
    assert len(PADDING) == 11


def test_lines_are_cut_in_colour_with_their_paper_round_them(tmp_path: Path) -> None:
    pixels = np.full((300, 400, 3), (230, 220, 200), np.uint8)
    pixels[80:100, 50:250] = (40, 60, 150)
    pixels[145:, :] = 0
    Image.fromarray(pixels).save(tmp_path / "one.png")
    (tmp_path / "one.xml").write_text(PAGE, encoding="utf-8")
    (line,) = page_lines(tmp_path)
    assert isinstance(line, Line) and line.text == "abc"
    assert line.pixels.shape == (101, 281, 3)
    assert (line.pixels[50, 100] == (40, 60, 150)).all()
    tilted = cropped(pixels, [(20, 40), (300, 90), (300, 190), (20, 140)])
    assert (tilted[-1, 0] == (230, 220, 200)).all(), "outside the outline"


def test_the_table(tmp_path: Path) -> None:
    write_lines(tmp_path / "lines.parquet", [printed_row(text, text, "val") for text in ("abc cab", "bac", "a <> b")])
    command = ["-i", str(tmp_path / "lines.parquet"), "-o", str(tmp_path / "out.json")]
    done = CliRunner().invoke(main, command)
    assert done.exit_code == 0, done.output
    assert "| 2 stored lines | CER, % |" in done.output
    (found,) = json.loads((tmp_path / "out.json").read_text())
    (kind,) = found["kinds"].values()
    assert [row["way"] for row in kind["rows"]] == ["as the runtime reads them", *PADDING]
    assert isinstance(CliRunner().invoke(main, []).exception, UsageError)


def test_several_models_and_another_split(tmp_path: Path) -> None:
    said = (("abc cab", "val"), ("bac", "test"), ("cab", "test"))
    write_lines(tmp_path / "lines.parquet", [printed_row(text, text, split) for text, split in said])
    model = str(Recognizer().path)
    command = ["-i", str(tmp_path / "lines.parquet"), "-m", model, "-m", model, "--split", "test"]
    done = CliRunner().invoke(main, [*command, "-o", str(tmp_path / "out.json")])
    assert done.exit_code == 0, done.output
    found = json.loads((tmp_path / "out.json").read_text())
    assert [one["split"] for one in found] == ["test", "test"] and found[0] == found[1]
    assert found[0]["kinds"]["stored lines"]["lines"] == 2, "of that split alone"
