"""What a folder remembers: each result, and all that it was made from. What is done is not done again."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, fields, is_dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from . import __version__
from .runtime.files import atomic_path
from .runtime.formats import parts_of
from .runtime.info import sha256

if TYPE_CHECKING:
    from .train.data.lines import LineRow

IN_ROWS = ("files", "val_files")  # keys of a recipe that say where lines are: their digest is in a key, not their place
PARTS = ("runtime", "train", "compress", "export")  # what model files are made with
Work = Callable[[Path], tuple[dict[str, Any], list[Path]]]  # a folder to work in -> (result for JSON, files made)


@dataclass(frozen=True)
class Done:
    """A result: values for JSON, and the files that were made with it."""

    result: dict[str, Any]
    files: list[Path]


class Ledger:
    """The results in a folder, one JSON file each: `stages/<name>-<key>/done.json`.

    Args:
        folder: of the run.
        log: called with a line for each stage: done already, or starting.
        writes: off for all processes of a distributed run but the first, which writes for them.
    """

    def __init__(self, folder: Path, log: Callable[[str], None], writes: bool = True) -> None:
        self.folder, self.log, self.writes = folder.resolve(), log, writes
        self.digests: dict[Path, list[str]] = {}  # of inputs: each is hashed once a run

    def do(
        self, name: str, recipe: Any, inputs: Mapping[str, Path], rows: Mapping[str, str], work: Work,
        parts: tuple[str, ...] = PARTS,
    ) -> Done:  # fmt: skip
        """The result of `work`, or the one that stands there from the same key.

        The key is a hash of everything that decides the result:

        - the name of the stage;
        - the recipe: the very object that is executed, so that no setting of it can be forgotten. A path in it that is
          one of the inputs counts by its role, and files of lines by what they hold: both may be moved;
        - the inputs: the content of each file, with the card or the weights beside it, under its role;
        - the rows: digests of the lines that the work reads (`digest_rows`), under their roles. They hold which data
          sets are taken and left out, and which lines of them;
        - the version, and the source files of the parts of this package that the work runs: a mended exporter exports
          again, and trains nothing again.

        A budget is no part of it: it judges a result, made or standing. Where a budget decides what is made (how far a
        search goes, say), it stands in the recipe.

        A result stands only as long as the files that were made with it are there and unchanged. Each key has a folder
        of its own to work in: what a run has left half done, a run with the same key goes on with.
        """
        roles = {str(path): f"<{role}>" for role, path in inputs.items()}
        made_from = {
            "name": name,
            "recipe": plain(recipe, roles),
            "inputs": {role: self.digest(path) for role, path in inputs.items()},
            "rows": dict(rows),
            "version": __version__,
            "sources": sources_digest(parts),
        }
        key = hashlib.sha256(json.dumps(made_from, sort_keys=True).encode()).hexdigest()[:12]
        folder = self.folder / "stages" / f"{name}-{key}"
        if (standing := self.standing(folder / "done.json")) is not None:
            self.log(f"{name}: done already")
            return standing
        self.log(f"{name} …")
        result, files = work(folder)
        if self.writes:
            digests = {os.path.relpath(path, self.folder): sha256(path) for path in files}  # the folder may be moved
            with atomic_path(folder / "done.json") as part:
                record = made_from | {"files": digests, "result": result}
                part.write_text(json.dumps(record, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
        return Done(result, [path.resolve() for path in files])

    def standing(self, record: Path) -> Done | None:
        """The result recorded there, if its files are as they were."""
        try:
            values = json.loads(record.read_text(encoding="utf-8"))
            files = {self.folder / name: digest for name, digest in values["files"].items()}
            unchanged = all(sha256(path) == digest for path, digest in files.items())
            return Done(values["result"], list(files)) if unchanged else None
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return None

    def digest(self, path: Path) -> list[str]:
        """SHA-256 of an input, and of what belongs to it: the card of weights, the weights of an OpenVINO file."""
        if path not in self.digests:
            card = path.with_suffix(".json")
            beside = [card] if path.suffix == ".safetensors" and card.is_file() else []
            self.digests[path] = [sha256(part) for part in (*parts_of(path), *beside)]
        return self.digests[path]


def plain(value: Any, roles: Mapping[str, str]) -> Any:
    """A recipe as values for JSON; a text that is the path of an input becomes its role."""
    if is_dataclass(value) and not isinstance(value, type):
        names = (field.name for field in fields(value) if field.name not in IN_ROWS)
        return {name: plain(getattr(value, name), roles) for name in names}
    if isinstance(value, Mapping):
        return {str(key): plain(item, roles) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item, roles) for item in value]
    return roles.get(value, value) if isinstance(value, str) else value


def digest_rows(rows: Iterable[LineRow]) -> str:
    """SHA-256 of lines in their order: id, dataset, split, text and encoded image of each."""
    digest = hashlib.sha256()
    for row in rows:
        digest.update(json.dumps([row.id, row.dataset, row.split, row.text]).encode())
        digest.update(hashlib.sha256(row.image).digest())
    return digest.hexdigest()


@cache
def sources_digest(parts: tuple[str, ...] = PARTS) -> str:
    """SHA-256 of the Python files of some parts of this package, with their names; the command line decides nothing."""
    root = Path(__file__).parent
    digest = hashlib.sha256()
    for part in parts:
        for path in source_files(root / part):
            name = path.relative_to(root).as_posix()
            digest.update(f"{name}\n".encode() + hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()


def source_files(folder: Path) -> Iterator[Path]:
    """Python files of a package and of those in it, but for verbs and studies."""
    yield from (path for path in sorted(folder.glob("*.py")) if path.name != "cli.py")
    for inside in sorted(folder.iterdir()):
        if (inside / "__init__.py").is_file() and inside.name != "studies":
            yield from source_files(inside)
