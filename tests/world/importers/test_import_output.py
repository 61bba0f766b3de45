"""A scenario and its tables, replaced together: all old or all new, whatever happens in between."""

import errno
import os
import signal
import subprocess
import sys
import tomllib
from collections.abc import Mapping
from pathlib import Path

import pytest

from isma.errors import RunError
from isma.world.importers import output

OLD = {"trace.parquet": b"old trace", "sites.csv": b"old sites", "backhaul.json": b"old backhaul"}
NEW = {"trace.parquet": b"new trace", "sites.csv": b"new sites"}


def text(names: Mapping[str, str]) -> str:
    return "".join(f'[{name.split(".")[0]}]\nfile = "{file}"\n' for name, file in names.items())


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def held(path: Path) -> dict[str, bytes]:
    """What the scenario in place names, read; a table that is missing fails."""
    tree = tomllib.loads(path.read_text())
    return {section: (path.parent / named["file"]).read_bytes() for section, named in tree.items()}


def meant(tables: Mapping[str, bytes]) -> dict[str, bytes]:
    return {ending.split(".")[0]: content for ending, content in tables.items()}


def test_files_are_written_under_their_plain_names(tmp_path: Path):
    (tmp_path / "city.trace.parquet").write_bytes(b"left by a killed import")
    paths = output.write_together(tmp_path / "city.toml", NEW, text)
    assert [path.name for path in paths] == ["city.trace.parquet", "city.sites.csv", "city.toml"]
    assert held(tmp_path / "city.toml") == meant(NEW)
    assert sorted(contents(tmp_path)) == sorted(path.name for path in paths)
    before = contents(tmp_path)
    output.write_together(tmp_path / "city.toml", NEW, text)
    assert contents(tmp_path) == before


def test_replacing_leaves_the_new_files_alone_and_those_of_others(tmp_path: Path):
    city = tmp_path / "city.toml"
    others = {"city.sites.mine.csv": b"mine", "city.tracery.parquet": b"mine", "town.toml": b"x=1"}
    for name, content in others.items():
        (tmp_path / name).write_bytes(content)
    output.write_together(city, OLD, text)
    for tables in (NEW, OLD, NEW):
        output.write_together(city, tables, text)
        assert held(city) == meant(tables)
        assert len(contents(tmp_path)) == len(others) + len(tables) + 1
    assert others.items() <= contents(tmp_path).items()


def test_the_same_again_changes_nothing(tmp_path: Path):
    city = tmp_path / "city.toml"
    for tables in (OLD, NEW):
        output.write_together(city, tables, text)
        before = contents(tmp_path)
        output.write_together(city, tables, text)
        assert contents(tmp_path) == before


def test_a_table_that_was_read_is_kept(tmp_path: Path):
    paths = output.write_together(tmp_path / "city.toml", OLD, text)
    output.write_together(tmp_path / "city.toml", NEW, text, kept=[paths[1]])
    assert paths[1].read_bytes() == b"old sites"
    assert held(tmp_path / "city.toml") == meant(NEW)


