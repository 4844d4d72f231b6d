"""Drawn pages, as rows of a Parquet file of pages."""

from __future__ import annotations

import io
import json

import numpy as np
from PIL import Image, ImageDraw


def drawn_page(seed: int = 0, split: str = "train", width: int = 768, height: int = 1024) -> dict[str, object]:
    """A page with a dozen scribbled lines, and a stamp in a box that is to be ignored."""
    rng = np.random.default_rng(seed)
    image = Image.new("L", (width, height), 225)
    pen = ImageDraw.Draw(image)
    lines = []
    for number in range(12):
        base = 110 + 70 * number
        left, right = 60 + int(rng.integers(40)), width - 60 - int(rng.integers(200))
        for x in range(left, right, 14):
            top = base - (34 if rng.random() < 0.2 else 18)
            pen.line([(x, base), (x + 5, top), (x + 10, base)], fill=40, width=3)
        polygon = [(left, base - 34), (right, base - 34), (right, base + 14), (left, base + 14)]
        lines.append({"order": number, "text": "", "polygon": polygon, "baseline": [(left, base), (right, base)]})
    pen.ellipse((716, 500, 762, 540), outline=60, width=4)
    file = io.BytesIO()
    image.save(file, "PNG")
    return {
        "id": f"page-{seed}", "dataset": "drawn", "doc": f"doc-{seed}", "page": "1", "split": split, "width": width,
        "height": height, "image": file.getvalue(), "lines": json.dumps(lines), "uncovered": 0.0,
        "ignore": json.dumps([[712, 495, 765, 545]]),
    }  # fmt: skip
