"""Traces from any CSV with an identity, a time and a place in each row."""

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
from isma.world.importers.coordinates import DEGREES, Placed, placed
from isma.world.importers.dates import TimeRule
from isma.world.importers.decimals import Numbers, numbers_of
from isma.world.importers.reading import Reading, far_line
from isma.world.sites import LATITUDE_NAMES, LONGITUDE_NAMES, delimiter, find_column

ID_NAMES = (
    "user_id", "user", "id", "uid", "vehicle_id", "vehicle", "veh_id", "device_id", "device",
    "cab_id", "cab", "taxi_id", "taxi", "object_id", "track_id", "trip_id", "name",
)  # fmt: skip
"""Names of the column of users' identities, the likeliest first; case does not matter."""
ALSO_IDS = (
    "plate", "plate_no", "license_plate", "licence_plate", "driver", "driver_id", "bus", "bus_id",
    "bike", "bike_id", "ship", "mmsi", "imei", "imsi", "person", "person_id", "node", "agent",
)  # fmt: skip
"""Other possible names of that column: never used by default, but suggested."""
TIME_NAMES = (
    "time_s", "time", "timestamp", "unix_time", "unixtime", "epoch", "datetime", "date_time", "ts",
    "t",
)  # fmt: skip
"""Names of the column of times."""
X_NAMES, Y_NAMES = (
    ("x", "x_m", "pos_x", "x_pos", "east_m"),
    ("y", "y_m", "pos_y", "y_pos", "north_m"),
)
"""Names of columns of coordinates that may be metres."""
MOST_COLUMNS = 1000
"""Columns that a table may have."""
_WIDTH = re.compile(r"Expected (\d+) fields in line (\d+), saw (\d+)")
_SIGNS = {",": "commas", ";": "semicolons", "\t": "tabs"}
_OPTIONS = {"user_id": "id", "time_s": "time", "latitude": "lat", "longitude": "lon"}


@dataclass(frozen=True)
class Columns:
    """A table's columns by name or number (from 1); where none is given, the usual names are tried."""

    user_id: str | None = None
    """Identity of the user."""
    time: str | None = None
    """Numbers (UNIX seconds unless another unit is given), or ISO 8601 (in UTC unless it has a zone)."""
    latitude: str | None = None
    """Degrees north."""
    longitude: str | None = None
    """Degrees east."""
    x: str | None = None
    """In place of longitude: metres east, or as --crs says."""
    y: str | None = None
    """In place of latitude: metres north, or as --crs says."""

    @classmethod
    def typed(cls, text: str) -> "Columns":
        """Columns as typed: `id=taxi,time=t`, or four in the order id,time,lat,lon. Raises ScenarioError."""
        fields = {"id": "user_id", "user_id": "user_id", "time": "time", "time_s": "time"}
        fields |= dict.fromkeys(LATITUDE_NAMES, "latitude") | dict.fromkeys(
            LONGITUDE_NAMES, "longitude"
        )
        fields |= {"x": "x", "y": "y"}
        parts = [part.strip() for part in text.split(",")]
        if len(parts) == 4 and not any("=" in part for part in parts) and all(parts):
            return cls(*parts)
        named: dict[str, str] = {}
        for part in parts:
            what, equals, name = (piece.strip() for piece in part.partition("="))
            if not equals or not name or fields.get(what) in (None, *named):
                raise ScenarioError(
                    "--columns must name columns as id=NAME,time=NAME,lat=NAME,lon=NAME (any of "
                    "them, each once, by name or number; x and y for metres), or all four in that order; "
                    f"got {short(text)!r}"
                )
            named[fields[what]] = name
        if {"x", "y"} & set(named) and {"latitude", "longitude"} & set(named):
            raise ScenarioError("--columns must give lat and lon, or x and y, not some of both")
        return cls(**named)

    @property
    def numbers(self) -> list[int] | None:
        """Numbers of the four columns, where all are given as numbers; else None."""
        given = (self.user_id, self.time, self.latitude or self.y, self.longitude or self.x)
        numbered = [int(name) for name in given if name is not None and name.isdecimal()]
        return numbered if len(numbered) == len(given) else None


