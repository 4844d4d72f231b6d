"""Public data sets in the layout of their archives: texts, splits and documents."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from generated import printed
from PIL import Image

from htrjand.runtime.errors import HtrjandError, UsageError
from htrjand.train.data.importers import FORMATS, Skipped, Source, import_lines
from htrjand.train.data.importers.rimes import BAD_BOX
from htrjand.train.data.importers.rows import IMAGE_MISSING, NO_SPLIT, TEXT_MISSING
from htrjand.train.data.lines import LineRow


def put(root: Path, files: dict[str, str]) -> None:
    """Writes text files; an image's content is the text that is drawn."""
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.suffix in (".png", ".jpg"):
            Image.fromarray(printed(content)).save(path)
        else:
            path.write_text(content, encoding="utf-8")


def rows_of(root: Path, form: str, split: str | None = None) -> tuple[dict[str, LineRow], dict[str, str]]:
    """Id → row, and id or file → why it was left out."""
    found = list(import_lines(Source(root, form, split=split, lang=FORMATS[form].lang), form))
    rows = {each.id: each for each in found if isinstance(each, LineRow)}
    return rows, {each.where: each.reason for each in found if isinstance(each, Skipped)}


IAM = {
    "ascii/lines.txt": "#--- lines.txt ---#\n# format: a01-000u-00 ok 154 19 408 746 1663 91 A|MOVE|to\n#\n"
    "a01-000u-00 ok 154 19 408 746 1661 89 A|MOVE|to|stop|Mr.|Gaitskell\n"
    'a01-000u-01 err 156 19 395 932 1850 105 he|said|,|"|no|"\n'
    "b02-001-00 ok 156 19 395 932 1850 105 any |more\n"
    "c03-002-00 ok 156 19 395 932 1850 105 Peers\n"
    "d04-003-00 ok 156 19 395 932 1850 105 left|out\n"
    "e05-004-00 ok 156\n",
    "ascii/forms.txt": "# form writer\na01-000u 007 2 prt 7 5 52 36\nb02-001 007 2 prt 7 5 52 36\n"
    "c03-002 008 2 all 1 1 1 1\n",
    "lines/a01/a01-000u/a01-000u-00.png": "A MOVE",
    "lines/a01/a01-000u/a01-000u-01.png": "he said",
    "lines/b02/b02-001/b02-001-00.png": "any",
    "lines/c03/c03-002/c03-002-00.png": "Peers",
    "lines/d04/d04-003/d04-003-00.png": "out",
}
LARGE = {
    "task/trainset.txt": "a01-000u-00\na01-000u-01\n",
    "task/validationset1.txt": "b02-001-00\n",
    "task/validationset2.txt": "z99-000-00\n",
    "task/testset.txt": "c03-002-00\n",
}
AACHEN = {
    "splits/aachen/train.uttlist": "a01-000u\n",
    "splits/aachen/validation.uttlist": "b02-001\n",
    "splits/aachen/test.uttlist": "c03-002\n",
}


@pytest.mark.parametrize(
    "splits", [LARGE, AACHEN, {name.split("/")[-1].replace("uttlist", "lst"): ids for name, ids in AACHEN.items()}]
)
def test_iam_with_its_split_files(tmp_path: Path, splits: dict[str, str]) -> None:
    put(tmp_path, IAM | splits)
    rows, skipped = rows_of(tmp_path, "iam")
    assert {name: row.split for name, row in rows.items()} == {
        "a01-000u-00": "train", "a01-000u-01": "train", "b02-001-00": "val", "c03-002-00": "test",
    }  # fmt: skip
    assert rows["a01-000u-00"].text == "A MOVE to stop Mr. Gaitskell"
    assert rows["a01-000u-01"].text == 'he said , " no "'
    assert rows["b02-001-00"].text == "any more"
    assert {(row.doc, row.page) for row in rows.values()} == {
        ("007", "a01-000u"),
        ("007", "b02-001"),
        ("008", "c03-002"),
    }
    assert skipped["d04-003-00"] == NO_SPLIT
    assert [where for where in skipped if where.endswith("e05-004-00")]


def test_iam_without_split_files_tells_none_and_takes_what_is_asked(tmp_path: Path) -> None:
    put(tmp_path, IAM)
    assert {row.split for row in rows_of(tmp_path, "iam")[0].values()} == {""}
    put(tmp_path, LARGE)
    rows, _ = rows_of(tmp_path, "iam", split="test")
    assert len(rows) == 5 and {row.split for row in rows.values()} == {"test"}


