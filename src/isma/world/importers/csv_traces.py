"""Traces from any CSV with an identity, a time, a latitude and a longitude in each row."""

import csv
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from isma.errors import DataError, ScenarioError, short, some
from isma.world import inputs
from isma.world.importers import times
from isma.world.importers.reading import Reading, far_line
from isma.world.sites import LATITUDE_NAMES, LONGITUDE_NAMES, delimiter, find_column
from isma.world.traces import COLUMNS

ID_NAMES = (
    "user_id", "user", "id", "uid", "vehicle_id", "vehicle", "veh_id", "device_id", "device",
    "cab_id", "cab", "taxi_id", "taxi", "object_id", "track_id", "trip_id", "name",
)  # fmt: skip
"""What tables call who moves, the likeliest first; case does not matter."""
ALSO_IDS = (
    "plate", "plate_no", "license_plate", "licence_plate", "driver", "driver_id", "bus", "bus_id",
    "bike", "bike_id", "ship", "mmsi", "imei", "imsi", "person", "person_id", "node", "agent",
)  # fmt: skip
"""What else may tell who moves: never taken unasked, but said to be there."""
TIME_NAMES = (
    "time_s", "time", "timestamp", "unix_time", "unixtime", "epoch", "datetime", "date_time", "ts",
    "t",
)  # fmt: skip
"""What tables call the moment."""
MOST_COLUMNS = 1000
"""Columns that a table may have."""
_WIDTH = re.compile(r"Expected (\d+) fields in line (\d+), saw (\d+)")
_SIGNS = {",": "commas", ";": "semicolons", "\t": "tabs"}
_OPTIONS = {"user_id": "id", "time_s": "time", "latitude": "lat", "longitude": "lon"}


@dataclass(frozen=True)
class Columns:
    """A table's columns by name or number (from 1); where none is given, the usual names are tried."""

    user_id: str | None = None
    """Who moves."""
    time: str | None = None
    """Numbers (UNIX seconds unless told otherwise), or ISO 8601 (in UTC unless it carries a zone)."""
    latitude: str | None = None
    """Degrees north."""
    longitude: str | None = None
    """Degrees east."""

    @classmethod
    def typed(cls, text: str) -> "Columns":
        """Columns as typed: `id=taxi,time=t`, or four in the order id,time,lat,lon. Raises ScenarioError."""
        fields = {"id": "user_id", "user_id": "user_id", "time": "time", "time_s": "time"}
        fields |= dict.fromkeys(LATITUDE_NAMES, "latitude") | dict.fromkeys(
            LONGITUDE_NAMES, "longitude"
        )
        parts = [part.strip() for part in text.split(",")]
        if len(parts) == 4 and not any("=" in part for part in parts) and all(parts):
            return cls(*parts)
        found: dict[str, str] = {}
        for part in parts:
            what, equals, name = (piece.strip() for piece in part.partition("="))
            if not equals or not name or fields.get(what) in (None, *found):
                raise ScenarioError(
                    "--columns must name columns as id=NAME,time=NAME,lat=NAME,lon=NAME (any of "
                    f"them, each once, by name or number), or all four in that order; got {short(text)!r}"
                )
            found[fields[what]] = name
        return cls(**found)


def read(path: Path, columns: Columns | None = None, time_unit: str | None = None) -> Reading:
    """Read a .csv or .csv.gz into columns user_id, time_s, latitude, longitude.

    The frame's index is the line in the file. Single values that cannot be read become NaN, for
    cleaning to count. Raises DataError for what is no such table, and for a column most of which
    cannot be read.
    """
    try:
        with inputs.table(path, "trace") as (file, _):
            header, sign = _header(file.readline(inputs.LONGEST_LINE), str(path))
        with inputs.table(path, "trace") as (file, encoding):
            table = pd.read_csv(
                file, sep=sign, dtype=str, keep_default_na=False, skip_blank_lines=False
            )
    except (pd.errors.ParserError, csv.Error, ValueError) as error:
        raise DataError(f"{path}: {_reason(error)}") from None
    if table.empty:
        raise DataError(f"{path}: must hold fixes, got a header alone")
    if not isinstance(table.index, pd.RangeIndex):
        raise DataError(f"{path}: line 2: must have {len(header)} columns as the header, got more")
    table.columns = range(len(header))  # Two columns may have one name.
    said = f"read {short(path.name)}: {len(table):,} rows, {encoding.removesuffix('-sig').upper()}"
    return _fixes(
        table, header, columns or Columns(), time_unit, str(path), f"{said}, {_SIGNS[sign]}"
    )


