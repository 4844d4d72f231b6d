"""Fine-tuning for int8: the arithmetic it simulates, the repair it makes, and how a run of it goes on."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch
import yaml
from generated import CPU, TINY
from hurting import widen

from htrjand.compress import qat as module
from htrjand.compress.modules import products
from htrjand.compress.qat import Qat, QatRecipe, qat
from htrjand.compress.quantize import QuantizeRecipe, quantize_file
from htrjand.compress.rounding import Rounded, rounded
from htrjand.export.onnx import export
from htrjand.runtime import Recognizer
from htrjand.runtime.errors import HtrjandError, UsageError
from htrjand.runtime.image import pad_line
from htrjand.runtime.info import LanguageFit
from htrjand.train.checkpoint import load_card, load_network, load_tensors, save_network, weights_of
from htrjand.train.data.lines import read_lines
from htrjand.train.fit import Outcome
from htrjand.train.network import Network, NetworkRecipe
from htrjand.train.reader import model_info, open_weights, read_rows
from htrjand.train.recipe_loader import from_dict, load_recipe

SMALL = NetworkRecipe(channels=(12, 16, 16, 24), dim=32, heads=2, feed=64, blocks=1)
FITTED = LanguageFit("ab" * 32, 0.6, 1.25, 1.75)


def images(count: int, width: int) -> torch.Tensor:
    return torch.randint(0, 256, (count, 1, 64, width)).float()


def switch(network: Rounded, on: bool) -> None:
    for part in network.ranges().values():
        part.enable_fake_quant(on)  # type: ignore[operator]


@pytest.mark.parametrize("changes", [{}, {"gate": False, "blocks": 3, "dropout": 0.2, "layer_drop": 0.5}])
def test_without_rounding_it_is_the_float_network_at_every_width(changes: dict[str, object]) -> None:
    float_one = Network(NetworkRecipe(**{**SMALL.__dict__, **changes}), 7).eval()
    network = rounded(float_one, QuantizeRecipe())
    assert network.state_dict().keys() == float_one.state_dict().keys()
    network.calibrate([(images(3, 384), torch.tensor([384, 256, 64]))])
    for widths in ([128], [256, 240], [512, 16, 304, 512]):  # as many lines as widths
        image = images(len(widths), max(widths))
        with torch.no_grad():
            expected = float_one(image, torch.tensor(widths))
            rough = network(image, torch.tensor(widths))
            switch(network, False)
            torch.testing.assert_close(network(image, torch.tensor(widths)), expected, atol=1e-4, rtol=0)
            switch(network, True)
        assert 0 < (rough - expected).abs().max() < 0.5 * expected.abs().max()


def test_gradients_reach_every_weight_through_the_rounding() -> None:
    torch.manual_seed(2)
    network = rounded(Network(SMALL, 7), QuantizeRecipe())
    network.calibrate([(images(3, 384), torch.tensor([384, 256, 64]))])
    logits, shortcut = network.heads(images(2, 256), torch.tensor([256, 192]))
    (logits.square().mean() + shortcut.square().mean()).backward()
    assert not [name for name, p in network.named_parameters() if p.grad is None or not p.grad.abs().sum()]


def test_what_stays_in_float_is_not_rounded() -> None:
    network = Network(SMALL, 7)
    wanted = len(products(network)) - 1  # never the head
    for keep, inside in (((), 0), (("convs.0", "attention", "head"), 6)):
        parts = rounded(network, QuantizeRecipe(keep=keep)).ranges().values()
        assert sum(part.is_per_channel for part in parts) == wanted - inside, keep  # type: ignore[misc]


def test_it_rounds_as_the_files_do(tiny_run: Path, tmp_path: Path) -> None:
    weights = tiny_run / "run" / "weights.safetensors"
    lines = [row.pixels() for row in read_lines(tiny_run / "lines.parquet", "val")]
    quantise(weights, lines, tmp_path / "x.onnx")
    network = rounded(load_network(weights)[0], QuantizeRecipe())
    pairs = [torch.from_numpy(pad_line(line)[None, None].copy()) for line in lines]
    network.calibrate((image, torch.tensor([image.shape[3]])) for image in pairs)
    expected = open_weights(weights).logits(lines)
    with torch.no_grad():
        here = np.concatenate([network(image)[0].numpy() - a for image, a in zip(pairs, expected, strict=True)])
    options = onnxruntime.SessionOptions()
    options.add_session_config_entry("session.x64quantprecision", "1")  # sums that do not saturate on x86 without VNNI
    session = onnxruntime.InferenceSession(tmp_path / "x.onnx", options, providers=["CPUExecutionProvider"])
    found = [session.run(None, {"image": image.numpy()})[0][0] for image in pairs]
    there = np.concatenate([b - a for b, a in zip(found, expected, strict=True)])
    assert 0.5 < np.linalg.norm(here) / np.linalg.norm(there) < 2
    assert (here * there).sum() > 0.1 * np.linalg.norm(here) * np.linalg.norm(there), "the errors are alike"


def quantise(weights: Path, lines: list[np.ndarray], out: Path) -> None:
    """Post-training int8 of some weights."""
    network, card = load_network(weights)
    export(network, model_info(card, weights), out.with_name("float.onnx"))
    quantize_file(out.with_name("float.onnx"), lines, out, QuantizeRecipe())


def qat_recipe(folder: Path, **changes: object) -> Path:
    values = yaml.safe_load(TINY)
    recipe = {key: values[key] for key in ("augment", "batch_columns")}
    recipe |= {"data": {"files": ["lines.parquet"]}, "begin": "hurt.safetensors", "teacher": "hurt.safetensors"}
    recipe |= {"total_lines": 1200, "peak_rate": 2e-3, "warm_up": 2, "ema": 0.8, "val_every": 5, "save_every": 4}
    path = folder / "qat.yaml"
    path.write_text(json.dumps(recipe | changes), encoding="utf-8")  # JSON is YAML
    return path


def run(recipe: Path, out: Path) -> Outcome:
    return qat(load_recipe(QatRecipe, recipe), recipe, out, machine=CPU)


@pytest.fixture(scope="module")
def hurt(tiny_run: Path) -> Path:
    """The folder of the tiny run, with weights that int8 hurts."""
    network, card = load_network(tiny_run / "run" / "weights.safetensors")
    for block in (1, 2):
        widen(network, block, 300)
    card = replace(card, cer={"printed": 1.0}, temperature=2.0, language_model=FITTED)
    save_network(tiny_run / "hurt.safetensors", weights_of(network), card)
    return tiny_run


def test_it_repairs_what_int8_hurts(hurt: Path, tmp_path: Path) -> None:
    rows = list(read_lines(hurt / "lines.parquet", "val"))
    lines = [row.pixels() for row in rows]
    outcome = run(qat_recipe(hurt), tmp_path / "run")
    cer = {}
    for name, weights in (("before", hurt / "hurt.safetensors"), ("after", outcome.weights)):
        quantise(weights, lines, tmp_path / f"{name}.onnx")
        cer[name] = read_rows(Recognizer(tmp_path / f"{name}.onnx"), rows).cer()
    assert cer["before"] > 30
    assert cer["after"] < 0.5 * cer["before"]
    assert outcome.val_cer == pytest.approx(cer["after"], abs=8), "the choice was made by what the file reads"
    assert read_rows(open_weights(outcome.weights), rows).cer() < 25, "in float it still reads"

    before, after = load_tensors(hurt / "hurt.safetensors"), load_tensors(outcome.weights)
    assert {name: t.shape for name, t in before.items()} == {name: t.shape for name, t in after.items()}
    assert not torch.equal(before["head.weight"], after["head.weight"])
    card = load_card(outcome.weights)
    history = card.history
    assert (card.cer, card.temperature, card.language_model) == ({}, 1.0, None), "these were found with other weights"
    assert len(history["begins from"]) == 64
    assert "nothing in float" in history["int8"]


class Killed(Exception):
    pass


def test_a_killed_run_goes_on_as_if_nothing_had_been(
    hurt: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = qat_recipe(hurt, total_lines=64, val_every=3, save_every=2)
    run(recipe, tmp_path / "straight")

    def save_and_die(self: Qat, real: object = Qat.save) -> None:
        real(self)  # type: ignore[operator]
        raise Killed

    monkeypatch.setattr(module.Qat, "save", save_and_die)
    with pytest.raises(Killed):
        run(recipe, tmp_path / "killed")
    monkeypatch.undo()
    run(recipe, tmp_path / "killed")
    for name in ("weights.safetensors", "weights.json"):
        assert (tmp_path / "killed" / name).read_bytes() == (tmp_path / "straight" / name).read_bytes()

    with pytest.raises(UsageError, match="a run of another recipe"):
        run(qat_recipe(hurt, seed=2), tmp_path / "killed")


def test_wrong_recipes_are_refused(hurt: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="unknown key bits; the keys are begin, keep"):
        load_recipe(QatRecipe, qat_recipe(hurt, bits=4))
    with pytest.raises(UsageError, match="temperature: more than 0, got 0"):
        from_dict(QatRecipe, {"temperature": 0.0}, "x")
    with pytest.raises(UsageError, match=r"no module convs\.9 to keep in float; there are convs\.0\.conv\.conv"):
        run(qat_recipe(hurt, keep=["convs.9"]), tmp_path / "out")
    with pytest.raises(HtrjandError, match=r"nothing\.safetensors: no such file"):
        run(qat_recipe(hurt, begin="nothing.safetensors"), tmp_path / "out")
    other, card = Network(SMALL, 3), load_card(hurt / "hurt.safetensors")
    save_network(hurt / "other.safetensors", weights_of(other), type(card)(SMALL, ("", "a", "b")))
    with pytest.raises(UsageError, match="teacher has another charset than hurt.safetensors"):
        run(qat_recipe(hurt, teacher="other.safetensors"), tmp_path / "out")
    assert not (tmp_path / "out").exists()
