"""Files of an untrusted folder, tar or zip archive, read within limits and never unpacked to disk."""

import tarfile
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from isma.errors import DataError, short
from isma.world import inputs
from isma.world.inputs import DAMAGED, MOST_MEMBER_BYTES, MOST_MEMBERS


def members(
    path: Path, wanted: Callable[[str], bool], what: str = "cab files"
) -> Iterator[tuple[str, bytes]]:
    """Names and contents of the wanted plain files of a folder or archive; links are none.

    Raises DataError in one line, as soon as a limit is passed.
    """
    found = _folder(path, wanted) if path.is_dir() else _archive(path, what)
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


def one(path: Path) -> bytes:
    """Contents of one plain file, within the limit of a member. Raises DataError."""
    return inputs.content(path, "file", most_bytes=inputs.MOST_BYTES)


_Members = Iterator[tuple[str, int, Callable[[], bytes]]]
"""Name, bytes, and how to read a file."""


def _folder(path: Path, wanted: Callable[[str], bool]) -> _Members:
    for file in sorted(file for file in path.rglob("*") if wanted(file.name)):
        size = inputs.plain(file, "file")
        yield str(file.relative_to(path)), size, lambda file=file: inputs.content(file, "file")


def _archive(path: Path, what: str) -> _Members:
    inputs.plain(path, f"archive or folder of {what}")
    with _one_line(path, what):
        with path.open("rb") as file:
            start = file.read(6)
        if start.startswith(inputs.ZIP):
            yield from _zipped(path, what)
            return
        openers = inputs.UNPACKERS.items()
        opener = next((how for mark, how in openers if start.startswith(mark)), None)
        with opener(path) if opener else path.open("rb") as unpacked:
            limited = inputs.ArchiveFile(unpacked, str(path))
            with tarfile.open(fileobj=limited, mode="r:") as archive:
                for member in archive:
                    name = member.name if member.isfile() else ""
                    yield name, member.size, lambda m=member: _read(archive, m, path, what)
                _ended(archive, limited, path)


def _zipped(path: Path, what: str) -> _Members:
    with zipfile.ZipFile(path) as archive:
        for info in archive.infolist():
            if info.flag_bits & 1:
                raise DataError(f"{path}: is a zip archive with a password: unpack it")
            name = "" if info.is_dir() or info.filename.startswith("__MACOSX/") else info.filename
            # No more than this size is unpacked, even if the archive holds more.
            yield name, info.file_size, lambda i=info: _unzipped(archive, i, path, what)


def _unzipped(archive: zipfile.ZipFile, info: zipfile.ZipInfo, path: Path, what: str) -> bytes:
    # Read while the loop over the members is suspended, and so outside its error handling.
    with _one_line(path, what):
        return archive.read(info)


def _read(archive: tarfile.TarFile, member: tarfile.TarInfo, path: Path, what: str) -> bytes:
    with _one_line(path, what):
        content = archive.extractfile(member)
        return b"" if content is None else content.read()


@contextmanager
def _one_line(path: Path, what: str) -> Iterator[None]:
    """Turn any error of reading an archive into a DataError."""
    try:
        yield
    except DataError:
        raise
    except tarfile.ReadError as error:
        if "unexpected end" in str(error):
            raise DataError(f"{path}: {DAMAGED}") from None
        raise DataError(
            f"{path}: must be a folder, or a tar or zip archive, of {what}, got neither"
        ) from None
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror or DAMAGED}") from None
    except Exception:  # Damaged headers make tarfile and the unpackers raise nearly anything.
        raise DataError(f"{path}: {DAMAGED}") from None


def _ended(archive: tarfile.TarFile, file: inputs.ArchiveFile, path: Path) -> None:
    """Raise unless the archive closes with zeros; tarfile takes a damaged header for the end."""
    if file.tell() != archive.offset + tarfile.BLOCKSIZE:
        raise DataError(f"{path}: {DAMAGED}")
    while rest := file.read(1 << 20):
        if rest.strip(b"\0"):
            raise DataError(f"{path}: {DAMAGED}")
