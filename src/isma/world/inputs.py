"""Files that people bring: plain files alone, within limits, in whatever encoding they say they have."""

import codecs
import gzip
import io
import stat
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from isma.errors import DataError, IsmaError

MOST_BYTES = 1_000_000_000
"""Bytes that one input may have, unpacked."""
MOST_LINES = 20_000_000
"""Lines that one table may have."""
LONGEST_LINE = 1_000_000
"""Bytes of one line of a table."""
_CHUNK = 1 << 18
_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)


def plain(path: Path, what: str, error: type[IsmaError] = DataError) -> int:
    """Bytes of a plain file; raises for what is none, such as a pipe, which could block for ever."""
    try:
        found = path.stat()
    except (FileNotFoundError, NotADirectoryError):
        raise error(f"{path}: no such {what}") from None
    except (OSError, ValueError) as reason:
        raise error(f"{path}: cannot be read: {_said(reason)}") from None
    if stat.S_ISDIR(found.st_mode):
        raise error(f"{path}: cannot be read: must be a file, got a folder")
    if not stat.S_ISREG(found.st_mode):
        raise error(
            f"{path}: must be a plain file, got a pipe or a device: save it to a file first"
        )
    return found.st_size


def content(
    path: Path, what: str, error: type[IsmaError] = DataError, most_bytes: int = MOST_BYTES
) -> bytes:
    """All bytes of a plain file of at most so many; raises `error` in one line."""
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
    """Text of a file's bytes; raises `error` for what is not in the encoding that it announces."""
    encoding = encoding_of(data)
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError:
        raise error(not_text(label, encoding, "UTF-8")) from None
    if "\0" in text:
        raise error(f"{label}: must be text, not a binary file, got NUL bytes; save it as UTF-8")
    return text


def not_text(label: str, encoding: str, save_as: str) -> str:
    """Say of bytes that they are no text in an encoding, and the way out."""
    name = "UTF-8" if encoding.startswith("utf-8") else encoding.upper()
    return f"{label}: not {name} text: save it as {save_as}"


@contextmanager
def table(path: Path, what: str) -> Iterator[tuple[io.TextIOWrapper, str]]:
    """A table's text, unpacked while it is read if its name ends with .gz, and its encoding.

    Whatever reading it raises becomes a DataError in one line; so does what passes the limits.
    """
    plain(path, what)
    try:
        with gzip.open(path, "rb") if path.suffix == ".gz" else path.open("rb") as file:
            start = file.read(4)
            file.seek(0)
            encoding = encoding_of(start)
            limited = _Limited(file, str(path), nul_is_text=encoding in ("utf-16", "utf-32"))
            yield (
                io.TextIOWrapper(io.BufferedReader(limited, _CHUNK), encoding, newline=""),
                encoding,
            )
    except (EOFError, zlib.error, gzip.BadGzipFile):
        raise DataError(
            f"{path}: is no gzip file, or one that is cut short or damaged: fetch it again"
        ) from None
    except UnicodeDecodeError as error:
        raise DataError(not_text(str(path), error.encoding, "CSV UTF-8")) from None
    except MemoryError:
        raise DataError(f"{path}: does not fit into the memory: take a part of it") from None
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {_said(error)}") from None


class _Limited(io.RawIOBase):
    """A file that refuses to go on beyond the limits, as soon as it passes one."""

    def __init__(self, file: BinaryIO | gzip.GzipFile, label: str, nul_is_text: bool) -> None:
        self._file, self._label, self._nul_is_text = file, label, nul_is_text
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
            if count > most:
                raise DataError(
                    f"{self._label}: must have at most {most:,} {what}, got more; take a part of it"
                )


def _said(error: OSError | ValueError) -> str:
    return getattr(error, "strerror", None) or str(error)
