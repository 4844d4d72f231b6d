"""The steps of docs/embedding.md from an image to 64 rows of grey, in whole numbers, without Pillow."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Grey = npt.NDArray[np.uint8]


def grey(rgb: npt.NDArray[np.uint8]) -> Grey:
    """[H, W, 3] -> [H, W]."""
    red, green, blue = np.moveaxis(rgb.astype(np.int64), 2, 0)
    return ((19595 * red + 38470 * green + 7471 * blue + 32768) >> 16).astype(np.uint8)


def on_white(rgba: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """[H, W, 4] -> [H, W, 3]."""
    colour, alpha = rgba[:, :, :3].astype(np.int64), rgba[:, :, 3:].astype(np.int64)
    return ((colour * alpha + 255 * (255 - alpha) + 127) // 255).astype(np.uint8)


def scale(image: Grey, rows: int = 64) -> Grey:
    """[H, W] -> [rows, W']."""
    height, width = image.shape
    columns = max(1, round(width * rows / height))
    if (columns, rows) == (width, height):
        return image
    across, down = max(1, int(width / columns / 2)), max(1, int(height / rows / 2))
    image = reduce(image, across, down)
    return along(along(image, width / across, columns).T, height / down, rows).T


def reduce(image: Grey, across: int, down: int) -> Grey:
    """The mean of each block of `down` rows and `across` columns; those at the edges are cut off."""
    if across == down == 1:
        return image
    tops, lefts = range(0, image.shape[0], down), range(0, image.shape[1], across)
    sums = np.add.reduceat(np.add.reduceat(image.astype(np.int64), tops, axis=0), lefts, axis=1)
    high = [min(down, image.shape[0] - top) for top in tops]
    wide = [min(across, image.shape[1] - left) for left in lefts]
    count = np.outer(high, wide)
    return ((sums + count // 2) * (2**24 // count) >> 24).astype(np.uint8)


def along(image: Grey, length: float, count: int) -> Grey:
    """[H, W] -> [H, count]: `length` columns of it (W, or a little less) become `count`."""
    if count == length == image.shape[1]:
        return image
    step = float(np.float32(length)) / count
    reach = max(step, 1.0)
    scaled = np.empty((image.shape[0], count), np.uint8)
    for place in range(count):
        centre = (place + 0.5) * step
        first, last = max(0, int(centre - reach + 0.5)), min(image.shape[1], int(centre + reach + 0.5))
        weights = [max(0.0, 1 - abs((column + 0.5 - centre) / reach)) for column in range(first, last)]
        whole = np.array([int(weight / sum(weights) * 2**22 + 0.5) for weight in weights])
        scaled[:, place] = np.clip((image[:, first:last] @ whole + 2**21) >> 22, 0, 255)
    return scaled


def pad(line: Grey, multiple: int = 16) -> Grey:
    """[64, W] -> [64, W'], with the 80th percentile of the line."""
    ordered = np.sort(line.ravel())
    place = 0.8 * (line.size - 1)
    low, high = (int(ordered[min(int(place) + more, line.size - 1)]) for more in (0, 1))
    share = place - int(place)
    paper = int(low + (high - low) * share if share < 0.5 else high - (high - low) * (1 - share))
    return np.pad(line, ((0, 0), (0, -line.shape[1] % multiple)), constant_values=paper)
