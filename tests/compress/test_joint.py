"""Teacher and student trained together; a run on the processor, since few machines that test have a GPU."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from generated import TINY

from htrjand.compress.joint import ctc_losses, falling, joint
from htrjand.train.batches import LineBatches
from htrjand.train.checkpoint import load_network
from htrjand.train.dataset import load_data
from htrjand.train.losses import ctc_loss
from htrjand.train.network import FRAME_STRIDE
from htrjand.train.recipe import TrainRecipe
from htrjand.train.recipe_loader import load_recipe
from htrjand.train.resident import ResidentLines

CPU = torch.device("cpu")


def test_batches_of_resident_lines_are_those_that_training_decodes(tiny_run: Path) -> None:
    recipe = load_recipe(TrainRecipe, tiny_run / "tiny.yaml")
    lines = load_data(recipe.data, tiny_run / "tiny.yaml").train
    stream = LineBatches(lines, recipe.batch_columns, 0.2, 3, padding=0.5)
    resident = ResidentLines(lines, CPU)
    for (chosen, width, number), batch in zip(stream.planned(), stream, strict=False):
        ours = resident.batch(chosen, width, number)
        torch.testing.assert_close(ours.image, batch.image)
        for name in ("source_widths", "scaled_widths", "padded_widths", "lengths"):
            assert torch.equal(getattr(ours, name), getattr(batch, name)), name
        rows = [text[:length] for text, length in zip(ours.classes, ours.lengths.tolist(), strict=True)]
        assert torch.equal(torch.cat(rows), batch.classes)
        assert torch.equal(ours.frames, batch.padded_widths // FRAME_STRIDE)
        if number > 20:
            break

    logits = torch.randn(2, len(batch.lengths), width // FRAME_STRIDE, 100)
    apart = torch.stack([ctc_loss(scores, batch) for scores in logits])
    torch.testing.assert_close(ctc_losses(list(logits), ours), apart)


def test_the_rate_falls_once_and_to_nothing() -> None:
    rates = [falling(progress, 0.4, 0.8) for progress in np.linspace(0, 1, 21)]
    assert rates[:9] == [1.0] * 9
    assert rates[16:] == pytest.approx([0.0] * 5)
    assert rates == sorted(rates, reverse=True)
    assert falling(0.6, 0.4, 0.8) == pytest.approx(0.5)


def test_both_learn_and_are_written(tiny_run: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    body = "\n".join("  " + line for line in TINY.strip().splitlines())
    path = tiny_run / "joint.yaml"
    path.write_text(f"train:\n  begin: run/weights.safetensors\n{body}\nvalidate_every: 3\nlog_every: 2\n", "utf-8")
    begin, card = load_network(tiny_run / "run" / "weights.safetensors")
    path.write_text(
        path.read_text("utf-8") + "student: {channels: [12, 16, 16, 24], dim: 16, heads: 2, feed: 64, blocks: 1}\n"
    )
    joint(path, tmp_path, 10, "cpu")
    said = capfd.readouterr().out
    teacher, teacher_card = load_network(tmp_path / "teacher.safetensors")
    _, student_card = load_network(tmp_path / "student.safetensors")
    assert teacher_card.charset == student_card.charset == card.charset
    assert student_card.lines_seen > teacher_card.lines_seen - card.lines_seen > 0
    assert not torch.equal(teacher.head.weight, begin.head.weight)
    errors = [
        float(line.split("all ")[1].split(",")[0]) for line in said.splitlines() if line.startswith("student after")
    ]
    assert errors[-1] < errors[0]
