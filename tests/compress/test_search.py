"""The search for what is to stay in float."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from hurting import widen

from htrjand.compress.search import Decision, search
from htrjand.runtime.errors import HtrjandError, UsageError
from htrjand.train.checkpoint import load_network, save_network, weights_of
from htrjand.train.data.lines import LineRow, read_lines

CANDIDATES = ((), ("attention", "neck"), ("convs.3",), ("convs.0", "convs.3"))


@pytest.fixture(scope="module")
def rows(tiny_run: Path) -> list[LineRow]:
    return list(read_lines(tiny_run / "lines.parquet", "val"))


@pytest.fixture(scope="module")
def hurt(tiny_run: Path) -> Path:
    """Weights whose fourth convolution is not for eight bits."""
    network, card = load_network(tiny_run / "run" / "weights.safetensors")
    widen(network, 2, 1000)
    path = tiny_run / "search.safetensors"
    save_network(path, weights_of(network), card)
    return path


def test_it_keeps_in_float_what_cannot_bear_eight_bits(
    hurt: Path, rows: list[LineRow], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    found = search(hurt, [row.pixels() for row in rows], rows, 1.0, CANDIDATES)
    assert found.keep == ("convs.3",), "the first that helps; a larger one is not tried"
    assert not found.qat
    assert [trial.keep for trial in found.trials] == list(CANDIDATES[:3])
    assert found.cer == 0
    assert [trial.more["all"] > 1 for trial in found.trials] == [True, True, False]
    assert "| `attention`, `neck` |" in found.markdown()
    assert not list(tmp_path.iterdir()), "it leaves nothing where it runs"
    assert capfd.readouterr() == ("", ""), "nor says anything of its own"


def test_where_nothing_helps_the_weights_are_to_be_tuned(hurt: Path, rows: list[LineRow]) -> None:
    found = search(hurt, [row.pixels() for row in rows], rows, 1.0, CANDIDATES[1::-1])
    assert found.qat
    assert found.keep == min(found.trials, key=lambda trial: trial.more["all"]).keep
    assert isinstance(found, Decision)
    assert found.to_dict()["trials"][1]["keep"] == ()


def test_what_cannot_be_searched_is_refused(hurt: Path, rows: list[LineRow]) -> None:
    lines = [row.pixels() for row in rows]
    with pytest.raises(UsageError, match="no module convs.7 to keep in float"):
        search(hurt, lines, rows, 1.0, ((), ("convs.7",)))
    with pytest.raises(HtrjandError, match="2 calibration lines are too few"):
        search(hurt, lines[:2], rows, 1.0)


def test_the_library_is_silent_as_it_loads() -> None:
    code = "from htrjand.compress.search import load_compressor; load_compressor()"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("", "")
