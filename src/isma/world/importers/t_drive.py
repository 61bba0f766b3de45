"""Traces of T-Drive: a headerless file for each taxi, `id, date time, longitude, latitude`."""

import re
from io import BytesIO
from pathlib import Path

import numpy as np
import pandas as pd

from isma.errors import DataError, short
from isma.world.importers import archives, times
from isma.world.importers.dates import TimeRule
from isma.world.importers.reading import Reading, far_line

ZONE = "Asia/Shanghai"
"""Where the taxis drove: the files say nothing of a zone."""
_NAMES = ["taxi", "moment", "longitude", "latitude"]
_LINE = re.compile(rb"\d+,\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,-?\d+\.?\d*,-?\d+\.?\d*\s*")


def read(path: Path, zone: str | None = None) -> Reading:
    """Read a folder, an archive or one file of T-Drive: user_id, time_s, latitude, longitude.

    Dates are on the clocks of Beijing unless another zone is given. Raises DataError with the file
    and the line.
    """
    parts = []
    for name, content in _files(path):
        label = f"{path}: {short(name, 80)}" if name else str(path)
        table = _table(content, label)
        lines = range(1, 1 + len(table))
        table.index = pd.MultiIndex.from_product(
            [[name or path.name], lines], names=("file", "line")
        )
        parts.append(table)
    if not parts or not any(map(len, parts)):
        raise DataError(f"{path}: must hold T-Drive's .txt files with fixes, got none")
    table = pd.concat(parts)
    written = pd.Series(table["moment"])
    moments = times.parsed(written, f"{path}: moment", TimeRule(zone=zone or ZONE))
    columns = {"user_id": np.asarray(table["taxi"], dtype=object), "time_s": moments.time_s}
    for axis in ("latitude", "longitude"):
        columns[axis] = np.asarray(pd.to_numeric(table[axis], errors="coerce"), np.float64)
    why = (
        "as given"
        if zone
        else "where the taxis drove, for the files name none; another by --time-zone"
    )
    said = (
        f"read {short(path.name)}: T-Drive, {len(parts):,} files, {len(table):,} rows of taxi date-time "
        "longitude latitude, no header",
        f"who moves: taxi, lat: column 4, lon: column 3; time: {moments.understood} ({why})",
    )
    doubts = far_line(moments, written)
    return Reading(pd.DataFrame(columns, index=table.index), said, doubts, "")


def _files(path: Path) -> list[tuple[str, bytes]]:
    if path.is_file():
        with path.open("rb") as file:
            if _LINE.match(file.readline(200)):
                return [("", archives.one(path))]
    return list(archives.members(path, lambda name: name.casefold().endswith(".txt"), ".txt files"))


def _table(content: bytes, label: str) -> pd.DataFrame:
    if not content.strip():
        return pd.DataFrame(columns=_NAMES, dtype=str)
    first = content.split(b"\n", 1)[0]
    if not _LINE.match(first + b"\n"):
        raise DataError(
            f"{label}: line 1: must be id,yyyy-mm-dd hh:mm:ss,longitude,latitude, got "
            f"{short(first.decode('utf-8', 'replace'))!r}"
        )
    try:
        return pd.read_csv(
            BytesIO(content),
            header=None,
            names=_NAMES,
            dtype=str,
            keep_default_na=False,
            index_col=False,
        )
    except (ValueError, pd.errors.ParserError) as error:
        raise DataError(
            f"{label}: must be lines of four columns: {short(str(error), 120)}"
        ) from None
