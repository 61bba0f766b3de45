"""What real traces need before they can move anybody: order, and no row that cannot be true."""

from dataclasses import dataclass
from enum import StrEnum

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float

from isma.errors import DataError
from isma.world.importers.jumps import EARTH_RADIUS_M, drivable
from isma.world.sites import SiteTable
from isma.world.traces import COLUMNS, values

MAX_SPEED_MPS = 50.0
"""Faster than a cab drives: a step above it is a GPS jump."""
BOX_MARGIN_M = 30_000.0
"""How far beyond the outermost sites a fix may lie."""


class Reason(StrEnum):
    """Why a fix was dropped, in the order in which it is asked; said of any number of fixes."""

    UNREADABLE = "unreadable"
    OUT_OF_RANGE = "out of range"
    DUPLICATE = "given before"
    SAME_TIME = "elsewhere at the same time"
    JUMP = "reached by a jump"
    LONELY = "alone (nothing else is left of the user)"


@dataclass(frozen=True)
class Box:
    """A range of degrees; west may be above east across the date line."""

    south: float
    north: float
    west: float
    east: float

    @classmethod
    def around(cls, sites: SiteTable, margin_m: float = BOX_MARGIN_M) -> "Box":
        """The box that holds all sites and a margin."""
        margin = float(np.degrees(margin_m / EARTH_RADIUS_M))
        south = max(float(sites.latitude.min()) - margin, -90.0)
        north = min(float(sites.latitude.max()) + margin, 90.0)
        across = float(np.cos(np.radians(max(abs(south), abs(north)))))
        anchor = float(sites.longitude[0])
        offset = _wrapped(sites.longitude - anchor)
        wider = margin / max(across, 1e-3)
        if float(np.ptp(offset)) + 2 * wider >= 360:
            return cls(south, north, -180.0, 180.0)
        west, east = _wrapped(
            np.array([anchor + offset.min() - wider, anchor + offset.max() + wider])
        ).tolist()
        return cls(south, north, west, east)

    def holds(
        self, latitude: Float[np.ndarray, "fixes"], longitude: Float[np.ndarray, "fixes"]
    ) -> Bool[np.ndarray, "fixes"]:
        """Mark the points inside that are degrees at all."""
        width = 360.0 if self.east - self.west >= 360 else (self.east - self.west) % 360
        inside = (latitude >= self.south) & (latitude <= self.north)
        return inside & (np.abs(longitude) <= 180) & ((longitude - self.west) % 360 <= width)

    def __str__(self) -> str:
        return f"{self.south:.2f}..{self.north:.2f} north, {self.west:.2f}..{self.east:.2f} east"


EARTH = Box(-90.0, 90.0, -180.0, 180.0)
"""Everything that is degrees."""


@dataclass(frozen=True)
class CleaningReport:
    """What cleaning kept and dropped: every fix that was read is in exactly one count."""

    read_fixes: int
    """Fixes before."""
    read_users: int
    """Users before."""
    kept_fixes: int
    """Fixes after."""
    kept_users: int
    """Users after."""
    dropped: dict[Reason, int]
    """Dropped fixes by reason."""
    box: Box
    """What was in range."""
    max_speed_mps: float
    """The speed above which a step is a jump."""
    first_unreadable: str
    """Where the first unreadable fix stands; empty where there is none."""

    def lines(self) -> list[str]:
        """The report as lines of text."""
        fixes = f"{self.kept_fixes:,} of {self.read_fixes:,} fixes"
        users = f"{self.kept_users:,} of {self.read_users:,} users"
        detail = {
            Reason.UNREADABLE: f" (the first in {self.first_unreadable})",
            Reason.OUT_OF_RANGE: f" ({self.box})",
            Reason.JUMP: f" above {self.max_speed_mps:g} m/s",
        }
        drops = [
            f"{count:,} {reason}{detail.get(reason, '')}"
            for reason, count in self.dropped.items()
            if count
        ]
        return [f"kept {fixes}, {users}", f"dropped {'; '.join(drops) or 'nothing'}"]

    def as_dict(self) -> dict[str, int | dict[str, int]]:
        """The counts as plain data."""
        return {
            "read_fixes": self.read_fixes,
            "read_users": self.read_users,
            "kept_fixes": self.kept_fixes,
            "kept_users": self.kept_users,
            "dropped": {reason.name.lower(): count for reason, count in self.dropped.items()},
        }


