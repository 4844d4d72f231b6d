"""Training: it learns, it goes on after a kill as if nothing had been, and it refuses what it cannot use."""

from __future__ import annotations

import json
import multiprocessing
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from generated import CPU, TEXTS, TINY, printed_row

from htrjand.benchmarks.studies.ablate import AblateRecipe
from htrjand.cli import main
from htrjand.compress.distill import DistillRecipe
from htrjand.compress.joint import JointRecipe
from htrjand.runtime.errors import HtrjandError, UsageError
from htrjand.train import fit
from htrjand.train.augment import AugmentRecipe, augment
from htrjand.train.batches import BUCKET, Batch, LineBatches
from htrjand.train.checkpoint import Card, load_card, load_network, load_tensors, read_rest, save_network
from htrjand.train.data.lines import Place, read_lines, write_lines
from htrjand.train.examples import Example, examples
from htrjand.train.fit import train
from htrjand.train.losses import count_errors
from htrjand.train.module import STATE, TrainingModule
from htrjand.train.network import STUDENT, TEACHER, Network, NetworkRecipe
from htrjand.train.reader import open_weights, read_rows
from htrjand.train.recipe import TrainRecipe
from htrjand.train.recipe_loader import load_recipe

ROOT = Path(__file__).parents[2]
ENVIRONMENT = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT / ".paths")}
OFF = AugmentRecipe(**dict.fromkeys(AugmentRecipe.__dataclass_fields__, 0.0))
SMALL = NetworkRecipe(channels=(12, 16, 16, 24), dim=32, heads=2, feed=64, blocks=1)


def test_a_tiny_network_learns_eight_lines_by_heart(tiny_run: Path) -> None:
    reader = open_weights(tiny_run / "run" / "weights.safetensors")
    rows = list(read_lines(tiny_run / "lines.parquet", "val"))
    assert [reader.read_line(row.image).text for row in rows] == list(TEXTS)
    card = load_card(tiny_run / "run" / "weights.safetensors")
    assert card.charset == ("", " ", "a", "b", "c")
    assert card.val_cer == 0
    assert card.training_data == ("printed: 8 lines",)


def test_logs_are_there(tiny_run: Path) -> None:
    head = (tiny_run / "run" / "log" / "from-step-0" / "metrics.csv").read_text().splitlines()[0]
    assert {"ctc", "shortcut", "val_cer", "lines_per_second"} <= set(head.split(","))
    assert list((tiny_run / "run" / "log" / "from-step-0").glob("events*"))


def run_train(folder: Path, out: str) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "htrjand", "train", "tiny.yaml", "-o", out, "--device", "cpu", "--workers", "0"]
    return subprocess.Popen(command, cwd=folder, env=ENVIRONMENT, stderr=subprocess.PIPE)


def killed_stage(run: Path) -> Iterator[bool]:
    """Whether the state that a run has saved is of its second stage."""
    while True:
        yield (run / STATE).exists() and read_rest(run / STATE)["stage"] == 1