def test_iam_with_two_sets_of_split_files_is_not_guessed(tmp_path: Path) -> None:
    put(tmp_path, IAM | LARGE | AACHEN)
    with pytest.raises(UsageError, match=r"task and in .*aachen; leave one"):
        rows_of(tmp_path, "iam")


def test_an_id_in_two_splits_is_an_error(tmp_path: Path) -> None:
    put(tmp_path, IAM | LARGE | {"task/testset.txt": "a01-000u-00\n"})
    with pytest.raises(HtrjandError, match="a01-000u-00 is in"):
        rows_of(tmp_path, "iam")


def page_of_lines(path: Path) -> list[tuple[int, int, int, int]]:
    """A page of two lines, and their boxes (left, top, right, bottom)."""
    page = np.full((300, 600), 220, np.uint8)
    boxes = []
    for top, text in ((20, "abc"), (150, "cab ab")):
        line = printed(text)
        page[top : top + 64, 30 : 30 + line.shape[1]] = line
        boxes.append((30, top, 30 + line.shape[1], top + 64))
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(page).save(path)
    return boxes


def rimes_xml(pages: dict[str, list[tuple[int, int, int, int]]]) -> str:
    texts = ("l&apos;été &amp;amp; co", "Paris")
    lines = {
        name: "".join(
            f'<Line Value="{text}" Left="{left}" Top="{top}" Right="{right}" Bottom="{bottom}"/>'
            for text, (left, top, right, bottom) in zip(texts, boxes, strict=False)
        )
        for name, boxes in pages.items()
    }
    body = "".join(
        f'<SinglePage FileName="{name}"><Paragraph>{inner}</Paragraph></SinglePage>' for name, inner in lines.items()
    )
    return f'<?xml version="1.0" encoding="UTF-8"?><DocumentList>{body}</DocumentList>'


def test_rimes_as_it_was_given_out(tmp_path: Path) -> None:
    boxes = page_of_lines(tmp_path / "images_gray" / "train2011-0.png")
    page_of_lines(tmp_path / "images_gray" / "train2011-1400.png")
    page_of_lines(tmp_path / "images_gray" / "eval2011-3.png")
    train = {f"images_gray/train2011-{number}.png": boxes for number in (0, 1400, 7)}
    put(tmp_path, {
        "training_2011.xml": rimes_xml(train),
        "eval_2011_annotated.xml": rimes_xml({"images_gray/eval2011-3.png": [(-4, 20, 200, 84), (50, 90, 50, 95)]}),
    })  # fmt: skip
    rows, skipped = rows_of(tmp_path, "rimes")
    assert {name: row.split for name, row in rows.items()} == {
        "train2011-0-00": "train", "train2011-0-01": "train", "train2011-1400-00": "val", "train2011-1400-01": "val",
        "eval2011-3-00": "test",
    }  # fmt: skip
    assert [rows[f"train2011-0-0{count}"].text for count in (0, 1)] == ["l'été & co", "Paris"]
    assert (rows["train2011-0-01"].pixels() == printed("cab ab")).all()
    assert rows["eval2011-3-00"].doc == rows["eval2011-3-00"].page == "eval2011-3"
    assert sorted(skipped.values()) == sorted([BAD_BOX, IMAGE_MISSING])
    assert {row.lang for row in rows.values()} == {"fr"}


def test_rimes_cut_into_lines(tmp_path: Path) -> None:
    names = ("train2011-0-01", "train2011-9-00", "eval2011-3-00")
    sets = zip(("Train", "Validation", "Test"), names, strict=True)
    put(tmp_path, {f"Images/{name}.jpg": "abc" for name in names})
    put(tmp_path, {f"Transcriptions/{name}.txt": "été\n" for name in names})
    put(tmp_path, {f"Sets/{kind}Lines.txt": name + "\n" for kind, name in sets})
    rows, skipped = rows_of(tmp_path, "rimes")
    assert {name: row.split for name, row in rows.items()} == dict(zip(names, ("train", "val", "test"), strict=True))
    assert rows["train2011-0-01"].page == "train2011-0" and not skipped


