"""Saint Gall and Washington of the IAM historical document database, as unpacked from their archives.

    saintgalldb-v1.0/ | washingtondb-v1.0/
      data/line_images_normalized/csg562-003-01.png | 270-01.png
      ground_truth/transcription.txt               id, a space, the spelling: words between |, characters between -
      sets/train.txt, valid.txt, test.txt          Saint Gall: ids of pages
      sets/cv1/train.txt, valid.txt, test.txt      Washington: ids of lines; the first of four rounds is read

Characters without a plain form are spelt out: `L-e-t-t-e-r-s-s_cm|O-r-d-e-r-s` is “Letters, Orders”, Saint Gall's `et`
is the sign & and `pt` a full stop. A document is a page, since each collection was written by one or two hands.
"""

from __future__ import annotations

from collections.abc import Iterator

from ....runtime.errors import HtrjandError
from . import Found, Skipped, Source
from .rows import NO_SPLIT, find_image, folder_of, make_row
from .splits import read_split_files

SAINT_GALL = {"et": "&", "pt": "."}
WASHINGTON = {
    "s_pt": ".", "s_cm": ",", "s_mi": "-", "s_qo": ":", "s_sq": ";", "s_qt": "'", "s_bl": "(", "s_br": ")",
    "s_et": "&", "s_lb": "£", "s_sl": "/", "s_s": "s", "s_GW": "G.W.",
}  # fmt: skip
BAD_ROW = "row of transcription.txt is not complete"


def read_saint_gall(source: Source) -> Iterator[Found]:
    """The lines of Saint Gall."""
    return read(source, "sets", SAINT_GALL)


def read_washington(source: Source) -> Iterator[Found]:
    """The lines of George Washington."""
    return read(source, "sets/cv1", WASHINGTON)


def read(source: Source, sets: str, signs: dict[str, str]) -> Iterator[Found]:
    """The lines of transcription.txt in their order; `signs`: what each name of a character stands for."""
    root = folder_of(source.path, "IAM-HistDB files")
    listing = root / "ground_truth" / "transcription.txt"
    if not listing.is_file():
        raise HtrjandError(f"{root}: no ground_truth/transcription.txt here; unpack the archive into this folder")
    splits = {} if source.split else read_split_files([root / sets])
    folders = [source.images] if source.images else [root / "data" / "line_images_normalized"]
    for line in listing.read_text(encoding="utf-8-sig", errors="replace").splitlines():
        fields = line.split()
        if len(fields) < 2:
            if fields:
                yield Skipped(f"{listing}: {fields[0]}", BAD_ROW)
            continue
        name, page = fields[0], fields[0].rpartition("-")[0]
        split = splits.get(name, splits.get(page, ""))
        if splits and not split:
            yield Skipped(name, NO_SPLIT)
            continue
        text = spelt(fields[1], signs)
        yield make_row(source, find_image(folders, name), text, id=name, doc=page, page=page, split=split)


def spelt(spelling: str, signs: dict[str, str]) -> str:
    """Text from its spelling. Of an unknown name (`s_7`, `s_1st`), the part after `s_`."""
    words = (word.split("-") for word in spelling.split("|"))
    return " ".join("".join(signs.get(each, each.removeprefix("s_")) for each in word) for word in words)
