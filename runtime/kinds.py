"""The kinds of model files, line readers, line detectors and correctors: opened by what a file says that it is."""

from __future__ import annotations

from pathlib import Path

from .decode.corrector import Corrector
from .decode.corrector_info import CorrectorInfo
from .engines import Session, open_session
from .info import KINDS, ModelInfo, is_detector, kind_of
from .page.detector import LineDetector
from .page.detector_info import DetectorInfo
from .recognizer import Recognizer

Info = ModelInfo | DetectorInfo


def open_model(path: str | Path, threads: int | None = None) -> Recognizer | LineDetector:
    """A model file of either kind; a line reader without language model.

    Raises:
        HtrjandError: the file cannot be used; the message names it and the remedy.
    """
    return opened(open_session(path, threads))


def opened(session: Session) -> Recognizer | LineDetector:
    """A reader or a detector over a session, by what its file says that it is."""
    if is_detector(session.metadata):
        return LineDetector.over(session)
    return Recognizer.over(session, ModelInfo.from_metadata(session.metadata, session.path))


def open_any(path: str | Path, threads: int | None = None) -> Recognizer | LineDetector | Corrector:
    """As `open_model`, and a corrector besides."""
    session = open_session(path, threads)
    if kind_of(session.metadata.get("format", "")) == KINDS["htrjand-corrector"]:
        return Corrector(path, threads)
    return opened(session)


def kind_name(info: Info | CorrectorInfo) -> str:
    """What a file of this description is, for people."""
    if isinstance(info, CorrectorInfo):
        return "corrector"
    return "line detector" if isinstance(info, DetectorInfo) else "line reader"


def info_of(path: str | Path) -> Info:
    """What a model file says of itself; it is opened, so what cannot be used is found."""
    return open_model(path, 1).info
