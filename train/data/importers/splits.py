"""Splits: read from the split files of a layout, or assigned by document where there are none."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from pathlib import Path

from ....runtime.errors import HtrjandError, UsageError

NAMES = {
    **dict.fromkeys(("train", "training", "trainset", "trainlines", "tr"), "train"),
    **dict.fromkeys(("val", "valid", "validation", "validationset1", "validationset2", "validationlines"), "val"),
    **dict.fromkeys(("vallines", "valset", "valid_set", "dev", "va"), "val"),
    **dict.fromkeys(("test", "testing", "testset", "testlines", "eval", "evaluation", "te"), "test"),
}
SUFFIXES = (".txt", ".lst", ".uttlist")


def split_named(name: str) -> str:
    """The split that a file, folder or table cell of this name stands for; empty where it is none."""
    return NAMES.get(name.strip().lower(), "")


def read_split_files(folders: Iterable[Path]) -> dict[str, str]:
    """Id → split of the split files in the one folder that has a train and a test file; empty where none has.

    Such a file (`trainset.txt`, `va.lst`, `test.uttlist`, `TestLines.lst`, …) holds an id in each row. The suffix of an
    image, and anything after a space, are ignored.

    Raises:
        UsageError: several folders have split files, so it is open which splits are meant.
        HtrjandError: an id is in two splits, or a file cannot be read.
    """
    candidates = {}
    for folder in folders:
        files = split_files(folder)
        if {"train", "test"} <= set(files.values()):
            candidates[folder] = files
    if len(candidates) > 1:
        raise UsageError(f"split files are in {' and in '.join(map(str, candidates))}; leave one of them there")
    splits: dict[str, str] = {}
    for files in candidates.values():
        for path, split in files.items():
            for name in ids_in(path):
                if splits.setdefault(name, split) != split:
                    raise HtrjandError(f"{path}: {name} is in {splits[name]} too; mend the split files")
    return splits


def split_files(folder: Path) -> dict[Path, str]:
    """The split files in a folder itself."""
    if not folder.is_dir():
        return {}
    files = sorted(path for path in folder.iterdir() if path.suffix.lower() in SUFFIXES and path.is_file())
    return {path: split for path in files if (split := split_named(path.stem))}


def ids_in(path: Path) -> list[str]:
    """The ids of a split file."""
    try:
        rows = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise HtrjandError(f"{path}: cannot be read ({error}); save it as UTF-8 text") from error
    names = (row.split()[0] for row in rows if row.split() and not row.startswith("#"))
    return [name[:-4] if name.lower().endswith((".png", ".jpg", ".tif", ".txt")) else name for name in names]


def deal(sizes: Mapping[str, int], val_share: float, test_share: float) -> dict[str, str]:
    """Assigns whole documents to splits, so that each has its share of the lines as nearly as possible.

    Documents are taken in the order of the hashes of their names, so the result does not depend on their order. A share
    above zero gets at least one document, as long as one is left for train.

    Args:
        sizes: document → number of its lines.
        val_share: share of all lines that become validation lines.
        test_share: the same for test lines.

    Returns:
        Document → split.
    """
    names = sorted(sizes, key=lambda name: hashlib.sha256(name.encode("utf-8", "surrogatepass")).digest())
    total = sum(sizes.values())
    splits = dict.fromkeys(names, "train")
    for split, share, keep in (("test", test_share, 1 + (val_share > 0)), ("val", val_share, 1)):
        left = [name for name in names if splits[name] == "train"]
        chosen, given = list[str](), 0
        for name in left:
            if given + sizes[name] / 2 <= share * total and len(left) - len(chosen) > keep:
                chosen.append(name)
                given += sizes[name]
        if share > 0 and not chosen and len(left) > keep:
            chosen = [min(left, key=lambda name: sizes[name])]
        splits |= dict.fromkeys(chosen, split)
    return splits
