"""The line detector: a model file, and from a page to its lines."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ..bundled import bundled_file
from ..engines import Port, Session, open_session
from ..errors import HtrjandError, UsageError
from ..image import Grey
from .detect import LONGER_SIDE, MULTIPLE, STRIDE, DetectedLine, FloatMap, find_lines, prepare
from .detector_info import DetectorInfo
from .upright import with_upright

BUNDLED = "htrjand-detector-int8"  # in every format; the first whose library is installed is opened
MAPS = 4  # core, end, ln of the distances to top and foot
INPUT = Port("image", "uint8", (None, 1, None, None))  # N, 1, H, W
OUTPUT = Port("maps", "float32", (None, MAPS, None, None))  # N, 4, H/4, W/4


class LineDetector:
    """Finds the text lines of pages with one model file. Threads may share one.

    Args:
        model: a model file; None opens the bundled detector.
        threads: threads to compute with; None leaves it to the engine.

    Attributes:
        path: the model file.
        info: what it says of itself.
        session: the file, opened.

    Raises:
        HtrjandError: the file cannot be used; the message names it and the remedy.
    """

    def __init__(self, model: str | Path | None = None, threads: int | None = None) -> None:
        self._take(open_session(bundled_file(BUNDLED) if model is None else model, threads))

    @classmethod
    def over(cls, session: Session) -> LineDetector:
        """A detector over any session that takes and gives what a detector's file does: a torch network, say."""
        detector = cls.__new__(cls)
        detector._take(session)
        return detector

    def _take(self, session: Session) -> None:
        self.info = DetectorInfo.from_metadata(session.metadata, session.path)
        check_detector(session, self.info)
        self.session, self.path = session, session.path

    def detect(self, page: Grey) -> list[DetectedLine]:
        """The lines of a page, uint8 [H, W], grey, 0 = black: in its pixels, from top to bottom."""

        def found(grey: Grey) -> list[DetectedLine]:
            image, scale = prepare(grey)
            return find_lines(self.run(image)[0], scale)

        height, width = checked(page).shape
        return with_upright(found(page), (width, height), lambda: found(np.ascontiguousarray(np.rot90(page, -1))))

    def run(self, images: npt.NDArray[np.uint8]) -> FloatMap:
        """Maps float32 [N, 4, H/4, W/4] of images uint8 [N, 1, H, W], as `prepare` makes them.

        Raises:
            HtrjandError: the file does not take them, or its answer is not finite or not of the shape it should have.
        """
        (maps,) = self.session.run(images)
        count, _, height, width = images.shape
        expected = (count, MAPS, height // self.info.stride, width // self.info.stride)
        if maps.shape != expected:
            raise HtrjandError(
                f"{self.path}: images {list(images.shape)} gave maps {list(maps.shape)} instead of {list(expected)}; "
                "export the model again"
            )
        if not np.isfinite(maps).all():
            raise HtrjandError(
                f"{self.path}: the model's answer is not finite; take another precision of it, or export it again"
            )
        return np.asarray(maps, dtype=np.float32)


def check_detector(session: Session, info: DetectorInfo) -> None:
    """Raises an HtrjandError unless a session is that of a line detector which this edition can feed."""
    for kind, ports, wanted in (("input", session.inputs, INPUT), ("output", session.outputs, OUTPUT)):
        if len(ports) != 1 or not fits(ports[0], wanted):
            raise HtrjandError(
                f"{session.path}: its {kind} is {' and '.join(map(str, ports))}, where a line detector has {wanted}; "
                "take a model file that htrjand exported"
            )
    if info.longer_side != LONGER_SIDE or MULTIPLE % info.multiple or info.stride != STRIDE:
        raise HtrjandError(
            f"{session.path}: it takes pages of {info.longer_side} pixels in multiples of {info.multiple}, with a "
            f"stride of {info.stride}, where this edition makes {LONGER_SIDE}, {MULTIPLE} and {STRIDE}; export it again"
        )


def fits(port: Port, wanted: Port) -> bool:
    """Whether a port is what is wanted, for images of any size; the number of maps may be left open."""
    same = (port.name, port.dtype, len(port.shape)) == (wanted.name, wanted.dtype, len(wanted.shape))
    return same and port.shape[0] in (None, 1) and port.shape[1] in (None, wanted.shape[1]) and any_size(port)


def any_size(port: Port) -> bool:
    return port.shape[2] is None and port.shape[3] is None


def checked(page: Any) -> Grey:
    """The page; a UsageError where it is no grey picture."""
    if not isinstance(page, np.ndarray) or page.dtype != np.uint8 or page.ndim != 2 or not page.size:
        found = f"{page.dtype} {list(page.shape)}" if isinstance(page, np.ndarray) else type(page).__name__
        raise UsageError(f"a page is uint8 [height, width], got {found}; load it with runtime.page.inputs")
    return page
