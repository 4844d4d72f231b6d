"""Reads line images with one model file, wherever it is run: `python reader.py MODEL FOLDER OUT.npz`.

This file and `htrjand.runtime` are all of the project that the far side has. OUT.npz gets `machine` and `engine` (where
it ran, and on what), `compiled` (whether the search with the language model is), three readings [N] of the same logits:
`texts` as any program gets them, `numpy` with the search in numpy, `greedy` without a language model; and of each line
`pixels-<i>` uint8 [1, 1, 64, W], `logits-<i>` float32 [1, T, V].
"""

from __future__ import annotations

import platform
import sys
from pathlib import Path

import numpy as np

from htrjand.runtime import Recognizer
from htrjand.runtime.decode import kernel

ENGINES = ("onnxruntime", "tflite_runtime", "ai_edge_litert", "openvino")


def read(model: Path, folder: Path, out: Path) -> None:
    """Reads the images of a folder, one by one, on one thread, through the door that any program uses."""
    recognizer = Recognizer(model, threads=1)
    run = recognizer.run
    arrays: dict[str, np.ndarray] = {}

    def recorded(images: np.ndarray) -> np.ndarray:
        place = len(arrays) // 2
        arrays[f"pixels-{place}"] = images.copy()
        arrays[f"logits-{place}"] = run(images)
        return arrays[f"logits-{place}"]

    recognizer.run = recorded  # type: ignore[method-assign]
    paths = sorted(folder.iterdir())
    compiled = kernel.library() is not None
    texts = {"texts": [recognizer.read_line(path).text for path in paths]}
    assert recognizer.language is not None
    kernel.library = lambda: None  # type: ignore[assignment]
    for name in ("numpy", "greedy"):
        again = (arrays[f"logits-{place}"] for place in range(len(paths)))
        recognizer.run = lambda images, again=again: next(again)  # type: ignore[method-assign, misc]
        recognizer.language = recognizer.language if name == "numpy" else None
        texts[name] = [recognizer.read_line(path).text for path in paths]
    loaded = [f"{name} {sys.modules[name].__version__}" for name in ENGINES if name in sys.modules]
    where = {"machine": platform.machine(), "engine": ", ".join(loaded), "compiled": compiled}
    np.savez(out, **where, **{name: np.array(read) for name, read in texts.items()}, **arrays)


if __name__ == "__main__":
    read(*map(Path, sys.argv[1:]))