def clean(
    frame: pd.DataFrame,
    box: Box = EARTH,
    max_speed_mps: float = MAX_SPEED_MPS,
    label: str = "trace",
) -> tuple[pd.DataFrame, CleaningReport]:
    """Order a trace by user and time and drop what cannot be true, counting each fix by reason.

    Dropped are, in this order: rows with a value missing or unreadable; fixes outside `box`; exact
    duplicates; of fixes that one vehicle below `max_speed_mps` could not all have made, as few as
    possible (see `jumps.drivable`), which also leaves one position at a time; and users who are
    left with a single fix. The order of rows does not matter; a clean trace comes back as it is.
    Raises DataError, naming the trace by `label`, when nothing is left.
    """
    dropped = dict.fromkeys(Reason, 0)
    fixes = _numbers(frame)
    read_users = _num_users(fixes)
    readable = _readable(fixes)
    first = "" if readable.all() else f"{frame.index.name or 'row'} {frame.index[~readable][0]}"
    fixes = _keep(fixes, readable, Reason.UNREADABLE, dropped)
    inside = box.holds(values(fixes, "latitude"), values(fixes, "longitude"))
    fixes = _in_order(_keep(fixes, inside, Reason.OUT_OF_RANGE, dropped))
    once = ~np.asarray(fixes.duplicated())
    fixes = _keep(fixes, once, Reason.DUPLICATE, dropped)
    fixes = _without_jumps(fixes, max_speed_mps, dropped)
    several = np.asarray(fixes.duplicated("user_id", keep=False))
    fixes = _keep(fixes, several, Reason.LONELY, dropped)
    report = CleaningReport(
        *(len(frame), read_users, len(fixes), _num_users(fixes)),
        *(dropped, box, max_speed_mps, first),
    )
    if fixes.empty:
        elsewhere = (
            "; check that the trace is of the sites' region and that latitude and longitude are not "
            "swapped"
        )
        raise DataError(
            f"{label}: no fix of {len(frame):,} can be used: {report.lines()[1]}"
            f"{elsewhere if dropped[Reason.OUT_OF_RANGE] else ''}"
        )
    return fixes, report


def _numbers(frame: pd.DataFrame) -> pd.DataFrame:
    """The columns of a trace, with NaN and None for what cannot be read."""
    ids = np.asarray(frame["user_id"], dtype=object)
    named = ~np.asarray(pd.isna(ids)) & (ids != "")
    texts = [str(name) if given else None for name, given in zip(ids, named, strict=True)]
    columns: dict[str, np.ndarray] = {"user_id": np.array(texts, dtype=object)}
    for name in COLUMNS[1:]:
        columns[name] = np.asarray(pd.to_numeric(frame[name], errors="coerce"), dtype=np.float64)
    return pd.DataFrame(columns)


def _readable(fixes: pd.DataFrame) -> Bool[np.ndarray, "fixes"]:
    readable = ~np.asarray(pd.isna(np.asarray(fixes["user_id"], dtype=object)))
    for name in COLUMNS[1:]:
        readable &= np.isfinite(values(fixes, name))
    return readable


def _num_users(fixes: pd.DataFrame) -> int:
    return len(fixes["user_id"].dropna().unique())


def _keep(
    fixes: pd.DataFrame, mask: Bool[np.ndarray, "fixes"], reason: Reason, dropped: dict[Reason, int]
) -> pd.DataFrame:
    dropped[reason] += int(len(mask) - mask.sum())
    return fixes if mask.all() else fixes.iloc[np.flatnonzero(mask)].reset_index(drop=True)


def _in_order(fixes: pd.DataFrame) -> pd.DataFrame:
    """Order by user, time and place, so that the rows' own order is of no matter."""
    user, _ = pd.factorize(fixes["user_id"], sort=True)
    keys = (values(fixes, name) for name in ("longitude", "latitude", "time_s"))
    return fixes.iloc[np.lexsort((*keys, user))].reset_index(drop=True)


def _without_jumps(
    fixes: pd.DataFrame, max_speed_mps: float, dropped: dict[Reason, int]
) -> pd.DataFrame:
    user, _ = pd.factorize(fixes["user_id"])
    time_s, latitude, longitude = (values(fixes, name) for name in COLUMNS[1:])
    keep = drivable(user, time_s, latitude, longitude, max_speed_mps)
    kept_moments = pd.MultiIndex.from_arrays([user[keep], time_s[keep]])
    lost_moments = pd.MultiIndex.from_arrays([user[~keep], time_s[~keep]])
    dropped[Reason.SAME_TIME] = int(lost_moments.isin(kept_moments).sum())
    kept = _keep(fixes, keep, Reason.JUMP, dropped)
    dropped[Reason.JUMP] -= dropped[Reason.SAME_TIME]
    return kept


def _wrapped(degrees: Float[np.ndarray, "points"]) -> Float[np.ndarray, "points"]:
    return (degrees + 180) % 360 - 180
