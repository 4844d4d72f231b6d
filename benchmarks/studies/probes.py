"""Makes the tiny graphs that `benchmarks/rates.py` measures: `python -m htrjand.benchmarks.studies.probes`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import onnx
from onnx import NodeProto, TensorProto, helper, numpy_helper

from ..rates import CHAIN, COLUMNS, CONVOLUTIONS, INNER, MAPS, PROBES, ROWS

Constants = Mapping[str, np.ndarray | np.generic]
LAST = "made"  # what a graph makes


def graphs() -> dict[str, onnx.ModelProto]:
    """Each probe by its name. Weights are one number, which the engine spreads as it opens the file."""
    fp32, uint8, int32 = TensorProto.FLOAT, TensorProto.UINT8, TensorProto.INT32
    shape: Constants = {"shape": np.array([INNER, COLUMNS], np.int64)}
    weights = helper.make_node("Expand", ["one", "shape"], ["b"])
    product = helper.make_node("MatMul", ["a", "b"], [LAST])
    int8_product = helper.make_node("MatMulInteger", ["a", "b", "zero"], [LAST])
    floats: Constants = {"one": np.ones((1, 1), np.float32)}
    bytes_: Constants = {"one": np.ones((1, 1), np.int8), "zero": np.uint8(128)}
    return {
        **{f"convolution-{channels}": convolution(channels) for channels in CONVOLUTIONS},
        "product-fp32": model([weights, product], {"a": fp32}, (ROWS, INNER), {**floats, **shape}),
        "product-int8": model([weights, int8_product], {"a": uint8}, (ROWS, INNER), {**bytes_, **shape}, int32),
        "small": model(chain(("Add", "one")), {"x0": fp32}, (4,), {"one": np.ones(4, np.float32)}),
        **{
            name: model(chain(("Mul", "b"), ("Sigmoid",)), {"x0": fp32, "b": fp32}, shape)
            for name, shape in MAPS.items()
        },
    }


def convolution(channels: int) -> onnx.ModelProto:
    """A convolution in int8 of so many channels; of a first layer, or of one in the midst of a network."""
    side, stride, (outputs, rows, columns) = CONVOLUTIONS[channels]
    edge = (side - stride) // 2  # of what is added at each side
    constants: Constants = {
        "one": np.ones((1, 1, 1, 1), np.int8), "shape": np.array([outputs, channels, side, side], np.int64),
        "scale": np.float32(1), "zero": np.uint8(0), "middle": np.int8(0),
    }  # fmt: skip
    inputs = ["x", "scale", "zero", "weights", "scale", "middle", "scale", "zero"]
    nodes = [
        helper.make_node("Expand", ["one", "shape"], ["weights"]),
        helper.make_node("QLinearConv", inputs, [LAST], strides=[stride] * 2, pads=[edge] * 4),
    ]
    shape = (1, channels, rows * stride, columns * stride)
    return model(nodes, {"x": TensorProto.UINT8}, shape, constants, TensorProto.UINT8)


def chain(*operators: tuple[str, ...]) -> list[NodeProto]:
    """Operators by turns; each takes what the one before it made, as in a network: from a cache, if it fits."""
    names = [f"x{number}" for number in range(CHAIN)] + [LAST]
    kinds = [operators[i % len(operators)] for i in range(CHAIN)]
    return [helper.make_node(kind, [names[i], *others], [names[i + 1]]) for i, (kind, *others) in enumerate(kinds)]


def model(
    nodes: Sequence[NodeProto], kinds: Mapping[str, int], shape: Sequence[int],
    constants: Constants | None = None, made: int = TensorProto.FLOAT,
) -> onnx.ModelProto:  # fmt: skip
    """A graph of some nodes, whose inputs have one shape."""
    inputs = [helper.make_tensor_value_info(name, kind, shape) for name, kind in kinds.items()]
    output = helper.make_tensor_value_info(LAST, made, [None] * len(shape))
    weights = [numpy_helper.from_array(np.asarray(value), name) for name, value in (constants or {}).items()]
    graph = helper.make_graph(list(nodes), "probe", inputs, [output], weights)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)


def main() -> None:
    PROBES.mkdir(exist_ok=True)
    for name, graph in graphs().items():
        onnx.checker.check_model(graph)
        onnx.save(graph, PROBES / f"{name}.onnx")


if __name__ == "__main__":
    main()
