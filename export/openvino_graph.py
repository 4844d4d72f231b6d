"""The same sums in the form that OpenVINO runs fastest: rewritings of a converted graph.

Each takes what it knows and leaves the rest, so any network of ours may come. What they gain was measured on one thread
at a width of 1024.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from ..runtime.engines.openvino import openvino

Node = Any  # openvino.Node, whose operators' own attributes have no types
op = openvino.opset13


def squeeze_by_convolutions(graph: openvino.Model) -> None:
    """Squeeze-and-excitation as 1×1 convolutions of a [N, C, 1, 1] mean, where it was products of [N, C].

    The weights of channels then have the layout (channels last) of the maps that they scale. Otherwise these are copied
    into another layout before, and back after it: a quarter of the time of an int8 file.
    """
    for mean in graph.get_ordered_ops():
        if mean.get_type_name() == "ReduceMean" and not mean.get_keep_dims():
            chain = following(mean, "MatMul", "Add", "Relu", "MatMul", "Add", "Sigmoid", "Unsqueeze")
            if chain is not None:
                x = op.reduce_mean(mean.input_value(0), np.array([2, 3]), keep_dims=True)
                x.set_friendly_name(mean.get_friendly_name())  # N, C, 1, 1
                for node in chain[:-1]:
                    x = with_columns(node, x)
                replace(chain[-1], x)


def with_columns(node: Node, x: Node) -> Node:
    """The operator of `node`, over [N, C], for x [N, C, 1, 1]."""
    kind = node.get_type_name()
    if kind == "MatMul":
        weight = value(node.input_value(1))
        weight = weight if node.get_attributes()["transpose_b"] else weight.T  # out, in
        made = op.convolution(x, np.ascontiguousarray(weight[:, :, None, None]), [1, 1], [0, 0], [0, 0], [1, 1])
    elif kind == "Add":
        made = op.add(x, value(node.input_value(1)).reshape(1, -1, 1, 1))
    else:
        made = op.relu(x) if kind == "Relu" else op.sigmoid(x)
    made.set_friendly_name(node.get_friendly_name())
    return made


def gate_in_two_convolutions(graph: openvino.Model) -> None:
    """`a · σ(b)` of two convolutions, where a and b were the halves of one.

    The sigmoid is then computed within its convolution, and nothing is split: a sixth of the time of an int8 file.
    """
    for split in graph.get_ordered_ops():
        if split.get_type_name() != "Split" or split.get_output_size() != 2:
            continue
        gate = following(split, "Sigmoid", "Multiply", port=1)
        bias = split.input_value(0).get_node()
        conv = bias.input_value(0).get_node() if bias.get_type_name() == "Add" else bias
        if gate is None or conv.get_type_name() != "Convolution" or conv is bias:
            continue
        for port, half in enumerate(("value", "gate")):
            made = half_of(conv, bias, port, f"{bias.get_friendly_name()}/{half}")
            replace(split, made, port)
            for target in bias.output(0).get_target_inputs():
                if target.get_node().get_type_name() == "ShapeOf":  # of the columns alone, which the halves have too;
                    target.replace_source_output(made.output(0))  # it would have the whole computed besides


def half_of(conv: Node, bias: Node, half: int, name: str) -> Node:
    """A convolution and its bias, of the first or the second half of the channels."""
    weight, shift = np.split(value(conv.input_value(1)), 2)[half], np.split(value(bias.input_value(1)), 2, axis=1)[half]
    attributes = conv.get_attributes()
    made = op.convolution(
        conv.input_value(0),
        np.ascontiguousarray(weight),
        attributes["strides"],
        attributes["pads_begin"],
        attributes["pads_end"],
        attributes["dilations"],
    )
    made.set_friendly_name(f"{name}/WithoutBiases")
    made = op.add(made, np.ascontiguousarray(shift))
    made.set_friendly_name(name)
    return made  # N, C, H, W


def share_constants(graph: openvino.Model) -> None:
    """Constants that are equal become one: a tenth of an int8 `.xml`."""
    seen: dict[tuple[str, tuple[int, ...], bytes], Node] = {}
    for node in graph.get_ordered_ops():
        if node.get_type_name() == "Constant":
            data = node.get_data()
            first = seen.setdefault((str(node.get_element_type()), data.shape, data.tobytes()), node)
            if first is not node:
                replace(node, first)


def following(node: Node, *kinds: str, port: int = 0) -> list[Node] | None:
    """The operators of these kinds that follow one another from an output of `node`, if there are no others."""
    found: list[Node] = []
    for kind in kinds:
        targets = list(node.output(port).get_target_inputs())
        if len(targets) != 1 or targets[0].get_node().get_type_name() != kind:
            return None
        node, port = targets[0].get_node(), 0
        found.append(node)
    return found


def replace(node: Node, other: Node, port: int = 0) -> None:
    """Whoever reads this output of `node` reads the other one's."""
    for target in list(node.output(port).get_target_inputs()):
        target.replace_source_output(other.output(0))


def value(output: Any) -> npt.NDArray[Any]:
    """What a constant holds."""
    found: npt.NDArray[Any] = output.get_node().get_data()
    return found
