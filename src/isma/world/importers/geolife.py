"""Traces of Geolife: a folder for each user, a .plt for each trip, as Microsoft Research gives them out."""

from io import BytesIO
from pathlib import Path, PurePosixPath

import numpy as np
import pandas as pd

from isma.errors import DataError, short
from isma.world.importers import archives
from isma.world.importers.reading import Reading

_HEAD = 6
"""Lines before the fixes: the second names the datum."""
_NAMES = ["latitude", "longitude", "zero", "altitude_ft", "days", "date", "time"]
_EPOCH_DAYS = 25_569.0  # from 1899-12-30, from which days are counted, to 1970
_APART_S = 2.0


def read(path: Path) -> Reading:
    """Read a folder or archive of .plt files: user_id, time_s, latitude, longitude, in GMT.

    A user is the folder above `Trajectory`. Times are the date and time of a line; they must agree
    with its count of days. Raises DataError with the file.
    """
    parts, files, users = [], [], []
    for name, content in archives.members(
        path, lambda name: name.casefold().endswith(".plt"), ".plt files"
    ):
        label = f"{path}: {short(name, 80)}"
        table = _table(content, label)
        user = _user(name, path)
        users.append(user)
        files.append(name)
        columns = {"user_id": user, "time_s": _moments(table, label)}
        columns |= {axis: np.asarray(table[axis], np.float64) for axis in ("latitude", "longitude")}
        lines = range(_HEAD + 1, _HEAD + 1 + len(table))
        place = pd.MultiIndex.from_product([[name], lines], names=("file", "line"))
        parts.append(pd.DataFrame(columns, index=place))
    if not parts or not any(map(len, parts)):
        raise DataError(f"{path}: must hold Geolife's .plt files with fixes, got none")
    frame = pd.concat(parts)
    understood = (
        f"read {short(path.name)}: Geolife, {len(files):,} .plt files of {len(set(users)):,} users, "
        f"{len(frame):,} rows of latitude longitude 0 altitude days date time",
        "who moves: a user for each folder; time: date and time in GMT, as Geolife's guide says",
    )
    return Reading(frame, understood, (), "")


def _user(name: str, path: Path) -> str:
    """The folder above Trajectory, or the one that holds the file."""
    folders = [part for part in PurePosixPath(name).parts[:-1] if part.casefold() != "trajectory"]
    return (
        folders[-1] if folders else (path.parent.name if path.name == "Trajectory" else path.name)
    )


def _table(content: bytes, label: str) -> pd.DataFrame:
    head = content.splitlines()[:_HEAD]
    if len(head) < _HEAD or b"wgs 84" not in head[1].lower():
        raise DataError(
            f"{label}: must begin with Geolife's six lines, the second naming WGS 84, got "
            f"{short(ascii(head[1].decode('utf-8', 'replace')) if len(head) > 1 else 'less')}"
        )
    try:
        table = pd.read_csv(
            BytesIO(content), skiprows=_HEAD, header=None, names=_NAMES, dtype=str, keep_default_na=False,
            index_col=False, on_bad_lines="error",
        )  # fmt: skip
    except (ValueError, UnicodeDecodeError) as error:
        if "No columns" in str(error) or "EmptyData" in type(error).__name__:
            return pd.DataFrame(columns=_NAMES)
        raise DataError(
            f"{label}: must be lines of {' '.join(_NAMES)}: {short(str(error))}"
        ) from None
    for axis in ("latitude", "longitude", "days"):
        numbers = np.asarray(pd.to_numeric(table[axis], errors="coerce"), np.float64)
        if np.isnan(numbers).any():
            row = int(np.isnan(numbers).argmax())
            raise DataError(
                f"{label}: line {row + _HEAD + 1}: {axis} must be a number, got "
                f"{short(table[axis].iloc[row])!r}"
            )
        table[axis] = numbers
    return table


def _moments(table: pd.DataFrame, label: str) -> np.ndarray:
    text = table["date"].str.strip() + " " + table["time"].str.strip()
    moments = pd.to_datetime(text, format="%Y-%m-%d %H:%M:%S", utc=True, errors="coerce")
    since = moments.dt.tz_convert(None).to_numpy("datetime64[us]") - np.datetime64(0, "us")
    time_s = np.asarray(since / np.timedelta64(1, "s"), np.float64)
    counted_s = (np.asarray(table["days"], np.float64) - _EPOCH_DAYS) * 86_400
    wrong = ~(np.abs(time_s - counted_s) <= _APART_S)
    if wrong.any():
        row = int(wrong.argmax())
        raise DataError(
            f"{label}: line {row + _HEAD + 1}: date and time must agree with the days since 1899-12-30, got "
            f"{short(text.iloc[row])!r} and {table['days'].iloc[row]:g}"
        )
    return time_s
