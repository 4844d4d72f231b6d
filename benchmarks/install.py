"""How much has to be installed beside a model file before it can be read."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterable
from importlib import metadata
from pathlib import Path

from ..runtime.formats import FORMATS
from .peers import Tesseract

BASE = ("numpy", "pillow", "click")  # of every reader of ours; htrjand itself is not counted
OF_ENGINE = {"torch": ("torch", "safetensors"), "rapidocr": ("rapidocr", "onnxruntime")}  # others: the table of formats


def installed_bytes(engine: str) -> int | None:
    """Bytes of the distributions that an engine needs, with all that these require; None where that is not known.

    Python is not counted, nor htrjand with its models, nor libraries of the system. Of Tesseract its own Debian
    packages and languages are counted.
    """
    if engine == "tesseract":
        return packages_bytes(Tesseract.packages)
    libraries = [name for form in FORMATS.values() if form.engine == engine for name in form.libraries]
    names = OF_ENGINE.get(engine) or tuple(name.replace("_", "-") for name in dict.fromkeys(libraries))
    found = required((*BASE, *names))
    if not set(names) & set(found):
        return None
    files = [file for one in found.values() for file in one.files or () if "__pycache__" not in file.parts]
    paths = [path for file in files if (path := Path(file.locate())).is_file()]
    return sum(path.stat().st_size for path in paths)


def required(names: Iterable[str]) -> dict[str, metadata.Distribution]:
    """The installed distributions of these names, and those that they require; what no extra asks for."""
    found: dict[str, metadata.Distribution] = {}
    waiting = list(names)
    while waiting:
        name = re.sub(r"[-_.]+", "-", waiting.pop()).lower()
        if name in found:
            continue
        try:
            found[name] = metadata.distribution(name)
        except metadata.PackageNotFoundError:  # of another system, as its marker says, or of the other library
            continue
        waiting += [re.split(r"[^\w.-]", line)[0] for line in found[name].requires or () if "extra ==" not in line]
    return found


def packages_bytes(packages: Iterable[str]) -> int | None:
    """Bytes of Debian packages as they are installed; None elsewhere."""
    command = ["dpkg-query", "--show", "--showformat=${Installed-Size}\n", *packages]
    try:
        listed = subprocess.run(command, capture_output=True, text=True, check=False).stdout.split()
    except OSError:
        return None
    return 1024 * sum(int(size) for size in listed if size.isdigit()) or None
