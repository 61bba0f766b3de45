"""Recorded motion: the trace file, and the trajectories of the users in a window of it."""

import math
from dataclasses import dataclass
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import pyarrow as pa
from jaxtyping import Bool, Float, Int
from pyarrow import parquet

from isma.errors import DataError, RunError, ScenarioError
from isma.world.motion import Trace
from isma.world.sites import Projection

COLUMNS = ("user_id", "time_s", "latitude", "longitude")
"""Columns of a trace file: text, UNIX seconds, and WGS84 degrees."""
MOST_MINUTES = 30 * 366 * 1440
"""Minutes that a trace may span: 30 years."""
MOST_POSITIONS = 50_000_000
"""Positions of users, one for each tick, that a run along a trace may hold."""
_MINUTE_S = 60.0
_EDGE_S = 1e-3  # a window's ends pass through text, which may round them


@dataclass(frozen=True)
class Trajectories:
    """Where users are at each sample of a run."""

    user_ids: tuple[str, ...]
    """Sorted; a user that comes back after an absence is there once more for each time."""
    position_m: Float[np.ndarray, "samples users 2"]
    """Metres east and north, in the frame of the sites; before a user comes and after it has left,
    where it comes and where it leaves."""
    there_s: Float[np.ndarray, "users 2"]
    """From when to when each is there, from the run's start; infinite beyond the run's ends."""


@dataclass(frozen=True)
class TimeWindow:
    """A stretch of time and how many users a trace follows through it."""

    start: datetime
    """Its first moment, UTC."""
    num_users: int
    """Users with fixes throughout."""


class Runs(NamedTuple):
    """Stretches of a trace without a gap, ordered by user and time."""

    user: np.ndarray
    """Whose each is."""
    first_s: Float[np.ndarray, "runs"]
    last_s: Float[np.ndarray, "runs"]
    """UNIX times of its ends."""
    begin: Int[np.ndarray, "runs"]
    end: Int[np.ndarray, "runs"]
    """Its first row in the trace, and one past its last."""

    def where(self, mask: Bool[np.ndarray, "runs"]) -> "Runs":
        """The marked ones."""
        return Runs(*(part[mask] for part in self))


def trajectories(
    trace: Trace,
    projection: Projection | None,
    duration_s: float,
    sample_s: float,
    limit: int | None,
    throughout: bool = True,
) -> Trajectories:
    """Positions every `sample_s` from the trace's start through `duration_s`, both ends included.

    A user takes part when it has fixes on or beyond both ends and no gap that reaches into the
    window is longer than `max_gap_s`. Where that need not be `throughout`, it is there from its
    first to its last fix, and away during such gaps. Between fixes it moves straight and evenly. The
    first `limit` users by id are taken. Raises DataError or ScenarioError when there is none.
    """
    if projection is None:
        raise ScenarioError(
            'sites.kind must be "file" when mobility.kind is "trace": fixes are in degrees'
        )
    frame = read(trace.file)
    start_s = float(values(frame, "time_s").min())
    if trace.start is not None:
        start_s = trace.start.timestamp()
    window = start_s, duration_s, trace.max_gap_s
    stays = (followed if throughout else visiting)(frame, *window)
    stays = stays.where(np.isin(stays.user, np.unique(stays.user)[:limit]))
    if not len(stays.user):
        raise _nobody(frame, *window, str(trace.file), throughout)
    check_samples(duration_s / sample_s, len(stays.user))
    time_s = start_s + np.arange(round(duration_s / sample_s) + 1) * sample_s
    position_m = np.empty((len(time_s), len(stays.user), 2))
    fix_s = values(frame, "time_s")
    fix_m = projection.to_metres(values(frame, "latitude"), values(frame, "longitude"))
    for column, (begin, end) in enumerate(zip(stays.begin, stays.end, strict=True)):
        for axis in range(2):
            position_m[:, column, axis] = np.interp(
                time_s, fix_s[begin:end], fix_m[begin:end, axis]
            )
    there_s = np.stack([stays.first_s, stays.last_s], axis=1) - start_s
    there_s[there_s[:, 0] <= _EDGE_S, 0] = -np.inf
    there_s[there_s[:, 1] >= duration_s - _EDGE_S, 1] = np.inf
    return Trajectories(tuple(stays.user.tolist()), position_m, there_s)


