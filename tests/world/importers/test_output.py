"""Files written together: all of them or none, whatever happens in between."""

import errno
import os
from pathlib import Path

import pytest

from isma.errors import RunError
from isma.world.importers import output

NEW = {"a": b"new a", "b": b"new b", "c": b"new c"}


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_files_are_written_and_replaced(tmp_path: Path):
    (tmp_path / "b").write_bytes(b"old")
    assert output.write_together(tmp_path, NEW) == tuple(tmp_path / name for name in "abc")
    assert contents(tmp_path) == NEW


@pytest.mark.parametrize("error", [OSError(errno.EIO, "Input/output error"), KeyboardInterrupt()])
@pytest.mark.parametrize("after", range(5))
def test_an_interrupted_move_leaves_everything_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, after: int, error: BaseException
):
    before = {"b": b"old b", "c": b"old c", "other": b"other"}
    for name, content in before.items():
        (tmp_path / name).write_bytes(content)
    moves, replace = [], os.replace

    def failing(source: Path, target: Path) -> None:
        moves.append(target)
        if len(moves) == after + 1:
            raise error
        replace(source, target)

    monkeypatch.setattr(os, "replace", failing)  # five moves: a, b away, b, c away, c
    with pytest.raises((RunError, KeyboardInterrupt)):
        output.write_together(tmp_path, NEW)
    assert contents(tmp_path) == before


def test_a_full_disk_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def full(path: Path, content: bytes) -> int:
        raise OSError(errno.ENOSPC, "No space left on device", str(path))

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(RunError, match=r"cannot be written: No space left on device; 0.0 MB are"):
        output.write_together(tmp_path, NEW)
    assert contents(tmp_path) == {}


def test_places_that_cannot_be_written_are_refused(tmp_path: Path):
    with pytest.raises(RunError, match="no such folder"):
        output.write_together(tmp_path / "none", NEW)
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "precious").touch()
    with pytest.raises(RunError, match="must be a file to be replaced, got a folder"):
        output.write_together(tmp_path, NEW)
    assert (tmp_path / "b" / "precious").exists()
