"""Cleaning of real traces before use: order, and no implausible fix."""

from dataclasses import dataclass
from enum import StrEnum

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float, Int

from isma.errors import DataError
from isma.world.importers.jumps import EARTH_RADIUS_M, drivable
from isma.world.importers.reading import place_of
from isma.world.sites import SiteTable
from isma.world.traces import COLUMNS, values

MAX_SPEED_MPS = 50.0
"""Faster than a cab drives: a step above it is a GPS jump."""
BOX_MARGIN_M = 30_000.0
"""How far beyond the outermost sites a fix may lie."""
_ROW = "row"


class Reason(StrEnum):
    """Why a fix was dropped, in the order of the tests; worded for any number of fixes."""

    UNREADABLE = "unreadable"
    OUT_OF_RANGE = "out of range"
    DUPLICATE = "given before"
    SAME_TIME = "elsewhere at the same time"
    JUMP = "reached by a jump"
    LONELY = "alone"


@dataclass(frozen=True)
class Box:
    """A range of degrees; west may be above east across the date line."""

    south: float
    north: float
    west: float
    east: float

    @classmethod
    def around(cls, sites: SiteTable, margin_m: float = BOX_MARGIN_M) -> "Box":
        """The box around all sites with a margin."""
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
    """Counts of fixes kept and dropped: every fix that was read is in exactly one."""

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
    """Range of plausible positions."""
    max_speed_mps: float
    """The speed above which a step is a jump."""
    first: dict[Reason, str]
    """Line of the first fix dropped for each reason."""

    def lines(self) -> list[str]:
        """The report as lines of text."""
        fixes = f"{self.kept_fixes:,} of {self.read_fixes:,} fixes"
        users = f"{self.kept_users:,} of {self.read_users:,} users"
        detail = {
            Reason.OUT_OF_RANGE: f" ({self.box})",
            Reason.JUMP: f" above {self.max_speed_mps:g} m/s",
            Reason.LONELY: " (nothing else is left of the user)",
        }
        drops = [
            f"{self.dropped[reason]:,} {reason}{detail.get(reason, '')} (the first in {place})"
            for reason, place in self.first.items()
        ]
        dropped = "; ".join(drops).replace(") (", "; ") or "nothing"
        return [f"kept {fixes}, {users}", f"dropped {dropped}"]


def clean(
    frame: pd.DataFrame,
    box: Box = EARTH,
    max_speed_mps: float = MAX_SPEED_MPS,
    label: str = "trace",
    other_ids: str = "",
) -> tuple[pd.DataFrame, CleaningReport]:
    """Order a trace by user and time and drop implausible fixes, counting each by reason.

    Dropped are, in this order: rows with a value missing or unreadable; fixes outside `box`; exact
    duplicates; of fixes that one vehicle below `max_speed_mps` could not all have made, as few as
    possible (see `jumps.drivable`), which also leaves one position at any time; and users who are
    left with a single fix. The order of rows does not matter; a clean trace comes back as it is.
    Raises DataError, naming the trace by `label`, when nothing is left; `other_ids` is the advice for
    a trace in which each user has a single fix.
    """
    rows: dict[Reason, Int[np.ndarray, "dropped"]] = {}
    fixes = _numbers(frame)
    read_users = _num_users(fixes)
    fixes = _keep(fixes, _readable(fixes), Reason.UNREADABLE, rows)
    inside = box.holds(values(fixes, "latitude"), values(fixes, "longitude"))
    fixes = _in_order(_keep(fixes, inside, Reason.OUT_OF_RANGE, rows))
    once = ~np.asarray(fixes.duplicated(list(COLUMNS)))
    fixes = _keep(fixes, once, Reason.DUPLICATE, rows)
    try:
        fixes = _without_jumps(fixes, max_speed_mps, rows)
    except DataError as error:
        raise DataError(f"{label}: {error}") from None
    several = np.asarray(fixes.duplicated("user_id", keep=False))
    fixes = _keep(fixes, several, Reason.LONELY, rows).drop(columns=_ROW)
    report = CleaningReport(
        read_fixes=len(frame),
        read_users=read_users,
        kept_fixes=len(fixes),
        kept_users=_num_users(fixes),
        dropped={reason: len(rows[reason]) for reason in Reason},
        box=box,
        max_speed_mps=max_speed_mps,
        first={
            reason: place_of(frame, int(lost.min())) for reason, lost in rows.items() if len(lost)
        },
    )
    dropped = report.dropped
    if fixes.empty:
        way_out = ""
        if dropped[Reason.OUT_OF_RANGE]:
            way_out = (
                "; check that the trace is of the sites' region and that latitude and longitude are "
                "not swapped"
            )
        elif dropped[Reason.JUMP]:
            way_out = "; check the unit of time (--time-unit)" + (
                other_ids and f", and {other_ids}"
            )
        elif dropped[Reason.LONELY] and other_ids:
            way_out = f"; {other_ids}"
        raise DataError(
            f"{label}: no fix of {len(frame):,} can be used: {report.lines()[1]}{way_out}"
        )
    return fixes, report


