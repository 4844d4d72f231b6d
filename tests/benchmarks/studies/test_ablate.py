"""Ablation: what each variant lacks, that all are trained alike, and the table."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner
from generated import TINY, printed_row

from htrjand.benchmarks.studies.ablate import PARTS, AblateRecipe, Row, table, without
from htrjand.cli import main
from htrjand.runtime.errors import UsageError
from htrjand.train.checkpoint import load_card
from htrjand.train.data.lines import read_lines, write_lines
from htrjand.train.recipe import StageRecipe, TrainRecipe
from htrjand.train.recipe_loader import load_recipe

STAGES = "  stages: [{name: drawn, mix: {printed: 0.5}}, {name: all, share: 2}]\n"


def recipe_file(tiny_run: Path, folder: Path, stages: str = STAGES, more: str = "", synthetic: str = "drawn") -> Path:
    rows = list(read_lines(tiny_run / "lines.parquet"))
    rows += [printed_row(row.text, f"drawn-{row.id}", "train", synthetic) for row in rows[:4]]
    write_lines(folder / "lines.parquet", rows)
    body = "\n".join(
        "    " + line for line in TINY.replace("total_lines: 1600", "total_lines: 64").strip().splitlines()
    )
    distill = f"distill:\n  teacher: {tiny_run}/run/weights.safetensors\n  inherit: false\n  train:\n{body}\n  {stages}"
    path = folder / "ablate.yaml"
    path.write_text(f"{distill}synthetic: drawn\nseeds: [1, 2]\n{more}", encoding="utf-8")
    return path


def test_every_part_is_taken_out_in_turn_and_one_table_is_written(tiny_run: Path, tmp_path: Path) -> None:
    path = recipe_file(tiny_run, tmp_path)
    command = ["ablate", str(path), "-o", str(tmp_path / "out"), "--device", "cpu", "--workers", "0"]
    done = CliRunner().invoke(main, command)
    assert done.exit_code == 0, done.output
    rows = json.loads((tmp_path / "out" / "ablation.json").read_text())
    assert [row["variant"] for row in rows] == ["whole", *PARTS]
    assert all(len(row["cer"]) == 2 and min(row["lines_seen"]) >= 64 for row in rows)
    card = {row["variant"]: load_card(tmp_path / "out" / f"{row['variant']}-1" / "weights.safetensors") for row in rows}
    for part in PARTS[:4]:
        assert getattr(card["whole"].network, part) and not getattr(card[part].network, part)
    assert len(card["whole"].history["teacher"]) == 64
    assert "control" in card["distillation"].history["teacher"]
    assert "drawn: 4 lines" in card["whole"].training_data
    assert "drawn: 4 lines" not in card["synthetic"].training_data
    used = json.loads((tmp_path / "out" / "curriculum-2" / "recipe.json").read_text())["train"]
    assert ([stage["name"] for stage in used["stages"]], used["seed"]) == (["all"], 2)
    assert "| nothing: the whole |" in done.output
    assert (tmp_path / "out" / "ablation.md").read_text().strip() in done.output


def test_without_what_is_not_there_is_refused(tiny_run: Path, tmp_path: Path) -> None:
    def refusal(path: Path) -> str:
        done = CliRunner().invoke(main, ["ablate", str(path), "-o", str(tmp_path / "out"), "--device", "cpu"])
        assert done.exit_code == 2
        return done.output

    one = "  stages: [{name: all}]\n"
    assert "has no two stages" in refusal(recipe_file(tiny_run, tmp_path, stages=one))
    assert "no part gaet; the parts are" in refusal(recipe_file(tiny_run, tmp_path, more="without: [gaet]\n"))
    assert "no training line of the dataset 'drawn'" in refusal(recipe_file(tiny_run, tmp_path, synthetic="other"))


def test_a_stage_forgets_the_synthetic_lines_that_are_taken_out() -> None:
    recipe = TrainRecipe(stages=(StageRecipe("one", mix={"drawn": 2.0, "real": 1.0}),))
    changed = without(recipe, "synthetic", "drawn")
    assert changed.stages[0].mix == {"real": 1.0}
    assert changed.data.exclude == ("drawn",)


def test_the_table_shows_spread_and_distance() -> None:
    text = table([Row("whole", 0.7, (10.0, 12.0), (1, 1)), Row("gate", 0.5, (13.0, 13.5), (1, 1))])
    assert "| gate | 0.500 | 1 | 13.25 | 13.00 – 13.50 | +2.25 |" in text


def test_a_variant_that_cannot_inherit_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    path.write_text("distill: {inherit: true}\n", encoding="utf-8")
    with pytest.raises(UsageError, match="inherit: false"):
        load_recipe(AblateRecipe, path)
