"""Files that are written together: all of them, or none."""

import errno
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from isma.errors import RunError


def write_together(folder: Path, contents: Mapping[str, bytes]) -> tuple[Path, ...]:
    """Write files of these names into a folder, replacing what is there; all of them or none.

    They are first written beside the folder's own files under other names, then moved in; on any
    error, an interrupt included, the folder is left as it was. Raises RunError in one line.
    """
    if not folder.is_dir():
        raise RunError(f"{folder}: no such folder to write to; make it first")
    for name in contents:
        if (folder / name).is_dir():
            raise RunError(f"{folder / name}: must be a file to be replaced, got a folder")
    try:
        with _scratch(folder) as scratch:
            for name, content in contents.items():
                (scratch / name).write_bytes(content)
            _move_in(scratch, folder, list(contents))
    except OSError as error:
        size = sum(map(len, contents.values()))
        room = f"; {size / 1e6:.1f} MB are needed" if error.errno == errno.ENOSPC else ""
        raise RunError(f"{folder}: cannot be written: {error.strerror or error}{room}") from None
    return tuple(folder / name for name in contents)


@contextmanager
def _scratch(folder: Path) -> Iterator[Path]:
    scratch = Path(tempfile.mkdtemp(prefix=".import-", dir=folder))
    try:
        yield scratch
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _move_in(scratch: Path, folder: Path, names: list[str]) -> None:
    """Move files from scratch to the folder; whatever interrupts it, what was there comes back."""
    replaced = scratch / "replaced"
    replaced.mkdir()
    try:
        for name in names:
            if (folder / name).exists():
                os.replace(folder / name, replaced / name)
            os.replace(scratch / name, folder / name)
    except BaseException:
        for name in names:
            if not (scratch / name).exists():
                (folder / name).unlink(missing_ok=True)
            if (replaced / name).exists():
                os.replace(replaced / name, folder / name)
        raise
