"""Finds the image of a page. The name in its ground truth may be a path on another machine."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath, PureWindowsPath

from ....runtime.image import SUFFIXES
from . import Source


@dataclass
class Images:
    """Finds the images of a source; each folder is listed once."""

    source: Source
    listed: dict[Path, dict[str, Path]] = field(default_factory=dict)

    def find(self, path: Path, name: str) -> Path | None:
        """The image of the XML file `path`, or None.

        Tried in turn: the name as given, the same file in the usual folders, then another suffix, then the name of
        the XML file itself.
        """
        folder = path.parent
        folders = [folder, folder.parent, folder / "images", folder.parent / "images"]
        folders += [self.source.images] if self.source.images else []
        folders += [self.source.path, self.source.path / "images"] if self.source.path.is_dir() else []
        given = PurePosixPath(PureWindowsPath(name).as_posix())
        if name and not PureWindowsPath(name).anchor and ".." not in given.parts:
            for place in folders:
                if is_file(place / given):
                    return place / given
        for wanted in (given.name, given.stem, path.stem):
            for place in folders:
                found = self.images_in(place).get(wanted) if wanted else None
                if found:
                    return found
        return None

    def images_in(self, folder: Path) -> dict[str, Path]:
        """A folder's images by name, with and without suffix."""
        if folder not in self.listed:
            try:
                files = sorted(file for file in folder.iterdir() if file.suffix.lower() in SUFFIXES)
            except OSError:
                files = []
            self.listed[folder] = {file.stem: file for file in reversed(files)} | {file.name: file for file in files}
        return self.listed[folder]


def is_file(path: Path) -> bool:
    """Whether a file exists; False also for a name that is too long for the file system."""
    try:
        return path.is_file()
    except OSError:
        return False
