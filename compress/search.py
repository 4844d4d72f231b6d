"""What is to stay in float: neural-compressor's autotune tries recipes on the torch network, the fastest first.

Its own measure of a loss is relative, and for scores that are to be high: a trial's score here is 100 less the points
of CER it adds on the dataset it harms most, so that the float network has 100 and `budget / 100` is the tolerable loss.
"""

from __future__ import annotations

import io
import logging
import os
import warnings
from collections.abc import Callable, Sequence
from contextlib import redirect_stdout
from dataclasses import asdict, dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.export import Dim
from torch.fx import GraphModule, Interpreter, Node

from ..export.proof import BUDGET
from ..runtime import Recognizer
from ..runtime.errors import HtrjandError
from ..runtime.image import HEIGHT, pad_line
from ..train.checkpoint import load_network
from ..train.data.lines import LineRow
from ..train.network import Network
from ..train.reader import Reading, TorchSession, model_info, read_rows
from .modules import frozen, products, quantised
from .quantize.recipe import Lines, QuantizeRecipe, check_calibration, check_kept

# What each trial keeps in float, by the work that is lost to int8: see the table of `htrjand sensitivity`.
CANDIDATES = (
    (),
    ("convs.0",),
    ("convs.0", "neck"),
    ("convs.0", "attention"),
    ("convs.0", "convs.1", "neck"),
)


PRODUCTS = (torch.ops.aten.conv2d.default, torch.ops.aten.linear.default)


@dataclass(frozen=True)
class Trial:
    """What one recipe reads like: CER in percent, and the points it adds, by dataset and `all`."""

    keep: tuple[str, ...]
    cer: float
    more: dict[str, float]


@dataclass(frozen=True)
class Decision:
    """`keep` for `QuantizeRecipe`, in every format; `qat`: no trial met the budget, so that fine-tuning is needed."""

    keep: tuple[str, ...]
    qat: bool
    budget: float
    cer: float  # of the float network
    lines: int
    calibration_lines: int
    trials: tuple[Trial, ...]

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return asdict(self)

    def markdown(self) -> str:
        """A table, a row a trial."""
        rows = ["| in float | CER, % | points more | on the worst dataset |", "|---|---:|---:|---:|"]
        rows.append(f"| everything | {self.cer:.2f} | | |")
        for trial in self.trials:
            kept = ", ".join(f"`{name}`" for name in trial.keep) or "nothing"
            rows.append(f"| {kept} | {trial.cer:.2f} | {trial.more['all']:+.2f} | {max(trial.more.values()):+.2f} |")
        return "\n".join(rows)


class Answers(Interpreter):
    """Runs a graph and rounds what its int8 convolutions and linear layers answer, as onnxruntime and LiteRT do.

    neural-compressor's PT2E rounds what goes into them, and their weights. A range is the mean of the lines' extremes.

    Args:
        graph: what neural-compressor made, or the float network, of which nothing is rounded.
        lines: to see the ranges on, uint8 [64, W].
    """

    def __init__(self, graph: GraphModule, lines: Lines) -> None:
        super().__init__(graph, garbage_collect_values=True)
        self.extremes: dict[str, list[list[float]]] = {node.name: [] for node in graph.graph.nodes if is_int8(node)}
        self.scales: dict[str, tuple[float, int]] = {}
        for line in lines if self.extremes else ():
            self.run(torch.from_numpy(pad_line(line)[None, None].copy()))
        for name, seen in self.extremes.items():
            low, high = np.mean(seen, 0)
            scale = max((max(high, 0.0) - min(low, 0.0)) / 255, 1e-12)
            self.scales[name] = scale, round(-128 - min(low, 0.0) / scale)

    def run_node(self, n: Node) -> Any:
        value = super().run_node(n)
        if n.name in self.scales:
            return torch.fake_quantize_per_tensor_affine(value, *self.scales[n.name], -128, 127)
        if n.name in self.extremes:
            self.extremes[n.name].append([float(value.min()), float(value.max())])
        return value


def is_int8(node: Node) -> bool:
    """Whether a node is a convolution or linear layer of rounded weights."""
    return node.target in PRODUCTS and "dequantize" in str(getattr(node.args[1], "target", ""))


