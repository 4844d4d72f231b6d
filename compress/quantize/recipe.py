"""How a float file becomes an int8 one, and what is checked before: the same for every format."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ...runtime.errors import HtrjandError, UsageError
from ...runtime.image import pad_line
from ...runtime.kinds import Info
from ...runtime.page.detect import prepare
from ...runtime.page.detector_info import DetectorInfo

FEWEST = 8  # lines or pages; ranges seen on fewer are those of a single hand
Lines = Sequence[npt.NDArray[np.uint8]]  # [64, W] each; for a detector pages [H, W]
Images = Sequence[npt.NDArray[np.uint8]]  # [1, 1, H, W] each, as the file takes them


@dataclass(frozen=True)
class QuantizeRecipe:
    """How a float file becomes an int8 one."""

    calibrate: int = 128  # training lines that the ranges of activations are seen on
    keep: tuple[str, ...] = ()  # modules of the network that stay in float, with all inside them

    def keeps(self, module: str) -> bool:
        """Whether a module, by its dotted path, is to stay in float."""
        return any(module == name or module.startswith(f"{name}.") for name in self.keep)


def fed(lines: Lines, info: Info, model: Path) -> Images:
    """Lines or pages as the runtime feeds them to a model; a file for one width is given the lines that fit into it.

    Raises:
        HtrjandError: there is none that fits.
    """
    if isinstance(info, DetectorInfo):
        return [prepare(page)[0] for page in lines]
    fixed = info.max_width if info.max_width == info.width_multiple else None
    images = [pad_line(line, fixed)[None, None] for line in lines if line.shape[1] <= info.max_width]  # 1, 1, 64, W
    if not images:
        raise HtrjandError(
            f"{model}: every calibration line is wider than {info.max_width} columns; give narrower ones"
        )
    return images


def check_float(model: Path, info: Info) -> None:
    """Raises an HtrjandError unless the file is in fp32."""
    if info.precision != "fp32":
        raise HtrjandError(f"{model}: is {info.precision} already; quantise the fp32 file")


def check_calibration(lines: Lines, model: Path, of: str = "lines") -> None:
    """Raises an HtrjandError where there are too few lines, or pages, to calibrate on."""
    if len(lines) < FEWEST:
        raise HtrjandError(
            f"{model}: {len(lines)} calibration {of} are too few to see its ranges; give {FEWEST} or more"
        )


def check_kept(recipe: QuantizeRecipe, modules: Sequence[str], model: Path) -> None:
    """Raises a UsageError for a module to keep that no weight of the file belongs to."""
    unknown = [name for name in recipe.keep if not any(path == name or path.startswith(f"{name}.") for path in modules)]
    if unknown:
        raise UsageError(f"{model}: no module {', '.join(unknown)} to keep in float; there are {', '.join(modules)}")
