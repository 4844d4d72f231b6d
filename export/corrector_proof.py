"""The proof of a corrector's file: it corrects as the network does."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from ..runtime.decode.corrector import ALONE, Corrector, with_context
from ..runtime.decode.corrector_info import CorrectorInfo
from ..runtime.errors import HtrjandError
from ..runtime.files import atomic_path
from ..runtime.info import sha256
from ..train.correct.confusions import error_rate
from ..train.correct.network import FIRST, CorrectorCard, corrected, load_corrector
from .corrector import export
from .proof import write_proof

BATCH = 16
BUDGET = 0.3  # points of CER that a file may have more than the network


def export_corrector(
    weights: Path, out: Path, precision: str, pairs: Path | None, budget: float = BUDGET, **rule: Any
) -> dict[str, Any]:
    """Writes a corrector's file, proven on pairs of text and reading; its proof stands beside it.

    Args:
        weights: `.safetensors`, as `htrjand correct train` wrote them.
        precision: fp32, which is to correct as the network does; or int8, whose errors may be `budget` points more.
        pairs: `pairs.json` of the training, whose validation pairs are corrected; None: the file beside the weights.
        rule: `doubt`, `most_change` and `keep` of the file.

    Raises:
        HtrjandError: the weights or the pairs cannot be used, or the file corrects otherwise; it is not written then.
    """
    network, card = load_corrector(weights)
    info = info_of(card, weights, precision, rule)
    found = validation(pairs or weights.with_name("pairs.json"))
    with atomic_path(out) as part:
        export(network, info, part)
        proof = prove(part, network, card, found, budget)
        write_proof(out, proof)
    return proof


def info_of(card: CorrectorCard, weights: Path, precision: str, rule: dict[str, Any]) -> CorrectorInfo:
    """What a file of these weights is to say of itself."""
    info = CorrectorInfo(
        card.name, card.version, card.charset, card.languages, card.licence, card.texts, sha256(weights), card.reader,
        precision, FIRST, card.longest, int(card.context),
    )  # fmt: skip
    return replace(info, **{key: value for key, value in rule.items() if value is not None})


def validation(path: Path) -> list[tuple[str, str]]:
    """The validation pairs of a training: the text, and what was read."""
    try:
        pairs = json.loads(path.read_text(encoding="utf-8"))["val"]
    except (OSError, ValueError, KeyError) as error:
        raise HtrjandError(f"{path}: not the pairs of a training ({error}); name its pairs.json by --pairs") from error
    return [(pair["text"], pair["read"]) for pair in pairs if pair["text"] and pair["read"]]


def prove(
    file: Path, network: Any, card: CorrectorCard, pairs: Sequence[tuple[str, str]], budget: float
) -> dict[str, Any]:
    """Corrects the pairs by the file and by the network."""
    corrector = Corrector(file, 1)
    pairs = [(text, read) for text, read in pairs if len(read) <= card.longest]
    texts: dict[str, list[str]] = {"network": [], "file": []}
    for begin in range(0, len(pairs), BATCH):
        read = [one for _, one in pairs[begin : begin + BATCH]]
        given = [with_context(one, ALONE) for one in read] if card.context else read
        texts["network"] += corrected(network, given, card.charset)
        texts["file"] += corrector.texts(read)
    truths = [text for text, _ in pairs]
    cer = {name: round(error_rate(list(zip(truths, some, strict=True))), 3) for name, some in texts.items()}
    apart = sum(one != other for one, other in zip(*texts.values(), strict=True))
    proof = {
        "file": file.name, "precision": corrector.info.precision, "bytes": file.stat().st_size, "lines": len(pairs),
        "cer_read": round(error_rate(list(pairs)), 3), "cer_network": cer["network"], "cer_file": cer["file"],
        "texts_apart": apart, "sha256": sha256(file),
    }  # fmt: skip
    # Of a float file a line in two hundred may differ: two characters that tie, and all that follow them.
    if corrector.info.precision == "fp32" and apart > max(1, len(pairs) // 200):
        raise HtrjandError(f"{file}: {apart} of {len(pairs)} lines are corrected otherwise than by the network")
    if cer["file"] > cer["network"] + budget:
        raise HtrjandError(
            f"{file}: {cer['file']:.2f} % CER, and the network has {cer['network']:.2f}: more than {budget:g} points; "
            "export fp32"
        )
    return proof
