"""Input files of users: plain files alone, within limits, in the encoding that they announce."""

import bz2
import codecs
import gzip
import io
import lzma
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, BinaryIO

from isma.errors import DataError, IsmaError, short, some

MOST_BYTES = 1_000_000_000
"""Bytes that one input may have, unpacked."""
MOST_LINES = 20_000_000
"""Lines that one table may have."""
LONGEST_LINE = 1_000_000
"""Bytes of one line of a table."""
ZIP = b"PK\x03\x04"
"""First bytes of a zip archive."""
UNPACKERS: dict[bytes, Callable[[Path], Any]] = {
    b"\x1f\x8b": gzip.GzipFile,
    b"BZh": bz2.BZ2File,
    b"\xfd7zXZ\0": lzma.LZMAFile,
}
"""Openers of compressed files by their first bytes; the file's name does not matter."""
MOST_MEMBERS = 100_000
"""Files that an archive or a folder may hold."""
MOST_MEMBER_BYTES = 100_000_000
"""Bytes that one of many may have, unpacked."""
DAMAGED = "the archive is cut short or damaged: fetch it again"
_CHUNK = 1 << 18
_TAR_AT, _TAR = 257, b"ustar"
_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)


def plain(path: Path, what: str, error: type[IsmaError] = DataError) -> int:
    """Size in bytes of a plain file; raises for anything else, such as a pipe, which could block for ever."""
    try:
        status = path.stat()
    except (FileNotFoundError, NotADirectoryError):
        raise error(f"{path}: no such {what}") from None
    except (OSError, ValueError) as reason:
        raise error(f"{path}: cannot be read: {_said(reason)}") from None
    if stat.S_ISDIR(status.st_mode):
        raise error(f"{path}: cannot be read: must be a file, got a folder")
    if not stat.S_ISREG(status.st_mode):
        raise error(
            f"{path}: must be a plain file, got a pipe or a device: save it to a file first"
        )
    return status.st_size


def content(
    path: Path, what: str, error: type[IsmaError] = DataError, most_bytes: int = MOST_BYTES
) -> bytes:
    """All bytes of a plain file, within a limit; raises `error` in one line."""
    size = plain(path, what, error)
    if size > most_bytes:
        raise error(
            f"{path}: must have at most {most_bytes:,} bytes, got {size:,}; take a part of it"
        )
    try:
        return path.read_bytes()
    except OSError as reason:
        raise error(f"{path}: cannot be read: {_said(reason)}") from None


def encoding_of(start: bytes) -> str:
    """The encoding that a file's first bytes announce; UTF-8 where they announce none."""
    return next((name for mark, name in _MARKS if start.startswith(mark)), "utf-8")


def decoded(data: bytes, label: str, error: type[IsmaError] = DataError) -> str:
    """Text of a file's bytes; raises `error` for bytes that are invalid in the encoding that it announces."""
    encoding = encoding_of(data)
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError:
        raise error(not_text(label, encoding, "UTF-8")) from None
    if "\0" in text:
        raise error(f"{label}: must be text, not a binary file, got NUL bytes; save it as UTF-8")
    return text


def not_text(label: str, encoding: str, save_as: str) -> str:
    """Message that bytes are no text in an encoding, with the way out."""
    name = "UTF-8" if encoding.startswith("utf-8") else encoding.upper()
    return f"{label}: not {name} text: save it as {save_as}"


@contextmanager
def table(path: Path, what: str) -> Iterator[tuple[io.TextIOWrapper, str]]:
    """A table's text, unpacked while it is read, and its encoding.

    Any error of reading becomes a DataError in one line; so does a file beyond the limits.
    """
    with unpacked(path, what) as file:
        start = file.read(4)
        file.seek(0)
        encoding = encoding_of(start)
        limited = _Limited(file, str(path), nul_is_text=encoding in ("utf-16", "utf-32"))
        yield io.TextIOWrapper(io.BufferedReader(limited, _CHUNK), encoding, newline=""), encoding


@contextmanager
def markup(path: Path, what: str) -> Iterator[BinaryIO]:
    """An XML file's bytes, unpacked while they are read, within the limits of all but lines."""
    with unpacked(path, what) as file:
        limited = _Limited(file, str(path), nul_is_text=True, lines=False)
        yield io.BufferedReader(limited, _CHUNK)


