"""Reads line images with one model file, wherever it is run: `python reader.py MODEL FOLDER COUNT OUT.npz`.

This file and `htrjand.runtime` are all of the project that the far side has. OUT.npz gets `machine` and `engine` (where
it ran, and on what), `texts` [N], and of each line `pixels-<i>` uint8 [1, 1, 64, W], `logits-<i>` float32 [1, T, V].
"""

from __future__ import annotations

import platform
import sys
from pathlib import Path

import numpy as np

from htrjand.runtime import Recognizer

ENGINES = ("onnxruntime", "tflite_runtime", "ai_edge_litert", "openvino")


def read(model: Path, folder: Path, count: int, out: Path) -> None:
    """Reads the first images of a folder, one by one, on one thread, through the door that any program uses."""
    recognizer = Recognizer(model, threads=1)
    run = recognizer.run
    arrays: dict[str, np.ndarray] = {}

    def recorded(images: np.ndarray) -> np.ndarray:
        place = len(arrays) // 2
        arrays[f"pixels-{place}"] = images.copy()
        arrays[f"logits-{place}"] = run(images)
        return arrays[f"logits-{place}"]

    recognizer.run = recorded  # type: ignore[method-assign]
    texts = [recognizer.read_line(path).text for path in sorted(folder.iterdir())[:count]]
    loaded = [f"{name} {sys.modules[name].__version__}" for name in ENGINES if name in sys.modules]
    np.savez(out, texts=np.array(texts), machine=platform.machine(), engine=", ".join(loaded), **arrays)


if __name__ == "__main__":
    read(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]), Path(sys.argv[4]))
