"""San Francisco's cabs as CRAWDAD's epfl/mobility set gives them: a text file for each cab.

A line of `new_<cab>.txt` is `latitude longitude occupancy unixtime`, the newest first.
"""

import math
from io import BytesIO
from pathlib import Path, PurePosixPath

import numpy as np
import pandas as pd
from jaxtyping import Float

from isma.errors import DataError, short
from isma.world.importers import archives, times
from isma.world.importers.reading import Reading, far_line

_PREFIX, _SUFFIX = "new_", ".txt"
_FIELDS = ("latitude", "longitude", "occupancy", "time_s")


def read(path: Path, time_unit: str | None = None) -> Reading:
    """Read a folder or a tar archive of cab files: user_id, time_s, latitude, longitude.

    The frame's index is the file and the line. Raises DataError with the file, the line and the
    reason.
    """
    files, values = [], []
    for name, content in archives.members(path, _is_cab):
        files.append(name)
        values.append(_parse(content, f"{path}: {short(name, 80)}"))
    if not values:
        raise DataError(f"{path}: must hold cab files named {_PREFIX}<cab>{_SUFFIX}, got none")
    counts = [len(rows) for rows in values]
    if not sum(counts):
        raise DataError(f"{path}: cab files must hold fixes, got {len(values)} empty ones")
    table = np.concatenate(values)
    place = pd.MultiIndex(
        [files, np.arange(1, max(counts) + 1)],
        [
            np.repeat(np.arange(len(files)), counts),
            np.concatenate([np.arange(count) for count in counts]),
        ],
        names=("file", "line"),
        verify_integrity=False,
    )
    cabs = np.array([PurePosixPath(name).name[len(_PREFIX) : -len(_SUFFIX)] for name in files])
    moments = times.counted(table[:, 3], f"{path}: time_s", time_unit)
    frame = pd.DataFrame(
        {
            "user_id": np.repeat(cabs.astype(object), counts),
            "time_s": moments.time_s,
            "latitude": table[:, 0],
            "longitude": table[:, 1],
        },
        index=place,
    )
    understood = (
        f"read {short(path.name)}: {len(files):,} cab files, {len(table):,} rows of "
        f"{' '.join(_FIELDS)}",
        f"who moves: a cab for each file; time: {moments.understood}",
    )
    doubts = (*moments.doubts, *far_line(moments, pd.Series(table[:, 3], place)))
    return Reading(frame, understood, doubts, "")


def _is_cab(name: str) -> bool:
    last = PurePosixPath(name).name
    return last.startswith(_PREFIX) and last.endswith(_SUFFIX)


def _parse(content: bytes, label: str) -> Float[np.ndarray, "fixes 4"]:
    """Four numbers a line, by pandas; a slower parser finds a malformed line."""
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
                    f"{label}: line {number}: {field} must be a number, got {short(word)!r}"
                ) from None
