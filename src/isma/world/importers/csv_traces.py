"""Traces from any CSV with an identity, a time, a latitude and a longitude in each row."""

import gzip
import re
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

import numpy as np
import pandas as pd

from isma.errors import DataError
from isma.world.sites import LATITUDE_NAMES, LONGITUDE_NAMES, delimiter, find_column
from isma.world.traces import COLUMNS

ID_NAMES = (
    "user_id", "user", "id", "uid", "vehicle_id", "vehicle", "veh_id", "device_id", "device",
    "cab_id", "cab", "taxi_id", "taxi", "object_id", "track_id", "trip_id", "name",
)  # fmt: skip
"""What tables call who moves, the likeliest first; case does not matter."""
TIME_NAMES = (
    "time_s", "time", "timestamp", "unix_time", "unixtime", "epoch", "datetime", "date_time", "ts", "t",
)  # fmt: skip
"""What tables call the moment."""
_LATEST_S = 1e11  # the year 5138: a number above it counts no seconds
_WIDTH = re.compile(r"Expected (\d+) fields in line (\d+), saw (\d+)")


@dataclass(frozen=True)
class Columns:
    """What a table calls its columns; where none is given, the usual names are tried."""

    user_id: str | None = None
    """Who moves."""
    time: str | None = None
    """UNIX seconds, or ISO 8601 (in UTC unless it carries a zone)."""
    latitude: str | None = None
    """Degrees north."""
    longitude: str | None = None
    """Degrees east."""


def read(path: Path, columns: Columns | None = None) -> pd.DataFrame:
    """Read a .csv or .csv.gz into columns user_id, time_s, latitude, longitude.

    Single values that cannot be read become NaN, for cleaning to count. Raises DataError for what
    is no such table, and for a column most of which cannot be read.
    """
    try:
        with _opened(path) as file:
            header_line = file.readline()
            if not header_line.strip():
                raise DataError(f"{path}: must hold a header and fixes, got an empty file")
            sign = delimiter(header_line)
            header = [name.strip().strip('"') for name in header_line.strip().split(sign)]
            table = pd.read_csv(file, sep=sign, names=header, dtype=str, index_col=False)
    except FileNotFoundError:
        raise DataError(f"{path}: no such trace") from None
    except (EOFError, zlib.error, gzip.BadGzipFile):
        raise DataError(f"{path}: is no gzip file, or one that is cut short: fetch it again") from None
    except UnicodeDecodeError:
        raise DataError(f"{path}: a trace must be a CSV file, got one that is not text") from None
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}") from None
    except pd.errors.EmptyDataError:
        raise DataError(f"{path}: must hold fixes, got a header alone") from None
    except (pd.errors.ParserError, ValueError) as error:
        raise DataError(f"{path}: {_reason(error)}") from None
    if table.empty:
        raise DataError(f"{path}: must hold fixes, got a header alone")
    return _fixes(table, columns or Columns(), str(path))


def _opened(path: Path) -> TextIO:
    if path.suffix == ".gz":
        return gzip.open(path, "rt", encoding="utf-8-sig", newline="")  # pyright: ignore
    return path.open(encoding="utf-8-sig", newline="")


def _reason(error: Exception) -> str:
    width = _WIDTH.search(str(error))
    if width is None:
        return f"must be a CSV file: {error}"
    expected, line, seen = width.groups()
    return f"line {int(line) + 1}: must have {expected} columns as the header, got {seen}"


def _fixes(table: pd.DataFrame, columns: Columns, label: str) -> pd.DataFrame:
    picked = {
        "user_id": _column(table, columns.user_id, ID_NAMES, "who moves", label),
        "time_s": _column(table, columns.time, TIME_NAMES, "the time", label),
        "latitude": _column(table, columns.latitude, LATITUDE_NAMES, "degrees north", label),
        "longitude": _column(table, columns.longitude, LONGITUDE_NAMES, "degrees east", label),
    }
    fixes = pd.DataFrame({name: values.str.strip() for name, values in picked.items()})
    parsed = {
        "time_s": _time_s(fixes["time_s"], label),
        **{name: pd.to_numeric(fixes[name], errors="coerce") for name in COLUMNS[2:]},
    }
    for name, values in parsed.items():
        _mostly_read(values, fixes[name], str(picked[name].name), label)
    return fixes.assign(**parsed)


def _column(
    table: pd.DataFrame, given: str | None, usual: Sequence[str], what: str, label: str
) -> pd.Series:
    names = usual if given is None else [given]
    return table.iloc[:, find_column(list(table.columns), names, what, label)]


def _time_s(text: pd.Series, label: str) -> pd.Series:
    """UNIX seconds from numbers, or from ISO 8601 where most are no numbers."""
    seconds = pd.to_numeric(text, errors="coerce")
    if seconds.notna().mean() >= 0.5:
        if seconds.median() > _LATEST_S:
            raise DataError(
                f"{label}: {text.name} must be UNIX seconds or ISO 8601, got {text.iloc[0]!r}: "
                "are these milliseconds? divide them by 1000"
            )
        return seconds
    moments = pd.to_datetime(text, format="ISO8601", utc=True, errors="coerce")
    elapsed = moments - pd.Timestamp(0, tz="UTC")
    return (elapsed / pd.Timedelta(seconds=1)).astype(np.float64)


def _mostly_read(values: pd.Series, text: pd.Series, name: str, label: str) -> None:
    wrong = values.isna()
    if wrong.mean() > 0.5:
        row = int(wrong.to_numpy().argmax())
        kind = "UNIX seconds or ISO 8601" if values.name == "time_s" else "a number of degrees"
        raise DataError(f"{label}: line {row + 2}: {name} must be {kind}, got {text.iloc[row]!r}")
