"""San Francisco's cabs as CRAWDAD's epfl/mobility set gives them: a text file for each cab.

A line of `new_<cab>.txt` is `latitude longitude occupancy unixtime`, the newest first.
"""

import math
import tarfile
import zlib
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path, PurePosixPath

import numpy as np
import pandas as pd
from jaxtyping import Float

from isma.errors import DataError

_PREFIX, _SUFFIX = "new_", ".txt"
_FIELDS = ("latitude", "longitude", "occupancy", "time_s")
_DAMAGED = "the archive is cut short or damaged: fetch it again"


def read(path: Path) -> pd.DataFrame:
    """Read a folder or a tar archive of cab files: user_id, time_s, latitude, longitude.

    Nothing is unpacked to disk. Raises DataError with the file, the line and the reason.
    """
    cabs, values = [], []
    for name, content in _folder(path) if path.is_dir() else _archive(path):
        cab = PurePosixPath(name).name.removeprefix(_PREFIX).removesuffix(_SUFFIX)
        rows = _parse(content, f"{path}: {name}")
        cabs += [cab] * len(rows)
        values.append(rows)
    if not values:
        raise DataError(f"{path}: must hold cab files named {_PREFIX}<cab>{_SUFFIX}, got none")
    if not cabs:
        raise DataError(f"{path}: cab files must hold fixes, got {len(values)} empty ones")
    table = np.concatenate(values)
    return pd.DataFrame(
        {"user_id": cabs, "time_s": table[:, 3], "latitude": table[:, 0], "longitude": table[:, 1]}
    )


def _folder(path: Path) -> Iterator[tuple[str, bytes]]:
    for file in sorted(path.rglob(f"{_PREFIX}*{_SUFFIX}")):
        try:
            yield str(file.relative_to(path)), file.read_bytes()
        except OSError as error:
            raise DataError(f"{file}: cannot be read: {error.strerror}") from None


def _archive(path: Path) -> Iterator[tuple[str, bytes]]:
    try:
        with tarfile.open(path, "r:*") as archive:
            for member in archive:
                name = PurePosixPath(member.name).name
                if member.isfile() and name.startswith(_PREFIX) and name.endswith(_SUFFIX):
                    content = archive.extractfile(member)
                    yield member.name, b"" if content is None else content.read()
            _ended(archive, path)
    except FileNotFoundError:
        raise DataError(f"{path}: no such archive or folder of cab files") from None
    except tarfile.ReadError as error:
        if "unexpected end" in str(error):
            raise DataError(f"{path}: {_DAMAGED}") from None
        raise DataError(
            f"{path}: must be a folder or a tar archive (.tar.gz) of cab files, got neither"
        ) from None
    except (EOFError, zlib.error, tarfile.TarError):
        raise DataError(f"{path}: {_DAMAGED}") from None
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror or _DAMAGED}") from None


def _ended(archive: tarfile.TarFile, path: Path) -> None:
    """Raise unless the archive closes with zeros; tarfile takes a damaged header for the end."""
    file = archive.fileobj
    if file is None:
        return
    whole_block = file.tell() == archive.offset + tarfile.BLOCKSIZE
    if not whole_block or file.read(-1).strip(b"\0"):
        raise DataError(f"{path}: {_DAMAGED}")


def _parse(content: bytes, label: str) -> Float[np.ndarray, "fixes 4"]:
    """Four numbers a line, by pandas; the slow way finds the line that is none."""
    if not content.strip():
        return np.empty((0, 4))
    try:
        table = pd.read_csv(BytesIO(content), sep=r"\s+", header=None, dtype=np.float64)
    except (ValueError, UnicodeDecodeError, pd.errors.ParserError):
        raise _first_wrong(content, label) from None
    if table.shape[1] != len(_FIELDS) or table.isna().to_numpy().any():
        _all_right(content, label)
    return table.to_numpy()


def _first_wrong(content: bytes, label: str) -> DataError:
    try:
        _all_right(content, label)
    except DataError as error:
        return error
    return DataError(f"{label}: must be lines of {' '.join(_FIELDS)}, got something else")


def _all_right(content: bytes, label: str) -> None:
    """Raise DataError for the first line that is not four numbers; `nan` is one, for cleaning."""
    for number, line in enumerate(content.decode("utf-8", "replace").splitlines(), start=1):
        words = line.split()
        if words and len(words) != len(_FIELDS):
            raise DataError(
                f"{label}: line {number}: must be {' '.join(_FIELDS)}, got {len(words)} columns"
            )
        for field, word in zip(_FIELDS, words, strict=False):
            try:
                math.isnan(float(word))
            except ValueError:
                raise DataError(
                    f"{label}: line {number}: {field} must be a number, got {word!r}"
                ) from None
