"""Stages and joint training: which lines a stage shows, how often those of each dataset come, and who names them."""

from __future__ import annotations

import csv
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from generated import CPU, TEXTS, TINY, printed_row

from htrjand.runtime.errors import HtrjandError, UsageError
from htrjand.train.batches import Batch, LineBatches, Shard
from htrjand.train.checkpoint import load_card, load_network, load_tensors
from htrjand.train.data.lines import Place, write_lines
from htrjand.train.dataset import Data, easiest, hold_out, load_data, repeats_of, stage_batches
from htrjand.train.examples import Example
from htrjand.train.fit import train
from htrjand.train.recipe import DataRecipe, StageRecipe, TrainRecipe
from htrjand.train.recipe_loader import load_recipe

STAGES = """
stages:
  - {name: short, share: 1, easiest: 0.4, strength: 0, mix: {other: 0}}
  - {name: all, share: 3}
origin: 0.5
"""


def lines(count: int, dataset: str, length: int = 1) -> list[Example]:
    rows = [printed_row("ab " * length, f"{dataset}-{length}-{i}", dataset=dataset) for i in range(count)]
    return [Example(row, np.array([1, 2] * length)) for row in rows]


def shown(batches: LineBatches, epochs: int = 1) -> Counter[str]:
    counts: Counter[str] = Counter()
    for epoch in range(epochs):
        counts.update(batches.lines[index].row.dataset for _, batch in batches.plan(epoch) for index, _ in batch)
    return counts


def test_a_temperature_evens_datasets_out() -> None:
    both = lines(90, "large") + lines(10, "small")
    assert repeats_of(both, 1.0, {}) == pytest.approx({"large": 1, "small": 1})
    even = repeats_of(both, 1e9, {})
    assert even == pytest.approx({"large": 50 / 90, "small": 5})
    root = repeats_of(both, 2.0, {})
    assert root["small"] * 10 / (root["large"] * 90) == pytest.approx((10 / 90) ** 0.5)
    assert root["small"] * 10 + root["large"] * 90 == pytest.approx(100)
    counts = shown(LineBatches(both, 64 * 64, 0.0, repeats=even), epochs=20)
    assert counts["small"] / counts["large"] == pytest.approx(1, rel=0.15)


def test_a_mix_multiplies_and_nothing_takes_a_dataset_out() -> None:
    both = lines(20, "a") + lines(20, "b")
    twice = repeats_of(both, 1.0, {"b": 2.0})
    assert twice["b"] == pytest.approx(2 * twice["a"])
    data = Data(("", "a", "b"), both, both, "")
    batches = stage_batches(data, TrainRecipe(), StageRecipe("one", mix={"b": 0.0}), 0, 0, 0, Shard())
    assert {line.row.dataset for line in batches.lines} == {"a"}
    with pytest.raises(UsageError, match="stage one: no training line of c; there are a, b"):
        stage_batches(data, TrainRecipe(), StageRecipe("one", mix={"c": 1.0}), 0, 0, 0, Shard())
    with pytest.raises(UsageError, match="mix leaves no line"):
        repeats_of(both, 1.0, {"a": 0.0, "b": 0.0})


def test_the_easiest_are_the_shortest_of_each_dataset() -> None:
    some = [line for length in range(1, 11) for line in lines(1, "long", length + 10) + lines(1, "short", length)]
    kept = Counter(line.row.dataset for line in easiest(some, 0.3))
    assert kept == {"long": 4, "short": 4}  # the quantile's own line is among them
    assert max(len(line.classes) for line in easiest(some, 0.3) if line.row.dataset == "short") == 8


def test_held_out_lines_are_spread_and_no_line_is_lost() -> None:
    some = lines(23, "a")
    kept, held, _ = hold_out(some, 0.2)
    assert len(held) == 4
    assert sorted(id(line) for line in kept + held) == sorted(id(line) for line in some)


def placed(count: int, doc: str, page: str = "1") -> list[Example]:
    return [replace(line, row=replace(line.row, doc=doc, page=page)) for line in lines(count, "a")]


def test_documents_are_held_out_whole() -> None:
    some = [line for number, count in enumerate((9, 30, 14, 22, 5, 11, 9)) for line in placed(count, f"doc-{number}")]
    kept, held, unit = hold_out(some, 0.2)
    assert unit == "whole documents"
    assert len(kept) + len(held) == len(some)
    assert not {line.row.doc for line in kept} & {line.row.doc for line in held}
    assert 10 <= len(held) <= 30, "about a fifth of 100"
    backwards = hold_out(some[::-1], 0.2)[1]
    assert {id(line) for line in backwards} == {id(line) for line in held}, "whatever order the lines come in"


