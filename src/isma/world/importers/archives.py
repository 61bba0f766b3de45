"""The files of a folder or a tar archive that somebody made, within limits, nothing unpacked to disk."""

import bz2
import gzip
import io
import lzma
import tarfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from isma.errors import DataError, short
from isma.world import inputs

MOST_MEMBERS = 100_000
"""Files that an archive or a folder may hold."""
MOST_MEMBER_BYTES = 100_000_000
"""Bytes that one of them may have, unpacked."""
_DAMAGED = "the archive is cut short or damaged: fetch it again"
_OPENERS: dict[bytes, Callable[[Path], Any]] = {
    b"\x1f\x8b": gzip.GzipFile,
    b"BZh": bz2.BZ2File,
    b"\xfd7zXZ\0": lzma.LZMAFile,
}
"""How to open a file that begins with these bytes; any other is taken as it is."""


def members(path: Path, wanted: Callable[[str], bool]) -> Iterator[tuple[str, bytes]]:
    """Names and contents of the wanted plain files of a folder or archive; links are none.

    Raises DataError in one line, as soon as a limit is passed.
    """
    found = _folder(path, wanted) if path.is_dir() else _archive(path)
    total = 0
    for count, (name, size, read) in enumerate(found, start=1):
        label = f"{path}: {short(name, 80)}"
        total += max(size, 0)
        if count > MOST_MEMBERS:
            raise DataError(f"{path}: must hold at most {MOST_MEMBERS:,} files, got more")
        if total > inputs.MOST_BYTES:
            raise DataError(
                f"{label}: all files must have at most {inputs.MOST_BYTES:,} bytes unpacked, got "
                "more; take a part of them"
            )
        if not wanted(name):
            continue
        if not 0 <= size <= MOST_MEMBER_BYTES:
            raise DataError(
                f"{label}: must have at most {MOST_MEMBER_BYTES:,} bytes unpacked, got {size:,}"
            )
        yield name, read()


_Found = Iterator[tuple[str, int, Callable[[], bytes]]]
"""Name, bytes, and how to read a file."""


def _folder(path: Path, wanted: Callable[[str], bool]) -> _Found:
    for file in sorted(file for file in path.rglob("*") if wanted(file.name)):
        size = inputs.plain(file, "file")
        yield str(file.relative_to(path)), size, lambda file=file: inputs.content(file, "file")


def _archive(path: Path) -> _Found:
    inputs.plain(path, "archive or folder of cab files")
    with _one_line(path):
        with path.open("rb") as file:
            start = file.read(6)
        opener = next((how for mark, how in _OPENERS.items() if start.startswith(mark)), None)
        with opener(path) if opener else path.open("rb") as unpacked:
            limited = _Limited(unpacked, str(path))
            with tarfile.open(fileobj=limited, mode="r:") as archive:
                for member in archive:
                    name = member.name if member.isfile() else ""
                    yield name, member.size, lambda m=member: _read(archive, m, path)
                _ended(archive, limited, path)


def _read(archive: tarfile.TarFile, member: tarfile.TarInfo, path: Path) -> bytes:
    with _one_line(path):
        content = archive.extractfile(member)
        return b"" if content is None else content.read()


@contextmanager
def _one_line(path: Path) -> Iterator[None]:
    """Make a DataError of whatever reading an archive raises."""
    try:
        yield
    except DataError:
        raise
    except tarfile.ReadError as error:
        if "unexpected end" in str(error):
            raise DataError(f"{path}: {_DAMAGED}") from None
        raise DataError(
            f"{path}: must be a folder or a tar archive (.tar.gz) of cab files, got neither"
        ) from None
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror or _DAMAGED}") from None
    except Exception:  # Damaged headers make tarfile and the unpackers raise nearly anything.
        raise DataError(f"{path}: {_DAMAGED}") from None


def _ended(archive: tarfile.TarFile, file: "_Limited", path: Path) -> None:
    """Raise unless the archive closes with zeros; tarfile takes a damaged header for the end."""
    if file.tell() != archive.offset + tarfile.BLOCKSIZE:
        raise DataError(f"{path}: {_DAMAGED}")
    while rest := file.read(1 << 20):
        if rest.strip(b"\0"):
            raise DataError(f"{path}: {_DAMAGED}")


class _Limited(io.RawIOBase):
    """An unpacked archive that is read forward alone, at most so many bytes, and never many at once."""

    def __init__(self, file: BinaryIO, label: str) -> None:
        self._file, self._label, self._place = file, label, 0

    def read(self, size: int = -1) -> bytes:  # pyright: ignore[reportIncompatibleMethodOverride]
        if not 0 <= size <= MOST_MEMBER_BYTES:  # A header's own length, say of 8 GB.
            raise DataError(f"{self._label}: {_DAMAGED}")
        data = self._file.read(size)
        self._place += len(data)
        self._check(self._place)
        return data

    def seek(self, offset: int, whence: int = 0) -> int:
        self._check(offset)
        self._place = self._file.seek(offset, whence)
        return self._place

    def tell(self) -> int:
        return self._place

    def _check(self, place: int) -> None:
        if place > inputs.MOST_BYTES + MOST_MEMBERS * 1024:
            raise DataError(
                f"{self._label}: must have at most {inputs.MOST_BYTES:,} bytes unpacked, got more; "
                "take a part of it"
            )
