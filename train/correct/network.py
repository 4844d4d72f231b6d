"""The corrector's network: T5 of transformers over characters, with a configuration of its own; its file of weights."""

from __future__ import annotations

import dataclasses
import json
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from ...runtime.errors import HtrjandError, UsageError
from ...runtime.files import atomic_path
from ...runtime.text import json_text
from ..checkpoint import load_tensors, sha256
from ..recipe_loader import from_dict
from .recipe import CorrectorShape

logging.getLogger("torchao").setLevel(logging.ERROR)  # transformers imports it; its kernels for GPUs are not here
try:
    from transformers import T5Config, T5ForConditionalGeneration
except ImportError as missing:
    raise HtrjandError(f"transformers is not installed ({missing}): pip install 'htrjand[correct]'") from missing

FORMAT = "htrjand-corrector-1"
PAD, END, UNKNOWN = 0, 1, 2  # PAD begins a text of the decoder, too
FIRST = 3  # class of the charset's first character


@dataclass(frozen=True)
class CorrectorCard:
    """What the JSON beside a corrector's weights says."""

    shape: CorrectorShape
    charset: tuple[str, ...]  # characters, without a blank
    languages: tuple[str, ...] = ()
    name: str = "htrjand-corrector"
    version: str = ""
    licence: str = ""
    reader: str = ""  # SHA-256 of the weights whose errors it knows
    texts: tuple[str, ...] = ()  # what it learnt from
    longest: int = 0  # characters of the longest text that it has seen
    context: bool = False  # whether a text comes with those before and after it
    lines_seen: int = 0


def make_network(shape: CorrectorShape, characters: int, dropout: float = 0.0) -> Any:
    """A T5 with random weights.

    Args:
        characters: of the charset, which come after the classes for padding, the end and what is unknown.
    """
    config: Any = T5Config  # its own hints know not all of its keys
    return T5ForConditionalGeneration(
        config(
            vocab_size=FIRST + characters, d_model=shape.dim, d_kv=shape.head, num_heads=shape.heads, d_ff=shape.feed,
            num_layers=shape.encoder, num_decoder_layers=shape.decoder, relative_attention_num_buckets=shape.buckets,
            relative_attention_max_distance=shape.distance, feed_forward_proj="gated-gelu", dropout_rate=dropout,
            pad_token_id=PAD, eos_token_id=END, decoder_start_token_id=PAD, tie_word_embeddings=True,
        )
    )  # fmt: skip


def encode(texts: Sequence[str], charset: Sequence[str]) -> Tensor:
    """Classes int64 [N, S]: the characters of each text and the end, filled up with padding.

    A newline is an end, too: behind it stands a text beside the one that is to be corrected (`with_context`).
    """
    numbers = {char: FIRST + number for number, char in enumerate(charset)} | {"\n": END}
    rows = [[numbers.get(char, UNKNOWN) for char in text] + [END] for text in texts]
    longest = max(map(len, rows))
    return torch.tensor([row + [PAD] * (longest - len(row)) for row in rows])


def embedded(network: Any, classes: Tensor, start: int = 0) -> Tensor:
    """The embeddings of classes [N, S] that stand from place `start` on in their text, and of the places: [N, S, dim].

    T5 knows distances within a text, and no place in it. By places the decoder finds at once where in the text that was
    read it is; otherwise most of a short training goes into learning to copy.
    """
    places = torch.arange(start, start + classes.shape[1], device=classes.device)
    x: Tensor = network.shared(classes) + places_of(places, network.config.d_model)
    return x


def places_of(places: Tensor, dim: int) -> Tensor:
    """`sin` and `cos` of `place / 10000^(2i/dim)` (Vaswani 2017): [S, dim] of places [S]."""
    angles = places[:, None].float() * 10000 ** (-torch.arange(0, dim, 2, device=places.device).float() / dim)
    return torch.cat([angles.sin(), angles.cos()], 1)


def logits_of(network: Any, sources: Tensor, targets: Tensor) -> Tensor:
    """Logits [N, T, V] of each character of the targets [N, T], given those before it and the sources [N, S]."""
    before = F.pad(targets, (1, -1), value=PAD)
    logits: Tensor = network(
        inputs_embeds=embedded(network, sources), attention_mask=(sources != PAD).long(),
        decoder_inputs_embeds=embedded(network, before),
    ).logits  # fmt: skip
    return logits


def decode(classes: Sequence[int], charset: Sequence[str]) -> str:
    """The text up to the end."""
    text = []
    for number in classes:
        if number == END:
            break
        if number >= FIRST:
            text.append(charset[number - FIRST])
    return "".join(text)


@torch.no_grad()
def corrected(network: Any, texts: Sequence[str], charset: Sequence[str], more: int = 8) -> list[str]:
    """The likeliest characters one after the other, for each text; at most `more` beyond the longest of them."""
    device = network.device
    sources = encode(texts, charset).to(device)
    mask = (sources != PAD).long()
    encoded = network.encoder(inputs_embeds=embedded(network, sources), attention_mask=mask)
    last = torch.full((len(texts), 1), PAD, device=device)
    past, found, open_ = None, [], torch.ones(len(texts), dtype=torch.bool, device=device)
    for place in range(sources.shape[1] + more):
        out = network(
            encoder_outputs=encoded, attention_mask=mask, decoder_inputs_embeds=embedded(network, last, place),
            cache=past, use_cache=True,
        )  # fmt: skip
        past, last = out.cache, out.logits[:, -1:].argmax(-1)
        found.append(last)
        open_ &= last[:, 0] != END
        if not open_.any():
            break
    return [decode(row, charset) for row in torch.cat(found, 1).tolist()]


def save_corrector(path: Path, weights: dict[str, Tensor], card: CorrectorCard) -> None:
    """Writes weights (.safetensors), the tied embedding once, and the JSON beside them."""
    from safetensors.torch import save_file

    kept = {
        name: tensor for name, tensor in weights.items() if not name.endswith(("embed_tokens.weight", "lm_head.weight"))
    }
    with atomic_path(path) as part:
        save_file({name: tensor.detach().cpu().contiguous() for name, tensor in kept.items()}, part)
    values = {"format": FORMAT, "sha256": sha256(path), **dataclasses.asdict(card)}
    with atomic_path(path.with_suffix(".json")) as part:
        part.write_text(json_text(values, indent=1) + "\n", encoding="utf-8")


def load_corrector(path: Path) -> tuple[Any, CorrectorCard]:
    """A corrector in eval mode, and its card; HtrjandError where a file is missing, cut short or of another one."""
    weights, beside = load_tensors(path), path.with_suffix(".json")
    try:
        values = json.loads(beside.read_text(encoding="utf-8"))
        written, digest = values.pop("format"), values.pop("sha256")
        card = from_dict(CorrectorCard, values, str(beside))
    except FileNotFoundError as error:
        raise HtrjandError(f"{beside}: no such file; keep the .json beside its .safetensors") from error
    except (ValueError, KeyError, AttributeError, UsageError) as error:
        raise HtrjandError(f"{beside}: not the card of a corrector ({error}); copy it again") from error
    if written != FORMAT or digest != sha256(path):
        raise HtrjandError(f"{path}: not the weights that the .json beside it was written with; copy both again")
    network = make_network(card.shape, len(card.charset))
    missing, unexpected = network.load_state_dict(weights, strict=False)
    if unexpected or [name for name in missing if not name.endswith(("embed_tokens.weight", "lm_head.weight"))]:
        raise HtrjandError(f"{path}: the weights are of another corrector than its .json says; copy both again")
    network.tie_weights()
    return network.eval(), card
