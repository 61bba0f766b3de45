"""Summary of a trace in words: its motion, and doubts about it."""

import numpy as np
import pandas as pd

from isma.errors import DataError, ScenarioError
from isma.world import traces
from isma.world.importers.cleaning import CleaningReport, Reason
from isma.world.importers.jumps import place_m
from isma.world.importers.reading import Reading
from isma.world.traces import values

FASTEST_TYPICAL_MPS = 40.0
"""A median speed above it is doubtful: 144 km/h."""
SLOWEST_TYPICAL_MPS = 0.02
"""A median speed below it is doubtful: hardly any user moves."""
DOUBTFUL_SHARE, ABSURD_SHARE = 0.1, 0.5
"""Shares of the fixes that jump, or are the only one of their user: above the first doubtful, above the
second refused."""
MOST_PAIRS = 1_000_000_000
"""Users times stations that a scenario may have."""


def understood(frame: pd.DataFrame, report: CleaningReport, reading: Reading) -> list[str]:
    """Lines on a clean trace: its span, its fixes and speeds, dropped fixes, and doubts.

    Raises DataError where so much had to be dropped that it was probably misread.
    """
    user, _ = pd.factorize(frame["user_id"])
    time_s = values(frame, "time_s")
    same = np.diff(user) == 0
    step_s = np.diff(time_s)[same]
    place = place_m(values(frame, "latitude"), values(frame, "longitude"))
    step_m = np.linalg.norm(np.diff(place, axis=0), axis=-1)[same]
    every_s, speed_mps = float(np.median(step_s)), float(np.median(step_m / step_s))
    first_s, last_s = float(time_s.min()), float(time_s.max())
    lines = [
        *reading.understood,
        *report.lines(),
        f"from {traces.utc_text(first_s)} to {traces.utc_text(last_s)} ({last_s - first_s:,.0f} s), "
        f"a fix every {every_s:.3g} s, median speed {speed_mps:.2g} m/s",
    ]
    return lines + [
        f"odd: {line}" for line in (*reading.doubts, *_doubts(report, reading, speed_mps))
    ]


def _doubts(report: CleaningReport, reading: Reading, speed_mps: float) -> list[str]:
    way_out = f"check the unit of time (--time-unit){reading.other_ids and ' and who moves'}"
    doubts = []
    if speed_mps > FASTEST_TYPICAL_MPS:
        doubts.append(f"half of all moves are faster than {speed_mps * 3.6:.0f} km/h; {way_out}")
    if speed_mps < SLOWEST_TYPICAL_MPS:
        doubts.append(f"half of all moves are slower than {speed_mps:.2g} m/s; {way_out}")
    for reason, what in (
        (Reason.JUMP, f"reached by a jump above {report.max_speed_mps:g} m/s"),
        (Reason.LONELY, "the only one of their user"),
    ):
        share = report.dropped[reason] / report.read_fixes
        if share > ABSURD_SHARE:
            raise DataError(
                f"{report.dropped[reason]:,} of {report.read_fixes:,} fixes are {what} (the first in "
                f"{report.first[reason]}): {way_out}{reading.other_ids and f': {reading.other_ids}'}"
            )
        if share > DOUBTFUL_SHARE:
            doubts.append(f"{share:.0%} of the fixes are {what}; {way_out}")
    return doubts


def check_size(users: int, stations: int) -> None:
    """Raise ScenarioError for more users and stations than can be laid out."""
    if users * stations > MOST_PAIRS:
        raise ScenarioError(
            f"users times stations must be at most {MOST_PAIRS:,}, got {users:,} x {stations:,} = "
            f"{users * stations:,}; take fewer users, or the sites of one region"
        )