def search(
    weights: Path, lines: Lines, rows: Sequence[LineRow], budget: float = BUDGET,
    candidates: Sequence[tuple[str, ...]] = CANDIDATES, *, log: Callable[[str], None] = lambda _: None,
) -> Decision:  # fmt: skip
    """Quantises weights in torch after each candidate until one reads as well as the float network, within the budget.

    Args:
        weights: a `.safetensors` file.
        lines: training lines to calibrate on, uint8 [64, W].
        rows: validation lines.
        budget: points of CER more, on every dataset.
        candidates: modules to keep in float, in the order they are to be tried.
        log: called with a line for each trial.

    Returns:
        The first candidate within the budget, or, where there is none, the least harmful.

    Raises:
        HtrjandError: the weights cannot be read, there are too few lines, or neural-compressor is not installed.
        UsageError: a candidate names a module that is not in the network.
    """
    network, card = load_network(weights)
    for keep in candidates:
        check_kept(QuantizeRecipe(keep=keep), products(network), weights)
    check_calibration(lines, weights)
    if not rows:
        raise HtrjandError(f"{weights}: no line to compare errors on; check the lines and the split")
    compressor = load_compressor()
    info = model_info(card, weights)
    base: list[Reading] = []
    trials: list[Trial] = []

    @torch.no_grad()
    def evaluate(graph: GraphModule) -> float:
        reading = read_rows(Recognizer.over(TorchSession(weights, Answers(graph, lines).run), info), rows)
        if not base:  # autotune begins with the float network
            base.append(reading)
            return 100.0
        names = [None, *reading.errors] if len(reading.errors) > 1 else [None]
        more = {name or "all": reading.cer(name) - base[0].cer(name) for name in names}
        trials.append(Trial(tuple(candidates[len(trials)]), reading.cer(), more))
        log(f"in float: {', '.join(trials[-1].keep) or 'nothing'}: {max(more.values()):+.2f} points of CER at worst")
        return 100 - max(more.values())

    @torch.no_grad()
    def calibrate(graph: nn.Module) -> None:
        for line in lines:
            graph(torch.from_numpy(pad_line(line)[None, None].copy()))

    with warnings.catch_warnings(), redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        graph = trace(network)
        configs = [recipe(compressor, network, keep) for keep in candidates]
        tuning = compressor.TuningConfig(config_set=configs, tolerable_loss=budget / 100, max_trials=len(configs))
        compressor.autotune(graph, tuning, eval_fn=evaluate, run_fn=calibrate)
    best = min(trials, key=lambda trial: max(trial.more.values()))
    good = next((trial for trial in trials if max(trial.more.values()) <= budget), None)
    return Decision((good or best).keep, good is None, budget, base[0].cer(), len(rows), len(lines), tuple(trials))


def trace(network: Network) -> nn.Module:
    """The graph of `image` uint8 [N, 1, 64, W], as neural-compressor's own `export` would make it, but in seconds."""
    example = (torch.randint(0, 256, (2, 1, HEIGHT, 320), dtype=torch.uint8),)
    shapes: Any = ({0: Dim.AUTO, 3: Dim.AUTO},)
    graph = torch.export.export(frozen(network), example, dynamic_shapes=shapes, strict=False).module()
    graph._exported, graph.dynamic_shapes = True, shapes  # type: ignore[assignment]
    return graph


def recipe(compressor: Any, network: Network, keep: tuple[str, ...]) -> Any:
    """neural-compressor's form of a recipe.

    Exceptions go by a module's full name: a list of modules (`attention`) leaves no trace in the graph to know it by.
    """
    config = compressor.StaticQuantConfig()
    rounded = quantised(network, QuantizeRecipe(keep=keep))
    for name, module in network.named_modules():
        if name not in rounded and not list(module.children()):  # norms too: their products would be rounded
            config.set_local(name, compressor.StaticQuantConfig(w_dtype="fp32", act_dtype="fp32"))
    return config


def load_compressor() -> Any:
    """neural-compressor's functions, in silence; an HtrjandError where it is not installed."""
    for name in ("torchao", "torch.utils._pytree"):  # they log kernels that no CPU has, and deprecations
        logging.getLogger(name).setLevel(logging.ERROR)
    before = os.environ.get("LOGLEVEL")
    os.environ["LOGLEVEL"] = "CRITICAL"  # read at import, where the library already logs the processor
    try:
        from neural_compressor.torch.quantization import StaticQuantConfig, TuningConfig, autotune
    except ImportError as missing:
        raise HtrjandError(
            f"neural-compressor is not installed ({missing}): pip install 'htrjand[compress]'"
        ) from missing
    finally:
        if before is None:
            del os.environ["LOGLEVEL"]
        else:
            os.environ["LOGLEVEL"] = before
    logging.getLogger("neural_compressor").setLevel(logging.CRITICAL)
    return SimpleNamespace(StaticQuantConfig=StaticQuantConfig, TuningConfig=TuningConfig, autotune=autotune)
