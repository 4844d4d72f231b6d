"""The picture of every distortion for the docs.

python -m htrjand.benchmarks.studies.pictures LINE.png OTHER.png docs/augmentation.png
"""

from __future__ import annotations

import dataclasses
import sys
from pathlib import Path

import numpy as np
import torch

from ...runtime.errors import UsageError
from ...runtime.files import atomic_path
from ...runtime.image import Grey, load_line, pad_line
from ...train.augment import AugmentRecipe, augment
from ...train.data.contact_sheet import sheet

SEEDS = (3, 8)  # of the two drawn of each
SHOWN = 560  # columns of a line
NOTES = {
    "scale": "of the width",
    "slant": "columns a row",
    "height": "of the height",
    "shift": "rows",
    "wave": "rows",
    "elastic": "pixels",
    "thickness": "share of the thicker or thinner form",
    "blur": "share of a 3×3 mean",
    "contrast": "exponent",
    "shade": "grey levels",
    "noise": "grey levels",
    "cutout": "share of lines",
    "cutoff": "rows",
    "neighbours": "share of lines",
    "resample": "share of lines",
    "grey": "grey levels",
    "padding": "share of lines",
}
CERTAIN = ("cutout", "neighbours", "resample", "padding")  # chances: shown where they happen
BESIDE = 48  # columns of padding beside a line that is padded


def distorted(line: Grey, other: Grey, recipe: AugmentRecipe, seed: int, scale: float = 0.0) -> Grey:
    """One line [64, W] as a batch's first, beside another whose ink may come near: uint8 [64, W']."""
    beside = BESIDE if recipe.padding else 0
    width = -(-max(line.shape[1], other.shape[1]) // 16) * 16
    lines = [pad_line(line, width + 16), pad_line(other, width + 16)]
    batch = torch.from_numpy(np.stack(lines)[:, None])  # 2, 1, 64, W
    source = torch.tensor([line.shape[1], other.shape[1]])
    scaled = (source * (1 + scale)).long()
    image = augment(batch, source, scaled, int(width * (1 + max(0.0, scale))) + beside, recipe, seed, scaled + beside)
    shown: Grey = image[0, 0, :, : int(scaled[0]) + beside].round().to(torch.uint8).numpy()
    return shown


def pictures(line: Grey, other: Grey) -> list[tuple[Grey, str]]:
    """The line as it is, then each distortion alone at its usual reach, twice; then all together."""
    usual = AugmentRecipe()
    off = AugmentRecipe(**{field.name: 0.0 for field in dataclasses.fields(usual)})
    shown = [(line, "as it is"), (line, "as it is")]
    for name, note in NOTES.items():
        value = getattr(usual, name)
        one = dataclasses.replace(off, **{name: 1.0 if name in CERTAIN else value})
        for seed, scale in zip(SEEDS, (-value, value), strict=True):
            image = distorted(line, other, one, seed, scale if name == "scale" else 0.0)
            shown.append((image, f"{name} {value:g} ({note})"))
    shown += [(distorted(line, other, usual, seed), "all") for seed in range(6)]
    return shown


if __name__ == "__main__":
    if len(sys.argv) != 4:
        raise SystemExit(f"{UsageError('two images of lines and the picture to write are needed')}")
    first, second = (load_line(path)[:, :SHOWN] for path in sys.argv[1:3])
    with atomic_path(Path(sys.argv[3])) as part:
        sheet(pictures(first, second), columns=2, width=1240).convert("L").quantize(16).save(part, "PNG", optimize=True)