def read(
    path: Path, columns: Columns | None = None, rule: TimeRule | None = None, crs: str | None = None
) -> Reading:
    """Read a CSV, packed or not, into columns user_id, time_s, latitude, longitude.

    The frame's index is the line in the file. Single values that cannot be read become NaN, for
    cleaning to count. Where all columns are given by number and the first line holds numbers where
    coordinates should be, there is no header. Raises DataError for a file that is no such table, and
    for a column most of which cannot be read.
    """
    columns = columns or Columns()
    try:
        with inputs.table(path, "trace") as (file, _):
            header, sign = _header(file.readline(inputs.LONGEST_LINE), str(path))
        bare = _is_bare(header, columns)
        with inputs.table(path, "trace") as (file, encoding):
            table = pd.read_csv(
                file,
                sep=sign,
                dtype=str,
                keep_default_na=False,
                skip_blank_lines=False,
                header=None if bare else 0,
            )
    except (pd.errors.ParserError, csv.Error, ValueError) as error:
        raise DataError(f"{path}: {_reason(error)}") from None
    if table.empty:
        raise DataError(f"{path}: must hold fixes, got a header alone")
    if not isinstance(table.index, pd.RangeIndex):
        raise DataError(f"{path}: line 2: must have {len(header)} columns as the header, got more")
    table.columns = range(len(header))  # Two columns may have one name.
    said = f"read {short(path.name)}: {len(table):,} rows, {encoding.removesuffix('-sig').upper()}"
    if bare:
        header = [f"column {number}" for number in range(1, len(header) + 1)]
        said += ", no header"
    form = _TableFormat(header, columns, rule or TimeRule(), crs, sign, 1 if bare else 2, str(path))
    return _fixes(table, form, f"{said}, {_SIGNS[sign]}")


@dataclass(frozen=True)
class _TableFormat:
    """Header and format of a table whose rows are not yet read."""

    header: list[str]
    columns: Columns
    rule: TimeRule
    crs: str | None
    sign: str
    first_line: int
    label: str


def _is_bare(header: list[str], columns: Columns) -> bool:
    """Whether a table has no header: its columns are numbers, and so are its first coordinates."""
    numbers = columns.numbers
    if numbers is None or not all(1 <= number <= len(header) for number in numbers):
        return False
    return all(_is_number(header[number - 1].replace(",", ".")) for number in numbers[2:])


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


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


def _fixes(table: pd.DataFrame, form: _TableFormat, said: str) -> Reading:
    header, columns, label = form.header, form.columns, form.label
    plane = _is_plane(header, columns)
    picked = _picked(form, plane)
    called = {name: short(header[column], 30) for name, column in picked.items()}
    text = pd.DataFrame({name: table[column].str.strip() for name, column in picked.items()})
    text = text.loc[np.asarray(text != "").any(axis=1)]
    text.index = pd.Index(text.index + form.first_line, name="line")
    if form.sign != ",":
        text["time_s"] = text["time_s"].str.replace(r"^(\d+),(\d+)$", r"\1.\2", regex=True)
    moments = times.parsed(text["time_s"], f"{label}: {called['time_s']}", form.rule)
    _refuse_unread(
        moments.time_s, text["time_s"], called["time_s"], "UNIX seconds or ISO 8601", label
    )
    across, along = ("latitude", "longitude") if not plane else ("y", "x")
    axes = {name: numbers_of(text[name], form.sign != ",") for name in (across, along)}
    for name, axis in axes.items():
        kind = "a number" if plane else "a number of degrees"
        _refuse_unread(axis.values, text[name], called[name], kind, label)
    place = _placed(axes[across], axes[along], plane, form)
    frame = pd.DataFrame(
        {
            "user_id": np.asarray(text["user_id"], dtype=object),
            "time_s": moments.time_s,
            "latitude": place.latitude,
            "longitude": place.longitude,
        },
        index=text.index,
    )
    short_of = {"latitude": "lat", "longitude": "lon"}
    used_columns = f"who moves: {called['user_id']}, time: {called['time_s']}, " + ", ".join(
        f"{short_of.get(name, name)}: {called[name]}" for name in (across, along)
    )
    commas = "; decimal commas" if any(axis.commas for axis in axes.values()) else ""
    where = f"; {place.said}" if plane else ""
    also = _also(header, picked, columns)
    doubts = (
        *moments.doubts,
        *far_line(moments, text["time_s"]),
        *_counts_up(text["user_id"], called),
    )
    others = [name for column, name in enumerate(header) if column not in picked.values()]
    return Reading(
        frame,
        (f"{said}{commas}", f"{used_columns}{also}{where}", f"time: {moments.understood}"),
        doubts,
        f"--columns id=NAME names another column than {called['user_id']} for who moves"
        + (f" ({some(others)})" if others else ""),
        place.plain,
    )


