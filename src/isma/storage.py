"""Atomic and sealed files, and folders with one writer.

A sealed file holds its own digest: that of itself with zeros in the digest's place. So no byte of it
changes unnoticed, and none is taken for another's.
"""

import errno
import hashlib
import json
import os
import reprlib
import tempfile
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from isma.errors import RunError

BLANK = b"0" * 64
"""Placeholder of a file's digest."""
_PARTIAL, _LOCK = ".partial", ".lock"
_WAY_OUT = "give another folder with --out"
_MOST_DIFFERENCES = 3


def digest(content: bytes) -> str:
    """SHA-256 in hexadecimal, by which files and their contents are named."""
    return hashlib.sha256(content).hexdigest()


@contextmanager
def claimed(
    folder: Path, name: str, text: str, what: str, free: str | None = None
) -> Iterator[None]:
    """Lock a new folder, or one of the same run, for this process alone.

    Its file `name` describes its content: that becomes `text`. Where the folder has it already, all must
    agree but the table `free`. Raises RunError for a folder with other content, or that another process
    has locked; `what` is the word for the content: run, training. The file is TOML or JSON by its suffix.
    Half-written files of killed processes are removed.
    """
    refuse_taken(folder, name, text, what, free)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = FileLock(folder / _LOCK, blocking=False)
        lock.acquire()
    except Timeout:
        raise RunError(
            f"{folder} is in use by another process: wait until that is done, or {_WAY_OUT}"
        ) from None
    except OSError as error:
        raise RunError(f"{folder}: cannot be used: {error.strerror or error}; {_WAY_OUT}") from None
    try:
        refuse_taken(folder, name, text, what, free)
        for left in [path for path in folder.rglob(f".*{_PARTIAL}") if path.is_file()]:
            left.unlink(missing_ok=True)
        if not (folder / name).exists() or (folder / name).read_bytes() != text.encode():
            write_atomically(folder / name, text.encode())
        yield
    finally:
        lock.release()


def refuse_taken(
    folder: Path, name: str, text: str | None, what: str, free: str | None = None
) -> None:
    """Refuse a folder with other content, as `claimed` does, before any work. Raises RunError.

    While the content of `name` is not yet known (no `text`), any folder with that file will do.
    """
    path = folder / name
    try:
        if text is None and path.is_file():
            return
        if text is not None and path.exists():
            differs = differences(path.read_bytes(), text.encode(), path.suffix, free)
            if differs is not None:
                raise RunError(
                    f"{folder} holds another {what}{differs and f' ({differs})'}; {_WAY_OUT}, or "
                    "remove that one"
                )
        elif folder.is_dir() and _has_content(folder):
            raise RunError(f"{folder} is not empty and holds no {what}; {_WAY_OUT}")
        else:
            _refuse_unwritable(folder)
    except OSError as error:
        raise RunError(f"{folder}: cannot be used: {error.strerror}; {_WAY_OUT}") from None


def _refuse_unwritable(folder: Path) -> None:
    """Refuse a file, and a folder that cannot be made: one under a file, or without permission."""
    there = next(path for path in (folder, *folder.parents) if path.exists())
    if not there.is_dir():
        raise RunError(f"{there} is a file and no folder; {_WAY_OUT}")
    if not os.access(there, os.W_OK | os.X_OK):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))


def sealed(content: bytes) -> bytes:
    """Content with its digest in place of the last `BLANK`."""
    before, _, after = content.rpartition(BLANK)
    return before + digest(content).encode() + after


def is_intact(content: bytes, seal: str) -> bool:
    """Whether sealed content with this digest is unchanged to the last bit."""
    before, seal_text, after = content.rpartition(seal.encode())
    return len(seal_text) == len(BLANK) and seal == digest(before + BLANK + after)


def write_atomically(path: Path, content: bytes) -> None:
    """Replace a file atomically; a failure leaves the old one. Raises RunError."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor, name = tempfile.mkstemp(
            dir=path.parent, prefix=f".{path.name}.", suffix=_PARTIAL
        )
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(
                    file.fileno()
                )  # Replaced before it is on the disk, it could be found empty.
            os.chmod(name, 0o644)
            os.replace(name, path)
        except BaseException:
            os.unlink(name)
            raise
    except OSError as error:
        raise RunError(f"{path}: cannot be written: {error.strerror or error}") from None


def differences(present: bytes, wanted: bytes, suffix: str, free: str | None) -> str | None:
    """First few fields in which two files differ, in words; empty where one cannot be read.

    None where they agree, apart from the table `free`; `present` is there, `wanted` is here.
    """
    if present == wanted:
        return None
    parse = tomllib.loads if suffix == ".toml" else json.loads
    try:
        trees = [parse(text.decode()) for text in (present, wanted)]
        there, here = (
            dict(_leaves({name: part for name, part in tree.items() if name != free}))
            for tree in trees
        )
    except (ValueError, AttributeError, RecursionError):
        return ""
    names = [name for name in here | there if here.get(name) != there.get(name)]
    if not names:
        return None if free is not None else ""
    shown = [
        f"{name} is {_shown(there, name)} there and {_shown(here, name)} here"
        for name in names[:_MOST_DIFFERENCES]
    ]
    more = len(names) - len(shown)
    return "; ".join([*shown, *([f"more that differ: {more}"] if more else [])])


def _leaves(tree: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in tree.items():
        if isinstance(value, dict):
            yield from _leaves(value, f"{prefix}{name}.")
        else:
            yield prefix + name, value


def _shown(fields: dict[str, Any], name: str) -> str:
    return reprlib.repr(fields[name]) if name in fields else "absent"


def _has_content(folder: Path) -> bool:
    """Whether a folder has any content but leftovers of killed processes."""
    return any(path.suffix != _PARTIAL and path.name != _LOCK for path in folder.iterdir())
