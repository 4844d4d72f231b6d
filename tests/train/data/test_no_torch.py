from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import htrjand.train.data

FOLDER = Path(htrjand.train.data.__file__).parent

# `None` in sys.modules makes an import fail, as where the library is not installed.
PROGRAM = """
import sys
sys.modules.update(dict.fromkeys(["torch", "lightning", "torchmetrics", "safetensors"]))
from importlib import import_module
for name in sys.argv[1:]:
    import_module(name)
"""


def modules_below(folder: Path, package: str) -> list[str]:
    """Every module in a folder and those below it, by its full name."""
    names = []
    for path in sorted(folder.rglob("*.py")):
        parts = path.relative_to(folder).with_suffix("").parts
        names.append(".".join([package, *(part for part in parts if part != "__init__")]))
    return names


def without_torch(*modules: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", PROGRAM, *modules], capture_output=True, text=True)


def test_lines_and_recipes_are_read_where_torch_is_not_installed():
    modules = modules_below(FOLDER, "htrjand.train.data")
    assert {"htrjand.train.data.lines", "htrjand.train.data.importers.page", "htrjand.train.data.audit.run"} <= {
        *modules
    }
    done = without_torch(*modules, "htrjand.train.recipe_loader")
    assert done.returncode == 0, done.stderr


def test_the_block_does_block():
    done = without_torch("htrjand.train.network")
    assert done.returncode == 1
    assert "torch" in done.stderr.splitlines()[-1]