def test_a_killed_run_ends_with_the_same_weights(tmp_path: Path) -> None:
    write_lines(tmp_path / "lines.parquet", [printed_row(t, f"{s}{t}", s) for s in ("train", "val") for t in TEXTS])
    recipe = (
        TINY.replace("total_lines: 1600", "total_lines: 480")
        .replace("noise: 0", "noise: 10")
        .replace("val_every: 50", "val_every: 20")
    ) + "stages: [{name: one, share: 1, easiest: 0.5, strength: 0.5}, {name: two, share: 3}]\norigin: 0.1\n"
    (tmp_path / "tiny.yaml").write_text(recipe, encoding="utf-8")
    straight = run_train(tmp_path, "straight")
    assert straight.wait(120) == 0

    killed = run_train(tmp_path, "killed")
    state = tmp_path / "killed" / "state.safetensors"
    deadline = time.monotonic() + 120
    second = killed_stage(tmp_path / "killed")
    while not next(second) and time.monotonic() < deadline:  # the second stage's first saved state
        time.sleep(0.01)
    killed.send_signal(signal.SIGKILL)
    assert killed.wait(60) == -signal.SIGKILL, "it was still running"
    again = run_train(tmp_path, "killed")
    assert again.wait(120) == 0

    expected, found = load_tensors(tmp_path / "straight" / "state.safetensors"), load_tensors(state)
    assert expected.keys() == found.keys()
    assert all(torch.equal(expected[name], found[name]) for name in expected)
    for name in ("weights.safetensors", "weights.json"):
        assert (tmp_path / "straight" / name).read_bytes() == (tmp_path / "killed" / name).read_bytes()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_run_ended_by_a_signal_has_saved_its_last_step(
    tiny_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: signal.Signals
) -> None:
    path, rest = tiny_run / "tiny.yaml", {"val_every": 10, "save_every": 10_000, "total_lines": 160}
    recipe = replace(load_recipe(TrainRecipe, path), **rest)
    fit.train(recipe, path, tmp_path / "straight", machine=CPU)
    going_on, steps = TrainingModule.update_average, []

    def and_a_signal(module: TrainingModule) -> None:
        going_on(module)
        steps.append(module.step)
        if len(steps) == 7:
            signal.raise_signal(number)

    monkeypatch.setattr(TrainingModule, "update_average", and_a_signal)
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(HtrjandError, match="run: stopped by a signal; saved at 70 lines seen: the same command goes"):
        fit.train(recipe, path, tmp_path / "run", machine=CPU)
    assert signal.getsignal(signal.SIGINT) is before
    assert read_rest(tmp_path / "run" / STATE)["step"] == 7
    fit.train(recipe, path, tmp_path / "run", machine=CPU)
    expected, found = (load_tensors(tmp_path / name / STATE) for name in ("straight", "run"))
    assert all(torch.equal(expected[name], found[name]) for name in expected)


def test_a_finished_run_is_not_done_again(tiny_run: Path) -> None:
    before = (tiny_run / "run" / "state.safetensors").read_bytes()
    recipe = load_recipe(TrainRecipe, tiny_run / "tiny.yaml")
    outcome = train(recipe, tiny_run / "tiny.yaml", tiny_run / "run", machine=CPU)
    assert outcome.lines_seen >= recipe.total_lines
    assert (tiny_run / "run" / "state.safetensors").read_bytes() == before


def test_a_folder_with_a_run_of_another_recipe_is_refused(tiny_run: Path) -> None:
    other = tiny_run / "other.yaml"
    other.write_text(TINY + "clip: 2.0\n", encoding="utf-8")
    with pytest.raises(UsageError, match="another recipe"):
        train(load_recipe(TrainRecipe, other), other, tiny_run / "run", machine=CPU)


def test_the_time_ends_a_run(tiny_run: Path, tmp_path: Path) -> None:
    path = tiny_run / "long.yaml"
    path.write_text(TINY.replace("total_lines: 1600", "total_lines: 10000000"), encoding="utf-8")
    outcome = train(load_recipe(TrainRecipe, path), path, tmp_path, max_time=2.0, machine=CPU)
    assert 0 < outcome.lines_seen < 10_000_000


