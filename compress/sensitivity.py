"""What each layer alone costs in int8, and what it saves: a table that shows where eight bits are too few."""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime  # type: ignore[import-untyped]
from onnx import numpy_helper
from onnxruntime.quantization.shape_inference import quant_pre_process  # type: ignore[import-untyped]

from ..runtime import Recognizer
from ..runtime.decode import decode_greedy
from ..runtime.errors import HtrjandError
from ..runtime.image import HEIGHT, pad_line
from ..runtime.info import ModelInfo
from ..train.data import error_rates
from ..train.data.lines import LineRow
from .quantize.in_float import SQUEEZE_EXCITE
from .quantize.onnx import weighted_nodes, write_quantized
from .quantize.onnx_graph import QUANTISED
from .quantize.recipe import Lines, check_calibration, check_float, fed

WIDTH = 1024  # columns of the line that multiply-adds are counted for
EVERYTHING = "all of them"
Logits = list[npt.NDArray[np.float32]]


@dataclass(frozen=True)
class Layer:
    """One module in int8 and all else in float, against all in float."""

    module: str
    cer: float  # points of CER more
    kl: float  # nats a frame: mean KL(float ‖ this)
    bytes_saved: int  # of weights: float32 against int8 with a scale and a zero point a channel
    work: float  # share of the network's multiply-adds


@dataclass(frozen=True)
class Sensitivity:
    """The layers, the most harmful first, and after them all together; CER of the float file in percent."""

    model: str
    weights_sha256: str
    onnxruntime: str
    cer: float
    lines: int
    datasets: tuple[str, ...]
    calibration_lines: int
    layers: tuple[Layer, ...]

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return asdict(self)

    def markdown(self) -> str:
        """A table, a row a layer."""
        rows = ["| in int8 alone | KL, nats a frame | CER, points | kB saved | work |", "|---|---:|---:|---:|---:|"]
        for layer in self.layers:
            name = layer.module if layer.module == EVERYTHING else f"`{layer.module}`"
            saved = f"{layer.bytes_saved / 1000:.1f} | {100 * layer.work:.1f} %"
            rows.append(f"| {name} | {layer.kl:.5f} | {layer.cer:+.2f} | {saved} |")
        return "\n".join(rows)


def sensitivity(
    model: Path, lines: Lines, rows: Sequence[LineRow], *, log: Callable[[str], None] = lambda _: None
) -> Sensitivity:
    """Quantises each layer of a float ONNX file alone, and reads the rows with each of the files that come of it.

    The KL divergence of frames tells more than the CER, which moves in steps of an error. Ranges are seen once.

    Args:
        model: the fp32 `.onnx`.
        lines: training lines to calibrate on, uint8 [64, W].
        rows: validation lines.
        log: called with a line for each layer.

    Raises:
        HtrjandError: the model is no fp32 file, or there are too few lines.
    """
    info = Recognizer(model, 1, None).info
    check_float(model, info)
    check_calibration(lines, model)
    images = fed(lines, info, model)
    if not rows:
        raise HtrjandError(f"{model}: no line to compare errors on; check the lines and the split")
    logging.getLogger("root").setLevel(logging.ERROR)
    pixels, texts = [row.pixels() for row in rows], [row.text for row in rows]
    with tempfile.TemporaryDirectory() as folder:
        ready, part, ranges = (Path(folder) / name for name in ("ready.onnx", "part.onnx", "ranges.json"))
        quant_pre_process(str(model), str(ready), skip_symbolic_shape=True)
        graph = onnx.load(ready)
        modules = quantisable(graph)
        expected = run(ready, pixels)
        before = cer(expected, info, pixels, texts)
        sizes, work = weight_sizes(graph), multiply_adds(graph)

        def measure(name: str, chosen: Iterable[str]) -> Layer:
            chosen = set(chosen)
            others = [n.name for n in graph.graph.node if n.op_type in QUANTISED and modules.get(n.name) not in chosen]
            write_quantized(ready, images, part, others, ranges)
            found = run(part, pixels)
            layer = Layer(
                name,
                round(cer(found, info, pixels, texts) - before, 4),
                float(np.mean([divergence(a, b) for a, b in zip(expected, found, strict=True)])),
                sum(3 * size - 5 * channels for module, (size, channels) in sizes.items() if module in chosen),
                round(sum(work[module] for module in chosen) / sum(work.values()), 5),
            )
            log(f"{name}: KL {layer.kl:.5f}, CER {layer.cer:+.2f}")
            return layer

        layers = sorted((measure(module, [module]) for module in modules.values()), key=lambda layer: -layer.kl)
        layers.append(measure(EVERYTHING, modules.values()))
    datasets = tuple(sorted({row.dataset for row in rows}))
    return Sensitivity(
        model.name, info.weights_sha256, onnxruntime.__version__, round(before, 4), len(rows), datasets, len(lines),
        tuple(layers),
    )  # fmt: skip


