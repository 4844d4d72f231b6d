"""Eight bits in TFLite: static quantisation with ai-edge-quantizer, calibrated on training lines."""

from __future__ import annotations

import dataclasses
import io
import re
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ...runtime.errors import HtrjandError, UsageError
from ...runtime.kinds import info_of
from ...runtime.quiet import quiet_stderr
from ...runtime.seal import seal
from .in_float import stays_in_float
from .recipe import Images, QuantizeRecipe, check_kept

try:
    with quiet_stderr():
        from ai_edge_litert import schema_py_generated as schema
        from ai_edge_litert.interpreter import Interpreter
        from ai_edge_quantizer import qtyping, quantizer

        from ...export.tflite_metadata import describe_tflite
except ImportError as missing:
    raise HtrjandError(
        f"ai-edge-quantizer is not installed ({missing}): pip install 'htrjand[tensorflow]'"
    ) from missing

ADD = schema.BuiltinOperator.ADD
KINDS = {
    schema.BuiltinOperator.PAD: qtyping.TFLOperationName.PAD,  # XNNPACK takes it into the convolution if both are int8
    schema.BuiltinOperator.CONV_2D: qtyping.TFLOperationName.CONV_2D,
    schema.BuiltinOperator.FULLY_CONNECTED: qtyping.TFLOperationName.FULLY_CONNECTED,
    ADD: qtyping.TFLOperationName.ADD,
}
MODULE = re.compile(r"(?:^|;)([^/;]+)/(?:Pad|Conv2D|MatMul|Sum)")  # in the name of what an op gives: see export/twin.py
NARROWEST = 1e-3  # of a range: an empty one has no scale


@dataclass(frozen=True)
class Op:
    """An op that holds weights, pads for one that does, or adds what two of them give."""

    module: str  # its torch module
    kind: int  # of KINDS
    takes: list[str]  # the names of tensors
    gives: str


def quantize(model: Path, images: Images, out: Path, recipe: QuantizeRecipe) -> list[str]:
    """As `quantize_file`: convolutions, fully connected layers and residual sums in int8, all between them in float."""
    info = info_of(model)
    content = model.read_bytes()
    every = weighted_ops(content)
    check_kept(recipe, list(dict.fromkeys(op.module for op in every)), model)
    ops = [op for op in every if not stays_in_float(op.module, recipe)]
    if not ops:
        raise UsageError(f"{model}: all of its modules are kept in float; keep fewer")
    with silence():
        tool = quantizer.Quantizer(content)
        for op in ops:
            tool.add_static_config(
                f"^{re.escape(op.gives)};$", KINDS[op.kind], activation_num_bits=8, weight_num_bits=8
            )
        quantized = tool.quantize(ranges(content, ops, images)).quantized_model
    out.write_bytes(describe_tflite(bytes(quantized), dataclasses.replace(info, precision="int8")))
    seal(out)
    return [module for module in dict.fromkeys(op.module for op in every) if stays_in_float(module, recipe)]


def weighted_ops(content: bytes) -> list[Op]:
    """The ops of a file that hold weights of a module, those that pad for them, and residual sums, in order."""
    model = schema.ModelT.InitFromPackedBuf(content, 0)
    graph = model.subgraphs[0]
    found = []
    for op in graph.operators:
        kind = model.operatorCodes[op.opcodeIndex].builtinCode
        values = op.inputs[:2] if kind == ADD else op.inputs[:1]  # the others are weights and sizes
        takes = [graph.tensors[tensor].name.decode() for tensor in values]
        gives = graph.tensors[op.outputs[0]].name.decode()
        module = MODULE.search(gives)
        if kind in KINDS and module:
            found.append(Op(module[1], kind, takes, gives))
    return found


def ranges(content: bytes, ops: list[Op], images: Images) -> dict[str, dict[str, npt.NDArray[np.float32]]]:
    """The range of each tensor that these ops take or give: the mean of the extremes of each image, at its own size.

    The quantiser's own calibration averages too, but forgets all images but the last few dozens.
    """
    interpreter = Interpreter(model_content=content, num_threads=1, experimental_preserve_all_tensors=True)
    indices = {tensor["name"]: tensor["index"] for tensor in interpreter.get_tensor_details()}
    image = interpreter.get_input_details()[0]["index"]
    extremes: dict[str, list[tuple[float, float]]] = {name: [] for op in ops for name in (*op.takes, op.gives)}
    for sample in sorted(images, key=lambda image: image.shape):  # alike sizes in a row
        interpreter.resize_tensor_input(image, sample.shape)
        interpreter.allocate_tensors()
        interpreter.set_tensor(image, sample)
        interpreter.invoke()
        for name, seen in extremes.items():
            values = interpreter.get_tensor(indices[name])
            seen.append((values.min(), values.max()))
    found = {}
    for name, seen in extremes.items():
        low, high = np.mean(seen, axis=0)
        shape = (1,) * len(interpreter.get_tensor(indices[name]).shape)
        found[name] = {
            "min": np.full(shape, low, np.float32), "max": np.full(shape, max(high, low + NARROWEST), np.float32),
        }  # fmt: skip
    return found


@contextmanager
def silence() -> Iterator[None]:
    """Silences the quantiser, which writes bars and warnings to stdout and stderr."""
    with ExitStack() as stack:
        for quiet in (
            warnings.catch_warnings(), quiet_stderr(), redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO())
        ):  # fmt: skip
            stack.enter_context(quiet)
        warnings.simplefilter("ignore")
        yield
