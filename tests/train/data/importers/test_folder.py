"""Images with .gt.txt beside them: which image, which text, which document and split, and what is left out."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from generated import printed
from PIL import Image

from htrjand.runtime.errors import HtrjandError
from htrjand.runtime.image import load_line
from htrjand.train.data.importers import EMPTY, Skipped, Source, import_lines
from htrjand.train.data.importers.rows import (
    IMAGE_BLANK,
    IMAGE_BROKEN,
    IMAGE_MISSING,
    IMAGE_WIDE,
    TEXT_ENCODING,
    encode,
    page_of,
)
from htrjand.train.data.lines import LineRow


def line(path: Path, text: str, suffix: str = ".png", shown: str = "abc") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(printed(shown)).save(path.with_name(path.name + suffix))
    path.with_name(path.name + ".gt.txt").write_text(text, encoding="utf-8")


def lines_of(path: Path, **more: str) -> list[LineRow]:
    found = list(import_lines(Source(path, "set", **more), "gt"))
    assert not [each for each in found if isinstance(each, Skipped)], found
    return [each for each in found if isinstance(each, LineRow)]


def test_a_line_is_its_image_and_its_text_normalised(tmp_path: Path) -> None:
    line(tmp_path / "book" / "p1_l01", "  l’e\u0301te\u0301 —  fin\n")
    [row] = lines_of(tmp_path, lang="fr")
    assert (row.text, row.id, row.doc, row.page) == ("l'été - fin", "book/p1_l01", "book", "p1")
    assert (row.dataset, row.lang, row.split) == ("set", "fr", "")
    assert (row.height, row.width) == row.pixels().shape == (64, printed("abc").shape[1])
    assert (row.pixels() == printed("abc")).all()


@pytest.mark.parametrize("suffix", [".bin.png", ".nrm.png", ".jpg", ".tif", ".PNG"])
def test_images_as_other_tools_name_them(tmp_path: Path, suffix: str) -> None:
    line(tmp_path / "010001", "abc", suffix)
    assert [row.id for row in lines_of(tmp_path)] == ["010001"]


def test_the_grey_image_comes_before_the_binarised_one(tmp_path: Path) -> None:
    line(tmp_path / "x", "abc", ".bin.png", shown="aaaa")
    line(tmp_path / "x", "abc", ".png", shown="abc")
    assert lines_of(tmp_path)[0].width == printed("abc").shape[1]


def test_folders_called_as_splits_are_splits_unless_one_is_asked_for(tmp_path: Path) -> None:
    for name in ("train", "validation", "test"):
        line(tmp_path / name / "1", "abc")
    assert {row.id: row.split for row in lines_of(tmp_path)} == {
        "train/1": "train",
        "validation/1": "val",
        "test/1": "test",
    }
    assert {row.split for row in lines_of(tmp_path, split="val")} == {"val"}


def test_images_in_a_folder_of_their_own(tmp_path: Path) -> None:
    line(tmp_path / "gt" / "a" / "1", "abc")
    (tmp_path / "images" / "a").mkdir(parents=True)
    (tmp_path / "gt" / "a" / "1.png").rename(tmp_path / "images" / "a" / "1.png")
    [row] = import_lines(Source(tmp_path / "gt", "set", images=tmp_path / "images"), "gt")
    assert isinstance(row, LineRow)


def test_what_cannot_be_used_is_left_out_for_a_fixed_reason(tmp_path: Path) -> None:
    for name in ("broken", "cut", "empty", "latin", "missing", "wide", "blank", "good"):
        line(tmp_path / name, "abc")
    (tmp_path / "broken.png").write_bytes(b"no image")
    whole = (tmp_path / "cut.png").read_bytes()
    (tmp_path / "cut.png").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "empty.gt.txt").write_text(" \n")
    (tmp_path / "latin.gt.txt").write_bytes("été".encode("latin-1"))
    (tmp_path / "missing.png").unlink()
    Image.fromarray(np.tile(printed("abc"), (1, 60))).save(tmp_path / "wide.png")
    Image.new("L", (400, 64), 200).save(tmp_path / "blank.png")
    found = list(import_lines(Source(tmp_path, "set"), "gt"))
    assert [each.id for each in found if isinstance(each, LineRow)] == ["good"]
    reasons = {Path(each.where.split(":")[0]).stem: each.reason for each in found if isinstance(each, Skipped)}
    assert reasons == {
        "broken": IMAGE_BROKEN, "cut": IMAGE_BROKEN, "empty": EMPTY, "latin": TEXT_ENCODING, "missing": IMAGE_MISSING,
        "wide": IMAGE_WIDE, "blank": IMAGE_BLANK,
    }  # fmt: skip


def test_nothing_to_import_is_an_error_that_names_the_folder(tmp_path: Path) -> None:
    with pytest.raises(HtrjandError, match=r"no \*\.gt\.txt"):
        list(import_lines(Source(tmp_path, "set"), "gt"))
    with pytest.raises(HtrjandError, match="no such folder"):
        list(import_lines(Source(tmp_path / "none", "set"), "gt"))


def test_an_encoded_line_is_the_line() -> None:
    grey = printed("pixel for pixel", noise=7)
    assert (load_line(encode(grey)) == grey).all()


@pytest.mark.parametrize(
    ("stem", "page"), [("p3_l07", "p3"), ("a01-000u-00", "a01-000u"), ("0001__000__12", "0001__000"), ("010001", "all")]
)
def test_a_page_is_told_by_a_name_of_two_numbers(stem: str, page: str) -> None:
    assert page_of(stem, "all") == page


def test_a_name_with_one_number_tells_no_page() -> None:
    assert page_of("line_0007", "all") == "all"
