"""What a folder remembers: which result was made by which recipe from which files. What is done is not done again."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from . import __version__
from .runtime.files import atomic_path
from .runtime.info import sha256

Work = Callable[[Path], tuple[dict[str, Any], list[Path]]]  # a folder to work in -> (result for JSON, files made)


class Ledger:
    """The results in a folder, one JSON file each, under `stages/`."""

    def __init__(self, folder: Path, say: Callable[[str], None]) -> None:
        self.folder, self.say = folder, say
        self.digests: dict[Path, str] = {}  # of inputs: a data file is hashed once a run

    def do(self, name: str, recipe: Any, inputs: Iterable[Path], work: Work) -> dict[str, Any]:
        """The result of `work`, or the one that stands there from the same recipe, inputs and edition.

        A result stands only as long as the files that were made with it are there and unchanged. Another recipe has
        another folder to work in, so that what one run left half done, the same run goes on with.
        """
        made_from = {
            "name": name,
            "edition": __version__,
            "recipe": recipe,
            "inputs": sorted(self.digest(path) for path in inputs),
        }
        key = hashlib.sha256(json.dumps(made_from, sort_keys=True).encode()).hexdigest()[:12]
        folder = self.folder / "stages" / f"{name}-{key}"
        done = folder / "done.json"
        if (kept := self.standing(done)) is not None:
            self.say(f"{name}: done already")
            return kept
        self.say(f"{name} …")
        result, files = work(folder)
        digests = {os.path.relpath(path, self.folder): sha256(path) for path in files}  # the folder may be moved
        with atomic_path(done) as part:
            part.write_text(
                json.dumps(made_from | {"files": digests, "result": result}, indent=1, ensure_ascii=False) + "\n",
                encoding="utf-8",
            )
        return result

    def standing(self, done: Path) -> dict[str, Any] | None:
        """The result written there, if its files are as they were."""
        try:
            kept = json.loads(done.read_text(encoding="utf-8"))
            fresh = all(sha256(self.folder / path) == digest for path, digest in kept["files"].items())
            result: dict[str, Any] = kept["result"]
        except (OSError, ValueError, KeyError, TypeError):
            return None
        return result if fresh else None

    def digest(self, path: Path) -> str:
        """SHA-256 of an input."""
        if path not in self.digests:
            self.digests[path] = sha256(path)
        return self.digests[path]