def _header(line: str, label: str) -> tuple[list[str], str]:
    """Names of the columns, and the sign between them."""
    if not line.strip():
        raise DataError(f"{label}: must hold a header and fixes, got an empty file")
    sign = delimiter(line)
    header = next(csv.reader([line], delimiter=sign))
    if len(header) > MOST_COLUMNS:
        raise DataError(
            f"{label}: must have at most {MOST_COLUMNS:,} columns, got {len(header):,}; keep those "
            "of who moves, time, latitude and longitude"
        )
    return [name.strip() for name in header], sign


def _reason(error: Exception) -> str:
    width = _WIDTH.search(str(error))
    if width is None:
        return f"must be a CSV file: {short(error, 200)}"
    expected, line, seen = width.groups()
    return f"line {line}: must have {expected} columns as the header, got {seen}"


def _fixes(
    table: pd.DataFrame,
    header: list[str],
    columns: Columns,
    time_unit: str | None,
    label: str,
    said: str,
) -> Reading:
    usual = {
        "user_id": (columns.user_id, ID_NAMES, "who moves"),
        "time_s": (columns.time, TIME_NAMES, "the time"),
        "latitude": (columns.latitude, LATITUDE_NAMES, "degrees north"),
        "longitude": (columns.longitude, LONGITUDE_NAMES, "degrees east"),
    }
    picked = {
        name: _column(header, given, names, what, label)
        for name, (given, names, what) in usual.items()
    }
    called = {name: short(header[column], 30) for name, column in picked.items()}
    text = pd.DataFrame({name: table[column].str.strip() for name, column in picked.items()})
    text = text.loc[np.asarray(text != "").any(axis=1)]
    text.index = pd.Index(text.index + 2, name="line")
    moments = times.parsed(text["time_s"], f"{label}: {called['time_s']}", time_unit)
    parsed: dict[str, np.ndarray] = {"user_id": np.asarray(text["user_id"], dtype=object)}
    parsed["time_s"] = moments.time_s
    for name in COLUMNS[2:]:
        parsed[name] = np.asarray(pd.to_numeric(text[name], errors="coerce"), dtype=np.float64)
    for name in COLUMNS[1:]:
        wrong = np.isnan(parsed[name])
        if wrong.mean() > 0.5:
            kind = "UNIX seconds or ISO 8601" if name == "time_s" else "a number of degrees"
            row = int(wrong.argmax())
            raise DataError(
                f"{label}: line {text.index[row]}: {called[name]} must be {kind}, "
                f"got {short(text[name].iloc[row])!r}"
            )
    who = (
        f"who moves: {called['user_id']}, time: {called['time_s']}, "
        f"lat: {called['latitude']}, lon: {called['longitude']}"
    )
    also = _also(header, picked, columns)
    odd = (*moments.odd, *far_line(moments, text["time_s"]), *_counts_up(text["user_id"], called))
    frame = pd.DataFrame(parsed, index=text.index)
    others = [name for column, name in enumerate(header) if column not in picked.values()]
    return Reading(
        frame,
        (said, f"{who}{also}", f"time: {moments.understood}"),
        odd,
        f"--columns id=NAME names another column than {called['user_id']} for who moves"
        + (f" ({some(others)})" if others else ""),
    )


def _also(header: list[str], picked: dict[str, int], columns: Columns) -> str:
    """Name columns that might have been meant in place of those that were guessed."""
    given = (columns.user_id, columns.time, columns.latitude, columns.longitude)
    usual = ((*ID_NAMES, *ALSO_IDS), TIME_NAMES, LATITUDE_NAMES, LONGITUDE_NAMES)
    found = {
        option: [
            name
            for column, name in enumerate(header)
            if asked is None and column not in picked.values() and name.casefold() in names
        ]
        for option, asked, names in zip(_OPTIONS.values(), given, usual, strict=True)
    }
    named = {option: names for option, names in found.items() if names}
    if not named:
        return ""
    there = some(name for names in named.values() for name in names)
    way = ",".join(f"{option}={short(names[0], 30)}" for option, names in named.items())
    return f" ({there} there too: --columns {way})"


def _counts_up(ids: pd.Series, called: dict[str, str]) -> tuple[str, ...]:
    """Say of identities that they count rows, if most are one more than in the row before."""
    numbers = np.asarray(pd.to_numeric(ids, errors="coerce"), dtype=np.float64)
    if len(numbers) < 3 or not (np.diff(numbers) == 1).mean() > 0.5:
        return ()
    return (
        f"{called['user_id']} counts up from row to row, as a row's or a point's number does, not as "
        "who moves; give --columns id=NAME",
    )


def _column(
    header: list[str], given: str | None, usual: Sequence[str], what: str, label: str
) -> int:
    """Index of a column, by name, by number, or by its usual names."""
    if given is not None and given.isdecimal() and given not in header:
        if not 1 <= int(given[:9]) <= len(header):
            raise DataError(
                f"{label}: a column's number must be 1 to {len(header)}, got {short(given)}"
            )
        return int(given) - 1
    return find_column(header, usual if given is None else [given], what, label)
