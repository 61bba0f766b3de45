"""Summary of a trace in words: how it moves, and what is odd."""

import numpy as np
import pandas as pd

from isma.errors import DataError, ScenarioError
from isma.world import traces
from isma.world.importers.cleaning import CleaningReport, Reason
from isma.world.importers.jumps import place_m
from isma.world.importers.reading import Reading
from isma.world.traces import values

FASTEST_USUAL_MPS = 40.0
"""A median speed above it is odd: 144 km/h."""
SLOWEST_USUAL_MPS = 0.02
"""A median speed below it is odd: hardly anybody moves."""
ODD_SHARE, ABSURD_SHARE = 0.1, 0.5
"""Shares of the fixes that jump, or are alone of their user: above the one odd, above the other absurd."""
MOST_PAIRS = 1_000_000_000
"""Users times stations that a scenario may have."""


def understood(frame: pd.DataFrame, report: CleaningReport, reading: Reading) -> list[str]:
    """Lines on a clean trace: its span, its fixes and speeds, what was dropped, what is odd.

    Raises DataError where so much had to be dropped that it was hardly read as it is meant.
    """
    user, _ = pd.factorize(frame["user_id"])
    time_s = values(frame, "time_s")
    same = np.diff(user) == 0
    step_s = np.diff(time_s)[same]
    place = place_m(values(frame, "latitude"), values(frame, "longitude"))
    way_m = np.linalg.norm(np.diff(place, axis=0), axis=-1)[same]
    every_s, speed_mps = float(np.median(step_s)), float(np.median(way_m / step_s))
    first_s, last_s = float(time_s.min()), float(time_s.max())
    lines = [
        *reading.understood,
        *report.lines(),
        f"from {traces.utc_text(first_s)} to {traces.utc_text(last_s)} ({last_s - first_s:,.0f} s), "
        f"a fix every {every_s:.3g} s, median speed {speed_mps:.2g} m/s",
    ]
    return lines + [f"odd: {line}" for line in (*reading.odd, *_odd(report, reading, speed_mps))]


def _odd(report: CleaningReport, reading: Reading, speed_mps: float) -> list[str]:
    way_out = f"check the unit of time (--time-unit){reading.who_else and ' and who moves'}"
    found = []
    if speed_mps > FASTEST_USUAL_MPS:
        found.append(f"half of all moves are faster than {speed_mps * 3.6:.0f} km/h; {way_out}")
    if speed_mps < SLOWEST_USUAL_MPS:
        found.append(f"half of all moves are slower than {speed_mps:.2g} m/s; {way_out}")
    for reason, what in (
        (Reason.JUMP, f"reached by a jump above {report.max_speed_mps:g} m/s"),
        (Reason.LONELY, "the only one of their user"),
    ):
        share = report.dropped[reason] / report.read_fixes
        if share > ABSURD_SHARE:
            raise DataError(
                f"{report.dropped[reason]:,} of {report.read_fixes:,} fixes are {what} (the first in "
                f"{report.first[reason]}): {way_out}{reading.who_else and f': {reading.who_else}'}"
            )
        if share > ODD_SHARE:
            found.append(f"{share:.0%} of the fixes are {what}; {way_out}")
    return found


def check_size(users: int, stations: int) -> None:
    """Raise ScenarioError for more users and stations than can be laid out."""
    if users * stations > MOST_PAIRS:
        raise ScenarioError(
            f"users times stations must be at most {MOST_PAIRS:,}, got {users:,} x {stations:,} = "
            f"{users * stations:,}; take fewer users, or the sites of one region"
        )
