"""LiteRT, or its predecessor tflite-runtime, on the CPU: the engine of `.tflite` files."""

from __future__ import annotations

import json
import os
import struct
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ..errors import HtrjandError
from ..quiet import quiet_stderr
from . import Port, cannot_run, first_line

try:
    from ai_edge_litert.interpreter import Interpreter
except ImportError as missing:
    try:
        from tflite_runtime.interpreter import Interpreter
    except ImportError:
        raise HtrjandError(f"LiteRT is not installed ({missing}): pip install 'htrjand[litert]'") from missing

LIBRARY = sys.modules[Interpreter.__module__.partition(".")[0]]  # whichever of the two it is
METADATA = "htrjand"  # the name of our metadata in the file: a JSON table, of texts
# Fields of the tables of TFLite's schema, by their numbers there.
MODEL_BUFFERS, MODEL_METADATA = 4, 6
METADATA_NAME, METADATA_BUFFER = 0, 1
BUFFER_DATA = 0
FAILURES = (RuntimeError, ValueError, MemoryError)


class LiteRtSession:
    """A model file that LiteRT runs, an item and a thread at a time.

    Raises:
        HtrjandError: the file is no TFLite model, or does not describe itself.
    """

    engine = f"{LIBRARY.__name__} {LIBRARY.__version__}"

    def __init__(self, path: Path, threads: int | None = None) -> None:
        self.path = path
        content = path.read_bytes()
        self.metadata = read_metadata(content, path)
        self.lock = threading.Lock()
        self.shapes: list[tuple[int, ...]] = []  # of the inputs that memory is allocated for
        try:
            with quiet_stderr():  # it logs its delegates
                self.interpreter = Interpreter(model_content=content, num_threads=threads or usable_cores())
            ports = self.interpreter.get_input_details(), self.interpreter.get_output_details()
            self.inputs, self.outputs = (tuple(map(port, details)) for details in ports)
            self.places = [[int(detail["index"]) for detail in details] for details in ports]
        except FAILURES as error:
            raise unusable(path, error) from error

    def run(self, *inputs: npt.NDArray[Any]) -> list[npt.NDArray[Any]]:
        """The outputs for batches of inputs [N, …], of which the file takes one item at a time."""
        try:
            with self.lock:
                items = [self.item([array[i : i + 1] for array in inputs]) for i in range(len(inputs[0]))]
        except FAILURES as error:
            raise cannot_run(self.path, "LiteRT", inputs, error) from error
        return items[0] if len(items) == 1 else [np.concatenate(outputs) for outputs in zip(*items, strict=True)]

    def item(self, inputs: list[npt.NDArray[Any]]) -> list[npt.NDArray[Any]]:
        """The outputs for one item."""
        self.allocate([array.shape for array in inputs])
        for place, array in zip(self.places[0], inputs, strict=True):
            self.interpreter.set_tensor(place, array)
        self.interpreter.invoke()
        return [self.interpreter.get_tensor(place) for place in self.places[1]]  # copies

    def allocate(self, shapes: list[tuple[int, ...]]) -> None:
        """Makes ready for inputs of these shapes; that takes about as long as to run one."""
        if shapes == self.shapes:
            return
        self.shapes = []  # until it is done
        with quiet_stderr():
            for place, shape in zip(self.places[0], shapes, strict=True):
                self.interpreter.resize_tensor_input(place, list(shape), strict=True)
            self.interpreter.allocate_tensors()
        self.shapes = shapes


open_session = LiteRtSession


def port(detail: dict[str, Any]) -> Port:
    """An input or output as the interpreter describes it."""
    sizes = (None if size == -1 else int(size) for size in detail["shape_signature"])
    return Port(detail["name"], np.dtype(detail["dtype"]).name, tuple(sizes))


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
    except (struct.error, IndexError, ValueError, AttributeError, RecursionError) as error:
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


def unusable(path: Path, error: Exception) -> HtrjandError:
    return HtrjandError(
        f"{path}: not a whole TFLite model ({first_line(error)}); copy the file again, or export it again"
    )


def usable_cores() -> int:
    """The cores that this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
