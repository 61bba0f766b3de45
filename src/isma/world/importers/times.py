"""Times of a trace: their unit, and which of them are implausible."""

import math
from dataclasses import dataclass

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float

from isma.errors import DataError, ScenarioError, short, unknown
from isma.world.importers import dates
from isma.world.importers.dates import TimeRule

UNITS_S = {"ns": 1e-9, "us": 1e-6, "ms": 1e-3, "s": 1.0, "min": 60.0, "h": 3600.0}
"""Units of numbers, in seconds."""
EARLIEST_S, LATEST_S = -2_208_988_800.0, 7_258_118_400.0  # the years 1900 and 2200
"""Bounds of a trace's median time, UNIX seconds."""
MOST_FROM_MIDDLE_S = 10 * 365.25 * 86_400.0
"""How far from the middle moment another may be."""
_FROM_START_S = 1e8  # 1973: smaller numbers count from a start of their own, not from 1970


@dataclass(frozen=True)
class Moments:
    """A column of times as it was understood."""

    time_s: Float[np.ndarray, "fixes"]
    """UNIX seconds, NaN for unreadable and implausible entries."""
    understood: str
    """Unit of the column, and how it was decided, in words."""
    far: Bool[np.ndarray, "fixes"]
    """Implausible times: too far from the median."""
    doubts: tuple[str, ...] = ()
    """Doubts about that, each with the way out."""


def parsed(text: pd.Series, label: str, rule: TimeRule) -> Moments:
    """Read a column's text: numbers of a unit (UNIX seconds where none is given), or dates.

    Raises DataError when its middle moment cannot be one, ScenarioError for an unknown unit, and
    where day and month are ambiguous.
    """
    numbers = np.asarray(pd.to_numeric(text, errors="coerce"), dtype=np.float64)
    if np.isfinite(numbers).mean() >= 0.5 and rule.format is None:
        if rule.zone is not None:
            raise ScenarioError(f"--time-zone is for dates, {label} has numbers: leave it out")
        return counted(numbers, label, rule.unit)
    if rule.unit is not None and np.isfinite(numbers).any():
        raise ScenarioError(f"--time-unit is for numbers, {label} has few")
    dated = dates.read(text, label, rule)
    far = _far(dated.seconds, label, np.full(len(text), np.nan))
    time_s = np.where(far, np.nan, dated.seconds)
    return Moments(time_s, dated.understood(rule, np.isfinite(time_s)), far)


def counted(numbers: Float[np.ndarray, "fixes"], label: str, unit: str | None) -> Moments:
    """Read numbers of `unit`, UNIX seconds where none is given. Raises as `parsed`."""
    if unit is not None and unit not in UNITS_S:
        raise ScenarioError(unknown("time unit", short(unit), UNITS_S))
    seconds = np.where(np.isfinite(numbers), numbers, np.nan) * UNITS_S[unit or "s"]
    far = _far(seconds, label, numbers)
    time_s = np.where(far, np.nan, seconds)
    if unit is not None:
        return Moments(time_s, f"numbers of {unit}, as given", far)
    if np.nanmin(time_s, initial=np.inf) >= _FROM_START_S:
        return Moments(time_s, "UNIX seconds, by the size of the numbers", far)
    doubts = (
        f"times count from {np.nanmin(time_s, initial=np.inf):g}, not from 1970 as UNIX seconds do; "
        "they were read as seconds: if they are ms or min, give --time-unit ms or min (s if it is s)"
    )
    return Moments(time_s, "numbers taken as seconds, from a start of their own", far, (doubts,))


def _far(
    time_s: Float[np.ndarray, "fixes"], label: str, given: Float[np.ndarray, "fixes"]
) -> Bool[np.ndarray, "fixes"]:
    """Mark moments far from the middle one, which a null date or another unit leaves behind."""
    finite = np.sort(time_s[np.isfinite(time_s)])
    if not len(finite):
        return np.zeros(len(time_s), dtype=bool)
    middle = float(finite[(len(finite) - 1) // 2])
    if not EARLIEST_S <= middle <= LATEST_S:
        raise DataError(f"{label} must be UNIX seconds or ISO 8601, {_beyond(middle, given)}")
    return np.isfinite(time_s) & (np.abs(time_s - middle) > MOST_FROM_MIDDLE_S)


def _beyond(middle_s: float, given: Float[np.ndarray, "fixes"]) -> str:
    """Say of a middle moment that it cannot be one, and which unit would make it one."""
    finite = np.sort(given[np.isfinite(given)])
    if len(finite) <= len(given) // 2:
        return (
            "between the years 1900 and 2200, got dates around the year "
            f"{1970 + math.floor(middle_s / 31_556_952)}"
        )
    number = float(finite[(len(finite) - 1) // 2])
    for unit, name in (("ms", "milliseconds"), ("us", "microseconds"), ("ns", "nanoseconds")):
        if _FROM_START_S < number * UNITS_S[unit] < LATEST_S:
            return (
                f"got numbers around {number:.0f}: if these are {name}, give --time-unit {unit}, "
                f"or divide them by {1 / UNITS_S[unit]:.0f}"
            )
    return f"got numbers around {number:.6g}, beyond the years 1900 to 2200"
