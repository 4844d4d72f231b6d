"""Which line goes where: split files of a layout read, and documents dealt out where there are none."""

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
    """The split that a file, folder or cell of this name means; empty where it means none."""
    return NAMES.get(name.strip().lower(), "")


def read_split_files(folders: Iterable[Path]) -> dict[str, str]:
    """Id → split of the split files in the one folder that has a train and a test file; empty where none has.

    Such a file (`trainset.txt`, `va.lst`, `test.uttlist`, `TestLines.lst`, …) holds one id a line; what follows a space
    and the suffix of an image are left out.

    Raises:
        UsageError: several folders have them, and figures of different splits cannot be compared.
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
    """The split files right in a folder."""
    if not folder.is_dir():
        return {}
    files = sorted(path for path in folder.iterdir() if path.suffix.lower() in SUFFIXES and path.is_file())
    return {path: split for path in files if (split := split_named(path.stem))}


def ids_in(path: Path) -> list[str]:
    """The ids of a split file."""
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise HtrjandError(f"{path}: cannot be read ({error}); save it as UTF-8 text") from error
    names = (line.split()[0] for line in lines if line.split() and not line.startswith("#"))
    return [name[:-4] if name.lower().endswith((".png", ".jpg", ".tif", ".txt")) else name for name in names]


def deal(sizes: Mapping[str, int], val_share: float, test_share: float) -> dict[str, str]:
    """Document → split, so that each share of the lines is met as nearly as whole documents allow.

    Documents are taken in the order of the hash of their names: the same documents are dealt out the same way,
    whatever order they come in. A share above zero gets one document at least where train keeps one.

    Args:
        sizes: lines in each document.
        val_share: of all lines.
        test_share: of all lines.
    """
    names = sorted(sizes, key=lambda name: hashlib.sha256(name.encode("utf-8", "surrogatepass")).digest())
    total = sum(sizes.values())
    dealt = dict.fromkeys(names, "train")
    for split, share, keep in (("test", test_share, 1 + (val_share > 0)), ("val", val_share, 1)):
        left = [name for name in names if dealt[name] == "train"]
        chosen, given = list[str](), 0
        for name in left:
            if given + sizes[name] / 2 <= share * total and len(left) - len(chosen) > keep:
                chosen.append(name)
                given += sizes[name]
        if share > 0 and not chosen and len(left) > keep:
            chosen = [min(left, key=lambda name: sizes[name])]
        dealt |= dict.fromkeys(chosen, split)
    return dealt
