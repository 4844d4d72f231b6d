"""The fuzzer's targets take their seeds, without the fuzzer: they do not rot while nobody runs `make fuzz`."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from htrjand.runtime import HtrjandError

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))
from fuzz import NAMES  # noqa: E402
from targets import TARGETS  # noqa: E402

TRIED = 24  # seeds of each target


def test_every_target_has_a_name() -> None:
    assert tuple(TARGETS) == NAMES


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", NAMES)
def test_seeds_are_read_or_refused_with_a_remedy(name: str, tmp_path: Path) -> None:
    seeds, one = TARGETS[name](tmp_path)
    fared = set()
    for seed in seeds[:: max(1, len(seeds) // TRIED)]:
        try:
            one(seed)
            fared.add("read")
        except HtrjandError as error:
            assert ";" in str(error), f"no remedy in: {error}"
            fared.add("refused")
    assert fared == {"read", "refused"}


def test_without_atheris_it_says_what_to_do() -> None:
    done = subprocess.run(
        [sys.executable, str(HERE / "fuzz.py"), "image", "--seconds", "1"], capture_output=True, text=True
    )
    assert "nothing found" in done.stdout or "make fuzz" in done.stderr, done.stderr
