"""Atomic replacement of a scenario and its tables: after any interruption all are old or all are new."""

import errno
import hashlib
import os
import re
import shutil
import sys
import tempfile
import tomllib
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock

from isma.errors import RunError

TABLES = ("trace", "sites", "backhaul", "arrivals")
"""Kinds of a scenario's tables: the first part of their endings."""
_SCRATCH = ".import-"
_LOCK = ".lock-import"
_RECORD = "replaces"
"""A file in the scratch folder: the scenario's name, and the files that it used before."""


def write_together(
    path: Path,
    tables: Mapping[str, bytes],
    text: Callable[[Mapping[str, str]], str],
    kept: Collection[Path] = (),
) -> tuple[Path, ...]:
    """Write a scenario file and its tables NAME.ending, all or none.

    `text` makes the scenario of the tables' names by ending. A table that the scenario in place uses
    is not written over: one that differs gets a name with its digest, the scenario is replaced in one
    step, and then tables that it uses no more are removed, but for those `kept`. Leftovers of killed
    imports are removed. Raises RunError in one line.
    """
    folder = path.parent
    if not folder.is_dir():
        if folder.exists():
            raise RunError(f"{folder}: must be a folder to write to, got a file")
        raise RunError(f"{folder}: no such folder to write to; make it first")
    try:
        kept = {file.resolve() for file in kept}
        with _alone_in(folder, kept), _scratch(folder) as scratch:
            was_used = _used_by(path)
            (scratch / _RECORD).write_text("\n".join([path.name, *sorted(was_used)]))
            names = {
                ending: _name(path, ending, content, was_used) for ending, content in tables.items()
            }
            contents = {names[ending]: content for ending, content in tables.items()}
            new = [name for name, content in contents.items() if not _holds(folder / name, content)]
            contents[path.name] = text(names).encode()
            for name in [*new, path.name]:
                if (folder / name).is_dir():
                    raise RunError(f"{folder / name}: must be a file to be replaced, got a folder")
                _write(scratch / name, contents[name])
            _move_in(scratch, folder, new, path.name)
            _remove_unused(path, was_used, set(names.values()), kept)
    except OSError as error:
        size = sum(map(len, tables.values()))
        room = f"; {size / 1e6:.1f} MB are needed" if error.errno == errno.ENOSPC else ""
        raise RunError(f"{folder}: cannot be written: {error.strerror or error}{room}") from None
    return tuple(folder / name for name in contents)


@contextmanager
def _alone_in(folder: Path, kept: Collection[Path]) -> Iterator[None]:
    """Wait until no other import writes into a folder; then remove the leftovers of killed ones."""
    with _held(folder):
        for left in folder.glob(f"{_SCRATCH}*"):
            _end(left, kept)
            shutil.rmtree(left, ignore_errors=True)
        yield


@contextmanager
def _held(folder: Path) -> Iterator[None]:
    """Lock a folder by itself, which leaves no file behind; by a lock file where that is impossible."""
    if sys.platform == "win32":
        with FileLock(folder / _LOCK):
            yield
        return
    import fcntl  # Unix only.

    held = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(held, fcntl.LOCK_EX)
        yield
    finally:
        os.close(held)


def _end(left: Path, kept: Collection[Path]) -> None:
    """Remove the tables that an import had no time to remove: those that its scenario uses no more."""
    try:
        name, *was_used = (left / _RECORD).read_text().splitlines()
    except (OSError, ValueError):
        return
    path = left.parent / name
    _remove_unused(path, set(was_used), _used_by(path), kept)


@contextmanager
def _scratch(folder: Path) -> Iterator[Path]:
    scratch = Path(tempfile.mkdtemp(prefix=_SCRATCH, dir=folder))
    try:
        yield scratch
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _used_by(path: Path) -> set[str]:
    """Names of the files that the present scenario uses."""
    try:
        tree = tomllib.loads(path.read_bytes().decode("utf-8-sig"))
    except (FileNotFoundError, IsADirectoryError, ValueError, RecursionError):
        return set()
    named = [section.get("file") for section in tree.values() if isinstance(section, dict)]
    return {name for name in named if isinstance(name, str)}


def _name(path: Path, ending: str, content: bytes, used: set[str]) -> str:
    """The table's plain name, or one with its digest where the scenario in place uses the plain one.

    A table that it uses keeps its name, so that an import that comes again changes nothing.
    """
    plain = f"{path.stem}.{ending}"
    stem, dot, suffix = ending.rpartition(".")
    other = f"{path.stem}.{stem}.{hashlib.sha256(content).hexdigest()[:12]}{dot}{suffix}"
    for name in (plain, other):
        if name in used and _holds(path.parent / name, content):
            return name
    return other if plain in used else plain


def _holds(path: Path, content: bytes) -> bool:
    try:
        return path.stat().st_size == len(content) and path.read_bytes() == content
    except (FileNotFoundError, IsADirectoryError):
        return False


def _write(path: Path, content: bytes) -> None:
    with path.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())  # Moved in before it is on the disk, it could be found empty.


def _move_in(scratch: Path, folder: Path, tables: list[str], scenario: str) -> None:
    """Move tables in, and last the scenario, from which moment on all is new; on an error all is old."""
    replaced = scratch / "replaced"
    replaced.mkdir()
    try:
        for name in tables:
            if (folder / name).exists():  # left there, and no part of the scenario in place
                os.replace(folder / name, replaced / name)
            os.replace(scratch / name, folder / name)
        os.replace(scratch / scenario, folder / scenario)
    except BaseException:
        if (scratch / scenario).exists():
            for name in tables:
                if not (scratch / name).exists():
                    (folder / name).unlink(missing_ok=True)
                if (replaced / name).exists():
                    os.replace(replaced / name, folder / name)
        raise


def _remove_unused(
    path: Path, was_used: Collection[str], used: Collection[str], kept: Collection[Path]
) -> None:
    """Remove the tables that imports of this name made and that the scenario uses no more."""
    ours = re.compile(rf"{re.escape(path.stem)}\.(?:{'|'.join(TABLES)})(\.[0-9a-f]{{12}})?\.\w+")
    for file in path.parent.iterdir():
        named = ours.fullmatch(file.name)
        unused = named and file.name not in used and (named[1] or file.name in was_used)
        if unused and file.resolve() not in kept:
            file.unlink(missing_ok=True)