def run(path: Path, pixels: Lines) -> Logits:
    """Logits [T, V] of each line."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    return [session.run(["logits"], {"image": pad_line(line)[None, None]})[0][0] for line in pixels]


def cer(logits: Logits, info: ModelInfo, pixels: Lines, texts: Sequence[str]) -> float:
    """In percent, of what the logits read as."""
    widths = [line.shape[1] for line in pixels]
    read = [decode_greedy(a, info, width, width).text for a, width in zip(logits, widths, strict=True)]
    return error_rates.cer([error_rates.compare(text, found) for text, found in zip(texts, read, strict=True)])


def divergence(expected: npt.NDArray[np.float32], found: npt.NDArray[np.float32]) -> float:
    """Mean KL(expected ‖ found) of the frames of a line, in nats; both logits [T, V]."""
    p, q = log_softmax(expected), log_softmax(found)
    return float((np.exp(p) * (p - q)).sum(1).mean())


def log_softmax(logits: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
    """Logarithms of probabilities over the last axis."""
    shifted = logits.astype(np.float64) - logits.max(-1, keepdims=True)
    logs: npt.NDArray[np.float64] = shifted - np.log(np.exp(shifted).sum(-1, keepdims=True))
    return logs


def weight_sizes(graph: onnx.ModelProto) -> dict[str, tuple[int, int]]:
    """Numbers of a module's weight, and its output channels, for those that can be quantised."""
    weights = {tensor.name: tensor for tensor in graph.graph.initializer}
    weighted, sizes = quantisable(graph), {}
    for node in graph.graph.node:
        if node.name in weighted:
            shape = numpy_helper.to_array(next(weights[name] for name in node.input if name in weights)).shape
            sizes[weighted[node.name]] = int(np.prod(shape)), shape[-1 if node.op_type == "MatMul" else 0]
    return sizes


def quantisable(graph: onnx.ModelProto) -> dict[str, str]:
    """The nodes with a weight that int8 files can have in eight bits, each with the module it comes from."""
    return {node: module for node, module in weighted_nodes(graph).items() if SQUEEZE_EXCITE not in module}


def multiply_adds(graph: onnx.ModelProto) -> dict[str, int]:
    """Of a line 1024 columns wide: of each module with a weight, and, as `""`, of all other products together."""
    whole = onnx.ModelProto()
    whole.CopyFrom(graph)
    products = [node for node in whole.graph.node if node.op_type in QUANTISED]
    weights = {tensor.name: tuple(tensor.dims) for tensor in whole.graph.initializer}
    own = {output.name for output in whole.graph.output}
    for name in {name for node in products for name in (node.output[0], node.input[0])} - own - {"image"}:
        if name not in weights:
            whole.graph.output.append(onnx.helper.make_empty_tensor_value_info(name))
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(whole.SerializeToString(), options, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    values = session.run(names, {"image": np.zeros((1, 1, HEIGHT, WIDTH), np.uint8)})
    shapes = weights | {name: value.shape for name, value in zip(names, values, strict=True)}
    named = weighted_nodes(graph)
    work = {"": 0} | dict.fromkeys(named.values(), 0)
    for node in products:
        of_one = np.prod(weights[node.input[1]][1:]) if node.op_type == "Conv" else shapes[node.input[0]][-1]
        work[named.get(node.name, "")] += int(np.prod(shapes[node.output[0]]) * of_one)
    return work
