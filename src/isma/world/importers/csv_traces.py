"""Traces from any CSV with an identity, a time, a latitude and a longitude in each row."""

import gzip
import re
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from io import TextIOWrapper
from pathlib import Path

import numpy as np
import pandas as pd
from jaxtyping import Float

from isma.errors import DataError
from isma.world.sites import LATITUDE_NAMES, LONGITUDE_NAMES, delimiter, find_column
from isma.world.traces import COLUMNS

ID_NAMES = (
    "user_id", "user", "id", "uid", "vehicle_id", "vehicle", "veh_id", "device_id", "device",
    "cab_id", "cab", "taxi_id", "taxi", "object_id", "track_id", "trip_id", "name",
)  # fmt: skip
"""What tables call who moves, the likeliest first; case does not matter."""
TIME_NAMES = (
    "time_s", "time", "timestamp", "unix_time", "unixtime", "epoch", "datetime", "date_time", "ts",
    "t",
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

    The index is the line in the file. Single values that cannot be read become NaN, for cleaning to
    count. Raises DataError for what is no such table, and for a column most of which cannot be read.
    """
    try:
        with _opened(path) as file:
            header_line = file.readline()
            if not header_line.strip():
                raise DataError(f"{path}: must hold a header and fixes, got an empty file")
            file.seek(0)
            table = pd.read_csv(
                file,
                sep=delimiter(header_line),
                dtype=str,
                keep_default_na=False,
                skip_blank_lines=False,
            )
    except FileNotFoundError:
        raise DataError(f"{path}: no such trace") from None
    except (EOFError, zlib.error, gzip.BadGzipFile):
        raise DataError(
            f"{path}: is no gzip file, or one that is cut short: fetch it again"
        ) from None
    except UnicodeDecodeError:
        raise DataError(f"{path}: a trace must be a CSV file, got one that is not text") from None
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}") from None
    except (pd.errors.ParserError, ValueError) as error:
        raise DataError(f"{path}: {_reason(error)}") from None
    if table.empty:
        raise DataError(f"{path}: must hold fixes, got a header alone")
    if not isinstance(table.index, pd.RangeIndex):
        width = table.shape[1]
        raise DataError(f"{path}: line 2: must have {width} columns as the header, got more")
    return _fixes(table, columns or Columns(), str(path))


def _opened(path: Path) -> TextIOWrapper:
    if path.suffix == ".gz":
        return gzip.open(path, "rt", encoding="utf-8-sig", newline="")
    return path.open(encoding="utf-8-sig", newline="")


def _reason(error: Exception) -> str:
    width = _WIDTH.search(str(error))
    if width is None:
        return f"must be a CSV file: {error}"
    expected, line, seen = width.groups()
    return f"line {line}: must have {expected} columns as the header, got {seen}"


def _fixes(table: pd.DataFrame, columns: Columns, label: str) -> pd.DataFrame:
    picked = {
        "user_id": _column(table, columns.user_id, ID_NAMES, "who moves", label),
        "time_s": _column(table, columns.time, TIME_NAMES, "the time", label),
        "latitude": _column(table, columns.latitude, LATITUDE_NAMES, "degrees north", label),
        "longitude": _column(table, columns.longitude, LONGITUDE_NAMES, "degrees east", label),
    }
    text = pd.DataFrame({name: table[column].str.strip() for name, column in picked.items()})
    text = text.loc[np.asarray(text != "").any(axis=1)]
    parsed: dict[str, np.ndarray] = {"user_id": np.asarray(text["user_id"], dtype=object)}
    for name in COLUMNS[1:]:
        read_one = _time_s if name == "time_s" else _numbers
        parsed[name] = read_one(text[name], f"{label}: {picked[name]}")
        wrong = np.isnan(parsed[name])
        if wrong.mean() > 0.5:
            row = int(wrong.argmax())
            kind = "UNIX seconds or ISO 8601" if name == "time_s" else "a number of degrees"
            raise DataError(
                f"{label}: line {text.index[row] + 2}: {picked[name]} must be {kind}, "
                f"got {text[name].iloc[row]!r}"
            )
    return pd.DataFrame(parsed, index=pd.Index(text.index + 2, name="line"))


def _column(
    table: pd.DataFrame, given: str | None, usual: Sequence[str], what: str, label: str
) -> str:
    names = usual if given is None else [given]
    return table.columns[find_column(list(table.columns), names, what, label)]


def _numbers(text: pd.Series, label: str) -> Float[np.ndarray, "fixes"]:
    return np.asarray(pd.to_numeric(text, errors="coerce"), dtype=np.float64)


def _time_s(text: pd.Series, label: str) -> Float[np.ndarray, "fixes"]:
    """UNIX seconds from numbers, or from ISO 8601 where most are no numbers."""
    seconds = _numbers(text, label)
    if np.isfinite(seconds).mean() >= 0.5:
        middle = float(np.nanmedian(seconds))
        if middle > _LATEST_S:
            raise DataError(
                f"{label} must be UNIX seconds or ISO 8601, got numbers around {middle:.0f}: "
                "if these are milliseconds, divide them by 1000"
            )
        return seconds
    moments = pd.to_datetime(text, format="ISO8601", utc=True, errors="coerce")
    elapsed = moments - pd.Timestamp(0, tz="UTC")
    return np.asarray(elapsed / pd.Timedelta(seconds=1), dtype=np.float64)
