"""The user's cache folder: where compiled programs are kept from one process to the next, and how many.

`ISMA_CACHE` names another folder, or is `off`. The files are code for this machine: a folder that other users
may write to is not used, nor a program of theirs (`is_own`).
"""

import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

VARIABLE = "ISMA_CACHE"
"""Environment variable that names another folder, or turns the cache off."""
MOST_BYTES = 1_000_000_000
"""Files beyond this go, those that were used least recently first."""
PROGRAMS, XLA, SOURCES = "programs", "xla", "sources"
"""Folders of the programs of simulations, of all other compilations, and of parsed Python files."""
_OFF = ("", "0", "off", "no", "none", "false")
_KEPT_PART = 0.9
"""Part of the bound that is left after pruning, so that not every later program prunes again."""


class CacheContents(NamedTuple):
    """Number and size of the files of a cache folder."""

    files: int
    bytes: int


def cache_folder() -> Path | None:
    """Where programs are kept: `ISMA_CACHE`, else `isma` in the user's cache folder; None where it is off."""
    setting = os.environ.get(VARIABLE)
    if setting is not None:
        return None if setting.strip().lower() in _OFF else Path(setting).expanduser().absolute()
    base = os.environ.get("XDG_CACHE_HOME", "")
    try:
        return (Path(base) if os.path.isabs(base) else Path.home() / ".cache") / "isma"
    except RuntimeError:  # The user has no home folder.
        return None


def turn_off() -> None:
    """Keep no programs from now on, in this process and those that it starts."""
    os.environ[VARIABLE] = _OFF[2]


def unusable(folder: Path) -> str | None:
    """Why nothing can be kept in a folder, in a few words; None where it can. Makes the folder."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        return error.strerror or str(error)
    if not os.access(folder, os.W_OK | os.X_OK):
        return "no permission to write"
    return None if is_own(folder.stat()) else "others may write to it, and so run code here"


def is_own(status: os.stat_result) -> bool:
    """Whether a file or folder is the user's, and no other user may write to it."""
    own = not hasattr(os, "geteuid") or status.st_uid == os.geteuid()
    return own and not status.st_mode & (stat.S_IWGRP | stat.S_IWOTH)


def contents(folder: Path) -> CacheContents:
    """How much a cache folder holds."""
    sizes = [size for _, size, _ in _files(folder)]
    return CacheContents(len(sizes), sum(sizes))


def clear(folder: Path) -> CacheContents:
    """Remove the files of a cache folder, and count them; other files in it stay."""
    return _remove([(size, path) for _, size, path in _files(folder)])


def prune(folder: Path, most_bytes: int = MOST_BYTES) -> CacheContents:
    """Remove the least recently used files of a folder beyond the bound, and count them."""
    files = sorted(_files(folder))
    total = sum(size for _, size, _ in files)
    gone, left = [], int(_KEPT_PART * most_bytes)
    for _, size, path in files if total > most_bytes else ():
        if total <= left:
            break
        gone.append((size, path))
        total -= size
    return _remove(gone)


def _remove(files: list[tuple[int, Path]]) -> CacheContents:
    number = freed = 0
    for size, path in files:
        try:
            path.unlink(missing_ok=True)  # Another process may clear up too.
        except OSError:
            continue
        number, freed = number + 1, freed + size
    return CacheContents(number, freed)


def _files(folder: Path) -> Iterator[tuple[float, int, Path]]:
    """Time of last use, size and path of each file, in isma's own parts of the folder alone."""
    for part in (PROGRAMS, XLA, SOURCES):
        try:
            entries = list(os.scandir(folder / part))
        except OSError:
            continue
        for entry in entries:
            try:
                if entry.is_file(follow_symlinks=False):
                    status = entry.stat(follow_symlinks=False)
                    yield status.st_mtime, status.st_size, Path(entry.path)
            except OSError:  # It has just gone.
                continue
