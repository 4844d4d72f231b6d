"""What an archive run costs: the figures' arithmetic, and its commands on a few pages."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa
import pytest
from click.testing import CliRunner
from pyarrow import parquet as pq

from htrjand.benchmarks.studies.archive import BLOCK, Costs, main, pages_in, simulated, speed_table

SAMPLE = Path(__file__).parents[3] / "benchmarks" / "sample"
FREE = {"store": 0.0, "start": 0.0, "hands_out": 1e9, "bandwidth": 1e9}


def test_without_other_costs_all_cores_read_all_the_time() -> None:
    one, ten = (simulated(cores, 320 * BLOCK, Costs([2.0], **FREE)) for cores in (1, 10))
    assert one["hours"] == pytest.approx(320 * BLOCK * 2 / 3600) and one["busy"] == pytest.approx(1)
    assert ten["hours"] == pytest.approx(one["hours"] / 10) and ten["busy"] == pytest.approx(1)


@pytest.mark.parametrize(
    ("cost", "pages_per_second"),
    [
        ({"bandwidth": 50.0}, 50),  # a store that gives fifty pages a second
        ({"hands_out": 1.0}, BLOCK / 4),  # a driver that hands out a block a second, of fewer files for so many cores
        # Requests take as long as the two seconds of a page, and there are 100 cores.
        ({"store": 2 * BLOCK / (2 * BLOCK + 10)}, 25),
    ],
)
def test_what_is_scarce_decides(cost: dict[str, float], pages_per_second: float) -> None:
    found = simulated(100 if "store" in cost else 10_000, 20_000 * BLOCK, Costs([2.0], **(FREE | cost)))
    assert found["pages_per_second"] == pytest.approx(pages_per_second, rel=0.05)


def test_pages_are_taken_from_all_files_in_turn(tmp_path: Path) -> None:
    for name, images in (("a", [b"1", b"2", b"3"]), ("b", [b"4"])):
        pq.write_table(pa.table({"image": images}), tmp_path / f"{name}.parquet")
    assert pages_in(tmp_path, 3) == [("a-000.jpg", b"1"), ("b-000.jpg", b"4"), ("a-001.jpg", b"2")]
    assert len(pages_in(tmp_path, 9)) == 4


def test_the_table_compares_with_the_plain_loop() -> None:
    one = {"read, 1": {"seconds": 10.0}, "archive, 1": {"seconds": 12.5, "page_seconds": [5.0, 5.0]}}
    found = {"pages": 2} | one | {name.replace("1", "2"): value for name, value in one.items()}
    assert "| archive, 1 | 12.5 | 0.16 | 80 | 80 |" in speed_table(found)
    assert "| archive, 2 | 12.5 | 0.16 | 80 | 40 |" in speed_table(found)


def test_memory_and_simulation_run(tmp_path: Path) -> None:
    done = CliRunner().invoke(main, ["memory", str(SAMPLE / "lines" / "01.png"), "--count", "20"])
    assert done.exit_code == 0 and "| 20 | " in done.output, done.output
    (tmp_path / "speed.json").write_text(json.dumps({"archive, 1": {"page_seconds": [0.4, 0.6]}}))
    done = CliRunner().invoke(main, ["simulate", str(tmp_path / "speed.json"), "--pages", "50000"])
    assert done.exit_code == 0 and "| 1,000 | " in done.output
