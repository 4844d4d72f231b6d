"""A network that computes as its int8 file will: torchao's fake quantisation (PT2E) where int8 files quantise."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn
from torch.export import Dim
from torch.func import functional_call
from torch.fx import GraphModule, Node

from ..runtime.errors import HtrjandError
from ..runtime.image import HEIGHT
from ..train.network import Network
from .modules import frozen, quantised
from .quantize.recipe import QuantizeRecipe

for name in ("torchao", "torch.utils._pytree"):  # they warn of kernels that no CPU has, and of deprecations
    logging.getLogger(name).setLevel(logging.ERROR)
try:
    from torchao.quantization.pt2e import (
        FusedMovingAvgObsFakeQuantize,
        MovingAverageMinMaxObserver,
        MovingAveragePerChannelMinMaxObserver,
    )
    from torchao.quantization.pt2e.quantize_pt2e import prepare_qat_pt2e
    from torchao.quantization.pt2e.quantizer import (
        QuantizationAnnotation,
        QuantizationSpec,
        Quantizer,
    )
except ImportError as missing:
    raise HtrjandError(f"torchao is not installed ({missing}): pip install 'htrjand[compress]'") from missing

AVERAGED = 0.02  # weight of one batch in the average of an activation's range
PRODUCTS = (torch.ops.aten.conv2d.default, torch.ops.aten.linear.default)

ACTIVATION = QuantizationSpec(
    dtype=torch.int8, quant_min=-128, quant_max=127, qscheme=torch.per_tensor_affine,
    observer_or_fake_quant_ctr=FusedMovingAvgObsFakeQuantize.with_args(
        observer=MovingAverageMinMaxObserver, averaging_constant=AVERAGED
    ),
)  # fmt: skip
WEIGHT = QuantizationSpec(
    dtype=torch.int8, quant_min=-127, quant_max=127, qscheme=torch.per_channel_symmetric, ch_axis=0,
    observer_or_fake_quant_ctr=FusedMovingAvgObsFakeQuantize.with_args(
        observer=MovingAveragePerChannelMinMaxObserver, averaging_constant=1.0  # the range is always the weights' own
    ),
)  # fmt: skip


class Rounded(Network):
    """A network with float weights that computes as its int8 file will.

    `simulation` holds the traced graph with fake quantisation, which runs with the network's own weights. It is in a
    tuple so that its copies of the weights are not registered as the network's. `features` and `scores` are those of
    the float network.
    """

    simulation: tuple[GraphModule]

    def heads(self, image: Tensor, widths: Tensor | None) -> tuple[Tensor, Tensor]:
        """Logits [N, W/4, V] of the head and of the shortcut."""
        if widths is None:
            widths = torch.full((len(image),), image.shape[3])
        own = (*self.named_parameters(), *self.named_buffers())
        tensors = {f"network.{name}": tensor for name, tensor in own if not name.endswith("num_batches_tracked")}
        logits, shortcut = functional_call(self.simulation[0], tensors, (image.float(), widths))
        return logits, shortcut

    def forward(self, image: Tensor, widths: Tensor | None = None) -> Tensor:
        return self.heads(image, widths)[0]

    def calibrate(self, batches: Iterable[tuple[Tensor, Tensor]]) -> None:
        """Estimates the ranges of activations, in float, from images [N, 1, 64, W] with the widths of their lines."""
        parts = list(self.ranges().values())
        for part in parts:
            part.disable_fake_quant()  # type: ignore[operator]
        self.observe(True)
        with torch.no_grad():
            for image, widths in batches:
                self(image, widths)
        self.observe(False)
        for part in parts:
            part.enable_fake_quant()  # type: ignore[operator]
            scale, zero = part.calculate_qparams()  # type: ignore[operator]
            part.scale.resize_(scale.shape).copy_(scale)  # type: ignore[operator]
            part.zero_point.resize_(zero.shape).copy_(zero)  # type: ignore[operator]

    def observe(self, on: bool) -> None:
        """Switches updates of the activations' ranges on or off; those of weights always follow the weights."""
        for part in self.ranges().values():
            if not part.is_per_channel:
                part.observer_enabled.fill_(int(on))  # type: ignore[operator]

    def __deepcopy__(self, memo: dict[int, Any]) -> Rounded:
        """A copy with its own weights and the same simulation, and so the same ranges."""
        other = Rounded(self.recipe, self.head.out_features)
        other.load_state_dict(self.state_dict())
        other.simulation = self.simulation
        return other

    def ranges(self) -> nn.ModuleDict:
        """The fake quantisations, by their names in the graph."""
        found = self.simulation[0].named_modules()
        return nn.ModuleDict({name: part for name, part in found if isinstance(part, FusedMovingAvgObsFakeQuantize)})


class Heads(nn.Module):
    """The function to trace: image float [N, 1, 64, W] and widths int [N] to the logits of both heads."""

    def __init__(self, network: Network) -> None:
        super().__init__()
        self.network = network

    def forward(self, image: Tensor, widths: Tensor) -> tuple[Tensor, Tensor]:
        columns = self.network.features(image, widths)
        return self.network.scores(columns, widths), self.network.shortcut(columns)


class ProductsQuantizer(Quantizer):  # type: ignore[misc]
    """Marks input, weights and output of the products in some modules, as int8 files quantise them; nothing else."""

    def __init__(self, modules: list[str]) -> None:
        self.modules = modules

    def annotate(self, model: GraphModule) -> GraphModule:
        for node in model.graph.nodes:
            if node.target in PRODUCTS and module_of(node) in self.modules:
                inputs, weight = node.args[:2]
                node.meta["quantization_annotation"] = QuantizationAnnotation(
                    input_qspec_map={inputs: ACTIVATION, weight: WEIGHT}, output_qspec=ACTIVATION, _annotated=True
                )
        return model

    def validate(self, model: GraphModule) -> None:
        """Accepts every graph: `annotate` marks only what every backend has."""


def module_of(node: Node) -> str:
    """The dotted path, within the network, of the module that a node of the graph comes from."""
    path: str = list(node.meta["nn_module_stack"].values())[-1][0]
    return path.removeprefix("network.")


def rounded(network: Network, recipe: QuantizeRecipe) -> Rounded:
    """The network with fake quantisation where int8 files quantise; its ranges are still to be calibrated.

    Both heads are traced, with the mask of padded columns and dynamic batch and width, in eval mode: batch norms keep
    their statistics, and there is no dropout.
    """
    example = (torch.rand(3, 1, HEIGHT, 384) * 255, torch.tensor([384, 368, 160]))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        program = torch.export.export(
            Heads(frozen(network)),
            example,
            dynamic_shapes=({0: Dim.AUTO, 3: Dim.AUTO}, {0: Dim.AUTO}),
            strict=False,
        )
        graph = prepare_qat_pt2e(program.module(), ProductsQuantizer(quantised(network, recipe)))
    result = Rounded(network.recipe, network.head.out_features)
    result.load_state_dict(network.state_dict())
    result.simulation = (graph.requires_grad_(False),)
    return result.eval()