def test_a_broken_xml_is_left_out_and_the_other_read(tmp_path: Path) -> None:
    boxes = page_of_lines(tmp_path / "images_gray" / "eval2011-0.png")
    whole = rimes_xml({"images_gray/eval2011-0.png": boxes})
    put(tmp_path, {"training_2011.xml": "<DocumentList><Single", "eval_2011_annotated.xml": whole})
    rows, skipped = rows_of(tmp_path, "rimes")
    assert len(rows) == 2 and len(skipped) == 1


@pytest.mark.parametrize("below", ["", "BenthamDatasetR0-GT/"])
def test_bentham(tmp_path: Path, below: str) -> None:
    names = [f"002_080_00{page}_01_0{line}" for page, line in ((1, 1), (1, 2), (2, 1), (3, 1), (4, 1))]
    texts = ["the <gap/> of &amp;c", "<sic>recieve</sic> &lt;gap/&gt; it", "a < b", "last", "in none"]
    root = tmp_path / below
    put(root, {f"Images/Lines/{name}.png": "abc" for name in names[:3] + names[4:]})
    put(root, {f"Transcriptions/{name}.txt": text for name, text in zip(names, texts, strict=True)})
    put(root, {
        "Partitions/TrainLines.lst": "\n".join(names[:2]), "Partitions/ValidationLines.lst": names[2],
        "Partitions/TestLines.lst": names[3] + "\n009_000_001_01_01\n",
    })  # fmt: skip
    rows, skipped = rows_of(tmp_path, "bentham")
    assert [row.text for row in rows.values()] == ["the of &c", "recieve it", "a < b"]
    assert [row.split for row in rows.values()] == ["train", "train", "val"]
    assert rows[names[0]].doc == "002_080_001"
    assert skipped == {names[3]: IMAGE_MISSING, names[4]: NO_SPLIT, "009_000_001_01_01": TEXT_MISSING}


def test_saint_gall_has_pages_in_its_sets(tmp_path: Path) -> None:
    names = ("csg562-003-01", "csg562-004-01", "csg562-005-01")
    put(tmp_path, {f"data/line_images_normalized/{name}.png": "abc" for name in names} | {
        "ground_truth/transcription.txt":
            f"{names[0]} p-l-et-u-s|et|q-pt primus|et|que\n{names[1]} a b\n{names[2]} c d\n",
        "sets/train.txt": "csg562-003\n", "sets/valid.txt": "csg562-004\n", "sets/test.txt": "csg562-005\n",
    })  # fmt: skip
    rows, skipped = rows_of(tmp_path, "saint-gall")
    assert rows[names[0]].text == "pl&us & q." and not skipped
    assert [(row.doc, row.split) for row in rows.values()] == [
        ("csg562-003", "train"), ("csg562-004", "val"), ("csg562-005", "test"),
    ]  # fmt: skip


def test_washington_spells_its_signs(tmp_path: Path) -> None:
    spelling = "2-7-0-s_pt|L-e-t-t-e-r-s-s_cm|O-r-d-e-r-s|s_et|s_s-o|s_lb-s_7-s_0|s_1st|s_GW|s_bl-a-s_br|b-s_mi-c-s_qo"
    put(tmp_path, {f"data/line_images_normalized/{name}.png": "abc" for name in ("270-01", "271-01", "272-01")} | {
        "ground_truth/transcription.txt": f"270-01 {spelling}\n271-01 a\n272-01 b\n273-01\n",
        "sets/cv1/train.txt": "270-01\n", "sets/cv1/valid.txt": "271-01\n", "sets/cv1/test.txt": "272-01\n",
        "sets/cv2/train.txt": "272-01\n", "sets/cv2/valid.txt": "271-01\n", "sets/cv2/test.txt": "270-01\n",
    })  # fmt: skip
    rows, skipped = rows_of(tmp_path, "washington")
    assert rows["270-01"].text == "270. Letters, Orders & so £70 1st G.W. (a) b-c:"
    assert {name: row.split for name, row in rows.items()} == {"270-01": "train", "271-01": "val", "272-01": "test"}
    assert len(skipped) == 1


@pytest.mark.parametrize("form", ["iam", "rimes", "bentham", "saint-gall", "washington"])
def test_an_empty_folder_is_an_error_that_says_what_is_missing(tmp_path: Path, form: str) -> None:
    with pytest.raises(HtrjandError, match="here"):
        rows_of(tmp_path, form)
