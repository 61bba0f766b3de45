"""Window of a trace that a scenario runs along, and which users are in and out of it, and why."""

from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np
import pandas as pd

from isma.errors import DataError, ScenarioError, some
from isma.world import presence, traces
from isma.world.importers.request import Request, TraceUsers
from isma.world.motion import Trace

DURATION_S = 7200.0
"""Default duration of a run along a trace: two hours, or the whole trace if that is shorter."""
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
    """Numbers of users in and out, and why."""


def chosen(frame: pd.DataFrame, request: Request) -> TakenPart:
    """The requested window, or the one with most users. Raises ScenarioError or DataError.

    The frame is clean: ordered by user and time.
    """
    gap_s = request.max_gap_s or Trace.model_fields["max_gap_s"].default
    if request.users is TraceUsers.THROUGHOUT:
        return _throughout(frame, request, request.duration_s or DURATION_S, gap_s)
    return _present(frame, request, gap_s)


def _present(frame: pd.DataFrame, request: Request, gap_s: float) -> TakenPart:
    time_s = traces.values(frame, "time_s")
    first_s, last_s = float(time_s.min()), float(time_s.max())
    begin_s = first_s if request.start is None else request.start.timestamp()
    # A trace shorter than the default duration is used whole, in whole ticks.
    whole_s = max(0.0, (last_s - begin_s + 1e-6) // TICK_S * TICK_S)
    duration_s = request.duration_s or min(DURATION_S, whole_s)
    if not 0 < duration_s <= whole_s:
        span = f"{traces.utc_text(first_s)} to {traces.utc_text(last_s)} ({last_s - first_s:g} s)"
        way_out = f"give --duration {whole_s:g}" if whole_s else f"give a --start in {span}"
        raise ScenarioError(
            f"{request.source}: a run must lie in its trace, which runs from {span}, got "
            f"{duration_s or DURATION_S:g} s from {traces.utc_text(begin_s)}; {way_out}"
        )
    start = request.start or presence.busiest_start(frame, duration_s, gap_s)
    start_s = start.timestamp()
    visits = traces.visiting(frame, start_s, duration_s, gap_s)
    users = np.unique(visits.user)
    if not len(users):
        said = traces.nobody_there(frame, start_s, duration_s, gap_s, str(request.source))
        if traces.longest_s(frame, gap_s) == 0:
            raise DataError(
                f"{said}; a user's fixes must follow each other sooner: check the unit of time "
                "(--time-unit), or give a longer --max-gap"
            )
        best = traces.utc_text(presence.busiest_start(frame, duration_s, gap_s).timestamp())
        raise ScenarioError(f"{said}; give --start {best}")
    how = "as asked" if request.start else "when most are there"
    if not request.start and duration_s == whole_s:
        how = "the whole trace"
    lines = (
        f"{len(users):,} users from {traces.utc_text(start_s)} for {duration_s:g} s: {how}",
        *_course_lines(visits, start_s, duration_s),
        *_back_lines(visits, len(users), gap_s),
        *_out_lines(frame, users, start_s, duration_s, gap_s),
    )
    return TakenPart(start.astimezone(UTC), duration_s, len(users), len(visits.user), lines)


def _course_lines(visits: traces.Runs, start_s: float, duration_s: float) -> list[str]:
    """When users are there, come and leave."""
    end_s = start_s + duration_s
    at_start = int((visits.first_s <= start_s).sum())
    at_end = int((visits.last_s >= end_s).sum())
    course = presence.course(visits, start_s, duration_s)
    tenths = course.at(_TENTHS * duration_s * (1 - 1e-12))
    return [
        f"there from the first to the last fix: {at_start:,} at the start, "
        f"{len(visits.user) - at_start:,} come, {len(visits.user) - at_end:,} leave, {at_end:,} at the "
        f"end; {course.mean:,.1f} on average, {course.users.min():,} to {course.users.max():,}",
        "there at each tenth of the run: " + ", ".join(f"{count:,}" for count in tenths),
    ]


def _back_lines(visits: traces.Runs, users: int, gap_s: float) -> list[str]:
    more = len(visits.user) - users
    if not more:
        return []
    names, counts = np.unique(visits.user, return_counts=True)
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


def _throughout(
    frame: pd.DataFrame, request: Request, duration_s: float, gap_s: float
) -> TakenPart:
    best = traces.best_window(frame, duration_s, gap_s)
    if request.start is None and best is not None:
        start = best.start
    else:
        first_s = float(traces.values(frame, "time_s").min())
        start = (request.start or datetime.fromtimestamp(first_s, UTC)).astimezone(UTC)
    users = traces.covering(frame, start.timestamp(), duration_s, gap_s)
    if not users:
        raise _nobody_throughout(frame, request, start.timestamp(), duration_s, gap_s)
    how = "as asked" if request.start else "the window through which most users have fixes"
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
    frame: pd.DataFrame, request: Request, start_s: float, duration_s: float, gap_s: float
) -> ScenarioError | DataError:
    """Raise an error that no user is followed, with a window that would do."""
    said = traces.uncovered(frame, start_s, duration_s, gap_s, str(request.source))
    best = traces.best_window(frame, duration_s, gap_s)
    if best is not None:
        begin = traces.utc_text(best.start.timestamp())
        return ScenarioError(f"{said}; give --start {begin} ({best.num_users} users)")
    whole_s = traces.longest_s(frame, gap_s) // TICK_S * TICK_S
    if whole_s == 0:
        return DataError(f"{said}; a user's fixes must follow each other sooner")
    return DataError(f"{said}; give --duration {whole_s:g}, as long as any user is followed")
