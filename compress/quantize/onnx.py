"""Eight bits in ONNX: static quantisation with onnxruntime, calibrated on training lines."""

from __future__ import annotations

import dataclasses
import logging
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnxruntime.quantization import (  # type: ignore[import-untyped]
    CalibrationDataReader,
    CalibrationMethod,
    QuantFormat,
    QuantType,
    quantize_static,
)
from onnxruntime.quantization.shape_inference import quant_pre_process  # type: ignore[import-untyped]

from ...export.onnx import put_metadata
from ...runtime.kinds import info_of
from ...runtime.page.detector_info import DetectorInfo
from ...runtime.seal import seal
from .in_float import stays_in_float
from .onnx_graph import QUANTISED, move_shapes, pool_means, round_once, unsign_shared
from .recipe import Images, QuantizeRecipe, check_kept


class Feed(CalibrationDataReader):  # type: ignore[misc]
    """Feeds images one by one."""

    def __init__(self, images: Images) -> None:
        self.images: Iterator[npt.NDArray[np.uint8]] = iter(images)

    def get_next(self) -> dict[str, Any] | None:
        image = next(self.images, None)
        return None if image is None else {"image": image}  # 1, 1, H, W


def quantize(model: Path, images: Images, out: Path, recipe: QuantizeRecipe) -> list[str]:
    """As `quantize_file`, in QDQ form, which onnxruntime fuses.

    A tensor's range is the mean of the extremes of each calibration image: one odd image does not widen it for all.
    """
    info = info_of(model)
    logging.getLogger("root").setLevel(logging.ERROR)
    with tempfile.TemporaryDirectory() as folder:
        ready = Path(folder) / "ready.onnx"
        quant_pre_process(str(model), str(ready), skip_symbolic_shape=True)
        graph = onnx.load(ready)
        move_shapes(graph)
        onnx.save(graph, ready)
        weighted = weighted_nodes(graph)
        check_kept(recipe, list(weighted.values()), model)
        answers = not isinstance(info, DetectorInfo)  # a detector's last layers are convolutions: these answer in int8
        kept = {name: module for name, module in weighted.items() if stays_in_float(module, recipe, answers)}
        excluded = [*kept, *unweighted_products(graph)]
        write_quantized(ready, images, out, excluded, unsigned=isinstance(info, DetectorInfo))
    quantized = onnx.load(out)
    pool_means(quantized)
    round_once(quantized)
    unsign_shared(quantized)
    put_metadata(quantized, dataclasses.replace(info, precision="int8"))
    out.write_bytes(quantized.SerializeToString())
    seal(out)
    return list(dict.fromkeys(kept.values()))


def write_quantized(
    ready: Path, images: Images, out: Path, excluded: list[str], ranges: Path | None = None, unsigned: bool = False
) -> None:  # fmt: skip
    """What onnxruntime makes of a preprocessed file; without metadata.

    Args:
        excluded: names of the nodes that stay in float.
        ranges: a JSON file of the ranges of tensors: taken from there where it is, else written there.
        unsigned: of activations. A convolution and the ReLU behind it are fused only then: a detector, which consists
            of these, takes half the time. Weights have 7 bits then, or sums would saturate on x86 without VNNI.

    What a dense layer answers stays in float: onnxruntime adds its bias and scales its sums at one go then.
    """
    quantize_static(
        str(ready), str(out), Feed(images), quant_format=QuantFormat.QDQ, per_channel=True,
        activation_type=QuantType.QUInt8 if unsigned else QuantType.QInt8, weight_type=QuantType.QInt8,
        reduce_range=unsigned, op_types_to_quantize=list(QUANTISED),
        nodes_to_exclude=excluded, calibrate_method=CalibrationMethod.MinMax, calibration_cache_path=ranges,
        extra_options={
            "CalibMovingAverage": True,  # the mean over the images, in fact
            "OpTypesToExcludeOutputQuantization": ["Gemm"],
        },
    )  # fmt: skip


def unweighted_products(model: onnx.ModelProto) -> list[str]:
    """Names of the products of two activations: attention's."""
    weighted = weighted_nodes(model)
    return [node.name for node in model.graph.node if node.op_type in QUANTISED and node.name not in weighted]


def weighted_nodes(model: onnx.ModelProto) -> dict[str, str]:
    """The products whose second input is a weight, each with the module it comes from."""
    weights = {tensor.name for tensor in model.graph.initializer}
    weights |= {output for node in model.graph.node if node.op_type == "Constant" for output in node.output}
    return {
        node.name: node.name.partition("/")[0]
        for node in model.graph.node
        if node.op_type in QUANTISED and node.input[1] in weights
    }
