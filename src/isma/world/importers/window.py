"""Window of a trace that a scenario runs along, and which users are in and out of it, and why."""

from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np
import pandas as pd

from isma.errors import DataError, ScenarioError, some
from isma.world import presence, traces
from isma.world.importers.asked import Request, TraceUsers
from isma.world.motion import Trace

DURATION_S = 7200.0
"""How long a run along a trace is, unless told: two hours, or the whole trace if that is shorter."""
TICK_S = 1.0
"""Tick and broadcast period along a trace, whose fixes are seconds to a minute apart."""
_TENTHS = np.arange(11) / 10


@dataclass(frozen=True)
class TakenPart:
    """Part of a trace that becomes a scenario."""

    start: datetime
    """Its first moment, UTC."""
    duration_s: float
    """Its length."""
    num_users: int
    """Users in it."""
    rows: int
    """Users in it, those that come back counted again each time."""
    lines: tuple[str, ...]
    """Who is in and out, and why."""


def chosen(frame: pd.DataFrame, asked: Request) -> TakenPart:
    """The window as asked for, or the one with most users. Raises ScenarioError or DataError.

    The frame is clean: ordered by user and time.
    """
    gap_s = asked.max_gap_s or Trace.model_fields["max_gap_s"].default
    if asked.users is TraceUsers.THROUGHOUT:
        return _throughout(frame, asked, asked.duration_s or DURATION_S, gap_s)
    return _present(frame, asked, gap_s)


