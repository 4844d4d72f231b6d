"""A corrector as one ONNX file: its encoder, and one step of its decoder with a cache, over the same weights.

Both parts are in one graph; whoever runs it asks for the outputs of one part, and has only that part executed (in
onnxruntime the run option `only_execute_path_to_fetches`). The inputs of the other part can be of any content.

| part | inputs | outputs |
|---|---|---|
| encoder | `text` int64 [N, S] | `cross_keys`, `cross_values` float32 [L, N, H, S, D] |
| a step | `source` int64 [N, S] (the same text, for its padding), `cross_keys_in`, `cross_values_in`, `last` int64 [N, 1], `keys_in`, `values_in` float32 [L, N, H, P, D] | `logits` float32 [N, V], `keys`, `values` [L, N, H, P + 1, D] |
"""  # noqa: E501

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import onnx
import torch
from onnx import TensorProto, compose, numpy_helper
from torch import Tensor, nn
from torch.export import Dim
from torch.nn import functional as F

from ..runtime.decode.corrector_info import CorrectorInfo
from ..runtime.seal import seal
from ..train.correct.network import FIRST, PAD, embedded
from .onnx import describe, graph_of

FAR = -1e9  # added to the scores of padding
STEP = "step/"  # what names of the second part begin with, inside the graph
EXAMPLE = (2, 5, 3)  # texts, characters, characters in the cache: none is 1 or another's, which would be baked in


class Encoder(nn.Module):
    """From a text to what every step of the decoder looks at: the formulas of T5 1.1 (Raffel 2020, Shazeer 2020)."""

    def __init__(self, network: Any) -> None:
        super().__init__()
        self.network = network

    def forward(self, text: Tensor) -> tuple[Tensor, Tensor]:
        """Takes classes int64 [N, S]; gives keys and values of each block of the decoder [L, N, H, S, D]."""
        encoder, config = self.network.encoder, self.network.config
        x = embedded(self.network, text)  # N, S, dim
        place = torch.arange(text.shape[1], device=text.device)
        first = encoder.block[0].layer[0].SelfAttention
        bias = position_bias(first, place[None, :] - place[:, None], True) + padding_bias(text)  # N, H, S, S
        for block in encoder.block:
            attention, feed = block.layer
            y = norm(x, attention.layer_norm)
            q, k, v = (heads(part(y), config) for part in projections(attention.SelfAttention))
            x = x + attention.SelfAttention.o(joined(attend(q, k, v, bias)))
            x = x + feed_forward(norm(x, feed.layer_norm), feed.DenseReluDense)
        x = norm(x, encoder.final_layer_norm)
        cross = [block.layer[1].EncDecAttention for block in self.network.decoder.block]
        keys = torch.stack([heads(one.k(x), config) for one in cross])
        return keys, torch.stack([heads(one.v(x), config) for one in cross])