def covering(
    frame: pd.DataFrame, start_s: float, duration_s: float, max_gap_s: float
) -> tuple[str, ...]:
    """Users, by id, with fixes throughout the window that starts at UNIX time `start_s`.

    The frame is ordered by user and time.
    """
    return tuple(sorted(followed(frame, start_s, duration_s, max_gap_s).user.tolist()))


def followed(frame: pd.DataFrame, start_s: float, duration_s: float, max_gap_s: float) -> Runs:
    """Runs that hold the whole window."""
    stays = runs(frame, max_gap_s)
    end_s = start_s + duration_s
    return stays.where((stays.first_s <= start_s + _EDGE_S) & (stays.last_s >= end_s - _EDGE_S))


def visiting(frame: pd.DataFrame, start_s: float, duration_s: float, max_gap_s: float) -> Runs:
    """Runs that reach into the window; a fix without another near in time is none."""
    stays = runs(frame, max_gap_s)
    begin_s = np.maximum(stays.first_s, start_s)
    end_s = np.minimum(stays.last_s, start_s + duration_s)
    return stays.where(end_s - begin_s > _EDGE_S)


def check_samples(samples: float, users: int) -> None:
    """Raise ScenarioError for more positions than a run along a trace may hold."""
    if samples * users > MOST_POSITIONS:
        raise ScenarioError(
            f"users times ticks must be at most {MOST_POSITIONS:,} along a trace, got {users:,} x "
            f"{samples:,.0f}; take fewer users (users.count), a shorter run or longer ticks"
        )


def longest_s(frame: pd.DataFrame, max_gap_s: float) -> float:
    """How long any user is followed without a gap."""
    stays = runs(frame, max_gap_s)
    return float((stays.last_s - stays.first_s).max())


def best_window(frame: pd.DataFrame, duration_s: float, max_gap_s: float) -> TimeWindow | None:
    """The window of `duration_s` through which most users have fixes; the earliest of equals.

    It starts on a whole minute, unless no user is followed from one; None when none is at all.
    """
    stays = runs(frame, max_gap_s)
    earliest_s, latest_s = stays.first_s, stays.last_s - duration_s
    long_enough = latest_s >= earliest_s - _EDGE_S
    if not long_enough.any():
        return None
    earliest_s, latest_s = np.sort(earliest_s[long_enough]), np.sort(latest_s[long_enough])
    for start_s in (whole_minutes_s(earliest_s[0], latest_s[-1]), earliest_s):
        begun = np.searchsorted(earliest_s, start_s + _EDGE_S, side="right")
        over = np.searchsorted(latest_s, start_s - _EDGE_S, side="left")
        followed = begun - over
        if len(followed) and followed.max() > 0:
            best = int(followed.argmax())
            return TimeWindow(
                datetime.fromtimestamp(float(start_s[best]), UTC), int(followed[best])
            )
    return None


def whole_minutes_s(first_s: float, last_s: float) -> Float[np.ndarray, "minutes"]:
    """Whole minutes between two moments. Raises DataError for more than any trace spans."""
    first, last = math.ceil(first_s / _MINUTE_S), math.floor(last_s / _MINUTE_S)
    if last - first > MOST_MINUTES:
        raise DataError(
            f"a trace must span at most {MOST_MINUTES:,} minutes, got {last - first:,}: from "
            f"{utc_text(float(first_s))} to {utc_text(float(last_s))}"
        )
    return np.arange(first, last + 1) * _MINUTE_S


def read(path: Path) -> pd.DataFrame:
    """Read a trace file, ordered by user and time. Raises DataError for a file that is none."""
    try:
        frame = pd.read_parquet(path)
    except FileNotFoundError:
        raise DataError(f"{path}: no such trace; make one with isma scenario import") from None
    except (OSError, pa.ArrowException) as error:
        reason = getattr(error, "strerror", None) or "it is no parquet file, or a damaged one"
        raise DataError(
            f"{path}: a trace must be a parquet file as isma scenario import writes it: {reason}"
        ) from None
    return _checked(frame, str(path)).sort_values(["user_id", "time_s"], ignore_index=True)


def dumps(frame: pd.DataFrame) -> bytes:
    """Make the bytes of a trace file; the same frame makes the same bytes."""
    table = pa.Table.from_pandas(
        _checked(frame, "trace")[list(COLUMNS)],
        schema=pa.schema(
            [("user_id", pa.string()), *((name, pa.float64()) for name in COLUMNS[1:])]
        ),
        preserve_index=False,
    )
    buffer = BytesIO()
    parquet.write_table(table, buffer, compression="zstd")
    return buffer.getvalue()


