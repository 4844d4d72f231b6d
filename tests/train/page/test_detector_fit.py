"""A tiny detector learns a drawn page within seconds; a run that was ended goes on."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner

from htrjand.cli import main
from htrjand.runtime.errors import HtrjandError, UsageError
from htrjand.train.page.augment import PageAugmentRecipe
from htrjand.train.page.fit import detector_loss, train_detector
from htrjand.train.page.network import Detector, DetectorRecipe
from htrjand.train.page.recipe import DetectorTrainRecipe, PageDataRecipe
from htrjand.train.page.targets import draw_maps, line_shape
from htrjand.train.page.weights import load_detector, mean_detector, save_detector
from htrjand.train.recipe_loader import load_recipe

PLAIN = PageAugmentRecipe(scale=0.1, stretch=0, turn=1, together=0, bleed=0, ruled=0, shade=0, blur=0)
TINY = DetectorTrainRecipe(
    data=PageDataRecipe(files=("drawn.parquet",)), network=DetectorRecipe((12, 12, 16, 16), (1, 1, 1, 1)),
    augment=PLAIN, crop=256, batch=4, steps=80, warm_up=5, peak_rate=1e-2, ema=0.9, val_every=1000, save_every=40,
)  # fmt: skip


def test_a_tiny_network_learns_one_page(drawn_pages: Path, tmp_path: Path):
    said: list[str] = []
    scores = train_detector(TINY, Path("tiny.yaml"), tmp_path, data_folder=drawn_pages, log=said.append)
    assert scores["drawn"].true == 12
    assert scores["drawn"].recall == 100 and scores["drawn"].precision > 90
    network = load_detector(tmp_path / "weights.safetensors")
    assert network.recipe == TINY.network
    assert any("recall 100.0" in line for line in said)


def test_a_run_goes_on_where_it_was_saved(drawn_pages: Path, tmp_path: Path):
    short = dataclasses.replace(TINY, steps=6, save_every=3, decay_start=0.0, crop=64, batch=1)
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    train_detector(short, Path("x"), whole, data_folder=drawn_pages, log=lambda line: None)
    said: list[str] = []
    with pytest.raises(KeyboardInterrupt):
        train_detector(short, Path("x"), parts, data_folder=drawn_pages, log=stop_at("step 6"))
    train_detector(short, Path("x"), parts, data_folder=drawn_pages, log=said.append)
    assert [line.split(":")[0] for line in said if line.startswith("step")] == ["step 6"]
    first, second = (load_detector(folder / "weights.safetensors").state_dict() for folder in (whole, parts))
    assert all(torch.allclose(first[name], second[name], atol=1e-6) for name in first)


def stop_at(beginning: str):
    """A log that interrupts the run at a line: before anything of that step is saved."""

    def log(line: str) -> None:
        if line.startswith(beginning):
            raise KeyboardInterrupt

    return log


def test_the_mean_of_weights_is_written_in_half_precision(tmp_path: Path):
    paths = [tmp_path / f"{k}.safetensors" for k in range(2)]
    given = []
    for k, path in enumerate(paths):
        torch.manual_seed(k)
        given.append(Detector(TINY.network))
        save_detector(given[-1], path)
    command = [sys.executable, "-m", "htrjand.train.page.weights", *map(str, paths), str(tmp_path / "out.safetensors")]
    subprocess.run(command, check=True)
    mean = load_detector(tmp_path / "out.safetensors").state_dict()
    for name, tensor in mean.items():
        wanted = sum(detector.state_dict()[name].double() for detector in given) / 2
        assert torch.allclose(tensor.double(), wanted, rtol=1e-3, atol=1e-4), name
    save_detector(Detector(DetectorRecipe((8, 8), (0, 0))), paths[1])
    with pytest.raises(HtrjandError, match="another shape"):
        mean_detector(paths)


def test_a_run_begins_from_weights_of_the_same_shape_alone(drawn_pages: Path, tmp_path: Path):
    short = dataclasses.replace(TINY, steps=1, save_every=1, crop=64, batch=1, peak_rate=0.0)
    torch.manual_seed(5)
    given = Detector(TINY.network)
    save_detector(given, tmp_path / "given.safetensors")
    out = tmp_path / "out"
    train_detector(short, Path("x"), out, data_folder=drawn_pages, begin=tmp_path / "given.safetensors")
    kernel = load_detector(out / "weights.safetensors").state_dict()["stages.0.0.first.0.weight"]
    assert torch.equal(kernel, given.state_dict()["stages.0.0.first.0.weight"])
    other = dataclasses.replace(short, network=DetectorRecipe((8, 8), (0, 0)))
    with pytest.raises(UsageError, match="another shape"):
        train_detector(other, Path("x"), tmp_path / "b", data_folder=drawn_pages, begin=tmp_path / "given.safetensors")


def test_an_excluded_dataset_is_not_learned_from(drawn_pages: Path, tmp_path: Path):
    without = dataclasses.replace(TINY, data=dataclasses.replace(TINY.data, exclude=("drawn",)))
    with pytest.raises(UsageError, match="no pages"):
        train_detector(without, Path("x"), tmp_path, data_folder=drawn_pages)


def test_weights_in_half_precision_are_half_as_large_and_read_alike(tmp_path: Path):
    network = Detector(DetectorRecipe()).eval()
    save_detector(network, tmp_path / "whole.safetensors")
    save_detector(network, tmp_path / "half.safetensors", half=True)
    sizes = [(tmp_path / f"{name}.safetensors").stat().st_size for name in ("whole", "half")]
    assert sizes[1] < 0.55 * sizes[0]
    image = torch.randint(0, 256, (1, 1, 64, 96), dtype=torch.uint8, generator=torch.manual_seed(0))
    with torch.inference_mode():
        maps = [load_detector(tmp_path / f"{name}.safetensors")(image) for name in ("whole", "half")]
    assert maps[1].dtype == torch.float32 and torch.allclose(*maps, atol=0.02)


def test_the_commands_train_and_score(drawn_pages: Path, tmp_path: Path):
    recipe = tmp_path / "tiny.yaml"
    recipe.write_text(
        "data: {files: [drawn.parquet]}\nsteps: 1\ncrop: 64\nbatch: 1\nnetwork: {channels: [8, 8], blocks: [0, 0]}\n"
    )
    out = tmp_path / "out"
    done = CliRunner().invoke(
        main, ["detector", "train", str(recipe), "-o", str(out), "--data", str(drawn_pages), "--workers", "0"]
    )
    assert done.exit_code == 0, done.output
    weights = str(out / "weights.safetensors")
    done = CliRunner().invoke(main, ["detector", "score", weights, "-i", str(drawn_pages / "drawn.parquet")])
    assert done.exit_code == 0, done.output
    assert "drawn" in done.output and "(12 lines)" in done.output
    for wrong in (["--split", "test"], ["--card"], ["--exclude", "drawn"]):
        assert CliRunner().invoke(main, ["detector", "score", weights, "-i", str(drawn_pages), *wrong]).exit_code == 2


def test_the_state_of_another_network_is_refused(drawn_pages: Path, tmp_path: Path):
    short = dataclasses.replace(TINY, steps=1, save_every=1, crop=64, batch=1)
    train_detector(short, Path("x"), tmp_path, data_folder=drawn_pages, log=lambda line: None)
    other = dataclasses.replace(short, network=DetectorRecipe((8, 8), (0, 0)))
    with pytest.raises(UsageError, match="another recipe"):
        train_detector(other, Path("x"), tmp_path, data_folder=drawn_pages, log=lambda line: None)
    (tmp_path / "state.pt").write_bytes(b"no state")
    with pytest.raises(HtrjandError, match="cannot be read"):
        train_detector(short, Path("x"), tmp_path, data_folder=drawn_pages, log=lambda line: None)


def test_weights_that_are_none_are_refused(tmp_path: Path):
    (tmp_path / "weights.safetensors").write_bytes(b"none")
    for name in ("weights.safetensors", "missing.safetensors"):
        with pytest.raises(HtrjandError, match="not the weights of a line detector"):
            load_detector(tmp_path / name)


def test_no_pages_is_an_error(drawn_pages: Path, tmp_path: Path):
    empty = dataclasses.replace(TINY, data=PageDataRecipe(files=()))
    with pytest.raises(UsageError, match="no pages"):
        train_detector(empty, Path("x.yaml"), tmp_path, data_folder=drawn_pages)


def test_perfect_maps_have_the_least_loss_and_masked_pixels_have_none():
    line = line_shape([(10, 20), (110, 20), (110, 60), (10, 60)], [(10, 48), (110, 48)])
    assert line is not None
    maps = torch.from_numpy(draw_maps([line], 128, 128))[None]
    marks = torch.logit(maps[:, :2].clamp(1e-3, 1 - 1e-3))
    heights = maps[:, 2:].clone()
    weight = torch.ones(1, 1, 32, 32)
    core, ends, height = detector_loss(marks, heights, maps, weight)
    worse = detector_loss(marks * 0.5, heights + 0.2, maps, weight)
    assert core < worse[0] and ends < worse[1] and height == 0
    assert worse[2] == pytest.approx(0.2, abs=1e-5)
    spoilt = marks.clone()
    spoilt[..., 25:, :] = 8.0  # lines that are not there
    weight[..., 25:, :] = 0
    assert detector_loss(spoilt, heights, maps, weight)[0] == pytest.approx(
        float(detector_loss(marks, heights, maps, weight)[0]), abs=1e-6
    )


def test_the_network_keeps_to_its_size_and_shape():
    network = Detector(DetectorRecipe()).eval()
    assert sum(parameter.numel() for parameter in network.parameters()) <= 400_000
    image = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (2, 1, 96, 160), dtype=np.uint8))
    with torch.inference_mode():
        maps = network(image)
    assert maps.shape == (2, 4, 24, 40) and maps.dtype == torch.float32
    assert maps[:, :2].min() >= 0 and maps[:, :2].max() <= 1


def test_the_recipe_of_the_repository_is_one():
    recipe = load_recipe(DetectorTrainRecipe, Path(__file__).parents[3] / "train/recipes/detector.yaml")
    assert recipe.data.files == ("pagepacks",)
    for wrong in ({"crop": 500}, {"ema": 1.0}, {"steps": 0}):
        with pytest.raises(ValueError):
            dataclasses.replace(recipe, **wrong)
