"""What is released: files come to their places with sums, and none reads worse than when it was released."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner

from htrjand.benchmarks.studies import release
from htrjand.export.proof import proof_path
from htrjand.runtime.formats import parts_of
from htrjand.runtime.info import sha256

CHANCE = 0.3  # points of CER by which the roundings of two processors may differ
EXPECTED = yaml.safe_load(release.GUARD.read_text(encoding="utf-8"))


@pytest.mark.parametrize("name", EXPECTED)
def test_a_released_file_reads_no_worse_than_when_it_was_released(name: str) -> None:
    found = release.read_guard(release.MODELS / name)
    for lines, figures in found.items():
        for decoder, cer in figures.items():
            assert cer <= EXPECTED[name][lines][decoder] + CHANCE, f"{lines}, {decoder}"


def test_every_line_reader_that_is_bundled_is_guarded() -> None:
    bundled = {path.name for path in release.MODELS.glob("*-int8.*") if proof_path(path).is_file()}
    assert set(EXPECTED) == {name for name in bundled if "detector" not in name}


def test_files_of_a_run_come_to_their_places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run, models, guard = tmp_path / "run", tmp_path / "models", tmp_path / "released.yaml"
    run.mkdir()
    models.mkdir()
    bundled = release.MODELS / "htrjand-student-int8.xml"
    for path in (*parts_of(bundled), proof_path(bundled)):
        shutil.copy(path, run / path.name)
    (models / "README.md").write_text("sums\n```text\nold\n```\nend\n", encoding="utf-8")
    monkeypatch.setattr(release, "MODELS", models)
    monkeypatch.setattr(release, "GUARD", guard)
    monkeypatch.delenv("HTRJAND_DATA", raising=False)
    done = CliRunner().invoke(release.main, ["files", str(run)], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    assert (models / bundled.name).read_bytes() == bundled.read_bytes()
    assert proof_path(models / bundled.name).is_file()
    parts = sorted(parts_of(bundled), key=lambda path: path.suffix)
    listed = "".join(f"{sha256(path)}  {path.name}\n" for path in parts)
    assert (models / "README.md").read_text(encoding="utf-8") == f"sums\n```text\n{listed}```\nend\n"
    assert set(yaml.safe_load(guard.read_text(encoding="utf-8"))[bundled.name]) == {"sample"}


def test_a_folder_without_files_is_an_error(tmp_path: Path) -> None:
    done = CliRunner().invoke(release.main, ["files", str(tmp_path)])
    assert "no int8 file with its proof" in str(done.exception)