@contextmanager
def unpacked(path: Path, what: str) -> Iterator[IO[bytes]]:
    """A plain file, or the one file that it holds packed: gzip, xz, bzip2, zip or tar by its first bytes.

    Nothing is written to disk, and no more is unpacked than is read. An error of reading becomes
    a DataError in one line.
    """
    plain(path, what)
    try:
        with path.open("rb") as file:
            start = file.read(6)
        unpacker = next((how for mark, how in UNPACKERS.items() if start.startswith(mark)), None)
        if start.startswith(ZIP):
            with zipfile.ZipFile(path) as archive:
                names = [info for info in archive.infolist() if not info.is_dir()]
                with archive.open(_alone(names, lambda info: info.filename, path)) as file:
                    yield file
            return
        with unpacker(path) if unpacker else path.open("rb") as file:
            head = file.read(_TAR_AT + len(_TAR))
            file.seek(0)
            if head[_TAR_AT:] != _TAR:
                yield file
                return
            with tarfile.open(fileobj=ArchiveFile(file, str(path)), mode="r:") as archive:
                members = [member for member in archive if member.isfile()]
                content = archive.extractfile(_alone(members, lambda member: member.name, path))
                assert content is not None  # It is a plain file.
                yield content
    except (EOFError, zlib.error, gzip.BadGzipFile, lzma.LZMAError):
        raise DataError(f"{path}: is packed, and cut short or damaged: fetch it again") from None
    except (zipfile.BadZipFile, tarfile.TarError, NotImplementedError):
        raise DataError(
            f"{path}: is a damaged or unusual archive: fetch it again, or unpack it"
        ) from None
    except RuntimeError as error:
        if "password" not in str(error):
            raise
        raise DataError(f"{path}: is a zip archive with a password: unpack it") from None
    except UnicodeDecodeError as error:
        raise DataError(not_text(str(path), error.encoding, "CSV UTF-8")) from None
    except MemoryError:
        raise DataError(f"{path}: does not fit into the memory: take a part of it") from None
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {_said(error)}") from None


def _alone(members: list[Any], name_of: Callable[[Any], str], path: Path) -> Any:
    """The one file of an archive; metadata files that macOS adds do not count."""
    files = [
        member
        for member in members
        if not name_of(member).startswith("__MACOSX/")
        and not name_of(member).rpartition("/")[2].startswith(".")
    ]
    if len(files) != 1:
        names = some(short(name_of(member)) for member in files)
        raise DataError(
            f"{path}: an archive must hold one file, got {len(files)}{names and f': {names}'}; "
            "take the one that is meant out of it"
        )
    return files[0]


class _Limited(io.RawIOBase):
    """A file that refuses to go on beyond the limits, as soon as it passes one."""

    def __init__(self, file: IO[bytes], label: str, nul_is_text: bool, lines: bool = True) -> None:
        self._file, self._label, self._nul_is_text = file, label, nul_is_text
        self._has_lines = lines
        self._bytes = self._lines = self._since_line_end = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: bytearray | memoryview) -> int:  # pyright: ignore[reportIncompatibleMethodOverride]
        data = self._file.read(len(buffer))
        self._count(data)
        buffer[: len(data)] = data
        return len(data)

    def _count(self, data: bytes) -> None:
        self._bytes += len(data)
        line_ends = data.count(b"\n") or data.count(b"\r")
        self._lines += line_ends
        if line_ends:
            self._since_line_end = len(data) - 1 - max(data.rfind(b"\n"), data.rfind(b"\r"))
        else:
            self._since_line_end += len(data)
        if not self._nul_is_text and b"\0" in data:
            raise DataError(
                f"{self._label}: must be a CSV file, got NUL bytes, so it is not text, or UTF-16 that "
                "does not say so: save it as CSV UTF-8"
            )
        for what, count, most in (
            ("bytes", self._bytes, MOST_BYTES),
            ("lines", self._lines, MOST_LINES),
            ("bytes in a line", self._since_line_end, LONGEST_LINE),
        ):
            if count > most and (self._has_lines or what == "bytes"):
                raise DataError(
                    f"{self._label}: must have at most {most:,} {what}, got more; take a part of it"
                )


class ArchiveFile(io.RawIOBase):
    """An unpacked archive, read forward only, within a limit, in small pieces."""

    def __init__(self, file: IO[bytes], label: str) -> None:
        self._file, self._label, self._place = file, label, 0

    def read(self, size: int = -1) -> bytes:  # noqa: D102  # pyright: ignore[reportIncompatibleMethodOverride]
        if not 0 <= size <= MOST_MEMBER_BYTES:  # A header's own length, say of 8 GB.
            raise DataError(f"{self._label}: {DAMAGED}")
        data = self._file.read(size)
        self._place += len(data)
        self._check(self._place)
        return data

    def seek(self, offset: int, whence: int = 0) -> int:  # noqa: D102
        self._check(offset)
        self._place = self._file.seek(offset, whence)
        return self._place

    def tell(self) -> int:  # noqa: D102
        return self._place

    def readable(self) -> bool:  # noqa: D102
        return True

    def seekable(self) -> bool:  # noqa: D102
        return True

    def _check(self, place: int) -> None:
        if place > MOST_BYTES + MOST_MEMBERS * 1024:
            raise DataError(
                f"{self._label}: must have at most {MOST_BYTES:,} bytes unpacked, got more; "
                "take a part of it"
            )


def _said(error: OSError | ValueError) -> str:
    return getattr(error, "strerror", None) or str(error)
