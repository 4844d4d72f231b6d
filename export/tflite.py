"""Weights to one self-describing TFLite file, by way of a twin of the network in TensorFlow."""

from __future__ import annotations

import os
import warnings
from pathlib import Path

from ..runtime.errors import HtrjandError
from ..runtime.kinds import Info
from ..runtime.quiet import quiet_stderr
from ..runtime.seal import seal
from ..train.page.network import Detector
from .equalise import equalise
from .kinds import Net

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
try:
    with quiet_stderr(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import tensorflow as tf

        from .detector_twin import detector_twin
        from .tflite_metadata import describe_tflite
        from .twin import twin
except ImportError as missing:
    raise HtrjandError(f"TensorFlow is not installed ({missing}): pip install 'htrjand[tensorflow]'") from missing

READY = (64, 1024)  # rows and columns that an interpreter allocates for until it is resized
READY_PAGE = (1024, 768)


def export(network: Net, info: Info, out: Path, width: int | None = None) -> None:
    """Writes a sealed file for lines of any width, or of one; or for pages of any size (not atomic, and not proven).

    Args:
        network: in eval mode.
        info: what the file is to say of itself. With precision fp16 its weights are stored in 16 bits; it computes in
            float all the same.
        out: where to write.
        width: the only width it takes, a multiple of 16; `info` is to say so.
    """
    module = tf.Module()
    detector = isinstance(network, Detector)
    module.run = detector_twin(network) if isinstance(network, Detector) else twin(equalise(network), width)
    converter = tf.lite.TFLiteConverter.from_concrete_functions([module.run.get_concrete_function()], module)
    if info.precision == "fp16":
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        converter.target_spec.supported_types = [tf.float16]
    with quiet_stderr(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        content = converter.convert()
    out.write_bytes(describe_tflite(content, info, READY_PAGE if detector else (READY[0], width or READY[1])))
    seal(out)


def redescribe(model: Path, info: Info, out: Path) -> None:
    """Writes a file with another description, sealed (not atomic)."""
    out.write_bytes(describe_tflite(model.read_bytes(), info))
    seal(out)