def _numbers(frame: pd.DataFrame) -> pd.DataFrame:
    """The columns of a trace, with NaN and None for unreadable entries."""
    ids = np.asarray(frame["user_id"], dtype=object)
    named = ~np.asarray(pd.isna(ids)) & (ids != "")
    texts = [str(name) if given else None for name, given in zip(ids, named, strict=True)]
    columns: dict[str, np.ndarray] = {"user_id": np.array(texts, dtype=object)}
    for name in COLUMNS[1:]:
        columns[name] = np.asarray(pd.to_numeric(frame[name], errors="coerce"), dtype=np.float64)
    return pd.DataFrame(columns | {_ROW: np.arange(len(frame))})


def _readable(fixes: pd.DataFrame) -> Bool[np.ndarray, "fixes"]:
    readable = ~np.asarray(pd.isna(np.asarray(fixes["user_id"], dtype=object)))
    for name in COLUMNS[1:]:
        readable &= np.isfinite(values(fixes, name))
    return readable


def _num_users(fixes: pd.DataFrame) -> int:
    return len(fixes["user_id"].dropna().unique())


def _keep(
    fixes: pd.DataFrame,
    mask: Bool[np.ndarray, "fixes"],
    reason: Reason,
    rows: dict[Reason, Int[np.ndarray, "dropped"]],
) -> pd.DataFrame:
    """Keep the marked fixes, and note which rows of the trace the others stood in."""
    rows[reason] = np.asarray(fixes[_ROW])[~mask]
    return fixes if mask.all() else fixes.iloc[np.flatnonzero(mask)].reset_index(drop=True)


def _in_order(fixes: pd.DataFrame) -> pd.DataFrame:
    """Order by user, time and place, so that the rows' own order is of no matter."""
    user, _ = pd.factorize(fixes["user_id"], sort=True)
    keys = (values(fixes, name) for name in ("longitude", "latitude", "time_s"))
    return fixes.iloc[np.lexsort((*keys, user))].reset_index(drop=True)


def _without_jumps(
    fixes: pd.DataFrame, max_speed_mps: float, rows: dict[Reason, Int[np.ndarray, "dropped"]]
) -> pd.DataFrame:
    user, _ = pd.factorize(fixes["user_id"])
    time_s, latitude, longitude = (values(fixes, name) for name in COLUMNS[1:])
    keep = drivable(user, time_s, latitude, longitude, max_speed_mps)
    kept_moments = pd.MultiIndex.from_arrays([user[keep], time_s[keep]])
    lost_moments = pd.MultiIndex.from_arrays([user[~keep], time_s[~keep]])
    same_time = np.zeros(len(fixes), dtype=bool)
    same_time[~keep] = lost_moments.isin(kept_moments)
    lost = np.asarray(fixes[_ROW])
    rows[Reason.SAME_TIME] = lost[same_time]
    rows[Reason.JUMP] = lost[~keep & ~same_time]
    return fixes if keep.all() else fixes.iloc[np.flatnonzero(keep)].reset_index(drop=True)


def _wrapped(degrees: Float[np.ndarray, "points"]) -> Float[np.ndarray, "points"]:
    return (degrees + 180) % 360 - 180