class Step(nn.Module):
    """One character of the decoder."""

    def __init__(self, network: Any) -> None:
        super().__init__()
        self.network = network

    def forward(
        self, source: Tensor, cross_keys: Tensor, cross_values: Tensor, last: Tensor, keys: Tensor, values: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Takes the text read, what the encoder made of it, the last class, and the cache; see the table above."""
        decoder, config = self.network.decoder, self.network.config
        past = keys.shape[3]
        x = embedded(self.network, last, past)  # N, 1, dim
        first = decoder.block[0].layer[0].SelfAttention
        bias = position_bias(first, torch.arange(past + 1, device=last.device)[None, :] - past, False)  # 1, H, 1, P+1
        padding = padding_bias(source)  # N, 1, 1, S
        new_keys, new_values = [], []
        for number, block in enumerate(decoder.block):
            attention, cross, feed = block.layer
            y = norm(x, attention.layer_norm)
            q, k, v = (heads(part(y), config) for part in projections(attention.SelfAttention))
            new_keys.append(torch.cat([keys[number], k], 2))
            new_values.append(torch.cat([values[number], v], 2))
            x = x + attention.SelfAttention.o(joined(attend(q, new_keys[-1], new_values[-1], bias)))
            q = heads(cross.EncDecAttention.q(norm(x, cross.layer_norm)), config)
            x = x + cross.EncDecAttention.o(joined(attend(q, cross_keys[number], cross_values[number], padding)))
            x = x + feed_forward(norm(x, feed.layer_norm), feed.DenseReluDense)
        x = norm(x, decoder.final_layer_norm)[:, 0] * config.d_model**-0.5  # the head is the embedding
        return x @ self.network.shared.weight.T, torch.stack(new_keys), torch.stack(new_values)


def norm(x: Tensor, module: Any) -> Tensor:
    """`x / √mean(x²) · weight` (Zhang 2019)."""
    scaled: Tensor = x * torch.rsqrt(x.square().mean(-1, keepdim=True) + module.variance_epsilon) * module.weight
    return scaled


def projections(attention: Any) -> tuple[nn.Linear, nn.Linear, nn.Linear]:
    """To queries, keys and values."""
    return attention.q, attention.k, attention.v


def heads(x: Tensor, config: Any) -> Tensor:
    """[N, S, H·D] to [N, H, S, D]."""
    return x.reshape(x.shape[0], -1, config.num_heads, config.d_kv).transpose(1, 2)


def joined(x: Tensor) -> Tensor:
    """[N, H, S, D] to [N, S, H·D]."""
    return x.transpose(1, 2).flatten(2)


def attend(q: Tensor, k: Tensor, v: Tensor, bias: Tensor) -> Tensor:
    """`softmax(QKᵀ + bias)·V`: T5 has no 1/√d."""
    return torch.softmax(q @ k.transpose(-2, -1) + bias, -1) @ v


def feed_forward(x: Tensor, feed: Any) -> Tensor:
    """`(gelu(x W₀) · x W₁) W₂`."""
    gated: Tensor = feed.wo(F.gelu(feed.wi_0(x), approximate="tanh") * feed.wi_1(x))
    return gated


def position_bias(attention: Any, offsets: Tensor, both_ways: bool) -> Tensor:
    """The learnt bias of each head by the offset from query to key: [1, H, Q, K] of offsets [Q, K]."""
    buckets = attention._relative_position_bucket(
        offsets, bidirectional=both_ways, num_buckets=attention.relative_attention_num_buckets,
        max_distance=attention.relative_attention_max_distance,
    )  # fmt: skip
    bias: Tensor = attention.relative_attention_bias(buckets).permute(2, 0, 1)[None]
    return bias


def padding_bias(text: Tensor) -> Tensor:
    """[N, 1, 1, S]: what keeps attention from padding."""
    return (text == PAD).float()[:, None, None, :] * FAR


def export(network: Any, info: CorrectorInfo, out: Path) -> None:
    """Writes `out`, int8 or float as `info` says, self-describing and sealed (not atomic, and not proven)."""
    encoder, step = traced_parts(network)
    model = merged(encoder, step)
    if info.precision == "int8":
        model = in_int8(model)
    out.write_bytes(describe(model, info).SerializeToString())
    seal(out)


def traced_parts(network: Any) -> tuple[onnx.ModelProto, onnx.ModelProto]:
    """The graphs of both parts."""
    config = network.config
    texts, characters, past = EXAMPLE
    n, s, p = Dim("texts", min=1, max=64), Dim("characters", min=1, max=1024), Dim("past", min=0, max=1024)
    m, c = Dim("sources", min=1, max=64), Dim("signs", min=1, max=1024)  # of the encoder: sizes of its own
    text = torch.full((texts, characters), FIRST)
    cache = torch.zeros(config.num_decoder_layers, texts, config.num_heads, past, config.d_kv)
    with torch.no_grad():
        cross = Encoder(network)(text)
    encoder = graph_of(Encoder(network), (text,), ({0: m, 1: c},), ["text"], ["cross_keys", "cross_values"])
    sizes = ({0: n, 1: s}, {1: n, 3: s}, {1: n, 3: s}, {0: n}, {1: n, 3: p}, {1: n, 3: p})
    last = torch.full((texts, 1), PAD)
    return encoder, graph_of(
        Step(network), (text, *cross, last, cache, cache.clone()), sizes,  # the same tensor twice would be one input
        ["source", "cross_keys_in", "cross_values_in", "last", "keys_in", "values_in"], ["logits", "keys", "values"],
    )  # fmt: skip


def merged(encoder: onnx.ModelProto, step: onnx.ModelProto) -> onnx.ModelProto:
    """Both parts in one graph, weights that they share once."""
    step = compose.add_prefix(step, STEP, rename_inputs=False, rename_outputs=False)
    held = {key_of(tensor): tensor.name for tensor in encoder.graph.initializer}
    same = {tensor.name: held[key_of(tensor)] for tensor in step.graph.initializer if key_of(tensor) in held}
    graph = encoder.graph
    for node in step.graph.node:
        for place, name in enumerate(node.input):
            node.input[place] = same.get(name, name)
        graph.node.append(node)
    graph.initializer.extend(tensor for tensor in step.graph.initializer if tensor.name not in same)
    graph.input.extend(step.graph.input)
    graph.output.extend(step.graph.output)
    return encoder


def key_of(tensor: TensorProto) -> tuple[int, tuple[int, ...], bytes]:
    """By what weights are known to be the same."""
    return tensor.data_type, tuple(tensor.dims), numpy_helper.to_array(tensor).tobytes()


def in_int8(model: onnx.ModelProto) -> onnx.ModelProto:
    """Products with weights in eight bits; what they are multiplied with is made eight bits as it comes."""
    from onnxruntime.quantization import QuantType, quantize_dynamic  # type: ignore[import-untyped]

    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder) / "float.onnx", Path(folder) / "int8.onnx"
        onnx.save(model, source)
        # Unsigned weights: on x86 without VNNI sums of signed ones by unsigned overflow 16 bits.
        quantize_dynamic(
            source, target, per_channel=True, weight_type=QuantType.QUInt8, op_types_to_quantize=["MatMul"]
        )
        return onnx.load(target)