def _present(frame: pd.DataFrame, asked: Request, gap_s: float) -> TakenPart:
    time_s = traces.values(frame, "time_s")
    first_s, last_s = float(time_s.min()), float(time_s.max())
    begin_s = first_s if asked.start is None else asked.start.timestamp()
    # A trace that is shorter than a run usually is gives all it has, in whole ticks.
    whole_s = max(0.0, (last_s - begin_s + 1e-6) // TICK_S * TICK_S)
    duration_s = asked.duration_s or min(DURATION_S, whole_s)
    if not 0 < duration_s <= whole_s:
        span = f"{traces.utc_text(first_s)} to {traces.utc_text(last_s)} ({last_s - first_s:g} s)"
        way_out = f"give --duration {whole_s:g}" if whole_s else f"give a --start in {span}"
        raise ScenarioError(
            f"{asked.source}: a run must lie in its trace, which runs from {span}, got "
            f"{duration_s or DURATION_S:g} s from {traces.utc_text(begin_s)}; {way_out}"
        )
    start = asked.start or presence.busiest_start(frame, duration_s, gap_s)
    start_s = start.timestamp()
    found = traces.visiting(frame, start_s, duration_s, gap_s)
    users = np.unique(found.user)
    if not len(users):
        said = traces.nobody_there(frame, start_s, duration_s, gap_s, str(asked.source))
        if traces.longest_s(frame, gap_s) == 0:
            raise DataError(
                f"{said}; a user's fixes must follow each other sooner: check the unit of time "
                "(--time-unit), or give a longer --max-gap"
            )
        best = traces.utc_text(presence.busiest_start(frame, duration_s, gap_s).timestamp())
        raise ScenarioError(f"{said}; give --start {best}")
    how = "as asked" if asked.start else "when most are there"
    if not asked.start and duration_s == whole_s:
        how = "the whole trace"
    lines = (
        f"{len(users):,} users from {traces.utc_text(start_s)} for {duration_s:g} s: {how}",
        *_course_lines(found, start_s, duration_s),
        *_back_lines(found, len(users), gap_s),
        *_out_lines(frame, users, start_s, duration_s, gap_s),
    )
    return TakenPart(start.astimezone(UTC), duration_s, len(users), len(found.user), lines)


def _course_lines(found: traces.Runs, start_s: float, duration_s: float) -> list[str]:
    """When users are there, come and leave."""
    end_s = start_s + duration_s
    at_start = int((found.first_s <= start_s).sum())
    at_end = int((found.last_s >= end_s).sum())
    course = presence.course(found, start_s, duration_s)
    tenths = course.at(_TENTHS * duration_s * (1 - 1e-12))
    return [
        f"there from the first to the last fix: {at_start:,} at the start, "
        f"{len(found.user) - at_start:,} come, {len(found.user) - at_end:,} leave, {at_end:,} at the "
        f"end; {course.mean:,.1f} on average, {course.users.min():,} to {course.users.max():,}",
        "there at each tenth of the run: " + ", ".join(f"{count:,}" for count in tenths),
    ]


def _back_lines(found: traces.Runs, users: int, gap_s: float) -> list[str]:
    more = len(found.user) - users
    if not more:
        return []
    names, counts = np.unique(found.user, return_counts=True)
    back = names[counts > 1].tolist()
    return [
        f"{len(back):,} of them come back after a gap above {gap_s:g} s, {more:,} times in all: each "
        f"time a user of its own with the same tasks: {some(back)}"
    ]


def _out_lines(
    frame: pd.DataFrame, users: np.ndarray, start_s: float, duration_s: float, gap_s: float
) -> list[str]:
    """Users that are left out, by reason."""
    known = np.unique(np.asarray(frame["user_id"], dtype=str))
    out = np.setdiff1d(known, users.astype(str))
    if not len(out):
        return []
    time_s = traces.values(frame, "time_s")
    inside = (time_s >= start_s) & (time_s <= start_s + duration_s)
    near = np.unique(np.asarray(frame["user_id"], dtype=str)[inside])
    alone = np.intersect1d(out, near)
    away = np.setdiff1d(out, near)
    reasons = [
        (away, "have no fix in that window"),
        (alone, f"have no two fixes in it that follow each other within {gap_s:g} s"),
    ]
    return [
        f"{len(out):,} of {len(known):,} users are out: "
        + "; ".join(
            f"{len(names):,} {why} ({some(names.tolist())})" for names, why in reasons if len(names)
        )
    ]


def _throughout(frame: pd.DataFrame, asked: Request, duration_s: float, gap_s: float) -> TakenPart:
    best = traces.best_window(frame, duration_s, gap_s)
    if asked.start is None and best is not None:
        start = best.start
    else:
        first_s = float(traces.values(frame, "time_s").min())
        start = (asked.start or datetime.fromtimestamp(first_s, UTC)).astimezone(UTC)
    users = traces.covering(frame, start.timestamp(), duration_s, gap_s)
    if not users:
        raise _nobody_throughout(frame, asked, start.timestamp(), duration_s, gap_s)
    how = "as asked" if asked.start else "the window through which most users have fixes"
    began = traces.utc_text(start.timestamp())
    lines = [f"{len(users):,} users from {began} for {duration_s:g} s: {how}"]
    known = sorted(frame["user_id"].unique())
    left_out = sorted(set(known) - set(users))
    if left_out:
        lines.append(
            f"{len(left_out):,} of {len(known):,} users do not take part, having no fixes throughout "
            f"that window without a gap above {gap_s:g} s: {some(left_out)}; --users present takes "
            "them while they are there"
        )
    return TakenPart(start, duration_s, len(users), len(users), tuple(lines))


def _nobody_throughout(
    frame: pd.DataFrame, asked: Request, start_s: float, duration_s: float, gap_s: float
) -> ScenarioError | DataError:
    """Say that nobody is followed, and what would do."""
    said = traces.uncovered(frame, start_s, duration_s, gap_s, str(asked.source))
    best = traces.best_window(frame, duration_s, gap_s)
    if best is not None:
        begin = traces.utc_text(best.start.timestamp())
        return ScenarioError(f"{said}; give --start {begin} ({best.num_users} users)")
    whole_s = traces.longest_s(frame, gap_s) // TICK_S * TICK_S
    if whole_s == 0:
        return DataError(f"{said}; a user's fixes must follow each other sooner")
    return DataError(f"{said}; give --duration {whole_s:g}, as long as any user is followed")