def _is_plane(header: list[str], columns: Columns) -> bool:
    """Whether places are x and y: as given, or since no column is called latitude or longitude."""
    if columns.x is not None or columns.y is not None:
        return True
    if columns.latitude is not None or columns.longitude is not None:
        return False
    folded = {name.casefold() for name in header}
    return not folded & {*LATITUDE_NAMES, *LONGITUDE_NAMES} and bool(
        folded & set(X_NAMES) and folded & set(Y_NAMES)
    )


def _picked(form: _TableFormat, plane: bool) -> dict[str, int]:
    """Index of each column that is read."""
    columns = form.columns
    wanted = {
        "user_id": (columns.user_id, ID_NAMES, "who moves"),
        "time_s": (columns.time, TIME_NAMES, "the time"),
    }
    if plane:
        wanted |= {
            "y": (columns.y, Y_NAMES, "metres north"),
            "x": (columns.x, X_NAMES, "metres east"),
        }
    else:
        wanted |= {
            "latitude": (columns.latitude, LATITUDE_NAMES, "degrees north"),
            "longitude": (columns.longitude, LONGITUDE_NAMES, "degrees east"),
        }
    return {
        name: _column(form.header, given, names, what, form.label)
        for name, (given, names, what) in wanted.items()
    }


def _placed(across: Numbers, along: Numbers, plane: bool, form: _TableFormat) -> Placed:
    if plane:
        return placed(along.values, across.values, form.crs, form.label)
    if form.crs not in (None, DEGREES):
        raise ScenarioError(
            f"--crs {short(form.crs)} is for x and y, {form.label} has latitude and longitude: give "
            "--columns x=NAME,y=NAME, or leave it out"
        )
    return Placed(across.values, along.values, "", False)


def _refuse_unread(
    numbers: np.ndarray, text: pd.Series, called: str, kind: str, label: str
) -> None:
    """Raise DataError for a column most of which cannot be read."""
    wrong = np.isnan(numbers)
    if wrong.mean() > 0.5:
        row = int(wrong.argmax())
        raise DataError(
            f"{label}: line {text.index[row]}: {called} must be {kind}, got {short(text.iloc[row])!r}"
        )


def _also(header: list[str], picked: dict[str, int], columns: Columns) -> str:
    """Advice that names alternatives to columns that were guessed."""
    given = (columns.user_id, columns.time, columns.latitude, columns.longitude)
    candidates = ((*ID_NAMES, *ALSO_IDS), TIME_NAMES, LATITUDE_NAMES, LONGITUDE_NAMES)
    alternatives = {
        option: [
            name
            for column, name in enumerate(header)
            if given_name is None and column not in picked.values() and name.casefold() in names
        ]
        for option, given_name, names in zip(_OPTIONS.values(), given, candidates, strict=True)
    }
    named = {option: names for option, names in alternatives.items() if names}
    if not named:
        return ""
    there = some(name for names in named.values() for name in names)
    suggestion = ",".join(f"{option}={short(names[0], 30)}" for option, names in named.items())
    return f" ({there} there too: --columns {suggestion})"


def _counts_up(ids: pd.Series, called: dict[str, str]) -> tuple[str, ...]:
    """Doubt about identities that count rows: most are one more than in the row before."""
    numbers = np.asarray(pd.to_numeric(ids, errors="coerce"), dtype=np.float64)
    if len(numbers) < 3 or not (np.diff(numbers) == 1).mean() > 0.5:
        return ()
    return (
        f"{called['user_id']} counts up from row to row, as a row's or a point's number does, not as "
        "who moves; give --columns id=NAME",
    )


def _column(
    header: list[str], given: str | None, names: Sequence[str], what: str, label: str
) -> int:
    """Index of a column, by name, by number, or by its default names."""
    if given is not None and given.isdecimal() and given not in header:
        if not 1 <= int(given[:9]) <= len(header):
            raise DataError(
                f"{label}: a column's number must be 1 to {len(header)}, got {short(given)}"
            )
        return int(given) - 1
    return find_column(header, names if given is None else [given], what, label)
