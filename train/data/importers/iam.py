"""The IAM handwriting database, its lines.

    iam/
      ascii/lines.txt                          `a01-000u-00 ok 154 19 408 746 1661 89 A|MOVE|to|stop|Mr.|…`
      ascii/forms.txt                          `a01-000u 000 2 prt 7 5 52 36`: the form and its writer
      lines/a01/a01-000u/a01-000u-00.png
      <any folder>/trainset.txt, validationset1.txt, validationset2.txt, testset.txt   the large writer-independent task
      <any folder>/train.uttlist, validation.uttlist, test.uttlist (or tr.lst, va.lst, te.lst)         the Aachen split

A document is a writer (a form, where forms.txt is missing); a page is a form. Split files may be in the folder or up
to two levels below it, and name lines or forms; a line in none of them is left out, as in published figures. Without
split files, splits are assigned by writer. Lines marked `err` are included: the mark is about the segmentation into
words. `|` becomes a space, so punctuation is set apart where lines.txt has it so.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from ....runtime.errors import HtrjandError
from . import Found, Skipped, Source
from .rows import NO_SPLIT, find_image, folder_of, make_row
from .splits import read_split_files

BAD_ROW = "row of lines.txt is not complete"
TEXT_FIELD = 8  # id, ok or err, grey level, components, x, y, w, h, then the text


def read(source: Source) -> Iterator[Found]:
    """The lines of lines.txt in their order."""
    root = folder_of(source.path, "IAM files")
    listing = next((path for path in (root / "ascii" / "lines.txt", root / "lines.txt") if path.is_file()), None)
    if listing is None:
        raise HtrjandError(f"{root}: no ascii/lines.txt here; unpack ascii.tgz and lines.tgz of IAM into this folder")
    writers = writers_of(listing.with_name("forms.txt"))
    splits = {} if source.split else read_split_files([root, *folders_below(root)])
    for line in listing.read_text(encoding="utf-8-sig", errors="replace").splitlines():
        if not line.strip() or line.startswith("#"):
            continue
        fields = line.split()
        if len(fields) <= TEXT_FIELD:
            yield Skipped(f"{listing}: {fields[0]}", BAD_ROW)
            continue
        name = fields[0]
        form = name.rpartition("-")[0]
        split = splits.get(name, splits.get(form, ""))
        if splits and not split:
            yield Skipped(name, NO_SPLIT)
            continue
        yield make_row(
            source,
            find_image(image_folders(source, root, name, form), name),
            " ".join(fields[TEXT_FIELD:]).replace("|", " "),
            id=name,
            doc=writers.get(form, form),
            page=form,
            split=split,
        )


def writers_of(path: Path) -> dict[str, str]:
    """Form → writer; empty where there is no forms.txt."""
    if not path.is_file():
        return {}
    lines = path.read_text(encoding="utf-8-sig", errors="replace").splitlines()
    rows = [line.split() for line in lines if not line.startswith("#")]
    return {row[0]: row[1] for row in rows if len(row) > 1}


def folders_below(root: Path) -> list[Path]:
    """Folders one and two levels below, except those of images, of which IAM has thousands."""
    first = [path for path in sorted(root.iterdir()) if path.is_dir() and path.name not in ("lines", "words", "forms")]
    return [*first, *(path for folder in first for path in sorted(folder.iterdir()) if path.is_dir())]


def image_folders(source: Source, root: Path, name: str, form: str) -> list[Path]:
    """Folders that may hold the image of a line, in order of preference."""
    places = [source.images] if source.images else [root / "lines", root]
    nested = Path(name.split("-")[0]) / form
    return [folder for place in places for folder in (place / nested, place)]