def test_pages_of_one_document_are_held_out_whole_and_lines_only_of_one_page() -> None:
    book = [line for number in range(8) for line in placed(5, "book", f"page-{number}")]
    for some in (book, placed(50, "ledger") + book):  # of two documents, either is far more than a fifth
        kept, held, unit = hold_out(some, 0.2)
        pages = [{(line.row.doc, line.row.page) for line in part} for part in (kept, held)]
        assert unit == "whole pages" and held and not pages[0] & pages[1]
        assert len(held) <= 0.4 * len(some)
    kept, held, unit = hold_out(placed(20, "leaf"), 0.2)
    assert unit == "single lines, of pages that are trained on too" and len(held) == 4


def test_the_log_says_what_was_held_out(tmp_path: Path) -> None:
    rows = [replace(printed_row(text, f"{doc}-{text}"), doc=f"doc-{doc}") for doc in range(5) for text in TEXTS]
    write_lines(tmp_path / "lines.parquet", rows)
    data = load_data(DataRecipe(files=("lines.parquet",), hold_out=0.2), tmp_path / "recipe.yaml")
    assert "some of the training lines are held out for it (whole documents)" in data.notes
    assert not {line.row.doc for line in data.train} & {line.row.doc for line in data.val}


def test_several_processes_share_the_stream_of_one() -> None:
    some = lines(60, "a", 2)
    alone = iter(LineBatches(some, 2048, 0.2, seed=3))
    expected = [next(alone).source_widths for _ in range(12)]
    parts = [iter(LineBatches(some, 2048, 0.2, seed=3, start=2, shard=Shard(rank, 2))) for rank in (0, 1)]
    for step in (2, 3, 4):
        for rank, part in enumerate(parts):
            batch: Batch = next(part)
            assert (batch.step, batch.number) == (step, 2 * step + rank)
            assert torch.equal(batch.source_widths, expected[2 * step + rank])