def test_a_kill_at_any_write_leaves_all_old_or_all_new(tmp_path: Path):
    """In a process of its own: each fork of one with thousands of compiled programs takes long."""
    done = subprocess.run([sys.executable, __file__, tmp_path], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def _kill_at_every_write(scratch: Path, old: Mapping[str, bytes] | None) -> None:
    """SIGKILL before the first, second, ... call that changes the folder, until none is left."""
    seen, kills = set(), 0
    while True:
        folder = scratch / str(kills)
        folder.mkdir(parents=True)
        if old is not None:
            output.write_together(folder / "city.toml", old, text)
        child = os.fork()
        if child == 0:
            _die_before_change(kills)
            output.write_together(folder / "city.toml", NEW, text)
            os._exit(0)
        status = os.waitpid(child, 0)[1]
        city = folder / "city.toml"
        found = held(city) if city.exists() else None
        assert found in ((None if old is None else meant(old)), meant(NEW))
        seen.add(None if found is None else found["trace"])
        made = output.write_together(city, NEW, text)  # And the next one clears up.
        assert held(city) == meant(NEW)
        assert set(contents(folder)) == {path.name for path in made}
        if status == 0:
            break
        assert os.WTERMSIG(status) == signal.SIGKILL
        kills += 1
    assert kills >= 9  # scratch, three files each written and moved in, what is left over removed
    assert seen == {None if old is None else b"old trace", b"new trace"}


def _die_before_change(survived: int) -> None:
    """Kill this process before its change of the file system after so many others."""
    calls = 0

    def watch(event: str, arguments: tuple) -> None:
        nonlocal calls
        writing = event == "open" and isinstance(arguments[2], int) and arguments[2] & os.O_WRONLY
        if writing or event in ("os.rename", "os.mkdir", "os.remove", "os.rmdir", "os.link"):
            if calls == survived:
                os.kill(os.getpid(), signal.SIGKILL)
            calls += 1

    sys.addaudithook(watch)


def test_another_import_waits_and_does_not_collect_what_is_being_written(tmp_path: Path):
    script = (
        "import sys, pathlib, fcntl, os\n"
        "held = os.open(sys.argv[1], os.O_RDONLY)\n"
        "try: fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)\n"
        "except BlockingIOError: print('waits')\n"
    )
    told = []

    def slowly(names: Mapping[str, str]) -> str:
        asked = [sys.executable, "-c", script, str(tmp_path)]
        told.append(subprocess.run(asked, capture_output=True, text=True, check=True).stdout)
        return text(names)

    output.write_together(tmp_path / "city.toml", NEW, slowly)
    assert told == ["waits\n"]


def test_what_killed_imports_have_left_is_collected(tmp_path: Path):
    (tmp_path / ".import-abc").mkdir()
    (tmp_path / ".import-abc" / "city.toml").write_text("half")
    output.write_together(tmp_path / "city.toml", NEW, text)
    assert len(contents(tmp_path)) == 3


@pytest.mark.parametrize("error", [OSError(errno.EIO, "Input/output error"), KeyboardInterrupt()])
@pytest.mark.parametrize("after", range(4))
def test_an_interrupted_move_leaves_everything_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, after: int, error: BaseException
):
    (tmp_path / "city.trace.parquet").write_bytes(b"other")
    (tmp_path / "city.toml").write_text("")
    before = contents(tmp_path)
    moves, replace = [], os.replace

    def failing(source: Path, target: Path) -> None:
        moves.append(target)
        if len(moves) == after + 1:
            raise error
        replace(source, target)

    monkeypatch.setattr(os, "replace", failing)  # four moves: trace away, trace, sites, scenario
    with pytest.raises((RunError, KeyboardInterrupt)):
        output.write_together(tmp_path / "city.toml", NEW, text)
    assert contents(tmp_path) == before


def test_an_interrupt_once_all_is_new_leaves_the_new(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    output.write_together(tmp_path / "city.toml", OLD, text)
    replace = os.replace

    def late(source: Path, target: Path) -> None:
        replace(source, target)
        if target == tmp_path / "city.toml":
            raise KeyboardInterrupt

    monkeypatch.setattr(os, "replace", late)
    with pytest.raises(KeyboardInterrupt):
        output.write_together(tmp_path / "city.toml", NEW, text)
    assert held(tmp_path / "city.toml") == meant(NEW)


def test_a_full_disk_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(RunError, match=r"cannot be written: No space left on device; 0.0 MB are"):
        output.write_together(tmp_path / "city.toml", NEW, text)
    assert contents(tmp_path) == {}


def test_places_that_cannot_be_written_are_refused(tmp_path: Path):
    with pytest.raises(RunError, match="no such folder"):
        output.write_together(tmp_path / "none" / "city.toml", NEW, text)
    (tmp_path / "file").touch()
    with pytest.raises(RunError, match="file: must be a folder to write to, got a file"):
        output.write_together(tmp_path / "file" / "city.toml", NEW, text)
    (tmp_path / "city.toml").mkdir()
    (tmp_path / "city.toml" / "precious").touch()
    with pytest.raises(RunError, match="must be a file to be replaced, got a folder"):
        output.write_together(tmp_path / "city.toml", NEW, text)
    assert (tmp_path / "city.toml" / "precious").exists()


if __name__ == "__main__":
    _kill_at_every_write(Path(sys.argv[1]) / "none", None)
    _kill_at_every_write(Path(sys.argv[1]) / "old", OLD)
