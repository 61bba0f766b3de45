"""Traces of Porto's taxis (ECML/PKDD 2015): a row for each trip, with its path as a list of points."""

import json
from pathlib import Path

import numpy as np
import pandas as pd

from isma.errors import DataError, short
from isma.world import inputs
from isma.world.importers.reading import Reading

STEP_S = 15.0
"""Time between two points of a path."""
MOST_FIXES = 20_000_000
_COLUMNS = ("TAXI_ID", "TIMESTAMP", "MISSING_DATA", "POLYLINE")
_ROWS = 20_000


def read(path: Path) -> Reading:
    """Read a table of trips: user_id, time_s, latitude, longitude, a point every 15 s from TIMESTAMP.

    A trip whose MISSING_DATA is true has lost points, so that the times of those after them are not
    known: it is left out and counted. Raises DataError with the line.
    """
    parts: list[tuple[str, float, np.ndarray, int]] = []
    trips = missing = empty = fixes = 0
    try:
        with inputs.table(path, "table of trips") as (file, _):
            chunks = pd.read_csv(file, dtype=str, keep_default_na=False, chunksize=_ROWS)
            for chunk in chunks:
                absent = [name for name in _COLUMNS if name not in chunk.columns]
                if absent:
                    raise DataError(
                        f"{path}: Porto's table must have the columns {', '.join(_COLUMNS)}, missing "
                        f"{', '.join(absent)}"
                    )
                rows = zip(chunk.index, *(chunk[name] for name in _COLUMNS), strict=True)
                for row, taxi, begin, lost, polyline in rows:
                    trips += 1
                    if lost.strip().casefold() == "true":
                        missing += 1
                        continue
                    points = _points(polyline, f"{path}: line {row + 2}")
                    if not len(points):
                        empty += 1
                        continue
                    fixes += len(points)
                    if fixes > MOST_FIXES:
                        raise DataError(
                            f"{path}: must hold at most {MOST_FIXES:,} points, got more; take a part of it"
                        )
                    parts.append(
                        (taxi.strip(), _second(begin, f"{path}: line {row + 2}"), points, row + 2)
                    )
    except (pd.errors.ParserError, ValueError) as error:
        raise DataError(f"{path}: must be a CSV file: {short(error, 200)}") from None
    if not parts:
        raise DataError(f"{path}: must hold trips with points, got {trips:,} without")
    frame = _frame(parts)
    dropped = f", {missing:,} of them left out for missing points, {empty:,} without any"
    understood = (
        f"read {short(path.name)}: Porto's taxis, {trips:,} trips{dropped}, {len(frame):,} points, the "
        "first of a pair as longitude",
        f"who moves: TAXI_ID, time: TIMESTAMP (UNIX seconds of a trip's first point) and {STEP_S:g} s "
        "from point to point",
    )
    return Reading(frame, understood, (), "")


def _frame(parts: list[tuple[str, float, np.ndarray, int]]) -> pd.DataFrame:
    counts = [len(points) for _, _, points, _ in parts]
    step = np.concatenate([np.arange(count) for count in counts])
    points = np.concatenate([points for _, _, points, _ in parts])
    columns = {
        "user_id": np.repeat(np.array([taxi for taxi, *_ in parts], dtype=object), counts),
        "time_s": np.repeat([begin for _, begin, _, _ in parts], counts) + STEP_S * step,
        "latitude": points[:, 1],
        "longitude": points[:, 0],
    }
    lines = np.repeat([line for *_, line in parts], counts)
    return pd.DataFrame(columns, index=pd.Index(lines, name="line"))


def _points(text: str, label: str) -> np.ndarray:
    """Pairs of longitude and latitude."""
    try:
        points = np.array(json.loads(text), dtype=np.float64)
    except (ValueError, TypeError, RecursionError):
        points = np.empty((1, 0))
    if points.size == 0 and points.shape[-1:] == (0,) and points.ndim == 1:
        return np.empty((0, 2))
    if points.ndim != 2 or points.shape[1] != 2:
        raise DataError(
            f"{label}: POLYLINE must be a list of [longitude, latitude], got {short(text)!r}"
        )
    return points


def _second(text: str, label: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = np.nan
    if not 0 < value < 7e9:
        raise DataError(f"{label}: TIMESTAMP must be UNIX seconds, got {short(text)!r}")
    return value
