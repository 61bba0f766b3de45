"""Dates as people write them: in an order of their own, and in the time of some place."""

import re
from dataclasses import dataclass
from typing import NamedTuple
from zoneinfo import ZoneInfo, available_timezones

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float

from isma.errors import ScenarioError, short, unknown

_ZONE = r"(?:[zZ]|[+-]\d\d:?(?:\d\d)?)$"
_DAYTIMES = ("", " %H:%M", " %H:%M:%S", " %H:%M:%S.%f")
_DOTTED = re.compile(r"\s*\d{1,2}\.\d{1,2}\.\d{4}\b")
_SLASHED = re.compile(r"\s*(\d{1,2})/(\d{1,2})/\d{4}\b")
_YEAR_FIRST = re.compile(r"\s*\d{4}/\d{1,2}/\d{1,2}\b")


@dataclass(frozen=True)
class TimeRule:
    """Format of a trace's times, as far as it is given."""

    unit: str | None = None
    """Of numbers: s, ms, …"""
    format: str | None = None
    """Of text, as strptime has it."""
    zone: str | None = None
    """Of text without one: a name of the IANA's database."""

    @property
    def given(self) -> bool:
        """Whether anything is said."""
        return self != TimeRule()


def check(rule: TimeRule) -> None:
    """Raise ScenarioError for a rule that cannot be."""
    if rule.unit is not None and (rule.format is not None or rule.zone is not None):
        raise ScenarioError(
            "--time-unit is for numbers, --time-format and --time-zone for dates: give the one or the other"
        )
    if rule.zone is not None and rule.zone not in available_timezones():
        raise ScenarioError(unknown("time zone", short(rule.zone), sorted(available_timezones())))
    if rule.format is not None and "%" not in rule.format:
        raise ScenarioError(
            f"--time-format must say where day, month and time stand, as %d/%m/%Y %H:%M:%S, got "
            f"{short(rule.format)!r}"
        )


class Dated(NamedTuple):
    """A column of dates as it was read."""

    seconds: Float[np.ndarray, "fixes"]
    """UNIX seconds, NaN for unreadable entries."""
    form: str
    """How they are written."""
    bare: Bool[np.ndarray, "fixes"]
    """Those that carry no zone."""
    twice: int
    """Those in an hour that is twice or never on the clocks of their zone."""

    def understood(self, rule: TimeRule, kept: Bool[np.ndarray, "fixes"]) -> str:
        """How those that are kept were understood."""
        count = int((self.bare & kept).sum())
        where = "their zones as written"
        if count:
            where = f"{count:,} of {int(kept.sum()):,} without a zone: taken as "
            where += "UTC" if rule.zone is None else rule.zone
        if self.twice:
            where += (
                f"; {self.twice:,} in an hour that is twice or never on the clocks there count as "
                "unreadable"
            )
        return f"{self.form}, {where}"


def read(text: pd.Series, label: str, rule: TimeRule) -> Dated:
    """Read a column of dates.

    Raises ScenarioError where days and months are ambiguous.
    """
    moments, form = _moments(text, label, rule)
    zoned = np.array(text.str.contains(_ZONE, regex=True) & moments.notna(), dtype=bool)
    if rule.format is not None:
        zoned &= "%z" in rule.format or "%Z" in rule.format
    elif form != "ISO 8601":
        zoned[:] = False
    readable = np.asarray(moments.notna())
    seconds = _since_1970_s(moments)
    bare = readable & ~zoned
    if rule.zone is not None and bare.any():
        seconds[bare] = _in_zone(pd.Series(moments.loc[bare]), rule.zone)
    twice = int((np.isnan(seconds) & readable).sum())
    return Dated(seconds, form, bare, twice)


def _moments(text: pd.Series, label: str, rule: TimeRule) -> tuple[pd.Series, str]:
    """Moments as if in UTC, and how the text is written."""
    if rule.format is not None:
        try:
            dates = pd.to_datetime(text, format=rule.format, utc=True, errors="coerce")
        except ValueError as error:
            raise ScenarioError(
                f"--time-format must be one that strptime knows, got {short(rule.format)!r}: {short(error)}"
            ) from None
        return dates, f"dates as {rule.format}"
    shown = next((value for value in text if value), "")
    if _DOTTED.match(shown):
        return _by_forms(text, "%d.%m.%Y"), "dates as dd.mm.yyyy"
    if _YEAR_FIRST.match(shown):
        return _by_forms(text, "%Y/%m/%d"), "dates as yyyy/mm/dd"
    if _SLASHED.match(shown):
        form, why = _day_first(text, label)
        words = "dd/mm/yyyy" if form.startswith("%d") else "mm/dd/yyyy"
        return _by_forms(text, form), f"dates as {words}, by {why}"
    return pd.to_datetime(text, format="ISO8601", utc=True, errors="coerce"), "ISO 8601"


def _by_forms(text: pd.Series, date: str) -> pd.Series:
    """Moments of dates in one order, with any time of day; `T` and commas may separate them."""
    plain = text.str.strip().str.replace(r"^(\S+?)[T,]?\s+", r"\1 ", regex=True)
    dates = pd.Series(pd.NaT, index=text.index, dtype="datetime64[ns, UTC]")
    for daytime in _DAYTIMES:
        rest = dates.isna()
        if not rest.any():
            break
        read = pd.to_datetime(plain[rest], format=date + daytime, utc=True, errors="coerce")
        dates.loc[rest] = read.astype("datetime64[ns, UTC]")
    return dates


def _day_first(text: pd.Series, label: str) -> tuple[str, str]:
    """Whether the day or the month comes first in 03/04/2020: only a number above 12 shows it."""
    matches = [match for match in map(_SLASHED.match, text) if match]
    day_first, month_first = (any(int(match[part]) > 12 for match in matches) for part in (1, 2))
    if day_first == month_first:
        raise ScenarioError(
            f"{label} must say whether day or month comes first, got dates like "
            f"{short(next(value for value in text if value))!r}"
            f"{' and others the other way round' if day_first else ''}; give --time-format "
            "'%d/%m/%Y %H:%M:%S' or '%m/%d/%Y %H:%M:%S'"
        )
    return ("%d/%m/%Y" if day_first else "%m/%d/%Y"), "days above 12"


def _since_1970_s(moments: pd.Series) -> Float[np.ndarray, "fixes"]:
    # In microseconds any year has room.
    elapsed = moments.dt.tz_convert(None).to_numpy("datetime64[us]") - np.datetime64(0, "us")
    return np.array(elapsed / np.timedelta64(1, "s"), np.float64)


def _in_zone(moments: pd.Series, zone: str) -> Float[np.ndarray, "fixes"]:
    """Times on a place's clocks; NaN in the hour that is twice, or never."""
    local = moments.dt.tz_convert(None).dt.tz_localize(
        ZoneInfo(zone), ambiguous="NaT", nonexistent="NaT"
    )
    return _since_1970_s(local.dt.tz_convert("UTC"))