def write(frame: pd.DataFrame, path: Path) -> None:
    """Write a trace file. Raises RunError when the place cannot be written."""
    content = dumps(frame)
    try:
        path.write_bytes(content)
    except OSError as error:
        raise RunError(f"{path}: the trace cannot be written: {error.strerror}") from None


def values(frame: pd.DataFrame, name: str) -> Float[np.ndarray, "fixes"]:
    """A column of numbers as an array."""
    return np.asarray(frame[name], dtype=np.float64)


def utc_text(time_s: float) -> str:
    """A UNIX time as an ISO 8601 date; in seconds beyond the calendar's range."""
    try:
        return datetime.fromtimestamp(time_s, UTC).isoformat().replace("+00:00", "Z")
    except (ValueError, OverflowError, OSError):
        return f"{time_s:g} s"


def _checked(frame: pd.DataFrame, label: str) -> pd.DataFrame:
    missing = [name for name in COLUMNS if name not in frame.columns]
    if missing:
        raise DataError(
            f"{label}: a trace must have the columns {', '.join(COLUMNS)}, missing "
            f"{', '.join(missing)}; its columns are {', '.join(map(str, frame.columns))}"
        )
    if frame.empty:
        raise DataError(f"{label}: a trace must hold fixes, got none")
    if pd.isna(np.asarray(frame["user_id"], dtype=object)).any():
        raise DataError(f"{label}: user_id must be given in every row, got nothing in some")
    for name in COLUMNS[1:]:
        if not pd.api.types.is_numeric_dtype(frame[name]):
            raise DataError(f"{label}: {name} must be numbers, got {frame[name].dtype}")
        column = values(frame, name)
        bad = ~np.isfinite(column)
        if bad.any():
            row = int(bad.argmax())
            raise DataError(f"{label}: row {row}: {name} must be finite, got {column[row]}")
    types = {"user_id": str, **dict.fromkeys(COLUMNS[1:], np.float64)}
    return frame.astype(types)


def runs(frame: pd.DataFrame, max_gap_s: float) -> Runs:
    """Stretches without a gap above `max_gap_s`; the frame is ordered by user and time."""
    user, time_s = np.asarray(frame["user_id"], dtype=object), values(frame, "time_s")
    begins = np.ones(len(frame), dtype=bool)
    begins[1:] = (user[1:] != user[:-1]) | (np.diff(time_s) > max_gap_s)
    first = np.flatnonzero(begins)
    end = np.append(first[1:], len(frame))
    return Runs(user[first], time_s[first], time_s[end - 1], first, end)


def uncovered(
    frame: pd.DataFrame, start_s: float, duration_s: float, max_gap_s: float, label: str
) -> str:
    """Error for a window that covers no user: the window's content, and the file's."""
    time_s = values(frame, "time_s")
    first_s, last_s = float(time_s.min()), float(time_s.max())
    fixes = int(((time_s >= start_s) & (time_s <= start_s + duration_s)).sum())
    return (
        f"{label}: no user has fixes throughout the {duration_s:g} s from {utc_text(start_s)} "
        f"without a gap above {max_gap_s:g} s; that window has {fixes:,} fixes, the file runs from "
        f"{utc_text(first_s)} to {utc_text(last_s)} ({last_s - first_s:g} s)"
    )


def nobody_there(
    frame: pd.DataFrame, start_s: float, duration_s: float, max_gap_s: float, label: str
) -> str:
    """Error for a window without users, with the file's content."""
    time_s = values(frame, "time_s")
    return (
        f"{label}: users must be there in the {duration_s:g} s from {utc_text(start_s)}, got nobody "
        f"with two fixes at most {max_gap_s:g} s apart; the file runs from "
        f"{utc_text(float(time_s.min()))} to {utc_text(float(time_s.max()))}"
    )


def _nobody(
    frame: pd.DataFrame,
    start_s: float,
    duration_s: float,
    max_gap_s: float,
    label: str,
    throughout: bool,
) -> ScenarioError | DataError:
    """Say so, and which window would do."""
    if not throughout:
        return ScenarioError(nobody_there(frame, start_s, duration_s, max_gap_s, label))
    said = uncovered(frame, start_s, duration_s, max_gap_s, label)
    best = best_window(frame, duration_s, max_gap_s)
    if best is None:
        return DataError(f"{said}; lower time.duration_s or raise mobility.max_gap_s")
    return ScenarioError(
        f"{said}; set mobility.start to {utc_text(best.start.timestamp())} ({best.num_users} users)"
    )
