"""OpenVINO: an `.xml` of dynamic width and batch, its weights in a `.bin` beside it, made from an ONNX file."""

from __future__ import annotations

import dataclasses
import re
import tempfile
from collections.abc import Mapping
from pathlib import Path

from ..runtime.engines import first_line
from ..runtime.engines.openvino import SECTION, openvino
from ..runtime.errors import HtrjandError
from ..runtime.kinds import Info
from ..runtime.seal import seal
from . import onnx
from .kinds import Net
from .openvino_graph import gate_in_two_convolutions, share_constants, squeeze_by_convolutions


def export(network: Net, info: Info, out: Path, width: int | None = None) -> None:
    """Writes `out` (.xml) and the .bin beside it, self-describing and sealed (neither atomic nor proven).

    Neither file names the other: both may take another name together. With precision fp16 the weights take half the
    room, and are made floats as the file is opened. Its lines may have any width, its pages any size.
    """
    with tempfile.TemporaryDirectory() as folder:
        model = Path(folder) / "model.onnx"
        onnx.export(network, dataclasses.replace(info, precision="fp32"), model)
        save_openvino(read_onnx(model), info, out)


def redescribe(model: Path, info: Info, out: Path) -> None:
    """Writes a file with another description, sealed (not atomic)."""
    save_openvino(openvino.Core().read_model(model, model.with_suffix(".bin")), info, out)


def read_onnx(model: Path) -> openvino.Model:
    """An ONNX file as an OpenVINO graph, which computes the same in the form that runs fastest there.

    The nodes keep their names: a module's dotted path, a slash, and more.
    """
    try:
        graph = openvino.convert_model(model)
    except (RuntimeError, openvino.frontend.OpConversionFailure) as error:
        raise HtrjandError(
            f"{model}: OpenVINO cannot read it ({first_line(error)}); export the .onnx file again"
        ) from error
    squeeze_by_convolutions(graph)
    gate_in_two_convolutions(graph)
    return graph


def save_openvino(graph: openvino.Model, info: Info, out: Path) -> None:
    """Writes and seals a graph with its description."""
    save(graph, info.to_metadata(), out, info.precision == "fp16")
    seal(out)


def save(graph: openvino.Model, metadata: Mapping[str, str], out: Path, halves: bool = False) -> None:
    """Writes a graph with these metadata, not sealed; `halves` stores weights in 16 bits.

    Left out is what the converter and NNCF noted in it: the metadata of the ONNX file again, the place where it lay;
    and the names of tensors within the graph, of which nothing asks for one.
    """
    plain = openvino.Model(graph.get_results(), graph.get_parameters(), metadata.get("name", SECTION))
    for key, text in metadata.items():
        plain.set_rt_info(text, [SECTION, key])
    share_constants(plain)
    openvino.save_model(plain, out, compress_to_fp16=halves)
    written = re.sub(rb">\n\t*<", b"><", out.read_bytes())  # a fifth of it; texts have neither as such
    asked = {name.encode() for port in (*plain.inputs, *plain.outputs) for name in port.names}
    out.write_bytes(
        re.sub(rb' names="([^"]*)"', lambda found: found[0] if asked & {*found[1].split(b",")} else b"", written)
    )
