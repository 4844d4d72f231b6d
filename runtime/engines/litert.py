"""LiteRT, or its predecessor tflite-runtime, on the CPU: the engine of `.tflite` files."""

from __future__ import annotations

import json
import os
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ..errors import HtrjandError
from ..image import HEIGHT
from ..info import ModelInfo
from ..quiet import quiet_stderr
from . import check_classes, check_logits, first_line

try:
    from ai_edge_litert.interpreter import Interpreter
except ImportError as missing:
    try:
        from tflite_runtime.interpreter import Interpreter
    except ImportError:
        raise HtrjandError(f"LiteRT is not installed ({missing}): pip install 'htrjand[litert]'") from missing

METADATA = "htrjand"  # the name of our metadata in the file: a JSON table, of texts
# Fields of the tables of TFLite's schema, by their numbers there.
MODEL_BUFFERS, MODEL_METADATA = 4, 6
METADATA_NAME, METADATA_BUFFER = 0, 1
BUFFER_DATA = 0
FAILURES = (RuntimeError, ValueError, MemoryError)


class LiteRtEngine:
    """A model file that LiteRT runs, a line at a time.

    Raises:
        HtrjandError: the file is no TFLite model, does not describe itself, or is not what it describes.
    """

    def __init__(self, path: Path, threads: int | None = None) -> None:
        self.path = path
        content = path.read_bytes()
        self.info = ModelInfo.from_metadata(read_metadata(content, path), path)
        try:
            with quiet_stderr():  # it tells of its delegates
                self.interpreter = Interpreter(model_content=content, num_threads=threads or usable_cores())
            inputs, outputs = self.interpreter.get_input_details(), self.interpreter.get_output_details()
        except FAILURES as error:
            raise unusable(path, error) from error
        check_port(path, "input", inputs, "image", np.uint8, [1, 1, HEIGHT, None])
        check_port(path, "output", outputs, "logits", np.float32, [1, None, None])
        self.image, self.logits = inputs[0]["index"], outputs[0]["index"]
        fixed = int(inputs[0]["shape_signature"][3])
        self.fixed = None if fixed == -1 else fixed
        if self.fixed not in (None, self.info.max_width):
            raise HtrjandError(
                f"{path}: takes lines {fixed} columns wide, where its metadata say up to {self.info.max_width}; "
                "export it again"
            )
        self.width = 0  # that tensors are allocated for
        try:
            self.allocate(self.fixed or self.info.width_multiple)
        except FAILURES as error:
            raise unusable(path, error) from error
        check_classes(int(self.interpreter.get_output_details()[0]["shape"][2]), self.info, path)

    def run(self, images: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        """Logits float32 [N, T, V] of images uint8 [N, 1, 64, W]."""
        width = images.shape[3]
        if self.fixed not in (None, width):
            raise HtrjandError(
                f"{self.path}: takes lines {self.fixed} columns wide only, got {width}; pad them to that, or export it "
                "without a fixed width"
            )
        try:
            self.allocate(width)
            found = np.concatenate([self.line(image) for image in images[:, None]])  # N, T, V
        except FAILURES as error:
            raise HtrjandError(
                f"{self.path}: LiteRT cannot run it on images {list(images.shape)} ({first_line(error)}); "
                "export the model again"
            ) from error
        check_logits(found, images, self.info, self.path)
        return found

    def allocate(self, width: int) -> None:
        """Makes ready for lines of a width; that takes about as long as to read one."""
        if width == self.width:
            return
        self.width = 0  # until it is done
        with quiet_stderr():
            self.interpreter.resize_tensor_input(self.image, [1, 1, HEIGHT, width], strict=True)
            self.interpreter.allocate_tensors()
        self.width = width

    def line(self, image: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        """Logits [1, T, V] of one line [1, 1, 64, W]."""
        self.interpreter.set_tensor(self.image, image)
        self.interpreter.invoke()
        logits: npt.NDArray[np.float32] = self.interpreter.get_tensor(self.logits)
        return logits


def read_metadata(content: bytes, path: Path) -> dict[str, str]:
    """Our metadata in a TFLite file; read by hand, since a device has no schema of it.

    Raises:
        HtrjandError: there are none, or the file is no TFLite file.
    """
    try:
        model = Table(content, 0)
        buffers = list(model.tables(MODEL_BUFFERS))
        for entry in model.tables(MODEL_METADATA):
            if entry.vector(METADATA_NAME) == METADATA.encode():
                texts = json.loads(buffers[entry.number(METADATA_BUFFER)].vector(BUFFER_DATA))
                return {str(key): str(text) for key, text in texts.items()}
    except (struct.error, IndexError, ValueError, AttributeError) as error:
        raise unusable(path, error) from error
    raise HtrjandError(
        f"{path}: the file does not describe itself (it has no {METADATA!r} metadata); take a model file that htrjand "
        "exported, or export this one again"
    )


class Table:
    """A table of a FlatBuffers file, with the three kinds of fields that lead to metadata."""

    def __init__(self, content: bytes, place: int) -> None:
        self.content = content
        self.place = place + self.unsigned(place)
        (back,) = struct.unpack_from("<i", content, self.place)
        self.fields = self.place - back
        (self.size,) = struct.unpack_from("<H", content, self.fields)

    def unsigned(self, place: int) -> int:
        value: int = struct.unpack_from("<I", self.content, place)[0]
        return value

    def field(self, number: int) -> int | None:
        """Where a field stands; None where it has its default."""
        slot = 4 + 2 * number
        offset = struct.unpack_from("<H", self.content, self.fields + slot)[0] if slot < self.size else 0
        return self.place + offset if offset else None

    def number(self, field: int) -> int:
        place = self.field(field)
        return 0 if place is None else self.unsigned(place)

    def items(self, field: int) -> tuple[int, int]:
        """Where the items of a vector begin, and how many there are."""
        place = self.field(field)
        if place is None:
            return 0, 0
        place += self.unsigned(place)
        return place + 4, self.unsigned(place)

    def vector(self, field: int) -> bytes:
        begin, count = self.items(field)
        return self.content[begin : begin + count]

    def tables(self, field: int) -> Iterator[Table]:
        begin, count = self.items(field)
        return (Table(self.content, begin + 4 * index) for index in range(count))


def check_port(
    path: Path, kind: str, ports: list[dict[str, Any]], name: str, dtype: type, shape: list[int | None]
) -> None:
    """Raises an HtrjandError unless the only `kind` is `name` of this type and shape (None: any size)."""
    found = [(port["name"], np.dtype(port["dtype"]).name, list(map(int, port["shape_signature"]))) for port in ports]
    fits = (
        len(found) == 1
        and found[0][:2] == (name, np.dtype(dtype).name)
        and len(found[0][2]) == len(shape)
        and all(want is None or have == want for have, want in zip(found[0][2], shape, strict=True))
    )
    if not fits:
        said = ", ".join(f"{title} {kind_of} {sizes}" for title, kind_of, sizes in found)
        raise HtrjandError(
            f"{path}: its {kind} is {said}, where a line recogniser has {name} {np.dtype(dtype).name} "
            f"{[size or 'any' for size in shape]}; take a model file that htrjand exported"
        )


def unusable(path: Path, error: Exception) -> HtrjandError:
    return HtrjandError(
        f"{path}: not a whole TFLite model ({first_line(error)}); copy the file again, or export it again"
    )


def usable_cores() -> int:
    """The cores that this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
