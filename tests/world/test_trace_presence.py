"""Presence of a trace's users: counts by hand, and the busiest window against a plain count."""

from datetime import UTC, datetime

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from isma.world import presence, traces

NOON_S = datetime(2020, 1, 1, 12, tzinfo=UTC).timestamp()


def frame_of(fixes: dict[str, list[float]]) -> pd.DataFrame:
    """Users by name and the seconds after noon of their fixes."""
    rows = [(name, NOON_S + t, 0.0, 0.0) for name in sorted(fixes) for t in sorted(fixes[name])]
    return pd.DataFrame(rows, columns=list(traces.COLUMNS))


def test_users_are_counted_from_change_to_change() -> None:
    """Of 100 s: a from before to 40 s, b from 20 to 60 s, c from 40 s on: 1, 2, 2 and 1 users.

    At 40 s a leaves and c comes. (20 x 1 + 20 x 2 + 20 x 2 + 40 x 1) / 100 = 1.4 on average.
    """
    frame = frame_of({"a": [-5, 40], "b": [20, 60], "c": [40, 120]})
    found = traces.visiting(frame, NOON_S, 100.0, 300.0)
    course = presence.course(found, NOON_S, 100.0)
    np.testing.assert_allclose(course.from_s, [0, 20, 40, 60])
    assert course.users.tolist() == [1, 2, 2, 1]
    assert course.mean == pytest.approx(1.4)
    assert course.at(np.array([0.0, 19.9, 20.0, 99.9])).tolist() == [1, 1, 2, 1]


def test_the_busiest_window_has_most_users_on_average() -> None:
    """Three users in minutes 10 to 20, one user throughout an hour: ten minutes from 12:10."""
    fixes = {"z": [60.0 * m for m in range(61)]}
    fixes |= {name: [60.0 * m for m in range(10, 21)] for name in "abc"}
    found = presence.busiest_start(frame_of(fixes), 600.0, 300.0)
    assert found == datetime(2020, 1, 1, 12, 10, tzinfo=UTC)
    # An hour and a minute is longer than the trace: it begins where the trace does.
    assert presence.busiest_start(frame_of(fixes), 3660.0, 300.0) == datetime(
        2020, 1, 1, 12, tzinfo=UTC
    )


fix_minutes = st.dictionaries(
    st.sampled_from("abcd"), st.lists(st.integers(0, 40), min_size=2, unique=True), min_size=1
)


@settings(max_examples=40)
@given(fix_minutes, st.integers(1, 20))
def test_no_other_minute_has_more_users(minutes: dict[str, list[int]], length: int) -> None:
    """Gaps up to three minutes: in whole minutes a user is there between near fixes."""
    frame = frame_of({name: [60.0 * m for m in held] for name, held in minutes.items()})
    there = np.zeros(61)
    for held in minutes.values():
        for a, b in zip(sorted(held), sorted(held)[1:], strict=False):
            there[a:b] += b - a <= 3
    first, last = int(min(map(min, minutes.values()))), int(max(map(max, minutes.values())))
    start = presence.busiest_start(frame, 60.0 * length, 180.0)
    sums = [there[m : m + length].sum() for m in range(first, last - length + 1)] or [0.0]
    best = first + int(np.argmax(sums))
    assert start.timestamp() == NOON_S + 60 * best
