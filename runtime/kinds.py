"""The two kinds of model files, line readers and line detectors: opened by what a file says that it is."""

from __future__ import annotations

from pathlib import Path

from .engines import open_session
from .info import ModelInfo, is_detector
from .page.detector import LineDetector
from .page.detector_info import DetectorInfo
from .recognizer import Recognizer

Info = ModelInfo | DetectorInfo


def open_model(path: str | Path, threads: int | None = None) -> Recognizer | LineDetector:
    """A model file of either kind; a line reader without language model.

    Raises:
        HtrjandError: the file cannot be used; the message names it and the remedy.
    """
    session = open_session(path, threads)
    if is_detector(session.metadata):
        return LineDetector.over(session)
    return Recognizer.over(session, ModelInfo.from_metadata(session.metadata, session.path))


def kind_name(info: Info) -> str:
    """What a file of this description is, for people."""
    return "line detector" if isinstance(info, DetectorInfo) else "line reader"


def info_of(path: str | Path) -> Info:
    """What a model file says of itself; it is opened, so what cannot be used is found."""
    return open_model(path, 1).info
