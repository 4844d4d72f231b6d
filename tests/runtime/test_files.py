"""Files are whole, or not there; others may read them as they may read any new file."""

from __future__ import annotations

from pathlib import Path

import pytest

from htrjand.runtime.files import atomic_path


def test_a_file_takes_its_place_when_it_is_whole(tmp_path: Path) -> None:
    target = tmp_path / "deep" / "text.txt"
    with atomic_path(target) as part:
        part.write_text("whole")
        part.chmod(0o600)
        assert not target.exists()
        assert part.suffix == ".txt"
    plain = tmp_path / "plain.txt"
    plain.write_text("")
    assert target.read_text() == "whole"
    assert target.stat().st_mode == plain.stat().st_mode
    assert [path.name for path in target.parent.iterdir()] == ["text.txt"]


def test_an_error_leaves_what_was_there(tmp_path: Path) -> None:
    target = tmp_path / "text.txt"
    target.write_text("before")
    with pytest.raises(RuntimeError), atomic_path(target) as part:
        part.write_text("half")
        raise RuntimeError
    assert target.read_text() == "before"
    assert [path.name for path in tmp_path.iterdir()] == ["text.txt"]
