"""What a line detector's file is held against: its maps, and the lines that it finds on pages."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from ..runtime.page.detect import prepare
from ..runtime.page.detector import LineDetector
from ..train.page.measure import score_pages
from ..train.page.pages import Page
from ..train.page.score import Found
from ..train.page.session import open_detector

SIZES = ((32, 32), (96, 1024), (1024, 768), (544, 800))  # height and width of noise
BATCHES = (1, 3)
PAGES = 3  # whose maps are compared, besides noise
PAGE_BUDGET = 0.5  # points of recall, and of precision


@dataclass(frozen=True)
class PageReference:
    """The network that a detector's files are held against, and the pages to find lines on.

    What it finds is kept, for the next file.
    """

    path: Path
    rows: Sequence[Page] = ()
    split: str = "val"  # theirs
    of: ClassVar[str] = "pages"
    answer: ClassVar[str] = "maps"
    budget: ClassVar[float] = PAGE_BUDGET

    @cached_property
    def detector(self) -> LineDetector:
        return open_detector(self.path)

    @cached_property
    def found(self) -> dict[str, Found]:
        return score_pages(self.detector.detect, self.rows)

    def open(self, part: Path) -> LineDetector:
        return LineDetector(part)

    def compare_values(self, model: LineDetector) -> dict[str, float]:
        """The largest difference on noise of several sizes, alone and in batches, and on pages."""
        return {
            name: float(np.abs(model.run(images) - self.detector.run(images)).max()) for name, images in self.images()
        }

    def images(self) -> Iterator[tuple[str, npt.NDArray[np.uint8]]]:
        """Names and images [N, 1, H, W] to compare maps on."""
        rng = np.random.default_rng(0)
        for height, width in SIZES:
            for batch in BATCHES:
                noise = rng.integers(0, 256, (batch, 1, height, width), dtype=np.uint8)
                yield f"{height} x {width} batch {batch}", noise
        for number, page in enumerate(self.rows[:: max(1, len(self.rows) // PAGES)][:PAGES]):
            yield f"page {number + 1}", prepare(page.image)[0]

    def compare(self, model: LineDetector, name: Path, exact: bool) -> dict[str, Any]:
        """Recall and precision of the reference and of the file, in percent, by dataset and of all."""
        after = score_pages(model.detect, self.rows)
        found = {
            dataset: {"reference": rates(before), "file": rates(after[dataset]), "lines": before.true}
            for dataset, before in self.found.items()
        }
        return {"split": self.split, "pages": len(self.rows), "found": found}


def rates(found: Found) -> list[float]:
    """Recall and precision, in percent."""
    return [round(found.recall, 3), round(found.precision, 3)]
