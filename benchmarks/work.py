"""What a model has to do for one input: multiply-adds, bytes and time of each operator, by onnxruntime's profile.

The profile tells the shapes of what an operator is given, so nothing has to read the file's format, and what is counted
is the graph as the engine runs it, after its own optimisations: channels that it pads to its vectors among them.
"""

from __future__ import annotations

import json
import math
import tempfile
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ..runtime.errors import HtrjandError, UsageError
from ..runtime.formats import format_of

if TYPE_CHECKING:
    import onnxruntime  # type: ignore[import-untyped]

PRODUCTS = frozenset(("Conv", "FusedConv", "NhwcFusedConv", "ConvInteger", "QLinearConv", "ConvTranspose")) | frozenset(
    ("MatMul", "FusedMatMul", "Gemm", "FusedGemm", "MatMulInteger", "MatMulIntegerToFloat", "QLinearMatMul", "QGemm")
)
MOVES = frozenset(
    ("Cast", "Concat", "Expand", "Gather", "Pad", "ReorderInput", "ReorderOutput", "Resize", "Slice", "Split", "Tile")
) | frozenset(("Transpose", "Where"))
VIEWS = frozenset(("Flatten", "Identity", "Reshape", "Shape", "Squeeze", "Unsqueeze"))  # of the same memory
KINDS = ("int8 products", "fp32 products", "arithmetic", "moves")
RUNS = 20  # of which the fastest is taken, operator by operator: whatever disturbs makes it slower
PAGE = (1024, 768)  # rows and columns of an input for a line detector

Shape = tuple[int, ...]
Inputs = dict[str, npt.NDArray[Any]]


@dataclass(frozen=True)
class Node:
    """One operator of the graph as it runs.

    Args:
        multiply_adds: of convolutions and matrix products; 0 for others.
        bytes: that it reads and writes, weights among them.
        ms: it takes; 0 where that was not asked for.
        channels: that each output of a convolution reads; 0 for other operators.
    """

    name: str
    operator: str
    kind: str
    multiply_adds: int
    bytes: int
    ms: float = 0.0
    channels: int = 0


def nodes_of(path: str | Path, inputs: Inputs | None = None, width: int = 1024) -> list[Node]:
    """The operators of an ONNX file in the order in which they run, with their times on one thread.

    Args:
        inputs: arrays by name; None: a line of so many columns, or a page.

    Raises:
        UsageError: onnxruntime does not read such files.
        HtrjandError: it cannot be run.
    """
    if not Path(path).is_file():
        raise HtrjandError(f"{path}: no such file; check the path")
    if format_of(path).engine != "onnxruntime":
        raise UsageError(f"{path}: operators are counted by onnxruntime; name the .onnx file of the same weights")
    counted = profiled(path, inputs, width, 1, disable_prepacking=True)  # or packed weights would show no shape
    timed = profiled(path, inputs, width, RUNS)
    if [event["args"]["op_name"] for event in counted[0]] != [event["args"]["op_name"] for event in timed[0]]:
        raise HtrjandError(f"{path}: onnxruntime runs another graph with packed weights; export it again")
    times = [min(run[place]["dur"] for run in timed) / 1000 for place in range(len(timed[0]))]
    return [replace(node(event), ms=ms) for event, ms in zip(counted[0], times, strict=True)]


def profiled(
    path: str | Path, inputs: Inputs | None, width: int, runs: int, disable_prepacking: bool = False
) -> list[list[dict[str, Any]]]:
    """The events of onnxruntime's profile, an operator each, of each run."""
    with tempfile.TemporaryDirectory() as folder:
        session = open_plain(path, disable_prepacking, profile=f"{folder}/profile")
        given = inputs or input_of(session, path, width)
        for _ in range(runs + 1):
            session.run(None, given)
        events = json.loads(Path(session.end_profiling()).read_text(encoding="utf-8"))
    kernels = [event for event in events if event["name"].endswith("_kernel_time")]
    each = len(kernels) // (runs + 1)
    return [kernels[run * each : (run + 1) * each] for run in range(1, runs + 1)]  # the first prepares memory


def open_plain(path: str | Path, disable_prepacking: bool = False, profile: str = "") -> onnxruntime.InferenceSession:
    """A session of one thread, as the runtime has it; an HtrjandError where the file is none."""
    import onnxruntime

    from ..runtime.engines.onnx import FAILURES, FATAL

    options = onnxruntime.SessionOptions()
    options.log_severity_level = FATAL
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.add_session_config_entry("session.disable_prepacking", str(int(disable_prepacking)))
    options.enable_profiling = bool(profile)
    options.profile_file_prefix = profile
    try:
        return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except FAILURES as error:
        raise HtrjandError(f"{path}: not a whole ONNX model ({error}); copy the file again") from error


def input_of(session: onnxruntime.InferenceSession, path: str | Path, width: int) -> Inputs:
    """Random grey for a line reader, or for a line detector."""
    (port,) = session.get_inputs()
    if port.type != "tensor(uint8)" or len(port.shape) != 4:
        raise HtrjandError(f"{path}: takes {port.type} {port.shape}, no line and no page; name a model of ours")
    size = (64, width) if port.shape[2] == 64 else PAGE
    return {port.name: np.random.default_rng(0).integers(0, 256, (1, 1, *size), np.uint8)}


def node(event: Mapping[str, Any]) -> Node:
    """An operator, of an event of the profile."""
    args = event["args"]
    operator = str(args["op_name"])
    given = [(dtype, tuple(shape)) for port in args["input_type_shape"] for dtype, shape in port.items()]
    made = [tuple(shape) for port in args["output_type_shape"] for shape in port.values()]
    size = sum(int(args[key]) for key in ("activation_size", "parameter_size", "output_size"))
    kind, work, channels = "moves" if operator in MOVES | VIEWS else "arithmetic", 0, 0
    if operator in PRODUCTS:
        shapes = [shape for _, shape in given]
        kind = "int8 products" if given[0][0] in ("uint8", "int8") else "fp32 products"
        work = multiply_adds(operator, shapes, made[0])
        channels = weights_of(shapes)[1] if "Conv" in operator else 0
    name = event["name"].removesuffix("_kernel_time")
    return Node(name, operator, kind, work, 0 if operator in VIEWS else size, channels=channels)


def multiply_adds(operator: str, given: Sequence[Shape], made: Shape) -> int:
    """Of a convolution, or of a product of matrices, by the shapes of what it is given and of what it makes."""
    if "Conv" in operator:
        weights = weights_of(given)
        maps = given[0] if operator == "ConvTranspose" else made
        return math.prod(maps) * math.prod(weights[1:])
    return math.prod(made) * given[0][-1]


def weights_of(given: Sequence[Shape]) -> Shape:
    """Of a convolution, by the shapes of what it is given: outputs, inputs in a group, height, width."""
    return [shape for shape in given if len(shape) == 4][1]


def by_operator(nodes: Sequence[Node]) -> list[Node]:
    """One `Node` for each operator and kind, its sums; the slowest first. Names say how many there are."""
    groups: dict[tuple[str, str], list[Node]] = defaultdict(list)
    for one in nodes:
        groups[one.operator, one.kind].append(one)
    summed = [
        Node(
            str(len(some)),
            operator,
            kind,
            sum(one.multiply_adds for one in some),
            sum(one.bytes for one in some),
            sum(one.ms for one in some),
        )
        for (operator, kind), some in groups.items()
    ]
    return sorted(summed, key=lambda one: -one.ms)
