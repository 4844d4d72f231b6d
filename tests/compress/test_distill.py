"""Distillation: its loss, what a student inherits, and the two runs it reports."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from generated import CPU, TINY

from htrjand.compress.distill import DistillRecipe, distil, frame_kl, inherit
from htrjand.runtime.errors import UsageError
from htrjand.runtime.info import LanguageFit
from htrjand.train.checkpoint import load_card, load_network, save_network
from htrjand.train.data.lines import read_lines
from htrjand.train.network import Network, NetworkRecipe
from htrjand.train.reader import open_weights
from htrjand.train.recipe_loader import load_recipe

WIDTHS = torch.tensor([16, 8])  # 4 and 2 real frames


def test_kl_is_nothing_where_both_agree() -> None:
    logits = torch.randn(2, 4, 5)
    assert frame_kl(logits, logits, WIDTHS, 2.0, 0.1).item() == pytest.approx(0, abs=1e-6)


def test_kl_is_the_textbook_sum() -> None:
    student, teacher = torch.randn(2, 4, 5), torch.randn(2, 4, 5)
    expected = weights = 0.0
    for line, frames in enumerate((4, 2)):
        for frame in range(frames):
            p = (teacher[line, frame] / 2).softmax(0)
            q = (student[line, frame] / 2).softmax(0)
            weight = 1 - 0.9 * teacher[line, frame].softmax(0)[0].item()
            expected += weight * (p * (p.log() - q.log())).sum().item()
            weights += weight
    assert frame_kl(student, teacher, WIDTHS, 2.0, 0.1).item() == pytest.approx(4 * expected / weights, rel=1e-4)


def test_padding_does_not_count() -> None:
    student, teacher = torch.randn(2, 4, 5), torch.randn(2, 4, 5)
    before = frame_kl(student, teacher, WIDTHS, 2.0, 0.1)
    student[1, 2:] = 50.0
    teacher[1, 2:] = -50.0
    torch.testing.assert_close(frame_kl(student, teacher, WIDTHS, 2.0, 0.1), before)


SHAPE = {"channels": (12, 16, 16, 24), "dim": 32, "heads": 2, "feed": 64}


def test_a_student_takes_the_first_and_the_last_block_of_its_teacher() -> None:
    teacher = Network(NetworkRecipe(**SHAPE, blocks=4), 5)  # type: ignore[arg-type]
    student = Network(NetworkRecipe(**SHAPE, blocks=2), 5)  # type: ignore[arg-type]
    assert inherit(student, teacher) == len(student.state_dict())
    assert torch.equal(student.attention[0].feed[0].weight, teacher.attention[0].feed[0].weight)  # type: ignore
    assert torch.equal(student.attention[1].feed[0].weight, teacher.attention[3].feed[0].weight)  # type: ignore
    assert torch.equal(student.convs[2].conv.conv.weight, teacher.convs[2].conv.conv.weight)  # type: ignore


def test_a_student_of_other_widths_takes_what_fits() -> None:
    teacher = Network(NetworkRecipe(**SHAPE, blocks=2), 5)  # type: ignore[arg-type]
    student = Network(NetworkRecipe(**SHAPE | {"dim": 16}, blocks=2), 5)  # type: ignore[arg-type]
    assert 0 < inherit(student, teacher) < len(student.state_dict())


def distil_recipe(tiny_run: Path, **changes: object) -> Path:
    body = "\n".join("  " + line for line in TINY.replace("total_lines: 1600", "total_lines: 800").strip().splitlines())
    rest = "\n".join(f"{key}: {json.dumps(value)}" for key, value in changes.items())
    path = tiny_run / "distil.yaml"
    path.write_text(f"teacher: run/weights.safetensors\ntrain:\n{body}\n{rest}\n", encoding="utf-8")
    return path


def test_student_and_control_are_trained_alike_and_both_reported(tiny_run: Path, tmp_path: Path) -> None:
    path = distil_recipe(tiny_run, inherit=False)
    outcomes = distil(load_recipe(DistillRecipe, path), path, tmp_path, machine=CPU)
    assert outcomes.keys() == {"student", "control"}
    assert outcomes["student"].lines_seen == outcomes["control"].lines_seen >= 800
    head = (tmp_path / "student" / "log" / "from-step-0" / "metrics.csv").read_text().splitlines()[0]
    assert "kl" in head.split(",")
    head = (tmp_path / "control" / "log" / "from-step-0" / "metrics.csv").read_text().splitlines()[0]
    assert "kl" not in head.split(",")
    assert "control" in load_card(outcomes["control"].weights).history["teacher"]
    assert len(load_card(outcomes["student"].weights).history["teacher"]) == 64

    lines = [row.pixels() for row in read_lines(tiny_run / "lines.parquet", "val")]
    teacher = open_weights(tiny_run / "run" / "weights.safetensors").logits(lines)

    def distance(name: str) -> float:
        found = open_weights(outcomes[name].weights).logits(lines)
        pairs = [(torch.from_numpy(a), torch.from_numpy(b)) for a, b in zip(found, teacher, strict=True)]
        return sum(float(frame_kl(a[None], b[None], torch.tensor([4 * len(a)]), 2.0, 0.1)) for a, b in pairs)

    assert distance("student") < distance("control"), "the teacher's frames drew the student towards them"
    assert outcomes["student"].val_cer <= outcomes["control"].val_cer, "and it reads no worse for it"


def test_a_student_of_its_own_weights_names_the_data_of_these_and_of_its_teacher(
    tiny_run: Path, tmp_path: Path
) -> None:
    network, card = load_network(tiny_run / "run" / "weights.safetensors")
    own = replace(card, training_data=("diary: 50 lines", "printed: 3 lines"), temperature=2.0)
    save_network(tiny_run / "own.safetensors", network.state_dict(), own)
    fitted = LanguageFit("ab" * 32, 0.6, 1.25, 1.75)
    teacher = replace(card, training_data=("letters: 70 lines",), language_model=fitted)
    save_network(tiny_run / "taught.safetensors", network.state_dict(), teacher)
    path = distil_recipe(tiny_run, inherit=False, control=False)
    recipe = load_recipe(DistillRecipe, path)
    short = replace(recipe.train, total_lines=16, begin="own.safetensors")
    recipe = replace(recipe, teacher="taught.safetensors", train=short)
    outcome = distil(recipe, path, tmp_path, machine=CPU)["student"]
    student = load_card(outcome.weights)
    assert student.training_data == ("diary: 50 lines", "letters: 70 lines", "printed: 8 lines")
    assert (student.temperature, student.language_model) == (1.0, None), "these were fitted to other weights"


def test_an_unknown_key_and_a_missing_teacher_are_explained(tiny_run: Path, tmp_path: Path) -> None:
    path = distil_recipe(tiny_run, tau=3)
    with pytest.raises(UsageError, match="unknown key tau"):
        load_recipe(DistillRecipe, path)
    path = distil_recipe(tiny_run)
    path.write_text(path.read_text().replace("run/weights", "run/nothing"), encoding="utf-8")
    with pytest.raises(Exception, match=r"nothing\.safetensors: no such file"):
        distil(load_recipe(DistillRecipe, path), path, tmp_path, machine=CPU)