def test_the_rate_rises_then_falls_with_the_lines_or_the_time(tmp_path: Path) -> None:
    recipe = TrainRecipe(network=SMALL, total_lines=1000, warm_up=10, peak_rate=1.0)
    module = TrainingModule(recipe, Network(SMALL, 3), Card(SMALL, ("", "a", "b")), tmp_path, max_time=60.0)
    assert module.rate() == pytest.approx(0.1)
    module.step = 10
    assert module.rate() == pytest.approx(1.0)
    module.lines_seen = 500
    assert module.rate() == pytest.approx(0.5)
    module.seconds = 45.0
    assert module.progress() == 0.75
    module.seconds = 61.0
    assert module.rate() == 0


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("linse: 3", "unknown key linse; the keys are data"),
        ("data: {folder: x}", "data: unknown key folder"),
        ("total_lines: many", "total_lines: int expected, got 'many'"),
        ("network: {channels: 3}", "network: channels: a list expected"),
        ("network: {dim: 30}", "multiple"),
        ("save_every: 0", "save_every: 1 or more"),
        ("network: {blocks: 0}", "blocks: 1 or more"),
        ("network: {layer_drop: 1.5}", "layer_drop: from 0"),
        ("data: {hold_out: 1}", "hold_out: from 0 to less than 1"),
        ("stages: [{share: 2}]", "stages: .*name"),
        ("stages: [{name: one, easiest: 0}]", "stage one: share and easiest: more than 0"),
        ("freeze: 6", "freeze: from 0 to 4 blocks"),
        ("peak_rate: fast", "float expected"),
        ("[1, 2]", "keys and values expected"),
        ("a: [", "not a YAML recipe"),
    ],
)
def test_a_wrong_recipe_is_explained(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "recipe.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(UsageError, match=message) as caught:
        load_recipe(TrainRecipe, path)
    assert "recipe.yaml" in str(caught.value)


def test_released_recipes_are_whole() -> None:
    folder = Path(__file__).parents[2] / "train" / "recipes"
    teacher, student = (
        load_recipe(TrainRecipe, folder / "teacher.yaml"),
        load_recipe(DistillRecipe, folder / "student.yaml"),
    )
    for recipe, name in ((teacher, "teacher"), (student.train, "student")):  # those that are released
        assert recipe.network == load_card(ROOT / "train" / "weights" / f"{name}.safetensors").network
    both = load_recipe(JointRecipe, folder / "joint.yaml")
    quick = load_recipe(TrainRecipe, folder / "speedrun.yaml")
    end = load_recipe(TrainRecipe, folder / "teacher-end.yaml")
    deeper = (1, 1, 1, 0)
    more = load_recipe(TrainRecipe, folder / "student-end.yaml")
    assert more.network == student.train.network
    assert end.network == both.train.network == teacher.network == replace(TEACHER, deeper=deeper, layer_drop=0.3)
    assert both.student == student.train.network == replace(quick.network, deeper=deeper)
    assert quick.network == STUDENT
    for recipe in (student.train, both.train, end, more):
        assert recipe.data.val_files == teacher.data.val_files, "all are chosen by the same lines"
    for held_back in ("csafe-woz", "read2016-bozen", "read2017-escher"):  # no released weights may have seen them
        for recipe in (teacher, student.train, both.train, quick, end, more):
            assert held_back in recipe.data.exclude
    assert load_recipe(AblateRecipe, folder / "ablate.yaml").distill.train.stages


@pytest.fixture
def weights(tiny_run: Path, tmp_path: Path) -> Path:
    for suffix in (".safetensors", ".json"):
        shutil.copy(tiny_run / "run" / f"weights{suffix}", tmp_path)
    return tmp_path / "weights.safetensors"


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_weights_are_not_run_on_a_gpu_that_is_not_there(weights: Path) -> None:
    with pytest.raises(UsageError, match=r"weights\.safetensors: torch finds no GPU on this machine"):
        open_weights(weights, gpu=True)


def test_weights_that_cannot_be_used_are_named(weights: Path) -> None:
    card = weights.with_suffix(".json")
    good = json.loads(card.read_text())
    fitted = {"seal": "ab" * 32, "weight": 0.6, "bonus": 1.25, "temperature": 1.75}
    card.write_text(json.dumps(good | {"charset": [*good["charset"], "d"]}))
    with pytest.raises(HtrjandError, match="5 classes, and the charset beside it has 6"):
        load_network(weights)
    card.write_text(json.dumps(good | {"network": good["network"] | {"blocks": 2}}))
    with pytest.raises(HtrjandError, match="another network"):
        load_network(weights)
    card.write_text(json.dumps(good | {"format": 99}))
    with pytest.raises(HtrjandError, match="another version"):
        load_network(weights)
    card.unlink()
    with pytest.raises(HtrjandError, match=r"weights\.json: no such file"):
        load_network(weights)
    card.write_text(json.dumps(good | {"sha256": "0" * 64}))
    with pytest.raises(HtrjandError, match="not the weights that the .json beside it was written with"):
        load_network(weights)
    card.write_text(json.dumps([1]))
    with pytest.raises(HtrjandError, match="not the card of a network"):
        load_network(weights)
    for said, wrong in (
        ({"temperature": 0}, "model description: temperature is 0.0, where a number from 0.01 to 100.0 is wanted"),
        ({"language_model": fitted | {"weight": -1}}, "not the card of a network .*language_model: weight is -1.0"),
        ({"language_model": {"seal": "x"}}, "not the card of a network .*language_model: .*missing"),
        ({"language_model": fitted | {"weight": None}}, "not the card of a network .*language_model: weight: float"),
    ):
        card.write_text(json.dumps(good | said))
        with pytest.raises(HtrjandError, match=rf"^\S*weights\.json: {wrong}"):
            open_weights(weights)
    old = {key: value for key, value in good.items() if key not in ("temperature", "language_model")}
    card.write_text(json.dumps(old))
    info = open_weights(weights).info
    assert (info.temperature, info.language_model) == (1.0, None), "a card of before these"
    card.write_text(json.dumps(good))
    weights.write_bytes(weights.read_bytes()[:-100])
    with pytest.raises(HtrjandError, match="not a whole safetensors file"):
        load_network(weights)


def some_lines(count: int) -> list[Example]:
    rows = [printed_row("ab " * (1 + i % 9), str(i)) for i in range(count)]
    return [Example(row, np.array([1, 2] * (len(row.text) // 3))) for row in rows]


def test_batches_are_the_same_from_any_step() -> None:
    lines = some_lines(40)
    whole = iter(LineBatches(lines, 2048, 0.2, seed=3))
    first = [next(whole) for _ in range(30)]
    for start in (1, 13, 29):
        batch = next(iter(LineBatches(lines, 2048, 0.2, seed=3, start=start)))
        assert batch.step == start
        assert torch.equal(batch.image, first[start].image)
        assert torch.equal(batch.classes, first[start].classes)


def test_decoded_lines_are_kept_while_there_is_room(monkeypatch: pytest.MonkeyPatch) -> None:
    import htrjand.train.batches as module

    lines = some_lines(40)
    monkeypatch.setattr(module, "CACHE_BYTES", 20 * 64 * 150)
    batches = LineBatches(lines, 2048, 0.2, seed=3)
    shown = iter(batches)
    first = [next(shown) for _ in range(30)]  # several epochs
    assert 0 < len(batches.decoded) < len(lines)
    assert sum(pixels.nbytes for pixels in batches.decoded.values()) <= module.CACHE_BYTES
    monkeypatch.setattr(module, "CACHE_BYTES", 0)
    again = iter(LineBatches(lines, 2048, 0.2, seed=3))
    assert all(torch.equal(batch.image, next(again).image) for batch in first)


def test_workers_take_turns() -> None:
    loader = iter(LineBatches(some_lines(40), 2048, 0.2, seed=3, start=5, workers=2))
    assert [next(loader).step for _ in range(8)] == list(range(5, 13))


@pytest.mark.parametrize("workers", [1, 2])
def test_batches_made_ahead_are_the_same_and_their_threads_end(workers: int) -> None:
    lines = some_lines(40)
    alone, ahead = iter(LineBatches(lines, 2048, 0.2, seed=3)), iter(LineBatches(lines, 2048, 0.2, 3, workers=workers))
    for _ in range(30):
        expected, batch = next(alone), next(ahead)
        assert batch.number == expected.number and torch.equal(batch.image, expected.image)
    threads = [thread for thread in threading.enumerate() if thread.name.startswith("decode")]
    assert 0 < len(threads) <= workers
    ahead.close()  # type: ignore[attr-defined]
    assert not any(thread.is_alive() for thread in threads)
    once = LineBatches(lines, 2048, 0.0, single_pass=True, workers=workers)
    assert sum(len(batch.lengths) for batch in once) == 40, "the last batches come too"


def test_a_run_forks_no_process(tiny_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A process forked while the libraries of all formats are loaded may crash."""
    children: list[int] = []

    class Watched(TrainingModule):
        def losses(self, image: torch.Tensor, batch: Batch) -> dict[str, torch.Tensor]:
            children.append(len(multiprocessing.active_children()))
            return super().losses(image, batch)

    monkeypatch.setattr(fit, "TrainingModule", Watched)
    path = tiny_run / "tiny.yaml"
    recipe = replace(load_recipe(TrainRecipe, path), total_lines=80)
    train(recipe, path, tmp_path / "run", machine=replace(CPU, workers=1))
    assert len(children) >= 8 and not any(children)


def test_other_lines_under_the_same_recipe_are_refused(tiny_run: Path, tmp_path: Path) -> None:
    (tmp_path / "tiny.yaml").write_text(TINY, encoding="utf-8")
    rows = list(read_lines(tiny_run / "lines.parquet"))
    shutil.copytree(tiny_run / "run", tmp_path / "run")
    recipe = load_recipe(TrainRecipe, tmp_path / "tiny.yaml")
    for others in (rows[1:], [replace(rows[0], text="ca"), *rows[1:]]):  # one less, and one of them corrected
        write_lines(tmp_path / "lines.parquet", others)
        with pytest.raises(UsageError, match="on other lines"):
            train(recipe, tmp_path / "tiny.yaml", tmp_path / "run", machine=CPU)


def test_a_state_saved_before_cards_had_all_that_they_have_is_resumed(tmp_path: Path) -> None:
    """The digest of a run as it was when a card ended with its history, pinned."""
    recipe = TrainRecipe(network=SMALL)
    card = Card(SMALL, ("", "a", "b"), history={"begins from": "0"})
    module = TrainingModule(recipe, Network(SMALL, 3), card, tmp_path, None)
    before = "5040630bcc21ca5c38744ad5cb2475f23a8b9ff07dedb064078f01f81c55e22b"
    assert module.fingerprint() == before
    others = replace(card, charset=("", "a", "c"))
    assert TrainingModule(recipe, Network(SMALL, 3), others, tmp_path, None).fingerprint() != before


def test_a_broken_image_is_named_from_a_worker_too(tmp_path: Path) -> None:
    (tmp_path / "tiny.yaml").write_text(TINY, encoding="utf-8")
    good = printed_row("ab", "1", "val")
    write_lines(tmp_path / "lines.parquet", [replace(printed_row("ab", "17"), image=good.image[:60]), good])
    recipe = load_recipe(TrainRecipe, tmp_path / "tiny.yaml")
    with pytest.raises(HtrjandError, match=r"^line 17 of printed: ") as caught:
        train(recipe, tmp_path / "tiny.yaml", tmp_path / "run", machine=replace(CPU, workers=1))
    assert "\n" not in str(caught.value)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_gpu_that_is_not_there(tiny_run: Path, tmp_path: Path) -> None:
    recipe = load_recipe(TrainRecipe, tiny_run / "tiny.yaml")
    with pytest.raises(UsageError, match="finds no GPU"):
        train(recipe, tiny_run / "tiny.yaml", tmp_path, machine=replace(CPU, device="gpu"))


def test_a_folder_that_cannot_be_made_is_one_line(tiny_run: Path) -> None:
    (tiny_run / "file").write_text("")
    command = ["train", str(tiny_run / "tiny.yaml"), "-o", str(tiny_run / "file" / "run"), "--device", "cpu"]
    done = CliRunner().invoke(main, command)
    assert done.exit_code == 1
    assert "check the path" in done.output
    assert "Traceback" not in done.output


def test_few_shapes() -> None:
    batches = iter(LineBatches(some_lines(100), 2048, 0.2))
    shapes = {(batch.image.shape[0], batch.width) for batch in (next(batches) for _ in range(60))}
    assert len(shapes) == len({width for _, width in shapes}), "one number of lines a width"
    assert all(width % BUCKET == 0 for _, width in shapes)


def test_validation_shows_each_line_once() -> None:
    lines = some_lines(37)
    shown = sum(len(batch.lengths) for batch in LineBatches(lines, 2048, 0.0, single_pass=True))
    assert shown == 37


def frames(path: str, charset: tuple[str, ...], count: int) -> torch.Tensor:
    """Logits [T, V] whose best classes spell a path; `-` is the blank, and fills the frames that are left."""
    classes = [0 if char == "-" else charset.index(char) for char in path.ljust(count, "-")]
    return 9.0 * torch.nn.functional.one_hot(torch.tensor(classes), len(charset))


def test_validation_counts_errors_over_normalised_texts() -> None:
    charset = ("", " ", "a", "b", "’", "'")
    lines = [Example(printed_row(text, text), np.array([charset.index(c) for c in text])) for text in ("a b", "a'b")]
    batch = next(iter(LineBatches(lines, 2048, 0.0, single_pass=True)))
    count = batch.image.shape[3] // 4
    same = torch.stack([frames(path, charset, count) for path in (" -aa- - -b- ", "a-’-b")])
    assert count_errors(same, batch, charset).tolist() == [[0, 3], [0, 3]], "spaces and quotes are normalised"
    worse = torch.stack([frames(path, charset, count) for path in ("a-b", "a-a-'bb")])
    assert count_errors(worse, batch, charset).tolist() == [[1, 3], [1, 3]]


def test_the_validation_cer_is_that_of_the_recogniser(tiny_run: Path, weights: Path) -> None:
    network, card = load_network(weights)
    torch.manual_seed(1)
    with torch.no_grad():
        network.head.weight += torch.randn_like(network.head.weight)  # so that it makes mistakes, spaces among them
    save_network(weights, network.state_dict(), card)
    rows = list(read_lines(tiny_run / "lines.parquet", "val"))
    reading = read_rows(open_weights(weights), rows)
    assert 20 < reading.cer() < 120
    lines, skipped = examples(((row, Place(weights, 0, 0)) for row in rows), card.charset, "error")
    assert len(lines) == len(rows) and not any(skipped.values())
    counts = []
    for batch in LineBatches(lines, 2048, 0.0, single_pass=True):
        with torch.no_grad():
            counts.append(count_errors(network(batch.image, batch.padded_widths), batch, card.charset))
    assert tuple(np.concatenate(counts).sum(0)) == reading.errors["printed"]


def test_augmentation_is_fixed_by_its_seed_and_off_at_zero() -> None:
    batch = next(iter(LineBatches(some_lines(10), 2048, 0.0)))

    def distorted(recipe: AugmentRecipe, seed: int) -> torch.Tensor:
        return augment(
            batch.image, batch.source_widths, batch.scaled_widths, batch.width, recipe, seed, batch.padded_widths
        )

    assert torch.equal(distorted(AugmentRecipe(), 1), distorted(AugmentRecipe(), 1))
    assert not torch.equal(distorted(AugmentRecipe(), 1), distorted(AugmentRecipe(), 2))
    plain = batch.image[..., : batch.width].float()
    torch.testing.assert_close(distorted(OFF, 1), plain, atol=0.05, rtol=0)


def test_a_profile_moves_rows_and_keeps_their_order() -> None:
    ramp = torch.arange(64, dtype=torch.float32).mul(4)[:, None].expand(8, 1, 64, 96)
    widths = torch.full((8,), 96)
    recipe = AugmentRecipe(**dict.fromkeys(AugmentRecipe.__dataclass_fields__, 0.0) | {"profile": 0.6})
    image = augment(ramp, widths, widths, 96, recipe, 1)
    steps = image.diff(dim=2)  # 4 where rows are as they were
    assert steps.min() >= 0 and steps.min() < 2.5 and steps.max() > 5.5
    assert (image - image[..., :1]).abs().max() < 0.01, "alike in all columns"


def test_neighbouring_seeds_give_other_distortions_and_other_dropout(
    tiny_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seeds: list[tuple[int, int]] = []

    class Watched(TrainingModule):
        def losses(self, image: torch.Tensor, batch: Batch) -> dict[str, torch.Tensor]:
            seeds.append((torch.initial_seed(), hash(image.numpy().tobytes())))
            return super().losses(image, batch)

    monkeypatch.setattr(fit, "TrainingModule", Watched)
    rows = [printed_row("ab", f"{split}-{i}", split) for split in ("train", "val") for i in range(8)]  # one image only
    write_lines(tmp_path / "lines.parquet", rows)
    path = tmp_path / "tiny.yaml"
    path.write_text(TINY.replace("noise: 0", "noise: 10"), encoding="utf-8")
    recipe = replace(load_recipe(TrainRecipe, path), total_lines=160, val_every=1000)
    for seed in (1, 2):
        train(replace(recipe, seed=seed), path, tmp_path / str(seed), machine=CPU)
    assert len(seeds) >= 20
    for of_one_kind in zip(*seeds, strict=True):
        assert len(set(of_one_kind)) == len(seeds), "no batch of either run has the seed of another"


@pytest.mark.parametrize("name", [f for f in AugmentRecipe.__dataclass_fields__ if f != "scale"])
def test_each_distortion_does_something(name: str) -> None:
    batch = next(iter(LineBatches(some_lines(10), 2048, 0.0)))
    recipe = AugmentRecipe(**{f: 0.0 for f in AugmentRecipe.__dataclass_fields__} | {name: 0.5})
    images = [
        augment(batch.image, batch.source_widths, batch.scaled_widths, batch.width, recipe, seed, batch.padded_widths)
        for seed in range(8)
    ]
    image = torch.cat(images)
    assert images[0].shape == (*batch.image.shape[:3], batch.width)
    assert image.min() >= 0
    assert image.max() <= 255
    assert (image - batch.image[..., : batch.width].repeat(8, 1, 1, 1)).abs().max() > 0.2
