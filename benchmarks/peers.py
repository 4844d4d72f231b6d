"""Peers: other programs that read lines, behind the call of the benchmark: `read_line(grey pixels).text`."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np

from ..runtime.errors import HtrjandError

LANGUAGES = ("fra", "eng")


@dataclass(frozen=True)
class Reading:
    """The text that a peer read."""

    text: str


class Tesseract:
    """Debian's `tesseract` program, one process a line, as its command-line users run it.

    The line is passed as a PGM through standard input, in its own size; a reading includes the start of the program
    and the loading of its two languages. It always runs with one thread: with more, its threads wait by spinning, and
    a line took 10 seconds on a busy machine.
    """

    remedy = "apt-get install tesseract-ocr tesseract-ocr-fra"
    packages = (
        "tesseract-ocr",
        "tesseract-ocr-fra",
        "tesseract-ocr-eng",
        "tesseract-ocr-osd",
        "libtesseract5",
        "liblept5",
    )

    def __init__(self) -> None:
        program = shutil.which("tesseract")
        if program is None:
            raise HtrjandError(f"tesseract is not installed: {self.remedy}")
        self.command = [program, "-", "-", "-l", "+".join(LANGUAGES)]
        self.environment = os.environ | {"OMP_THREAD_LIMIT": "1"}

    def read_line(self, source: np.ndarray) -> Reading:
        """Reads uint8 [H, W]."""
        return Reading(self.run(source, "--psm", "7").strip())

    def run(self, source: np.ndarray, *options: str) -> str:
        """What the program writes of an image, uint8 [H, W]."""
        height, width = source.shape
        image = b"P5 %d %d 255\n" % (width, height) + source.tobytes()
        command = [*self.command, *options]
        done = subprocess.run(command, input=image, capture_output=True, check=False, env=self.environment)
        complaint = done.stderr.decode(errors="replace").strip()
        if (
            done.returncode or "Failed loading language" in complaint
        ):  # with one of the languages missing it still exits with 0
            last = complaint.splitlines()[-1] if complaint else f"exit status {done.returncode}"
            raise HtrjandError(f"tesseract failed ({last}); {self.remedy}")
        return done.stdout.decode(errors="replace")

    def about(self) -> dict[str, object]:
        """Its version and the size of its two language files."""
        version = subprocess.run([self.command[0], "--version"], capture_output=True, text=True, check=True).stdout
        listed = subprocess.run([self.command[0], "--list-langs"], capture_output=True, text=True, check=True).stdout
        folder = re.search(r'"(.+)"', listed.splitlines()[0])
        files = [Path(folder[1]) / f"{language}.traineddata" for language in LANGUAGES] if folder else []
        return {
            "engine": "tesseract",
            "decoder": "beam",  # its own, with the word lists of its languages
            "precision": "",
            "version": version.split()[1],
            "bytes": sum(file.stat().st_size for file in files if file.is_file()),
        }


class RapidOcr:
    """RapidOCR's recogniser alone (PP-OCRv6-small on onnxruntime), with the weights that its wheel carries.

    The path of the weights is given, so that the library downloads nothing. Detection, orientation and scaling of pages
    are off: the line is passed as it is.
    """

    remedy = "pip install 'htrjand[bench]'"

    def __init__(self, threads: int) -> None:
        try:
            import cv2
            import rapidocr
        except ModuleNotFoundError as error:
            raise HtrjandError(f"{error.name} is not installed: {self.remedy}") from error
        self.weights = Path(rapidocr.__file__).parent / "models" / "PP-OCRv6_rec_small.onnx"
        if not self.weights.is_file():
            raise HtrjandError(f"{self.weights}: rapidocr came without its weights; {self.remedy}")
        cv2.setNumThreads(threads)
        self.engine: Any = rapidocr.RapidOCR(
            params={
                "Global.use_det": False,
                "Global.use_cls": False,
                "Global.use_preprocess_img": False,
                "Global.log_level": "critical",
                "Rec.model_path": str(self.weights),
                "EngineConfig.onnxruntime.intra_op_num_threads": threads,
            }
        )

    def read_line(self, source: np.ndarray) -> Reading:
        """Reads uint8 [H, W]."""
        texts = self.engine(np.stack([source] * 3, axis=-1)).txts  # H, W, 3
        return Reading(texts[0] if texts else "")

    def about(self) -> dict[str, object]:
        """Its version and the size of its recognition model."""
        return {
            "engine": "rapidocr",
            "decoder": "greedy",
            "precision": "fp32",
            "version": f"{metadata.version('rapidocr')}, PP-OCRv6-small",
            "bytes": self.weights.stat().st_size,
        }
