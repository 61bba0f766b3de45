"""Presence of a trace's users: how many are there when, and the window in which most are."""

from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np
import pandas as pd
from jaxtyping import Float, Int

from isma.world import traces
from isma.world.traces import Runs


@dataclass(frozen=True)
class Occupancy:
    """How many users are there, from change to change."""

    from_s: Float[np.ndarray, "changes"]
    """From the window's start, rising, the first 0."""
    users: Int[np.ndarray, "changes"]
    """How many are there from then on."""
    duration_s: float
    """The window's length."""

    @property
    def mean(self) -> float:
        """Users that are there on average."""
        lasts_s = np.diff(self.from_s, append=self.duration_s)
        return float((self.users * lasts_s).sum() / self.duration_s)

    def at(self, time_s: Float[np.ndarray, "moments"]) -> Int[np.ndarray, "moments"]:
        """Users at moments from the window's start."""
        return self.users[np.searchsorted(self.from_s, time_s, side="right") - 1]


def course(stays: Runs, start_s: float, duration_s: float) -> Occupancy:
    """How many users are there in a window, of whose runs these are."""
    comes_s = np.clip(stays.first_s - start_s, 0, duration_s)
    leaves_s = np.clip(stays.last_s - start_s, 0, duration_s)
    moment_s, place = np.unique(np.concatenate([[0], comes_s, leaves_s]), return_inverse=True)
    change = np.concatenate([[0], np.ones(len(comes_s)), -np.ones(len(leaves_s))])
    users = np.cumsum(np.bincount(place, change)).round().astype(np.int64)
    inside = moment_s < duration_s
    return Occupancy(moment_s[inside], users[inside], duration_s)


def busiest_start(frame: pd.DataFrame, duration_s: float, max_gap_s: float) -> datetime:
    """Start of the window of `duration_s` in which most users are there on average, the earliest of equals.

    It is a whole minute, unless the trace is too short for one: then its first moment. The frame is
    ordered by user and time.
    """
    stays = traces.runs(frame, max_gap_s)
    first_s, last_s = float(stays.first_s.min()), float(stays.last_s.max())
    start_s = traces.whole_minutes_s(first_s, last_s - duration_s)
    if not len(start_s):
        return datetime.fromtimestamp(first_s, UTC)
    rise, fall = np.sort(stays.first_s - first_s), np.sort(stays.last_s - first_s)

    def user_s(until_s: Float[np.ndarray, "moments"]) -> Float[np.ndarray, "moments"]:
        """Time that all users together have been present until each moment."""
        return _ramps(rise, until_s) - _ramps(fall, until_s)

    begin_s = start_s - first_s
    spent_s = user_s(begin_s + duration_s) - user_s(begin_s)
    # Sums of equal windows differ in their last digits.
    best = int(np.argmax(spent_s >= spent_s.max() * (1 - 1e-9)))
    return datetime.fromtimestamp(float(start_s[best]), UTC)


def _ramps(
    from_s: Float[np.ndarray, "ramps"], until_s: Float[np.ndarray, "moments"]
) -> Float[np.ndarray, "moments"]:
    """Sum of max(until − from, 0) over sorted beginnings."""
    sums = np.concatenate([[0.0], np.cumsum(from_s)])
    count = np.searchsorted(from_s, until_s, side="right")
    return count * until_s - sums[count]