def test_streamed_lines_are_the_lines_and_only_some_groups_are_held(tmp_path: Path, monkeypatch) -> None:
    import htrjand.train.batches as batches_module
    import htrjand.train.data.lines as module
    from htrjand.train.data.lines import placed_lines
    from htrjand.train.examples import examples

    monkeypatch.setattr(module, "ROW_GROUP", 2)  # 40 row groups of two
    monkeypatch.setattr(batches_module, "SHUFFLE_POOL", 10)
    rows = [printed_row("ab " * (1 + i % 5), str(i)) for i in range(80)]
    write_lines(tmp_path / "lines.parquet", rows)
    found, _ = examples(placed_lines(tmp_path / "lines.parquet", images=False), ("", " ", "a", "b"), "skip")
    assert {line.place for line in found} == {Place(tmp_path / "lines.parquet", i // 2, i % 2) for i in range(80)}
    assert not any(line.row.image for line in found)
    batches = LineBatches(found, 1024, 0.0, seed=1)
    seen: set[str] = set()
    for _, chosen in batches.plan(0):
        for index, _ in chosen:
            row = batches.row(found[index], batches.row_groups)
            assert row == rows[int(row.id)]
            seen.add(row.id)
        assert len(batches.row_groups) <= 5
    assert len(seen) == 80
    ahead, alone = (iter(LineBatches(found, 1024, 0.0, seed=1, workers=workers)) for workers in (3, 0))
    for _ in range(30):  # several epochs, each of eight pools
        batch, expected = next(ahead), next(alone)
        assert batch.number == expected.number and torch.equal(batch.image, expected.image)


def curriculum(folder: Path, changes: str = STAGES) -> Path:
    rows = [printed_row(text, f"{s}-{i}", s) for s in ("train", "val") for i, text in enumerate(TEXTS)]
    rows += [printed_row(text, f"other-{i}", "train", "other") for i, text in enumerate(TEXTS[:4])]
    write_lines(folder / "lines.parquet", rows)
    path = folder / "recipe.yaml"
    path.write_text(TINY.replace("total_lines: 1600", "total_lines: 320") + changes, encoding="utf-8")
    return path


def test_stages_follow_each_other_and_each_is_announced(tmp_path: Path) -> None:
    path = curriculum(tmp_path)
    said: list[str] = []
    outcome = train(load_recipe(TrainRecipe, path), path, tmp_path / "run", machine=CPU, log=said.append)
    stages = [line for line in said if line.startswith("stage")]
    assert stages[0] == "stage 1 of 2, short: 6 lines, distortions times 0; from 0 lines seen"
    assert stages[1].startswith("stage 2 of 2, all: 12 lines, distortions times 1; from 8")
    assert outcome.lines_seen >= 320
    logs = sorted((tmp_path / "run" / "log").glob("*/metrics.csv"))
    assert len(logs) == 2
    with logs[0].open() as stream:
        assert any(row["origin"] for row in csv.DictReader(stream)), "the loss of the dataset's name is logged"
    weights = tmp_path / "run" / "weights.safetensors"
    assert not [name for name in load_tensors(weights) if name.startswith("origin")], "that head is not kept"
    load_network(weights)
    assert load_card(weights).training_data == ("other: 4 lines", "printed: 8 lines")


def test_a_run_ends_when_it_no_longer_gets_better(tmp_path: Path) -> None:
    path = curriculum(tmp_path, "patience: 2\n")
    recipe = replace(load_recipe(TrainRecipe, path), peak_rate=0.0, total_lines=100_000, val_every=5)
    outcome = train(recipe, path, tmp_path / "run", machine=CPU, log=lambda text: None)
    assert outcome.lines_seen < 500, "three validations: one to be the best, two that were no better"


def test_two_processes_end_with_the_same_weights(tmp_path: Path) -> None:
    import os
    import subprocess
    import sys

    path = curriculum(tmp_path)
    program = """
import sys
from pathlib import Path
from htrjand.train import fit
from htrjand.train.checkpoint import save_network
from htrjand.train.recipe import TrainRecipe
from htrjand.train.recipe_loader import load_recipe

kept, shown = [], []
class Kept(fit.TrainingModule):
    def __init__(self, *arguments):
        super().__init__(*arguments)
        kept.append(self)
    def training_step(self, batch, number):
        shown.append(batch.number)
        return super().training_step(batch, number)
fit.TrainingModule = Kept
path = Path(sys.argv[1])
machine = fit.Machine("cpu", 2, progress=False)
outcome = fit.train(load_recipe(TrainRecipe, path), path, path.parent / "run", machine=machine)
module = kept[0]
save_network(path.parent / f"rank{module.trainer.global_rank}.safetensors", module.network.state_dict(), module.card)
save_network(path.parent / f"mean{module.trainer.global_rank}.safetensors", module.average.state_dict(), module.card)
(path.parent / f"shown{module.trainer.global_rank}.txt").write_text(f"{module.lines_seen} {shown}")
"""
    (tmp_path / "two.py").write_text(program)
    root = Path(__file__).parents[2]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(root / ".paths")}
    done = subprocess.run(
        [sys.executable, str(tmp_path / "two.py"), str(path)],
        env=environment,
        capture_output=True,
        text=True,
        timeout=200,
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("stage 2 of 2") + done.stdout.count("stage 2 of 2") == 1, "one of them speaks"
    for name in ("rank", "mean"):
        first, second = (load_tensors(tmp_path / f"{name}{rank}.safetensors") for rank in (0, 1))
        assert first.keys() == second.keys()
        assert all(torch.equal(first[key], second[key]) for key in first), name
    seen, shown = zip(*((tmp_path / f"shown{rank}.txt").read_text().split(" ", 1) for rank in (0, 1)), strict=True)
    assert seen[0] == seen[1] and int(seen[0]) >= 320, "both count the lines of both"
    assert shown[0] != shown[1], "and each was shown its own"


def test_validation_lines_may_come_from_other_files(tmp_path: Path) -> None:
    path = curriculum(tmp_path)
    write_lines(tmp_path / "more.parquet", [printed_row("abc", f"more-{s}", s, "more") for s in ("train", "val")])
    both = DataRecipe(files=("lines.parquet", "more.parquet"))
    assert {line.row.dataset for line in load_data(both, path).val} == {"printed", "more"}
    data = load_data(replace(both, val_files=("lines.parquet",)), path)
    assert {line.row.dataset for line in data.val} == {"printed"}
    assert "more" in data.origins


def test_a_mistake_in_a_later_stage_is_found_before_the_first(tmp_path: Path) -> None:
    path = curriculum(tmp_path, "stages: [{name: one}, {name: two, mix: {absent: 2}}]\n")
    with pytest.raises(UsageError, match="stage two: no training line of absent"):
        train(load_recipe(TrainRecipe, path), path, tmp_path / "run", machine=CPU)
    assert not (tmp_path / "run").exists()


def test_one_short_line_among_long_ones_does_not_fill_a_batch_of_its_own() -> None:
    some = lines(39, "a", 12) + lines(1, "a", 1)
    counts = Counter(index for _, batch in LineBatches(some, 7168, 0.0).plan(0) for index, _ in batch)
    assert counts[39] == 1
    assert sum(counts.values()) < 50


def test_lines_that_cannot_be_used_are_counted_and_none_is_an_error(tmp_path: Path) -> None:
    write_lines(tmp_path / "lines.parquet", [printed_row("ab", "1"), printed_row("xyz", "2", "val")])
    with pytest.raises(
        HtrjandError, match="no line left to choose by; 1 validation lines left out: no text, or a char"
    ):
        load_data(DataRecipe(files=("lines.parquet",), hold_out=0.2), tmp_path / "recipe.yaml")
    write_lines(tmp_path / "lines.parquet", [printed_row("ab", "1", "val")])
    with pytest.raises(HtrjandError, match="no line left to train on; 1 validation lines"):
        load_data(DataRecipe(files=("lines.parquet",)), tmp_path / "recipe.yaml")
    assert [len(part) for part in hold_out(lines(4, "a"), 0.2)[:2]] == [3, 1]
