"""Other nodes, the same numbers: what engines need of an ONNX graph to be exact and quick in eight bits."""

from __future__ import annotations

from collections import defaultdict

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

QUANTISED = ("Conv", "Gemm", "MatMul")
STEPS = ("DequantizeLinear", "QuantizeLinear")  # with the activation, its scale and its zero point


def move_shapes(model: onnx.ModelProto) -> None:
    """Takes rows and columns of a map from the first half of a gate, where the graph takes them from the convolution.

    An int8 convolution with a second reader is computed in float by onnxruntime on x86: see `unsign_shared`.
    """
    splits = {node.input[0]: node for node in model.graph.node if node.op_type == "Split"}
    nodes: dict[str, onnx.NodeProto] = {}  # by what they make: a split that comes earlier than it did stands once
    for node in model.graph.node:
        if asks_size_of(node, splits):
            split = splits[node.input[0]]
            nodes.setdefault(split.output[0], split)
            node.input[0] = split.output[0]
        nodes.setdefault(node.output[0], node)
    replace_nodes(model, list(nodes.values()))


def asks_size_of(node: onnx.NodeProto, splits: dict[str, onnx.NodeProto]) -> bool:
    """Whether a node asks for rows or columns, not for channels, of what a gate splits."""
    begins = next((item.i for item in node.attribute if item.name == "start"), 0)
    return node.op_type == "Shape" and node.input[0] in splits and begins >= 2


def pool_means(model: onnx.ModelProto) -> None:
    """Writes each mean over rows and columns as a GlobalAveragePool: the same number.

    onnxruntime-web's ReduceMean is wrong in the fifth digit. That moves values over the edge between two steps of the
    eight bits behind it, and texts change: docs/compress.md has how many.
    """
    integers = (tensor for tensor in model.graph.initializer if tensor.data_type == TensorProto.INT64)
    axes = {tensor.name: numpy_helper.to_array(tensor).tolist() for tensor in integers}
    nodes = []
    for node in model.graph.node:
        squeezed = any(item.name == "keepdims" and item.i == 0 for item in node.attribute)
        if node.op_type == "ReduceMean" and squeezed and axes.get(node.input[1]) == [2, 3]:
            pooled, name = f"{node.output[0]}_pooled", node.name.removesuffix("ReduceMean")
            nodes.append(helper.make_node("GlobalAveragePool", node.input[:1], [pooled], f"{name}GlobalAveragePool"))
            node = helper.make_node("Squeeze", [pooled, node.input[1]], node.output, f"{name}Squeeze")
        nodes.append(node)
    replace_nodes(model, nodes)


def unsign_shared(model: onnx.ModelProto) -> None:
    """Writes the eight bits of an activation that several nodes read unsigned: a zero point higher by 128, the same
    numbers.

    On x86 onnxruntime computes with unsigned activations alone. It rewrites signed ones itself, but none with several
    readers, and computes the products of these in float. On ARM it has kernels for both, if what a product takes and
    what it makes are alike: so all that hangs together is rewritten.
    """
    readers: dict[str, list[onnx.NodeProto]] = defaultdict(list)
    for node in model.graph.node:
        for name in node.input:
            readers[name].append(node)
    makers = {name: node for node in model.graph.node for name in node.output}
    products = [node for node in model.graph.node if node.op_type in QUANTISED]
    groups = []  # of each product, the zero points of what it takes and makes
    for product in products:
        beside = [makers.get(product.input[0]), *readers[product.output[0]]]
        groups.append({node.input[2] for node in beside if node and node.op_type in STEPS})
    shared = set()
    for node in model.graph.node:
        if node.op_type == "QuantizeLinear":
            ends = [reader for value in readers[node.output[0]] for reader in readers[value.output[0]]]
            if len(ends) > 1 and any(reader.op_type in QUANTISED for reader in ends):
                shared.add(node.input[2])
    while grown := [group for group in groups if group & shared and group - shared]:
        shared.update(*grown)
    for tensor in model.graph.initializer:
        if tensor.name in shared and tensor.data_type == TensorProto.INT8:
            raised = numpy_helper.to_array(tensor).astype(np.int16) + 128
            tensor.CopyFrom(numpy_helper.from_array(raised.astype(np.uint8), tensor.name))


def round_once(model: onnx.ModelProto) -> None:
    """Takes out the eight bits between a product and a ReLU that eight bits of its own follow.

    The product is written in those at once: where their range begins at zero, they cut off what a ReLU does.
    """
    readers: dict[str, list[onnx.NodeProto]] = defaultdict(list)
    for node in model.graph.node:
        for name in node.input:
            readers[name].append(node)
    makers = {name: node for node in model.graph.node for name in node.output}
    nodes, left_out = list(model.graph.node), []
    for relu in nodes:
        rounded_again = {node.op_type for node in readers[relu.output[0]]} == {"QuantizeLinear"}
        before = [relu]  # then what dequantises, what quantises, and the product, each read by the next alone
        while len(before) < 4 and (maker := makers.get(before[-1].input[0])) and len(readers[maker.output[0]]) == 1:
            before.append(maker)
        kinds = [node.op_type for node in before]
        if kinds[:3] == ["Relu", *STEPS] and kinds[3:] and kinds[3] in QUANTISED and rounded_again:
            relu.input[0] = before[3].output[0]
            left_out += before[1:3]
    replace_nodes(model, [node for node in nodes if node not in left_out])
    read = {name for node in model.graph.node for name in node.input}
    weights = [tensor for tensor in model.graph.initializer if tensor.name in read]
    del model.graph.initializer[:]
    model.graph.initializer.extend(weights)


def replace_nodes(model: onnx.ModelProto, nodes: list[onnx.NodeProto]) -> None:
    """Puts these nodes in the place of all."""
    del model.graph.node[:]
    model.graph.node.extend(nodes)
