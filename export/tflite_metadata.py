"""What a TFLite file says of itself: to our runtime all, to Netron and other tools a name, a version, a licence, …."""

from __future__ import annotations

import json
from collections.abc import Mapping

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema

from ..runtime.engines.litert import METADATA
from ..runtime.kinds import Info
from ..runtime.page.detector_info import DetectorInfo

IDENTIFIER = b"TFL3"
ALIGNED = 16  # bytes, of the data of a buffer: what the schema asks for, and SIMD
# What Netron shows besides the model's own description: TFLite's `ModelMetadata`, by the numbers of its fields.
SHOWN, SHOWN_IDENTIFIER = "TFLITE_METADATA", b"M001"
NAME, DESCRIPTION, VERSION, LICENCE, FIELDS = 0, 1, 2, 5, 8


class Builder(flatbuffers.Builder):  # type: ignore[misc]
    """Aligns vectors of bytes, which Python's builder leaves where they fall."""

    def StartVector(self, elemSize: int, numElems: int, alignment: int) -> int:
        start: int = super().StartVector(elemSize, numElems, ALIGNED if elemSize == 1 else alignment)
        return start


def describe_tflite(content: bytes, info: Info, size: tuple[int, int] | None = None) -> bytes:
    """The file with this description in place of any it had.

    Args:
        content: a TFLite file.
        info: what it is.
        size: rows and columns that an interpreter allocates for until it is resized; None leaves them.
    """
    if isinstance(info, DetectorInfo):
        ports = (
            f"finds text lines on pages. In: image, grey, uint8 [1, 1, H, W], evened. Out: maps, float32 [1, 4, "
            f"H/{info.stride}, W/{info.stride}]"
        )
    else:
        ports = (
            f"reads handwritten text lines. In: image, grey, uint8 [1, 1, {info.height}, W]. Out: logits of CTC, "
            f"float32 [1, W/{info.frame_stride}, {len(info.charset)}]"
        )
    description = (
        f"{info.name} {info.version} ({info.precision}) {ports}. The metadata {METADATA!r}, JSON, tell the rest."
    )
    texts = json.dumps(info.to_metadata(), ensure_ascii=False, allow_nan=False)
    return rewrite(content, {METADATA: texts.encode(), SHOWN: shown(info)}, description, size)


def rewrite(
    content: bytes, metadata: Mapping[str, bytes], description: str, size: tuple[int, int] | None = None
) -> bytes:
    """The file with these metadata, its buffers inside and aligned, and its ports called as its signature says."""
    model = schema.ModelT.InitFromPackedBuf(content, 0)
    for buffer in model.buffers:
        if buffer.size:  # ai-edge-quantizer writes weights behind the tables, where older interpreters do not look
            buffer.data = np.frombuffer(content, np.uint8, buffer.size, buffer.offset)
            buffer.offset = buffer.size = 0
    model.description = description.encode()
    for name, value in metadata.items():
        put(model, name, value)
    graph = model.subgraphs[0]
    for signature in model.signatureDefs:
        for port in (*signature.inputs, *signature.outputs):
            graph.tensors[port.tensorIndex].name = port.name
    if size:
        image = graph.tensors[graph.inputs[0]]
        image.shape = [*image.shape[:2], *size]
    builder = Builder(len(content))
    builder.Finish(model.Pack(builder), IDENTIFIER)
    return bytes(builder.Output())


def put(model: schema.ModelT, name: str, content: bytes) -> None:
    """Adds metadata, in place of any of that name."""
    model.metadata = model.metadata or []
    entry = next((entry for entry in model.metadata if entry.name == name.encode()), None)
    if entry is None:
        entry = schema.MetadataT(name=name.encode(), buffer=len(model.buffers))
        model.metadata.append(entry)
        model.buffers.append(schema.BufferT())
    model.buffers[entry.buffer].data = np.frombuffer(content, np.uint8)


def shown(info: Info) -> bytes:
    """TFLite's own `ModelMetadata`."""
    if isinstance(info, DetectorInfo):
        found = ", ".join(f"{name} {recall:.1f}, {precision:.1f}" for name, (recall, precision) in info.found.items())
        about = f"Recall and precision of its float weights on test pages, %: {found or 'not told'}."
    else:
        languages = ", ".join(info.languages) or "not told"
        cer = ", ".join(f"{name} {percent:.1f}" for name, percent in info.cer.items()) or "not told"
        about = f"Languages: {languages}. CER of its float weights on test lines, %: {cer}."
    texts = {
        NAME: info.name,
        DESCRIPTION: about,
        VERSION: info.version,
        LICENCE: info.licence,
    }
    builder = flatbuffers.Builder(0)
    places = {field: builder.CreateString(text) for field, text in texts.items()}
    builder.StartObject(FIELDS)
    for field, place in places.items():
        builder.PrependUOffsetTRelativeSlot(field, place, 0)
    builder.Finish(builder.EndObject(), SHOWN_IDENTIFIER)
    return bytes(builder.Output())
