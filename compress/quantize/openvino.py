"""Eight bits for OpenVINO: post-training quantisation by NNCF, calibrated on training lines."""

from __future__ import annotations

import contextlib
import dataclasses
import io
import logging
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from ...export.openvino import read_onnx, save_openvino
from ...export.proof import BudgetError
from ...runtime import Recognizer
from ...runtime.engines.openvino import CONFIG, OpenVinoSession, openvino
from ...runtime.errors import HtrjandError
from ...runtime.info import ModelInfo
from ...runtime.kinds import Info, info_of
from ...train.data.lines import LineRow
from ...train.reader import read_rows
from .in_float import stays_in_float
from .recipe import Images, Lines, QuantizeRecipe, check_float, check_kept, fed

try:
    import nncf  # after OpenVINO's engine, which sees to it that no use is reported to anybody
except ImportError as missing:
    raise HtrjandError(f"nncf is not installed ({missing}): pip install 'htrjand[compress]'") from missing

QUANTISED = ("Convolution", "MatMul")  # where the weights are
# Symmetric ranges, which the kernels of every processor take. Correcting biases and smoothing outliers each changed the
# student's CER by less than 0.1 points on 468 lines, and smoothing takes 20 KB.
ADVANCED = nncf.AdvancedQuantizationParameters(disable_bias_correction=True)
PRESET = nncf.QuantizationPreset.PERFORMANCE


def quantize(model: Path, images: Images, out: Path, recipe: QuantizeRecipe) -> list[str]:
    """As `quantize_file`. The float model may also be an `.onnx` file."""
    graph, info = read_float(model)
    with silent():
        quantised = nncf.quantize(
            graph, nncf.Dataset(images), preset=PRESET, subset_size=len(images),
            ignored_scope=ignored(graph, model, recipe), advanced_parameters=ADVANCED,
        )  # fmt: skip
    return save(quantised, info, out)


def quantize_within(
    model: Path, lines: Lines, rows: Sequence[LineRow], out: Path, recipe: QuantizeRecipe, max_drop: float
) -> list[str]:
    """As `quantize`; operators go back to float, the most harmful first, until the file reads well enough.

    Args:
        model: the float `.xml` or `.onnx` file.
        lines: training lines to calibrate on, uint8 [64, W].
        rows: validation lines to read.
        out: where to write.
        recipe: what else stays in float.
        max_drop: points of CER that it may be worse at most, on each of the lines' datasets.

    Returns:
        The modules with weights that stay in float.

    Raises:
        BudgetError: the file reads worse all the same.
        HtrjandError: the model cannot be read, or there is no line.
        UsageError: a module to keep is not in the network.
    """
    if not rows:
        raise HtrjandError(f"{out}: no line to compare its errors on; check the lines and the split")
    graph, info = read_float(model)
    assert isinstance(info, ModelInfo)  # a detector's file is not made anew
    float_reading = read_rows(reader(compiled(graph), info, model), rows)

    def merit(candidate: openvino.CompiledModel, rows: Sequence[LineRow]) -> float:
        """100, less the points of CER that a graph loses on the dataset where it loses most."""
        reading = read_rows(reader(candidate, info, out), rows)
        return 100 + min(float_reading.cer(name) - reading.cer(name) for name in reading.errors)

    with silent():
        quantised = nncf.quantize_with_accuracy_control(
            graph, nncf.Dataset(fed(lines, info, model)), nncf.Dataset([rows]),
            lambda candidate, data: merit(candidate, next(iter(data))), max_drop=max_drop,
            drop_type=nncf.DropType.ABSOLUTE, preset=PRESET, subset_size=len(lines),
            ignored_scope=ignored(graph, model, recipe), advanced_quantization_parameters=ADVANCED,
        )  # fmt: skip
    drop = 100 - merit(compiled(quantised), rows)
    if drop > max_drop:
        raise BudgetError(
            f"{out}: {drop:.2f} points of CER worse than {model.name}, with all back in float that was tried; the "
            f"budget is {max_drop:g}: calibrate with more lines, or allow more; nothing was written"
        )
    return save(quantised, info, out)


def save(quantised: openvino.Model, info: Info, out: Path) -> list[str]:
    """Writes and seals a quantised graph; returns the modules with weights that are in float in it."""
    names = [node.get_friendly_name() for node in quantised.get_ordered_ops() if is_float_product(node)]
    save_openvino(quantised, dataclasses.replace(info, precision="int8"), out)
    return list(dict.fromkeys(map(module_of, names)))


def read_float(model: Path) -> tuple[openvino.Model, Info]:
    """The graph of an `.xml` or `.onnx` file, and what it says of itself."""
    info = info_of(model)
    check_float(model, info)
    return read_onnx(model) if model.suffix == ".onnx" else openvino.Core().read_model(model), info


def ignored(graph: openvino.Model, model: Path, recipe: QuantizeRecipe) -> Any:
    """What NNCF is to leave alone: all but the products with weights that do not stay in float."""
    nodes = [
        node for node in graph.get_ordered_ops() if node.get_type_name() not in ("Constant", "Parameter", "Result")
    ]
    weighted = {node.get_friendly_name() for node in nodes if is_float_product(node)}
    check_kept(recipe, sorted({module_of(name) for name in weighted}), model)
    quantised = {name for name in weighted if not stays_in_float(module_of(name), recipe, float_answers=True)}
    return nncf.IgnoredScope(
        names=[node.get_friendly_name() for node in nodes if node.get_friendly_name() not in quantised]
    )


def is_float_product(node: Any) -> bool:
    """Whether it is a product with a constant that is not quantised."""
    return node.get_type_name() in QUANTISED and node.input_value(1).get_node().get_type_name() == "Constant"


def module_of(name: str) -> str:
    """The dotted path of the module that a node came from."""
    return name.split("/")[0]


def compiled(graph: openvino.Model) -> openvino.CompiledModel:
    """A graph ready to run as the engine runs it."""
    return openvino.Core().compile_model(graph, "CPU", CONFIG)


def reader(graph: openvino.CompiledModel, info: ModelInfo, path: Path) -> Recognizer:
    """A reader over a graph that is not written yet; `path` is what messages call it."""
    return Recognizer.over(OpenVinoSession(path, graph, {}), info)


@contextlib.contextmanager
def silent() -> Iterator[None]:
    """Without NNCF's progress and advice."""
    nncf.set_log_level(logging.ERROR)
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        yield
